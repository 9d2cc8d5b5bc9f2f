"""Content of a notification as HTML: its text, fields, blocks and attachments.

Pictures are links, because loading them would show the sender who opened the page. Buttons without
a link are left out, because they work only in Slack.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from bolt_app.web.html.markdown_html import markdown_html, table_html
from bolt_app.web.html.mrkdwn_html import (
    Reader,
    date_words,
    inline_html,
    link_html,
    mrkdwn_html,
    plain_html,
    tag_html,
)

_BREAK = Markup("<br>")
_STYLES = {"bold": "strong", "italic": "em", "strike": "del", "code": "code"}


def content_html(content: Mapping[str, Any], reader: Reader) -> Markup:
    """Return the content below the title.

    Args:
        content: the fields of `Content` that are set.
    """
    html = _own_text(content, reader)
    if "blocks" in content:
        # The text is the fallback for blocks that cannot be shown.
        html = _blocks(content["blocks"], reader) or html
    html += _fields(
        (field["name"], plain_html(field["value"])) for field in content.get("fields", ())
    )
    html += table_html(content.get("rows", ()))
    html += _picture(content.get("image_url"), content.get("title"))
    return html + _join(
        _attachment(attachment, reader) for attachment in content.get("attachments", ())
    )


def _own_text(content: Mapping[str, Any], reader: Reader) -> Markup:
    text = content.get("text", "")
    if content.get("format") == "markdown":
        return markdown_html(text)
    return _text(text, reader, is_mrkdwn=content.get("mrkdwn", True))


def _text(text: object, reader: Reader, *, is_mrkdwn: bool = True) -> Markup:
    words = text if isinstance(text, str) else ""
    return mrkdwn_html(words, reader) if is_mrkdwn else plain_html(words)


def _fields(fields: Iterable[tuple[object, Markup]]) -> Markup:
    rows = _join(
        Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(name, value) for name, value in fields
    )
    return Markup('<dl class="facts">{}</dl>').format(rows) if rows else rows


def _picture(url: object, title: object) -> Markup:
    if not isinstance(url, str):
        return Markup()
    return tag_html("p", link_html(url, f"Picture: {title}" if title else "Picture"))


# Attachments: https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments


def _attachment(attachment: Mapping[str, Any], reader: Reader) -> Markup:
    title = str(attachment.get("title") or "")
    link = attachment.get("title_link")
    heading = (
        link_html(link, title or link) if isinstance(link, str) else Markup("{}").format(title)
    )
    html = _text(attachment.get("pretext"), reader)
    html += tag_html("h3", heading) if heading else heading
    html += _text(attachment.get("text"), reader)
    html += _fields(
        (field.get("title", ""), _text(field.get("value"), reader))
        for field in _mappings(attachment.get("fields"))
    )
    html += _blocks(attachment.get("blocks"), reader)
    html += _picture(attachment.get("image_url"), "")
    html += _small(str(attachment.get("footer") or ""))
    html = html or plain_html(str(attachment.get("fallback") or ""))
    return Markup('<div class="attachment">{}</div>').format(html)


# Blocks: https://docs.slack.dev/reference/block-kit/blocks


def _blocks(blocks: object, reader: Reader) -> Markup:
    return _join(_block(block, reader) for block in _mappings(blocks))


def _block(block: Mapping[str, Any], reader: Reader) -> Markup:
    match block.get("type"):
        case "header":
            return tag_html("h3", _object_words(block.get("text")))
        case "section":
            fields = [_object(field, reader) for field in _mappings(block.get("fields"))]
            html = _object(block.get("text"), reader) + _join(fields)
            return html + _elements([block.get("accessory")], reader)
        case "context" | "actions" as kind:
            html = _elements(block.get("elements"), reader)
            return Markup('<div class="quiet">{}</div>').format(html) if kind == "context" else html
        case "divider":
            return Markup("<hr>")
        case "image":
            return _picture(block.get("image_url"), block.get("alt_text"))
        case "markdown":
            return markdown_html(str(block.get("text") or ""))
        case "table":
            return table_html([*map(partial(_row, reader=reader), _lists(block.get("rows")))])
        case "rich_text":
            return _join(_rich(element, reader) for element in _mappings(block.get("elements")))
        case other:
            return _small(f"A block of the type “{other}” is shown only in Slack.")


def _elements(elements: object, reader: Reader) -> Markup:
    return _join(_element(element, reader) for element in _mappings(elements))


def _element(element: Mapping[str, Any], reader: Reader) -> Markup:
    """Return an element; a button without a link is left out."""
    if element.get("type") == "image":
        return _picture(element.get("image_url"), element.get("alt_text"))
    if isinstance(element.get("url"), str):
        label = _object_words(element.get("text")) or "Link"
        return tag_html("p", link_html(element["url"], label))
    return _object(element, reader) if "action_id" not in element else Markup()


def _object(text: object, reader: Reader) -> Markup:
    """Return a text object."""
    if not isinstance(text, Mapping):
        return Markup()
    return _text(text.get("text"), reader, is_mrkdwn=text.get("type") == "mrkdwn")


def _object_words(text: object) -> str:
    return str(text.get("text") or "") if isinstance(text, Mapping) else ""


# Rich text: https://docs.slack.dev/reference/block-kit/blocks/rich-text-block


def _rich(element: Mapping[str, Any], reader: Reader) -> Markup:
    pieces = _mappings(element.get("elements"))
    match element.get("type"):
        case "rich_text_list":
            items = _join(
                tag_html("li", _rich_line(item.get("elements"), reader)) for item in pieces
            )
            name = "ol" if element.get("style") == "ordered" else "ul"
            return tag_html(name, items)
        case "rich_text_preformatted":
            return Markup("<pre><code>{}</code></pre>").format(_rich_line(pieces, reader))
        case "rich_text_quote":
            return tag_html("blockquote", _rich_line(pieces, reader))
        case _:
            return tag_html("p", _rich_line(pieces, reader))


def _rich_line(pieces: object, reader: Reader) -> Markup:
    return _join(_rich_piece(piece, reader) for piece in _mappings(pieces))


def _rich_piece(piece: Mapping[str, Any], reader: Reader) -> Markup:
    match piece.get("type"):
        case "link":
            url = str(piece.get("url") or "")
            return link_html(url, str(piece.get("text") or url))
        case "user" | "channel" as kind:
            mark = "@" if kind == "user" else "#"
            return inline_html(f"<{mark}{piece.get(f'{kind}_id')}>", reader)
        case "broadcast":
            return inline_html(f"<!{piece.get('range')}>", reader)
        case "date":
            timestamp, form = str(piece.get("timestamp")), str(piece.get("format") or "")
            words = date_words(timestamp, form, str(piece.get("fallback") or ""), reader)
            return Markup("{}").format(words)
        case "emoji":
            return Markup(":{}:").format(piece.get("name"))
        case _:
            return _rich_text(piece)


def _rich_text(piece: Mapping[str, Any]) -> Markup:
    html = _BREAK.join(str(piece.get("text") or "").split("\n"))
    style = piece.get("style")
    for name, tag in _STYLES.items():
        if isinstance(style, Mapping) and style.get(name):
            html = tag_html(tag, html)
    return html


def _row(cells: object, reader: Reader) -> list[Markup]:
    """Return the cells of a row in a table block."""
    return [
        _join(_rich(element, reader) for element in _mappings(cell.get("elements")))
        if cell.get("type") == "rich_text"
        else Markup("{}").format(cell.get("text") or "")
        for cell in _mappings(cells)
    ]


def _lists(value: object) -> list[object]:
    return [item for item in value if isinstance(item, list)] if isinstance(value, list) else []


def _small(words: str) -> Markup:
    return Markup('<p class="quiet">{}</p>').format(words) if words else Markup()


def _join(pieces: Iterable[Markup]) -> Markup:
    return Markup().join(pieces)


def _mappings(value: object) -> Sequence[Mapping[str, Any]]:
    """Return the objects in a list from a sender, whose items are not validated."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
