"""Commands for incoming webhooks."""

from __future__ import annotations

from collections.abc import Sequence

import click
from flask import Flask
from flask.cli import AppGroup

from bolt_app.cli.credentials import (
    broadcast_option,
    cancel_option,
    cancelled,
    details_of,
    source_option,
)
from bolt_app.cli.destinations import warn_of_unknown
from bolt_app.cli.errors import MISUSED, fail, one_line_errors
from bolt_app.cli.workspaces import require_workspace
from bolt_app.credentials.sources import Credential
from bolt_app.services import FindServices


def register(app: Flask, find_services: FindServices) -> None:
    """Register the commands."""
    group = AppGroup("webhook", help="Incoming webhooks: URLs that senders post to.")
    app.cli.add_command(group)

    @group.command("create")
    @click.option("--team", "team_id", required=True, help="Workspace id, T….")
    @click.option(
        "--to",
        multiple=True,
        required=True,
        help="Recipient: #name, channel or user id, @email or topic:name. Repeatable.",
    )
    @click.option("--name", default="", help="Purpose of the webhook, shown in lists.")
    @click.option(
        "--key-field",
        metavar="NAME",
        help="Field of a message, such as alertname, whose value is its key. Default: only the "
        "?key= parameter.",
    )
    @source_option
    @broadcast_option
    @one_line_errors
    def create(
        team_id: str,
        to: Sequence[str],
        name: str,
        key_field: str | None,
        source: str | None,
        *,
        allow_broadcast: bool,
    ) -> None:
        """Create a webhook and print its URL once, on the last line."""
        services = find_services()
        workspace = require_workspace(services, team_id)
        try:
            url = services.webhooks.create(
                team_id,
                name,
                to,
                key_field=key_field,
                source=source,
                allow_broadcast=allow_broadcast,
            )
        except ValueError as error:
            fail(str(error), status=MISUSED)
        warn_of_unknown(services, workspace, to)
        click.echo("Shown only once. Anyone with this URL can send. Store it like a password.")
        click.echo(url)

    @group.command("list")
    @click.option("--team", "team_id", required=True, help="Workspace id, T….")
    @one_line_errors
    def show(team_id: str) -> None:
        """List the webhooks of a workspace, without their URLs."""
        services = find_services()
        found = services.webhooks.of_team(team_id)
        if not found:
            require_workspace(services, team_id)
        for webhook in found:
            name = f"{webhook.name}, " if webhook.name else ""
            state = "active" if webhook.revoked_at is None else "revoked"
            key = "" if webhook.key_field is None else f"; key from {webhook.key_field}"
            details = f"{state}{key}{details_of(webhook)}"
            click.echo(f"{webhook.id}  {name}to {', '.join(webhook.to)}; {details}")

    @group.command("revoke")
    @click.argument("webhook_id", type=int)
    @cancel_option
    @one_line_errors
    def revoke(webhook_id: int, *, cancel: bool) -> None:
        """Revoke a webhook."""
        services = find_services()
        is_revoked = services.webhooks.revoke(webhook_id) is not None
        # Deliveries of a webhook that was revoked earlier can still be cancelled.
        number = services.history.cancel_all(Credential("hook", webhook_id)) if cancel else 0
        if not is_revoked and not number:
            fail(f"Webhook {webhook_id} does not exist or is already revoked.")
        click.echo(f"Webhook {webhook_id} is revoked.")
        if cancel:
            click.echo(cancelled(number))
