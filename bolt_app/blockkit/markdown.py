"""Markdown, as far as Slack's `markdown` block shows it: parsed by lines, and converted to mrkdwn.

https://docs.slack.dev/reference/block-kit/blocks/markdown-block
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bolt_app.blockkit.mrkdwn import escape, link
from bolt_app.blockkit.tables import table_text

# Slack's limit for all markdown blocks of a message.
MARKDOWN_LENGTH = 12_000


class MarkdownKind(StrEnum):
    """The kind of a block of lines."""

    PARAGRAPH = "paragraph"
    HEADING = "heading"
    BULLETS = "bullets"
    NUMBERS = "numbers"
    QUOTE = "quote"
    CODE = "code"
    TABLE = "table"
    RULE = "rule"


class PieceKind(StrEnum):
    """The kind of a piece of a line."""

    TEXT = "text"
    CODE = "code"
    LINK = "link"
    STRONG = "strong"
    EMPHASIS = "emphasis"
    STRUCK = "struck"


@dataclass(frozen=True)
class MarkdownBlock:
    """Lines that belong together, without their marks; in code they are no Markdown."""

    kind: MarkdownKind
    lines: Sequence[str] = field(repr=False)

    @property
    def rows(self) -> list[list[str]]:
        """The cells of a table."""
        return [_cells(line) for line in self.lines if not _is_table_rule(line)]


@dataclass(frozen=True)
class Piece:
    """A piece of a line; emphasis has Markdown inside.

    Attributes:
        url: of a link.
    """

    kind: PieceKind
    text: str = field(repr=False)
    url: str = field(default="", repr=False)


_FENCE = "```"
# With a backtick after it, it is code in a line.
_FENCE_LINE = re.compile(r" *```+[^`]*")
_RULE = re.compile(r" {0,3}([-*_])(?: *\1){2,} *")
_MOST_NUMBER = 9
# The first that matches decides; the group is the line without its mark.
_LINES = {
    MarkdownKind.HEADING: re.compile(r" {0,3}#{1,6}[ \t]+(.*)"),
    MarkdownKind.BULLETS: re.compile(r"[ \t]*[-*+][ \t]+(.*)"),
    MarkdownKind.NUMBERS: re.compile(rf"[ \t]*\d{{1,{_MOST_NUMBER}}}[.)][ \t]+(.*)"),
    MarkdownKind.QUOTE: re.compile(r" {0,3}> ?(.*)"),
    MarkdownKind.TABLE: re.compile(r" *(\|.*)"),
}
_ALONE = frozenset({MarkdownKind.HEADING})
# Every alternative ends at the next character of its own mark, so that none reads a text twice.
_PIECES = re.compile(
    r"\\(?P<escaped>[\\`*_{}\[\]()#+\-.!~>|])"
    r"|`(?P<code>[^`]+)`"
    r"|!?\[(?P<label>[^\[\]]*)\]\((?P<target>[^\s()<>]+)\)"
    r"|\*\*\*(?P<both>[^*]+)\*\*\*"
    r"|\*\*(?P<strong>[^*]+)\*\*"
    r"|(?<!\w)__(?P<strong2>[^_]+)__(?!\w)"
    r"|~~(?P<struck>[^~]+)~~"
    r"|\*(?P<emphasis>[^*\s][^*]*)\*"
    r"|(?<!\w)_(?P<emphasis2>[^_\s][^_]*)_(?!\w)"
)
_STYLES = {
    "strong": PieceKind.STRONG,
    "strong2": PieceKind.STRONG,
    "struck": PieceKind.STRUCK,
    "emphasis": PieceKind.EMPHASIS,
    "emphasis2": PieceKind.EMPHASIS,
    "code": PieceKind.CODE,
}
_MARKS = {PieceKind.STRONG: "*", PieceKind.EMPHASIS: "_", PieceKind.STRUCK: "~"}
_TASK = re.compile(r"\[([ xX])\] +")


def blocks_of(text: str) -> Iterator[MarkdownBlock]:
    """Yield the blocks of a Markdown text, in linear time."""
    kind: MarkdownKind | None = None
    lines: list[str] = []
    fence: list[str] | None = None
    for line in text.replace("\r\n", "\n").split("\n"):
        is_fence = _FENCE_LINE.fullmatch(line) is not None
        if fence is not None and not is_fence:
            fence.append(line)
            continue
        if fence is not None:
            yield MarkdownBlock(MarkdownKind.CODE, fence)
            fence = None
            continue
        found, rest = (None, "") if is_fence or not line.strip() else _line(line)
        if lines and kind is not None and (found != kind or kind in _ALONE):
            yield MarkdownBlock(kind, lines)
            lines = []
        kind = found
        if is_fence:
            fence = []
        elif kind is not None:
            lines.append(rest)
    if lines and kind is not None:
        yield MarkdownBlock(kind, lines)
    if fence:
        yield MarkdownBlock(MarkdownKind.CODE, fence)


def pieces_of(line: str) -> Iterator[Piece]:
    """Yield the pieces of a line."""
    end = 0
    for found in _PIECES.finditer(line):
        if found.start() > end:
            yield Piece(PieceKind.TEXT, line[end : found.start()])
        yield _piece(found)
        end = found.end()
    if end < len(line):
        yield Piece(PieceKind.TEXT, line[end:])


def without_task(item: str) -> str:
    """Return an item of a list with a sign instead of the box of a task."""
    task = _TASK.match(item)
    if task is None:
        return item
    return f"{'☐' if task[1] == ' ' else '☑'} {item[task.end() :]}"


def to_mrkdwn(text: str) -> str:
    """Return Markdown as Slack's mrkdwn."""
    return "\n".join(_block_as_mrkdwn(block) for block in blocks_of(text))


def plain_line(line: str) -> str:
    """Return a line without its marks."""
    return "".join(
        plain_line(piece.text) if piece.kind in _MARKS else piece.text for piece in pieces_of(line)
    )


def _line(line: str) -> tuple[MarkdownKind, str]:
    if _RULE.fullmatch(line):
        return MarkdownKind.RULE, ""
    for kind, pattern in _LINES.items():
        found = pattern.fullmatch(line)
        if found is not None:
            return kind, found[1]
    return MarkdownKind.PARAGRAPH, line


def _is_table_rule(line: str) -> bool:
    """Whether a line of a table separates the names of its columns from the other rows."""
    return "-" in line and set(line) <= set("|-: ")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _piece(found: re.Match[str]) -> Piece:
    name = found.lastgroup or ""
    if name == "escaped":
        return Piece(PieceKind.TEXT, found["escaped"])
    if name == "target":
        return Piece(PieceKind.LINK, found["label"] or found["target"], found["target"])
    if name == "both":
        return Piece(PieceKind.STRONG, f"_{found['both']}_")
    return Piece(_STYLES[name], found[name])


def _block_as_mrkdwn(block: MarkdownBlock) -> str:
    match block.kind:
        case MarkdownKind.CODE:
            code = "\n".join(block.lines).replace(_FENCE, "'''")
            return f"{_FENCE}\n{escape(code)}\n{_FENCE}"
        case MarkdownKind.TABLE:
            return table_text([[plain_line(cell) for cell in row] for row in block.rows])
        case MarkdownKind.RULE:
            return "———"
        case MarkdownKind.HEADING:
            return f"*{escape(plain_line(block.lines[0])).replace('*', '')}*"
        case MarkdownKind.BULLETS:
            return "\n".join(f"• {_as_mrkdwn(without_task(line))}" for line in block.lines)
        case MarkdownKind.NUMBERS:
            lines = enumerate(block.lines, start=1)
            return "\n".join(f"{number}. {_as_mrkdwn(line)}" for number, line in lines)
        case MarkdownKind.QUOTE:
            return "\n".join(f"> {_as_mrkdwn(line)}" for line in block.lines)
        case _:
            return "\n".join(map(_as_mrkdwn, block.lines))


def _as_mrkdwn(line: str) -> str:
    return "".join(map(_piece_as_mrkdwn, pieces_of(line)))


def _piece_as_mrkdwn(piece: Piece) -> str:
    if piece.kind is PieceKind.LINK:
        return link(piece.url, plain_line(piece.text))
    if piece.kind is PieceKind.CODE:
        return f"`{escape(piece.text)}`"
    if piece.kind is PieceKind.TEXT:
        return escape(piece.text)
    mark = _MARKS[piece.kind]
    return f"{mark}{_as_mrkdwn(piece.text)}{mark}"
