"""Slack's mrkdwn: plain text put into it, and long text taken apart.

https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from bolt_app.slack_ids import DELETED_PERSON

SECTION_LENGTH = 3000

DELETED_WORDS = "someone (profile deleted)"
_FENCE = "```"
# A piece of a code block that goes on in the next piece is closed, and opened again there.
_FENCE_ROOM = len(f"{_FENCE}\n") + len(f"\n{_FENCE}")
# What must stay in one piece: links, mentions, escaped characters and the ends of code blocks.
_WHOLE = re.compile(r"<[^<>\n]*>|&(?:amp|lt|gt);|```")
# What Slack would show otherwise than it is written: quotes, emphasis, code, emoji, mentions.
_MARKUP = re.compile(
    r"^[^\S\n]*>|(?<![^\W_])([*_~])(?=\S)[^\n]*\1|`[^\n]*`"
    r"|:(?=[\w+'-]*[^\W\d_])[\w+'-]+:|:(?:100|1234|[+-]1):|@(?:here|channel|everyone)",
    re.MULTILINE,
)
_MENTION = re.compile(r"<(?:@|!(?:here|channel|everyone|subteam))")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:", re.ASCII)
_INSIDE, _FIRST = "\x01", "\x02"


def escape(text: str) -> str:
    """Return plain text as mrkdwn.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def is_markup(text: str) -> bool:
    """Whether plain text, even escaped, could look otherwise in mrkdwn than it is written.

    There is no escaping of `*`, `_`, `~`, backticks and `:emoji:`.
    """
    return _MARKUP.search(text) is not None


def is_misread_in_bold(text: str) -> bool:
    """Whether plain text, even escaped, would look otherwise than it is written between stars."""
    return "*" in text or is_markup(text)


def mentions(text: str) -> bool:
    """Whether mrkdwn calls somebody: a person, a group, or everybody."""
    return _MENTION.search(text) is not None


def person_mention(user_id: str) -> str:
    """Return the mention of a person, or words in its place where their data was deleted."""
    return DELETED_WORDS if user_id == DELETED_PERSON else f"<@{user_id}>"


def link(url: str, label: str = "") -> str:
    """Return a link to `url`, shown as the plain text `label`.

    What has no scheme is text: between angle brackets `!channel` or `@U…` would call people.
    """
    if not _SCHEME.match(url):
        return escape(label or url)
    target = re.sub(r"[|`\\<>]", lambda found: f"%{ord(found[0]):02X}", url)
    target = re.sub("&(?=(?:amp|lt|gt);)", "&amp;", target)
    return f"<{target}|{escape(label)}>" if label else f"<{target}>"


def moment(at: datetime) -> str:
    """Return a date and time that Slack writes in the reader's own language and time zone.

    https://docs.slack.dev/messaging/formatting-message-text#date-formatting
    """
    form = "{date_short_pretty} {time}"
    return f"<!date^{int(at.timestamp())}^{form}|{at:%d %B %Y %H:%M} UTC>"


def is_divisible(text: str, length: int = SECTION_LENGTH) -> bool:
    """Whether everything in `text` that must stay in one piece fits into a piece."""
    room = length - _FENCE_ROOM
    return all(len(whole[0]) <= room for whole in _WHOLE.finditer(text))


def split(text: str, length: int = SECTION_LENGTH) -> list[str]:
    """Return `text` in pieces of at most `length` characters.

    It is parted between lines where that is possible, else between words, and never within a
    link, a mention or an escaped character. A code block that is parted is a code block in
    either piece.
    """
    if _FENCE not in text:
        return list(_parts(text, length))
    return list(_with_fences(_parts(text, length - _FENCE_ROOM), text.count(_FENCE)))


def shorten(text: str, size: int) -> str:
    """Return the beginning of `text` in at most `size` bytes of UTF-8, `…` where more follows."""
    data = text.encode()
    if len(data) <= size:
        return text
    start = data[: size - len("…".encode())].decode(errors="ignore")
    return f"{next(_parts(text, len(start))).rstrip()}…"


def _parts(text: str, length: int) -> Iterator[str]:
    shape = _shape(text)
    start = 0
    while len(text) - start > length:
        end = _end_of_part(shape, start, start + length)
        yield text[start:end]
        start = end
    yield text[start:]


def _shape(text: str) -> str:
    """Return `text` with marks in place of what must stay whole."""
    plain = text.replace(_INSIDE, " ").replace(_FIRST, " ")
    return _WHOLE.sub(lambda whole: _FIRST + _INSIDE * (len(whole[0]) - 1), plain)


def _end_of_part(shape: str, start: int, limit: int) -> int:
    for separator in ("\n", " "):
        place = shape.rfind(separator, (start + limit) // 2, limit)
        if place >= 0:
            return place + 1
    if shape[limit] != _INSIDE:
        return limit
    place = shape.rfind(_FIRST, start, limit)
    # Something that is longer than a whole part cannot stay in one.
    return place if place > start else limit


def _with_fences(parts: Iterable[str], fences: int) -> Iterator[str]:
    seen = 0
    is_open = False
    for part in parts:
        opening = f"{_FENCE}\n" if is_open else ""
        seen += part.count(_FENCE)
        # A last fence without its counterpart opens nothing.
        is_open = seen % 2 == 1 and seen < fences
        closing = _FENCE if part.endswith("\n") else f"\n{_FENCE}"
        yield f"{opening}{part}{closing if is_open else ''}"
