"""Bellhop's entry point.

`python app.py` runs Bellhop on one machine; `app:app` is the WSGI application. The `bellhop`
command is in `bolt_app/__main__.py`; `flask --app app …` has the same commands.
"""

from __future__ import annotations

import click
from flask.cli import FlaskGroup

from bolt_app.__main__ import build, build_commands, settings_or_exit


def is_loaded_for_commands() -> bool:
    """Whether `flask` imports this module to run or list commands.

    Flask's built-in commands, such as `routes` and `run`, import it in a separate context and get
    the whole application (https://flask.palletsprojects.com/en/stable/cli/#custom-commands).
    """
    context = click.get_current_context(silent=True)
    return context is not None and isinstance(context.command, FlaskGroup)


if __name__ == "__main__":
    from bolt_app.server import serve

    serve(settings_or_exit())
elif is_loaded_for_commands():
    app = build_commands()
else:
    app = build()
