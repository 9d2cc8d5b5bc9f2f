"""Commands for the database: its schema and its encryption key."""

from __future__ import annotations

from flask import Flask
from flask.cli import AppGroup

from bolt_app.blockkit.text import counted
from bolt_app.cli.errors import one_line_errors
from bolt_app.cli.output import print_line
from bolt_app.db import schema
from bolt_app.db.key_rotation import rotate_keys
from bolt_app.services import FindServices


def register(app: Flask, find_services: FindServices) -> None:
    """Register the commands."""
    group = AppGroup("db", help="Database schema.")
    app.cli.add_command(group)

    @group.command("upgrade")
    @one_line_errors
    def upgrade() -> None:
        """Upgrade the schema; safe when several processes start at once."""
        services = find_services()
        before = schema.upgrade(services.database)
        head = schema.head_revision()
        if before == head:
            print_line(f"The schema is already at {head}.")
        else:
            print_line(f"Schema upgraded from {before or 'nothing'} to {head}.")

    @app.cli.command("rotate-keys")
    @one_line_errors
    def rotate() -> None:
        """Re-encrypt every stored secret with the first of ENCRYPTION_KEYS."""
        services = find_services()
        changed = rotate_keys(services.database, progress=_show_progress)
        print_line(f"Re-encrypted {counted(changed, 'secret')} with the first key.")


def _show_progress(done: int, total: int) -> None:
    print_line(f"{done} of {total} rows", err=True)
