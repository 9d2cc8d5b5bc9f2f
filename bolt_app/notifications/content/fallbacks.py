"""Simpler renderings of a notification, for a layout that Slack rejects.

A sender's blocks or attachments may be malformed in ways that only Slack detects. The notification
is still delivered: with less of its layout, in the end as plain text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bolt_app.blockkit.elements import Block
from bolt_app.blockkit.mrkdwn import escape, link
from bolt_app.blockkit.tables import table_text
from bolt_app.notifications.content.meaning import severity_of
from bolt_app.notifications.content.message import (
    mrkdwn_of,
    render,
    spoken,
    strings,
    without_images,
)
from bolt_app.notifications.content.summaries import NO_FALLBACK, block_text

# Slack's codes for rejected content, after which nothing was posted
# (https://docs.slack.dev/reference/methods/chat.postMessage#errors and
# https://docs.slack.dev/reference/methods/chat.update#errors).
CONTENT_CODES = frozenset(
    {
        "attachment_payload_limit_exceeded",
        "invalid_arguments",
        "invalid_attachments",
        "invalid_blocks",
        "invalid_blocks_format",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "too_many_attachments",
    }
)
# The members with words; Slack may reject any of the others.
_WORDS = ("text", "title", "fields", "link", "mrkdwn", "unfurl_links", "unfurl_media")


def renderings(
    content: Mapping[str, Any], *, under: Sequence[Block] = ()
) -> Iterator[dict[str, Any]]:
    """Yield the message, then simpler ones: without images, without the sender's layout, as text.

    The next one is tried if Slack rejects the last with one of `CONTENT_CODES`. All of them show
    the severity.

    Args:
        content: as `render` takes it.
        under: Bellhop's blocks at the end; plain text has none.
    """
    message = render(content, under=under)
    yield message
    words = _words(content)
    tried = [message]
    for simpler in (without_images(message), render(words, under=under), {"text": spoken(words)}):
        if simpler not in tried:
            tried.append(simpler)
            yield simpler


def _words(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content with the words of blocks and attachments in its text."""
    kept = {name: content[name] for name in _WORDS if name in content}
    if (severity := severity_of(content)) is not None:
        kept["severity"] = severity
    text = "\n".join(filter(None, [mrkdwn_of(content), content.get("mentioned")]))
    # With blocks, the text is for screen readers, and often repeats them.
    lines = [text, *(line for line in _block_lines(content.get("blocks")) if line not in text)]
    for attachment in content.get("attachments", ()):
        lines += _attachment_lines(attachment)
    if "rows" in content:
        lines.append(table_text(content["rows"]))
    if "image_url" in content:
        lines.append(_link(content["image_url"], "Picture"))
    if joined := "\n".join(line for line in lines if line.strip()):
        kept["text"] = joined
    return kept


def _attachment_lines(attachment: Mapping[str, Any]) -> list[str]:
    lines = [_text(attachment.get("pretext")), _title(attachment), _text(attachment.get("text"))]
    fallback = _text(attachment.get("fallback"))
    if not any(line.strip() for line in lines) and fallback != NO_FALLBACK:
        lines = [fallback]
    fields = attachment.get("fields")
    for field in fields if isinstance(fields, list) else ():
        if isinstance(field, dict):
            lines.append(f"{_text(field.get('title'))}: {_text(field.get('value'))}".strip(": "))
    lines += _block_lines(attachment.get("blocks"))
    if image_url := _text(attachment.get("image_url")):
        lines.append(_link(image_url, "Picture"))
    return lines


def _title(attachment: Mapping[str, Any]) -> str:
    title, url = _text(attachment.get("title")), _text(attachment.get("title_link"))
    return f"{title} {link(url)}".strip() if url else title


def _block_lines(blocks: object) -> list[str]:
    """Return each block's text as mrkdwn, with its mentions and links."""
    return [_block_line(block) for block in blocks] if isinstance(blocks, list) else []


def _block_line(block: object) -> str:
    if isinstance(block, dict) and (links := list(_links(block))):
        return "  ".join(links)
    texts = list(strings(block))
    if any(is_mrkdwn for _, is_mrkdwn in texts):
        return "\n".join(text if is_mrkdwn else escape(text) for text, is_mrkdwn in texts)
    return escape(block_text(block))


def _links(block: Block) -> Iterator[str]:
    """Yield the links of a block whose only text is theirs: an image, or buttons."""
    elements = block.get("elements")
    if block.get("type") == "image":
        yield _link(_text(block.get("image_url")), _text(block.get("alt_text")) or "Picture")
    elif block.get("type") == "actions" and isinstance(elements, list):
        for element in elements:
            if isinstance(element, dict) and (url := _text(element.get("url"))):
                label = element.get("text")
                yield _link(url, block_text(label) or "Open")


def _link(url: str, label: str) -> str:
    words = link(url, label)
    # Without a scheme it is not a link, but may still help people.
    return words if words.startswith("<") else escape(f"{label}: {url}")


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else ""
