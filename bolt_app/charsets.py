"""Charsets of request bodies: the declared one, if it is on the list.

Bodies are UTF-8 unless their Content-Type says otherwise (https://www.rfc-editor.org/rfc/rfc8259
allows no other for JSON), but tools on older platforms send the charset of their system, and
declare it. As in browsers, ISO-8859-1 and US-ASCII are read as windows-1252, which defines the
codes that they leave undefined (https://encoding.spec.whatwg.org/#names-and-labels).
"""

from __future__ import annotations

from collections.abc import Mapping

UTF_8 = "utf-8"
# Labels by codec. No stateful codec (UTF-7, ISO-2022) is listed, because it could hide a second
# meaning. Labels are not looked up in Python's registry, which keeps unknown ones in memory.
_LABELS: Mapping[str, tuple[str, ...]] = {
    UTF_8: ("utf-8", "utf8", "unicode-1-1-utf-8", "cp65001"),
    "utf-16": ("utf-16", "utf16", "unicode"),
    "utf-16-le": ("utf-16le",),
    "utf-16-be": ("utf-16be",),
    "cp1252": (
        *("iso-8859-1", "iso8859-1", "latin1", "latin-1", "l1", "us-ascii", "ascii"),
        *("windows-1252", "cp1252"),
    ),
    "iso8859-2": ("iso-8859-2", "iso8859-2", "latin2"),
    "iso8859-15": ("iso-8859-15", "iso8859-15", "latin-9", "latin9"),
    "cp1250": ("windows-1250", "cp1250"),
    "cp1251": ("windows-1251", "cp1251"),
}
_CODECS = {label: codec for codec, labels in _LABELS.items() for label in labels}
ACCEPTED = "UTF-8, UTF-16, ISO-8859-1, -2 and -15, windows-1250, -1251 and -1252"


class CharsetError(ValueError):
    """A text is not in its declared charset."""


class UnknownCharsetError(CharsetError):
    """A body is in a charset that is not accepted."""

    def __init__(self) -> None:
        super().__init__(f"The charset is not accepted: send {ACCEPTED}.")


def decode(body: bytes, charset: str | None, *, errors: str = "strict") -> str:
    """Return a body as text, without a byte order mark.

    Args:
        charset: the declared charset, if any. With an unknown one the body is accepted if it is
            UTF-8, because that name is often misspelled.
        errors: as for `bytes.decode`, if the charset is on the list.

    Raises:
        UnknownCharsetError: the charset is not accepted, and the body is not UTF-8.
        CharsetError: the body is not in the declared charset.
    """
    codec = codec_of(charset)
    try:
        text = body.decode(codec or UTF_8, errors if codec else "strict")
    except UnicodeDecodeError:
        if codec is None:
            raise UnknownCharsetError from None
        raise CharsetError(f"The text is not in the charset {charset or UTF_8}.") from None
    return text.removeprefix("\ufeff")


def codec_of(charset: str | None) -> str | None:
    """Return the Python codec of a declared charset (default: UTF-8); None if not accepted."""
    if charset is None:
        return UTF_8
    return _CODECS.get(charset.strip("\"' ").lower().replace("_", "-"))
