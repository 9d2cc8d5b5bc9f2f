"""Bellhop's entry point.

`python app.py` runs it on one machine; `app:app` is the WSGI application; `flask --app app …` has
the commands.
"""

from __future__ import annotations

import sys

from flask import Flask

from bolt_app.application import create_app
from bolt_app.cli import register_setup_commands
from bolt_app.config import ConfigError, Settings, load_settings
from bolt_app.logs import configure_logging

SETUP_COMMANDS = {"manifest", "new-key"}


def settings_or_exit() -> Settings:
    """Return the settings, or say what is wrong with them, all of it, and exit with 2."""
    try:
        return load_settings()
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)  # noqa: T201
        sys.exit(2)


def build() -> Flask:
    """Build the application; what helps to make the settings works without them."""
    if SETUP_COMMANDS.intersection(sys.argv):
        app = Flask(__name__)
        register_setup_commands(app)
        return app
    settings = settings_or_exit()
    configure_logging(settings.log_level, settings.log_format)
    return create_app(settings)


if __name__ == "__main__":
    from bolt_app.server import serve

    serve(settings_or_exit())
else:
    app = build()
