"""Output of commands: the only module that writes to the terminal.

Names, filters and addresses are people's texts. Control characters in them would move the cursor,
hide lines or set the window's title; line breaks would imitate another line.
"""

from __future__ import annotations

import click

from bolt_app.logs import escape


def print_line(line: str, *, err: bool = False) -> None:
    """Print one line, with everything escaped that is not printable.

    Args:
        err: print it to standard error.
    """
    click.echo(escape(line), err=err)


def print_lines(text: str, *, err: bool = False) -> None:
    """Print a text whose line breaks are Bellhop's own, line by line like `print_line`."""
    for line in text.split("\n"):
        print_line(line, err=err)
