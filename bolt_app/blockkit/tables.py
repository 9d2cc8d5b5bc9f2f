"""Tables: Slack's `table` block, and the same as text.

https://docs.slack.dev/reference/block-kit/blocks/table-block
"""

from __future__ import annotations

from collections.abc import Sequence

from bolt_app.blockkit.elements import Block
from bolt_app.blockkit.mrkdwn import escape

# Slack's limits: rows, cells of a row, and characters in all cells of a message.
ROWS, COLUMNS, CHARACTERS = 100, 20, 10_000
# Longer tables are not aligned.
_ALIGNED_CHARACTERS = 2500
_SEPARATOR = " | "


def table_block(rows: Sequence[Sequence[str]]) -> Block:
    """Return a table; shorter rows are filled up, and empty cells get the space Slack requires."""
    return {
        "type": "table",
        "rows": [
            [{"type": "raw_text", "text": cell if cell.strip() else " "} for cell in row]
            for row in _filled(rows)
        ],
    }


def table_text(rows: Sequence[Sequence[str]]) -> str:
    """Return a table as a code block of mrkdwn, aligned unless it is long."""
    cells = [[" ".join(cell.split()).replace("`", "'") for cell in row] for row in rows]
    # A long row among many short ones would need a cell for each of its columns in all of them.
    if len(cells) * max(map(len, cells), default=0) <= _ALIGNED_CHARACTERS:
        cells = _aligned(cells)
    lines = "\n".join(_SEPARATOR.join(row).rstrip() for row in cells)
    return f"```\n{escape(lines)}\n```"


def spoken_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line of mrkdwn for each row."""
    return [escape(_SEPARATOR.join(" ".join(cell.split()) for cell in row)) for row in rows]


def _aligned(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return rows whose columns have a width each, unless that takes too many characters."""
    filled = _filled(rows)
    widths = [max(map(len, column)) for column in zip(*filled, strict=True)]
    if sum(widths) * len(filled) > _ALIGNED_CHARACTERS:
        return filled
    return [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in filled]


def _filled(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    columns = max(map(len, rows), default=0)
    return [[*row, *[""] * (columns - len(row))] for row in rows]
