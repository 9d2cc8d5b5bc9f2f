"""Commands: `flask --app app …`."""

from __future__ import annotations

from flask import Flask

from bolt_app.cli import access, database, notifications, send, setup, topics, worker, workspaces
from bolt_app.cli import api_keys as keys
from bolt_app.cli import retry_pending as retry_pending
from bolt_app.cli import webhooks as hooks
from bolt_app.services import FindServices


def register_commands(app: Flask, find_services: FindServices) -> None:
    """Add every command.

    Args:
        find_services: is called when a command runs, and not before: help and the commands that
            make the settings work without them.
    """
    setup.register(app)
    for group in (
        database,
        retry_pending,
        keys,
        hooks,
        topics,
        send,
        notifications,
        worker,
        access,
        workspaces,
    ):
        group.register(app, find_services)
