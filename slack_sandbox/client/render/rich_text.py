"""The ``rich_text`` block.

See https://docs.slack.dev/reference/block-kit/blocks/rich-text-block.
"""

from __future__ import annotations

import re

from markupsafe import Markup

from slack_sandbox.client.render.dates import date_tag
from slack_sandbox.client.render.emoji import emoji_tag
from slack_sandbox.client.render.mrkdwn import channel_tag, person_tag
from slack_sandbox.client.render.reader import Reader
from slack_sandbox.client.render.tags import join, link, tag
from slack_sandbox.client.render.values import (
    JsonDict,
    record,
    records,
    string,
    whole_number,
)

_STYLES = {"code": "code", "strike": "del", "italic": "em", "underline": "u", "bold": "strong"}
_DEEPEST_INDENT = 8
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_UNICODE = re.compile(r"[0-9a-fA-F]{2,6}")


def rich_text(block: JsonDict, reader: Reader) -> Markup:
    """A ``rich_text`` block."""
    return join(_part(element, reader) for element in records(block.get("elements")))


def swatch(color: str) -> Markup:
    """A color sample, drawn as SVG because inline styles are forbidden."""
    rectangle = tag("rect", {"width": "100%", "height": "100%", "fill": color})
    return tag("svg", {"aria-hidden": "true", "class": "swatch"}, rectangle)


def _part(part: JsonDict, reader: Reader) -> Markup:
    kind = part.get("type")
    if kind == "rich_text_list":
        return _list(part, reader)
    inside = _inline(part, reader)
    if kind == "rich_text_preformatted":
        return tag("pre", {}, tag("code", {}, inside))
    if kind == "rich_text_quote":
        return tag("blockquote", {}, inside)
    return tag("div", {"class": "rich"}, inside)


def _list(part: JsonDict, reader: Reader) -> Markup:
    items = [tag("li", {}, _inline(element, reader)) for element in records(part.get("elements"))]
    indent = min(max(whole_number(part.get("indent")) or 0, 0), _DEEPEST_INDENT)
    attributes: dict[str, str | None] = {"class": f"indent-{indent}"}
    if part.get("style") != "ordered":
        return tag("ul", attributes, *items)
    offset = whole_number(part.get("offset"))
    return tag("ol", {**attributes, "start": str(offset + 1) if offset else None}, *items)


def _inline(part: JsonDict, reader: Reader) -> Markup:
    return join(_styled(element, reader) for element in records(part.get("elements")))


def _styled(element: JsonDict, reader: Reader) -> Markup:
    shown = _element(element, reader)
    style = record(element.get("style"))
    for name, element_name in _STYLES.items():
        if style.get(name) is True:
            shown = tag(element_name, {}, shown)
    return shown


def _element(element: JsonDict, reader: Reader) -> Markup:
    kind = element.get("type")
    if kind == "link":
        url = element.get("url")
        return link(url, string(element.get("text")) or string(url))
    if kind == "emoji":
        return _emoji(element)
    if kind == "user":
        return person_tag(string(element.get("user_id")), reader)
    if kind == "channel":
        return channel_tag(string(element.get("channel_id")), reader)
    if kind == "broadcast":
        return tag("span", {"class": "mention"}, f"@{string(element.get('range'))}")
    if kind == "usergroup":
        return tag("span", {"class": "mention"}, f"@{string(element.get('usergroup_id'))}")
    if kind == "color":
        return _color(string(element.get("value")))
    if kind == "date":
        timestamp = whole_number(element.get("timestamp"))
        template, fallback = string(element.get("format")), string(element.get("fallback"))
        return date_tag(timestamp, template, element.get("url"), fallback, reader)
    return _lines(string(element.get("text")))


def _lines(text: str) -> Markup:
    return join(text.split("\n"), Markup("<br>"))


def _emoji(element: JsonDict) -> Markup:
    name = string(element.get("name"))
    known = emoji_tag(name)
    if known is not None:
        return known
    points = string(element.get("unicode")).split("-")
    if not all(_UNICODE.fullmatch(point) and _is_character(int(point, 16)) for point in points):
        return join([f":{name}:"])
    picture = "".join(chr(int(point, 16)) for point in points)
    return tag("span", {"class": "emoji", "role": "img", "aria-label": name}, picture)


def _is_character(point: int) -> bool:
    return point <= 0x10FFFF and not 0xD800 <= point <= 0xDFFF


def _color(value: str) -> Markup:
    if _COLOUR.fullmatch(value) is None:
        return join([value])
    return join([swatch(value), value])
