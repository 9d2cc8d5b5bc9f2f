"""Commands for keys of the HTTP API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import click
from flask import Flask
from flask.cli import AppGroup

from bolt_app.cli.credentials import (
    broadcast_option,
    cancel_option,
    details_of,
    finish_revocation,
    listed,
    source_option,
)
from bolt_app.cli.destinations import warn_of_unknown
from bolt_app.cli.errors import MISUSED, fail, one_line_errors
from bolt_app.cli.output import print_line
from bolt_app.cli.workspaces import require_workspace, team_option
from bolt_app.credentials.api_keys import Scope
from bolt_app.credentials.sources import Credential, SourceKind
from bolt_app.services import FindServices


def register(app: Flask, find_services: FindServices) -> None:
    """Register the commands."""
    group = AppGroup("api-key", help="Keys of the HTTP API.")
    app.cli.add_command(group)

    @group.command("create")
    @team_option
    @click.option("--name", required=True, help="Purpose of the key, shown in lists.")
    @click.option(
        "--scope",
        "scopes",
        multiple=True,
        type=click.Choice([scope.value for scope in Scope]),
        help="Scope; admin includes send and read, and users looks up people. Repeatable. Default: "
        "send and read, or only send with --channel.",
    )
    @click.option(
        "--channel",
        "channels",
        multiple=True,
        help="Allowed recipient, in the form of `to`. Repeatable. Default: any.",
    )
    @source_option
    @broadcast_option
    @click.option(
        "--expires-in-days",
        "days",
        type=click.IntRange(1, 3650),
        help="Lifetime. Default: until revoked.",
    )
    @one_line_errors
    def create(
        team_id: str,
        name: str,
        scopes: Sequence[str],
        channels: Sequence[str],
        days: int | None,
        source: str | None,
        *,
        allow_broadcast: bool,
    ) -> None:
        """Create a key and print it once, on the last line."""
        services = find_services()
        workspace = require_workspace(services, team_id)
        lifetime = None if days is None else timedelta(days=days)
        try:
            secret = services.api_keys.create(
                team_id,
                name,
                scopes=[Scope(scope) for scope in scopes] or None,
                channels=channels,
                lifetime=lifetime,
                source=source,
                allow_broadcast=allow_broadcast,
            )
        except ValueError as error:
            fail(str(error), status=MISUSED)
        warn_of_unknown(services, workspace, channels)
        print_line("Shown only once. Anyone with this key can use it. Store it like a password.")
        print_line(secret)

    @group.command("list")
    @team_option
    @one_line_errors
    def show(team_id: str) -> None:
        """List the keys of a workspace, without their secrets."""
        services = find_services()
        now, hosts = services.clock(), services.callback_endpoints.hosts(team_id)
        problems = services.callback_endpoints.problems(team_id)
        found = services.api_keys.of_team(team_id)
        for key in listed(services, team_id, found):
            scopes = ", ".join(scope for scope in Scope if scope in key.scopes)
            channels = f", to {', '.join(key.channels)}" if key.channels else ""
            until = f" until {key.expires_at:%Y-%m-%d}" if key.expires_at else ""
            callbacks = f"; callbacks to {hosts[key.id]}" if key.id in hosts else ""
            callbacks += f", refused: {problems[key.id]}" if key.id in problems else ""
            state = f"{key.state(now)}{until}{callbacks}{details_of(key)}"
            print_line(f"{key.id}  {key.name}: {scopes}{channels}; {state}")

    @group.command("revoke")
    @click.argument("key_id", type=int)
    @cancel_option
    @one_line_errors
    def revoke(key_id: int, *, cancel: bool) -> None:
        """Revoke a key."""
        services = find_services()
        is_revoked = services.api_keys.revoke(key_id) is not None
        credential = Credential(SourceKind.API_KEY, key_id)
        finish_revocation(services, credential, f"Key {key_id}", is_revoked, cancel=cancel)

    @group.command("callback")
    @click.argument("key_id", type=int)
    @click.option("--url", help="URL that receives answers to the key's notifications.")
    @click.option("--off", is_flag=True, help="Stop the callbacks.")
    @one_line_errors
    def callback(key_id: int, url: str | None, *, off: bool) -> None:
        """Set the URL for callbacks, and print their secret once, on the last line."""
        services = find_services()
        if off == (url is not None):
            fail("give --url or --off", status=MISUSED)
        if url is None:
            if not services.callback_endpoints.remove(key_id):
                fail(f"Key {key_id} has no callbacks.")
            print_line(f"Callbacks of key {key_id} are off.")
            return
        try:
            secret = services.callback_endpoints.set(key_id, url)
        except ValueError as error:
            fail(str(error), status=MISUSED)
        print_line(
            "Shown only once. Your system verifies the callbacks of Bellhop with this secret."
        )
        print_line(secret)
