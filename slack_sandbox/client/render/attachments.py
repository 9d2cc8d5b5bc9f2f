"""Legacy attachments, which most alerting tools still send.

See https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments.
"""

from __future__ import annotations

import re

from markupsafe import Markup

from slack_sandbox.client.render.blocks import blocks_tag
from slack_sandbox.client.render.dates import clock, day_name
from slack_sandbox.client.render.mrkdwn import mrkdwn, unformatted
from slack_sandbox.client.render.reader import Reader
from slack_sandbox.client.render.rich_text import swatch
from slack_sandbox.client.render.tags import join, link, tag
from slack_sandbox.client.render.texts import picture
from slack_sandbox.client.render.values import (
    JsonDict,
    records,
    string,
    strings,
    whole_number,
)

_NAMED = {"good": "#2eb67d", "warning": "#ecb22e", "danger": "#e01e5a"}
_HEX = re.compile(r"#?([0-9a-fA-F]{6}|[0-9a-fA-F]{3})")
_NO_COLOUR = "#8a8f98"


def attachment_tag(attachment: JsonDict, reader: Reader) -> Markup:
    """An attachment with its color bar."""
    if records(attachment.get("blocks")):
        shown = blocks_tag(records(attachment.get("blocks")), reader)
    else:
        shown = _legacy(attachment, reader)
    previous = _text(attachment, "pretext", reader)
    body = tag("div", {"class": "grow"}, shown)
    bar = swatch(_color(string(attachment.get("color"))))
    return join([previous, tag("div", {"class": "attachment"}, bar, body)])


def _legacy(attachment: JsonDict, reader: Reader) -> Markup:
    fragments = [
        _author(attachment, reader),
        _title(attachment, reader),
        _text(attachment, "text", reader),
        _fields(attachment, reader),
        _picture(attachment, "image_url", "large-image", reader),
        _picture(attachment, "thumb_url", "accessory-image", reader),
        _footer(attachment, reader),
    ]
    shown = join(fragments)
    return shown or tag("div", {"class": "text"}, string(attachment.get("fallback")))


def _color(value: str) -> str:
    if value in _NAMED:
        return _NAMED[value]
    match = _HEX.fullmatch(value)
    return f"#{match[1]}" if match else _NO_COLOUR


def _formatted(attachment: JsonDict, name: str, text: str, reader: Reader) -> Markup:
    """The text, formatted if ``mrkdwn_in`` includes it or is missing."""
    enabled = attachment.get("mrkdwn_in")
    formatted = strings(enabled) if isinstance(enabled, list) else ["text", "pretext"]
    return mrkdwn(text, reader) if name in formatted else unformatted(text, reader)


def _text(attachment: JsonDict, name: str, reader: Reader) -> Markup:
    text = string(attachment.get(name))
    if not text:
        return Markup()
    return tag("div", {"class": "text"}, _formatted(attachment, name, text, reader))


def _author(attachment: JsonDict, reader: Reader) -> Markup:
    name = string(attachment.get("author_name"))
    if not name:
        return Markup()
    icon = Markup()
    if attachment.get("author_icon"):
        icon = picture(attachment.get("author_icon"), "", reader, "tiny-image")
    shown = link(attachment.get("author_link"), name)
    return tag("div", {"class": "attachment-author"}, icon, shown)


def _title(attachment: JsonDict, reader: Reader) -> Markup:
    title = string(attachment.get("title"))
    if not title:
        return Markup()
    shown = unformatted(title, reader)
    if attachment.get("title_link"):
        shown = link(attachment.get("title_link"), title)
    return tag("strong", {"class": "attachment-title"}, shown)


def _fields(attachment: JsonDict, reader: Reader) -> Markup:
    fields = [
        tag(
            "div",
            {"class": "text" if field.get("short") is True else "text wide"},
            tag("strong", {}, unformatted(string(field.get("title")), reader)),
            Markup("<br>"),
            _formatted(attachment, "fields", string(field.get("value")), reader),
        )
        for field in records(attachment.get("fields"))
    ]
    return tag("div", {"class": "fields"}, *fields) if fields else Markup()


def _picture(attachment: JsonDict, name: str, kind: str, reader: Reader) -> Markup:
    if not attachment.get(name):
        return Markup()
    alt = string(attachment.get("fallback")) or "Picture"
    return picture(attachment.get(name), alt, reader, kind)


def _footer(attachment: JsonDict, reader: Reader) -> Markup:
    parts = [string(attachment.get("footer"))]
    timestamp = whole_number(attachment.get("ts"))
    moment = None if timestamp is None else reader.local(timestamp)
    if moment is not None:
        parts.append(f"{day_name(moment, reader)} at {clock(moment, reader)}")
    shown = " · ".join(fragment for fragment in parts if fragment)
    return tag("div", {"class": "quiet"}, shown) if shown else Markup()
