"""A runner for commands, as a person runs them."""

from __future__ import annotations

import os
import subprocess
import sys

from click.testing import Result
from flask import Flask
from flask.testing import FlaskCliRunner

from bolt_app.cli import register_commands
from tests.forked_python import run_forked
from tests.running import Bellhop

FLASK = (sys.executable, "-m", "flask", "--app", "app")
# Ignores a developer's .env.
CLEAN = {"PATH": os.environ["PATH"], "FLASK_SKIP_DOTENV": "1", "FLASK_ENV_FILE": os.devnull}


def run(bellhop: Bellhop, *arguments: str, input: str | bytes | None = None) -> Result:
    """Run a command of a running app."""
    return command_runner(bellhop).invoke(args=list(arguments), input=input)


def command_runner(bellhop: Bellhop, **environment: str) -> FlaskCliRunner:
    """Return a runner for commands that use the services of a running app."""
    return FlaskCliRunner(commands(bellhop), env=environment)


def commands(bellhop: Bellhop) -> Flask:
    """Return an app with only the commands, as `bellhop` has it."""
    app = Flask("commands", static_folder=None)
    register_commands(app, lambda: bellhop.services)
    return app


def flask(*arguments: str, input: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a separate process with its own environment."""
    return run_forked([*FLASK, *arguments], env={**CLEAN, **environment}, input=input)


def assert_failed(result: Result, sentence: str, *, status: int = 1) -> None:
    """Assert one line on standard error, a nonzero status and no traceback."""
    assert result.exit_code == status
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert sentence in result.stderr


def settings_file(bellhop: Bellhop) -> str:
    """Return the settings of a running app in the format of `.env`."""
    settings = bellhop.settings
    return (
        f"SLACK_CLIENT_ID={settings.slack_client_id}\n"
        f"SLACK_CLIENT_SECRET={settings.slack_client_secret}\n"
        f"SLACK_SIGNING_SECRET={settings.slack_signing_secret}\n"
        f"SLACK_BASE_URL={bellhop.slack_url}\n"
        f"DATABASE_URL={settings.database_url}\n"
        f"ENCRYPTION_KEYS={','.join(settings.encryption_keys)}\n"
        f"SESSION_SECRET={settings.session_secret}\n"
    )
