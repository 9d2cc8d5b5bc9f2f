"""Bellhop's entry point.

`python app.py` runs it on one machine; `app:app` is the WSGI application; `flask --app app …` has
the commands.
"""

from __future__ import annotations

import sys

import click
from flask import Flask
from flask.cli import FlaskGroup

from bolt_app.application import create_app
from bolt_app.cli import register_commands
from bolt_app.config import ConfigError, Settings, load_settings
from bolt_app.logs import configure_logging
from bolt_app.services import Services


def settings_or_exit() -> Settings:
    """Return the settings, or say what is wrong with them, all of it, and exit with 2."""
    try:
        return load_settings()
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)  # noqa: T201
        sys.exit(2)


def build() -> Flask:
    """Build the application, or exit with 2 where the settings do not allow it."""
    settings = settings_or_exit()
    configure_logging(settings.log_level, settings.log_format)
    return create_app(settings)


def build_commands() -> Flask:
    """Build an application of commands alone; the first that needs the services builds them."""
    commands = Flask(__name__, static_folder=None)

    def find_services() -> Services:
        services: Services = build().extensions["bellhop"]
        return services

    register_commands(commands, find_services)
    return commands


def is_looked_up_by_flask() -> bool:
    """Whether `flask` imports this module for the commands it has, to run one or to list them.

    Flask's own commands, such as `routes` and `run`, import it in their own context, and get the
    whole application (https://flask.palletsprojects.com/en/stable/cli/#custom-commands).
    """
    context = click.get_current_context(silent=True)
    return context is not None and isinstance(context.command, FlaskGroup)


if __name__ == "__main__":
    from bolt_app.server import serve

    serve(settings_or_exit())
elif is_looked_up_by_flask():
    app = build_commands()
else:
    app = build()
