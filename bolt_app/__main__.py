"""The `bellhop` command, also `python -m bolt_app`."""

from __future__ import annotations

import os
import sys

import click
from flask import Flask
from flask.cli import ScriptInfo

from bolt_app.application import create_app
from bolt_app.cli import register_commands
from bolt_app.cli.output import print_line
from bolt_app.config import ConfigError, Settings, load_settings
from bolt_app.logs import configure_logging
from bolt_app.services import Services


def settings_or_exit() -> Settings:
    """Return the settings; exit with status 2 and one line per problem if they are invalid."""
    try:
        return load_settings()
    except ConfigError as error:
        for problem in error.problems:
            print_line(problem, err=True)
        sys.exit(2)


def build() -> Flask:
    """Build the application; exit with status 2 if the settings are invalid."""
    settings = settings_or_exit()
    configure_logging(settings.log_level, settings.log_format)
    return create_app(settings)


def build_commands() -> Flask:
    """Build an application with only the commands; services are built on first use."""
    commands = Flask(__name__, static_folder=None)

    def find_services() -> Services:
        services: Services = build().extensions["bellhop"]
        return services

    register_commands(commands, find_services)
    return commands


@click.command("run")
def run() -> None:
    """Serve web requests and deliver, until SIGTERM or Ctrl-C."""
    from bolt_app.server import serve

    serve(settings_or_exit())


def main() -> None:
    """Run the command in `sys.argv`."""
    commands = build_commands()
    commands.cli.help = "Bellhop: linked profiles and durable notifications in Slack."
    commands.cli.add_command(run)
    commands.cli.params.append(
        click.Option(
            ["--env-file"],
            type=click.Path(dir_okay=False),
            expose_value=False,
            is_eager=True,
            callback=_use_env_file,
            help="Read settings from this file instead of `.env`.",
        )
    )
    commands.cli.main(prog_name="bellhop", obj=ScriptInfo(create_app=lambda: commands))


def _use_env_file(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        os.environ["FLASK_ENV_FILE"] = value


if __name__ == "__main__":
    main()
