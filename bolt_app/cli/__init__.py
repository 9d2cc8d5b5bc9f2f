"""Commands: `flask --app app …`."""

from __future__ import annotations

from flask import Flask

from bolt_app.cli import (
    access,
    catch_up,
    database,
    hooks,
    keys,
    notifications,
    send,
    setup,
    topics,
    worker,
)
from bolt_app.services import Services


def register_setup_commands(app: Flask) -> None:
    """Add the commands that need no settings: they help to make them."""
    setup.register(app)


def register_commands(app: Flask, services: Services) -> None:
    """Add every command."""
    setup.register(app)
    for group in (database, catch_up, keys, hooks, topics, send, notifications, worker, access):
        group.register(app, services)
