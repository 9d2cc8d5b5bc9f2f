"""Summaries: a notification in one line of plain text, for digests, previews and lists.

https://docs.slack.dev/messaging/formatting-message-text describes the markup that is removed,
https://docs.slack.dev/reference/block-kit/blocks and
https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments the layouts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bolt_app.blockkit.markdown import plain_line
from bolt_app.blockkit.text import cut

HEADLINE_LENGTH = 100
# The most characters of a text that are read.
_READ_LENGTH = 4000
_DEFAULT_HEADLINE = "A notification"
# Written by slack_sdk and others for a missing fallback.
NO_FALLBACK = "[no preview available]"
_REFERENCE = re.compile(r"<([^<>\s][^<>\n]*)>")
_CODE = re.compile(r"```\n?([^`]*)```|`([^`\n]+)`")
_EMPHASIS = tuple(
    re.compile(rf"(?<![\w{mark}]){mark}(?=\S)([^{mark}\n]+)(?<=\S){mark}(?![\w{mark}])")
    for mark in (r"\*", "_", "~")
)
_QUOTE = re.compile(r"^(?:&gt;|>)+ ?", re.MULTILINE)
_ATTACHMENT_TEXTS = ("fallback", "title", "pretext", "text")
_BLOCK_PARTS = ("title", "text", "fields", "elements", "rows")
# Elements of rich text that have only an id.
_WITHOUT_NAME = {"user": "@someone", "usergroup": "@group", "channel": "#channel"}


def headline(content: Mapping[str, Any]) -> str:
    """Return a notification in one line: its title, or the beginning of its first text."""
    lines = (" ".join(text.split()) for text in _texts(content))
    return cut(next(filter(None, lines), _DEFAULT_HEADLINE), HEADLINE_LENGTH)


def plain(mrkdwn: str, *, is_formatted: bool = True) -> str:
    """Return mrkdwn as plain text: without markup, with labels instead of links and mentions.

    Args:
        is_formatted: whether stars and the like are markup; escapes and links always are.
    """
    text = mrkdwn[:_READ_LENGTH]
    if is_formatted:
        text = "".join(_unformatted(_QUOTE.sub("", text)))
    text = _REFERENCE.sub(lambda found: _label(found[1]), text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _texts(content: Mapping[str, Any]) -> Iterator[str]:
    yield content.get("title", "")
    text = content.get("text", "")
    if content.get("format") == "markdown":
        yield next((line for line in map(_markdown_line, text.splitlines()) if line), "")
    else:
        yield plain(text, is_formatted=content.get("mrkdwn", True))
    yield _of_blocks(content.get("blocks"))
    for attachment in content.get("attachments", ()):
        for name in _ATTACHMENT_TEXTS:
            text = attachment.get(name)
            if isinstance(text, str) and text != NO_FALLBACK:
                yield plain(text)
        yield _of_blocks(attachment.get("blocks"))
    for file in content.get("files", ()):
        yield str(file.get("title") or file.get("name") or "")


def _markdown_line(line: str) -> str:
    return plain_line(line[:_READ_LENGTH]).strip("#>|`-*+ ")


def _of_blocks(blocks: object) -> str:
    """Return the text of blocks; malformed ones have none."""
    return " ".join(filter(None, map(block_text, blocks))) if isinstance(blocks, list) else ""


def block_text(block: object) -> str:
    """Return the plain text of a block, or of a part of one; a malformed one has none."""
    if isinstance(block, list):  # a row of a table
        return _of_blocks(block)
    if not isinstance(block, dict) or block.get("type") in ("actions", "button", "input"):
        return ""
    kind, text = str(block.get("type")), block.get("text")
    if kind in _WITHOUT_NAME:
        return _WITHOUT_NAME[kind]
    if kind == "link":
        return str(text or block.get("url") or "")
    if kind == "broadcast":
        return f"@{block.get('range')}"
    if kind == "emoji":
        return f":{block.get('name')}:"
    if kind == "image":
        return block_text(block.get("title")) or str(block.get("alt_text") or "")
    if isinstance(text, str):
        if kind == "markdown":
            return plain(text.replace("**", "").lstrip("# "))
        return plain(text) if kind == "mrkdwn" else text
    parts = [block.get(name) for name in _BLOCK_PARTS]
    separator = "" if kind == "rich_text_section" else " "
    return separator.join(
        filter(None, (_joined(part, separator) for part in parts if part is not None))
    )


def _joined(part: object, separator: str) -> str:
    parts = part if isinstance(part, list) else [part]
    return separator.join(filter(None, map(block_text, parts)))


def _unformatted(text: str) -> Iterator[str]:
    """Yield the pieces of a text without its markup; code has no other markup inside."""
    end = 0
    for code in _CODE.finditer(text):
        yield _unemphasized(text[end : code.start()])
        yield code[1] or code[2] or ""
        end = code.end()
    yield _unemphasized(text[end:])


def _unemphasized(text: str) -> str:
    for emphasis in _EMPHASIS:
        text = emphasis.sub(r"\1", text)
    return text


def _label(reference: str) -> str:
    """Return the text that Slack shows for a reference in angle brackets.

    Channels and people stay unnamed: readers of a summary may not be allowed to know the names.
    """
    target, _, label = reference.partition("|")
    if target.startswith("#"):
        return "#channel"
    if target.startswith("@"):
        return "@someone"
    if target.startswith("!"):
        is_group = target.startswith("!subteam")
        return label or ("@group" if is_group else f"@{target[1:].partition('^')[0]}")
    return label or target.removeprefix("mailto:")
