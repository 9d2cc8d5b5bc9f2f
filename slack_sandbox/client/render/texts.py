"""Text objects, and pictures with their alternative text."""

from __future__ import annotations

from urllib.parse import urlsplit

from markupsafe import Markup

from slack_sandbox.client.render.mrkdwn import mrkdwn, plain_text, unformatted
from slack_sandbox.client.render.reader import Reader
from slack_sandbox.client.render.tags import join, link, safe_url, tag
from slack_sandbox.client.render.values import record, string


def text_object(value: object, reader: Reader) -> Markup:
    """A ``plain_text`` or ``mrkdwn`` object
    (https://docs.slack.dev/reference/block-kit/composition-objects/text-object).
    """
    fields = record(value)
    text = string(fields.get("text"))
    if fields.get("type") != "mrkdwn":
        lines = text.replace("\r\n", "\n").split("\n")
        if fields.get("emoji") is False:
            return join(lines, Markup("<br>"))
        return join(map(plain_text, lines), Markup("<br>"))
    return unformatted(text, reader) if fields.get("verbatim") is True else mrkdwn(text, reader)


def label_text(value: object) -> str:
    """The unformatted text of a text object, for attributes."""
    return string(record(value).get("text"))


def picture(url: object, alt: str, reader: Reader, kind: str) -> Markup:
    """A picture; a picture of another host is linked, not fetched."""
    address = safe_url(url)
    if address is None:
        return tag("span", {"class": "elsewhere"}, alt or "A picture that cannot be shown")
    if reader.shows_picture(address):
        return tag("img", {"class": kind, "src": address, "alt": alt, "loading": "lazy"})
    host = urlsplit(address).hostname or address
    shown = f"{alt or 'Picture'} (not fetched from {host})"
    return tag("span", {"class": "elsewhere"}, link(address, shown))
