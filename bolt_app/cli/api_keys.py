"""Commands for the keys of the HTTP API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import click
from flask import Flask
from flask.cli import AppGroup

from bolt_app.cli.credentials import (
    broadcast_option,
    cancel_option,
    cancelled,
    more,
    source_option,
)
from bolt_app.cli.destinations import warn_of_unknown
from bolt_app.cli.errors import MISUSED, fail, one_line_errors
from bolt_app.cli.workspaces import require_workspace
from bolt_app.credentials.api_keys import SCOPES, Scope
from bolt_app.credentials.sources import Credential
from bolt_app.services import FindServices


def register(app: Flask, find_services: FindServices) -> None:
    """Add the commands."""
    group = AppGroup("api-key", help="Keys of the HTTP API.")
    app.cli.add_command(group)

    @group.command("create")
    @click.option("--team", "team_id", required=True, help="The workspace's id, T….")
    @click.option("--name", required=True, help="What it is for.")
    @click.option(
        "--scope",
        "scopes",
        multiple=True,
        type=click.Choice(SCOPES),
        help="Its scope; admin allows everything. Can be repeated. Default: send and read, "
        "with --channel send alone.",
    )
    @click.option(
        "--channel",
        "channels",
        multiple=True,
        help="Where it may send to, as `to` names it. Can be repeated; without it, anywhere.",
    )
    @source_option
    @broadcast_option
    @click.option("--expires-in-days", "days", type=click.IntRange(1, 3650), help="Its lifetime.")
    @one_line_errors
    def create(
        team_id: str,
        name: str,
        scopes: Sequence[Scope],
        channels: Sequence[str],
        days: int | None,
        source: str | None,
        *,
        allow_broadcast: bool,
    ) -> None:
        """Make a key and print it, this once, on the last line."""
        services = find_services()
        place = require_workspace(services, team_id)
        lifetime = None if days is None else timedelta(days=days)
        try:
            secret = services.api_keys.create(
                team_id,
                name,
                scopes=scopes or None,
                channels=channels,
                lifetime=lifetime,
                source=source,
                allow_broadcast=allow_broadcast,
            )
        except ValueError as error:
            fail(str(error), status=MISUSED)
        warn_of_unknown(services, place, channels)
        click.echo("Shown only now. Anyone with this key can use it: store it like a password.")
        click.echo(secret)

    @group.command("list")
    @click.option("--team", "team_id", required=True, help="The workspace's id, T….")
    @one_line_errors
    def show(team_id: str) -> None:
        """Show the keys of a workspace, without their text."""
        services = find_services()
        now, hosts = services.clock(), services.callback_endpoints.hosts(team_id)
        problems = services.callback_endpoints.problems(team_id)
        found = services.api_keys.of_team(team_id)
        if not found:
            require_workspace(services, team_id)
        for key in found:
            scopes = ", ".join(one for one in SCOPES if one in key.scopes)
            where = f", to {', '.join(key.channels)}" if key.channels else ""
            until = f" until {key.expires_at:%Y-%m-%d}" if key.expires_at else ""
            told = f"; callbacks to {hosts[key.id]}" if key.id in hosts else ""
            told += f", refused: {problems[key.id]}" if key.id in problems else ""
            state = f"{key.state(now)}{until}{told}{more(key)}"
            click.echo(f"{key.id}  {key.name}: {scopes}{where}; {state}")

    @group.command("revoke")
    @click.argument("key_id", type=int)
    @cancel_option
    @one_line_errors
    def revoke(key_id: int, *, cancel: bool) -> None:
        """Make the key with that id useless at once."""
        services = find_services()
        is_revoked = services.api_keys.revoke(key_id) is not None
        # What one sent that was revoked before can still be cancelled.
        number = services.history.cancel_all(Credential("api_key", key_id)) if cancel else 0
        if not is_revoked and not number:
            fail(f"There is no key {key_id}, or it is revoked already.")
        click.echo(f"Key {key_id} is revoked.")
        if cancel:
            click.echo(cancelled(number))

    @group.command("callback")
    @click.argument("key_id", type=int)
    @click.option("--url", help="Where to tell the system that has the key what people answered.")
    @click.option("--off", is_flag=True, help="Tell it no more.")
    @one_line_errors
    def callback(key_id: int, url: str | None, *, off: bool) -> None:
        """Set where callbacks go, and print their secret, this once, on the last line."""
        services = find_services()
        if off == (url is not None):
            fail("give --url, or --off", status=MISUSED)
        if url is None:
            if not services.callback_endpoints.remove(key_id):
                fail(f"Key {key_id} has no callbacks.")
            click.echo(f"Key {key_id} has no callbacks any more.")
            return
        try:
            secret = services.callback_endpoints.set(key_id, url)
        except ValueError as error:
            fail(str(error), status=MISUSED)
        click.echo("The secret is shown only now. By it your system knows that Bellhop calls.")
        click.echo(secret)
