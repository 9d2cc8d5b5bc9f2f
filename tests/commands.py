"""A runner for commands, as a person runs them."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from click.testing import Result
from flask import Flask
from flask.testing import FlaskCliRunner

from bolt_app.cli import register_commands
from bolt_app.config import ROOT
from tests.forking import forking
from tests.running import Bellhop

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
    command = ["flask", "--app", "app", *arguments]
    with TemporaryDirectory() as folder:
        streams = [Path(folder, name) for name in ("input", "output", "errors")]
        streams[0].write_text(input)
        process = forking.Process(
            target=_run_flask, args=(command, {**CLEAN, **environment}, streams)
        )
        process.start()
        process.join(timeout=60)
        assert process.exitcode is not None, "it did not end"
        output, errors = (stream.read_text() for stream in streams[1:])
    return subprocess.CompletedProcess(command, process.exitcode, output, errors)


def _run_flask(command: list[str], environment: dict[str, str], streams: list[Path]) -> None:
    """Run `python -m flask` with other standard streams."""
    for number, path in enumerate(streams):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, number)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8")  # noqa: SIM115
        for number, mode in enumerate(("r", "w", "w"))
    )
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.argv = command
    runpy.run_module("flask", run_name="__main__", alter_sys=True)


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
