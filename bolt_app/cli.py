"""Commands: `flask --app app …`."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from functools import wraps
from typing import NoReturn, ParamSpec, TypeVar

import click
from cryptography.fernet import Fernet
from flask import Flask
from flask.cli import AppGroup

from bolt_app.config import ConfigError, read_environment, read_public_url
from bolt_app.db import DATABASE_DOWN, DecryptionError, schema
from bolt_app.db.key_rotation import rotate_keys
from bolt_app.db.schema import SchemaError
from bolt_app.manifest import manifest_text
from bolt_app.notifications.posting import MessageError
from bolt_app.oauth.calls import NotInstalledError
from bolt_app.services import Services
from bolt_app.slack_api import SlackCallError

P = ParamSpec("P")
R = TypeVar("R")


def register_setup_commands(app: Flask) -> None:
    """Add the commands that need no settings: they help to make them."""

    @app.cli.command("manifest")
    def manifest() -> None:
        """Print the Slack app manifest for PUBLIC_URL."""
        try:
            click.echo(manifest_text(read_public_url(read_environment())), nl=False)
        except ConfigError as error:
            _fail(str(error), status=2)

    @app.cli.command("new-key")
    def new_key() -> None:
        """Print a new ENCRYPTION_KEYS and a new SESSION_SECRET."""
        click.echo(f"ENCRYPTION_KEYS={Fernet.generate_key().decode()}")
        click.echo(f"SESSION_SECRET={secrets.token_urlsafe(48)}")


def register_commands(app: Flask, services: Services) -> None:
    """Add every command."""
    register_setup_commands(app)
    app.cli.add_command(_database_commands(services))

    @app.cli.command("rotate-keys")
    @_one_line_errors
    def rotate() -> None:
        """Encrypt every stored secret anew with the first of ENCRYPTION_KEYS."""
        changed = rotate_keys(services.database, progress=_show_progress)
        click.echo(f"Encrypted {changed} secrets with the first key.")

    @app.cli.command("send")
    @click.option("--team", "team_id", required=True, help="The workspace's id, T….")
    @click.option("--channel", required=True, help="#name or channel id.")
    @click.argument("text")
    @_one_line_errors
    def send(team_id: str, channel: str, text: str) -> None:
        """Post TEXT to a channel; "-" reads it from standard input."""
        message = sys.stdin.read() if text == "-" else text
        place = services.calls.find_place(team_id)
        posted = services.poster.post(place, channel, message)
        click.echo(posted.permalink or f"Posted to {posted.channel_id} at {posted.ts}.")

    @app.cli.command("catch-up")
    @_one_line_errors
    def catch_up() -> None:
        """Do what Slack did not let us do in time: record profiles, revoke tokens."""
        recorded, record_errors = services.profiles.record_pending()
        revoked, revoke_errors = services.revocations.revoke_pending()
        click.echo(f"Profiles recorded: {recorded}. Tokens revoked: {revoked}.")
        errors = [*record_errors, *revoke_errors]
        if errors:
            _fail(f"Still to be done: {len(errors)}. {errors[0].sentence}")


def _database_commands(services: Services) -> AppGroup:
    group = AppGroup("db", help="The database's schema.")

    @group.command("upgrade")
    @_one_line_errors
    def upgrade() -> None:
        """Bring the schema up to date; safe when several processes start at once."""
        before = schema.upgrade(services.database)
        head = schema.head_revision()
        click.echo(f"The schema was at {before or 'nothing'} and is at {head}.")

    return group


def _show_progress(done: int, total: int) -> None:
    click.echo(f"{done} of {total} rows", err=True)


def _one_line_errors(command: Callable[P, R]) -> Callable[P, R]:
    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except SlackCallError as error:
            _fail(f"{error.sentence} ({error.method}: {error.code})")
        except (NotInstalledError, MessageError, SchemaError, DecryptionError) as error:
            _fail(str(error))
        except DATABASE_DOWN as error:
            _fail(f"The database is not answering: {str(error).splitlines()[0]}")

    return run


def _fail(sentence: str, *, status: int = 1) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(status)
