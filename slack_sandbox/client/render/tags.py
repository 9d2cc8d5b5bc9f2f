"""HTML tags; everything that is not markup already is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from markupsafe import Markup, escape

Attributes = Mapping[str, str | bool | None]

_VOID = frozenset({"br", "hr", "img", "input"})
_LINK = re.compile(
    r"(https?://[^\s<>\"`\\]+|mailto:[^\s<>\"'`\\:]+@[^\s<>\"'`\\:]+|tel:[+\d()-]+)", re.I
)


def tag(name: str, attributes: Attributes, *children: str) -> Markup:
    """An element. Attributes that are False or None are omitted; True has no value."""
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{written}>")  # noqa: S704 - the parts are escaped
    return Markup(f"<{name}{written}>{join(children)}</{name}>")  # noqa: S704 - likewise


def join(children: Iterable[str], separator: str = "") -> Markup:
    """Several fragments as one; plain strings are escaped."""
    # `Markup.join` makes markup of each fragment again.
    escaped = (one if isinstance(one, Markup) else escape(one) for one in children)
    return Markup(str.join(escape(separator), escaped))  # noqa: S704 - likewise


def safe_url(value: object) -> str | None:
    """The URL if its scheme is http, https, mailto or tel; otherwise None."""
    if not isinstance(value, str) or _LINK.fullmatch(value) is None:
        return None
    try:
        urlsplit(value)
    except ValueError:
        return None
    return value


def link(url: object, *children: str, **attributes: str) -> Markup:
    """A link that opens in a new tab; only its text if the URL is unsafe."""
    address = safe_url(url)
    if address is None:
        return join(children)
    fixed = {"href": address, "target": "_reset_state", "rel": "noopener noreferrer"}
    return tag("a", {**fixed, **attributes}, *children)


def _attribute(name: str, value: str | bool | None) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(value)}"'
