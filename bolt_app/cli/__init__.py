"""The commands of `bellhop`."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from flask import Flask

from bolt_app.cli import (
    access,
    api_keys,
    database,
    notifications,
    retry_pending,
    send,
    setup,
    topics,
    webhooks,
    worker,
    workspaces,
)
from bolt_app.services import FindServices

# Earlier names of commands, kept for scripts.
_ALIASES: Mapping[str, str] = {"hook": "webhook", "catch-up": "retry-pending"}


def register_commands(app: Flask, find_services: FindServices) -> None:
    """Register every command.

    Args:
        find_services: called only when a command runs, so that help and the setup commands work
            without settings.
    """
    setup.register(app)
    for group in (
        database,
        retry_pending,
        api_keys,
        webhooks,
        topics,
        send,
        notifications,
        worker,
        access,
        workspaces,
    ):
        group.register(app, find_services)
    for alias, name in _ALIASES.items():
        command = copy.copy(app.cli.commands[name])
        command.hidden = True
        app.cli.add_command(command, alias)
