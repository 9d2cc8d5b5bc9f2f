"""Markdown and tables as HTML for pages: a fixed set of elements around text.

https://docs.slack.dev/reference/block-kit/blocks/markdown-block
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from bolt_app.blockkit.markdown import (
    MarkdownBlock,
    MarkdownKind,
    Piece,
    PieceKind,
    blocks_of,
    pieces_of,
    plain_line,
    without_task,
)
from bolt_app.web.html.mrkdwn_html import link_html, tag_html

_TAGS = {
    PieceKind.CODE: "code",
    PieceKind.EMPHASIS: "em",
    PieceKind.STRONG: "strong",
    PieceKind.STRUCK: "del",
}
_LISTS = {MarkdownKind.BULLETS: "ul", MarkdownKind.NUMBERS: "ol"}


def markdown_html(text: str) -> Markup:
    """Return a Markdown text."""
    return Markup().join(map(_block, blocks_of(text)))


def table_html(rows: Sequence[Sequence[str | Markup]]) -> Markup:
    """Return a table whose first row has the names of its columns."""
    lines = Markup().join(
        tag_html("tr", Markup().join(tag_html("td" if number else "th", cell) for cell in row))
        for number, row in enumerate(rows)
    )
    return Markup('<div class="wide"><table>{}</table></div>').format(lines) if lines else lines


def _block(block: MarkdownBlock) -> Markup:
    match block.kind:
        case MarkdownKind.RULE:
            return Markup("<hr>")
        case MarkdownKind.CODE:
            return Markup("<pre><code>{}</code></pre>").format("\n".join(block.lines))
        case MarkdownKind.TABLE:
            return table_html([[_line(cell) for cell in row] for row in block.rows])
        case MarkdownKind.HEADING:
            return tag_html("h3", _line(block.lines[0]))
        case MarkdownKind.BULLETS | MarkdownKind.NUMBERS as kind:
            items = Markup().join(tag_html("li", _line(without_task(one))) for one in block.lines)
            return tag_html(_LISTS[kind], items)
        case _:
            lines = Markup("<br>").join(map(_line, block.lines))
            return tag_html("blockquote" if block.kind is MarkdownKind.QUOTE else "p", lines)


def _line(line: str) -> Markup:
    return Markup().join(map(_piece, pieces_of(line)))


def _piece(piece: Piece) -> Markup:
    if piece.kind is PieceKind.TEXT:
        return escape(piece.text)
    if piece.kind is PieceKind.LINK:
        return link_html(piece.url, plain_line(piece.text))
    child = piece.text if piece.kind is PieceKind.CODE else _line(piece.text)
    return tag_html(_TAGS[piece.kind], child)
