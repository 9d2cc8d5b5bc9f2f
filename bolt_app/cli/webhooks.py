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
    more,
    source_option,
)
from bolt_app.cli.destinations import warn_of_unknown
from bolt_app.cli.errors import MISUSED, fail, one_line_errors
from bolt_app.cli.workspaces import require_workspace
from bolt_app.credentials.sources import Credential
from bolt_app.credentials.webhooks import AUTO, WebhookRecord
from bolt_app.senders.registry import known_senders, secret_for, senders_with_secrets
from bolt_app.services import FindServices


def register(app: Flask, find_services: FindServices) -> None:
    """Add the commands."""
    group = AppGroup("webhook", help="Incoming webhooks: addresses that accept what tools post.")
    app.cli.add_command(group)

    @group.command("create")
    @click.option("--team", "team_id", required=True, help="The workspace's id, T….")
    @click.option(
        "--to",
        multiple=True,
        required=True,
        help="#name, a channel's or person's id, @e-mail or topic:name. Can be repeated.",
    )
    @click.option("--name", default="", help="What it is for.")
    @click.option(
        "--from",
        "sender",
        type=click.Choice([AUTO, *known_senders()]),
        default=AUTO,
        show_default=True,
        help="The tool that posts to it. Only with its name is its signature checked.",
    )
    @click.option(
        "--key-field",
        metavar="NAME",
        help="The field of a message, such as alertname, whose value is its key. Default: the key "
        "of the sender's own format.",
    )
    @source_option
    @broadcast_option
    @one_line_errors
    def create(
        team_id: str,
        to: Sequence[str],
        name: str,
        sender: str,
        key_field: str | None,
        source: str | None,
        *,
        allow_broadcast: bool,
    ) -> None:
        """Make a hook and print its address, this once, on the last line."""
        services = find_services()
        place = require_workspace(services, team_id)
        secret = secret_for(sender)
        try:
            url = services.webhooks.create(
                team_id,
                name,
                to,
                key_field=key_field,
                sender=sender,
                signing_secret=secret,
                source=source,
                allow_broadcast=allow_broadcast,
            )
        except ValueError as error:
            fail(str(error), status=MISUSED)
        warn_of_unknown(services, place, to)
        if secret is not None:
            click.echo(f"Secret, to paste into {known_senders()[sender].title} with the address:")
            click.echo(secret)
        click.echo(
            "The address is shown only now. Anyone with it can send: store it like a password."
        )
        click.echo(url)

    @group.command("list")
    @click.option("--team", "team_id", required=True, help="The workspace's id, T….")
    @one_line_errors
    def show(team_id: str) -> None:
        """Show the hooks of a workspace, without their secrets."""
        services = find_services()
        found = services.webhooks.of_team(team_id)
        if not found:
            require_workspace(services, team_id)
        for hook in found:
            name = f"{hook.name}, " if hook.name else ""
            state = "active" if hook.revoked_at is None else "revoked"
            about = f"{_sender(hook)}{_key(hook)}{more(hook)}{_unrecognized(hook)}"
            click.echo(f"{hook.id}  {name}to {', '.join(hook.to)}; {state}{about}")

    @group.command("secret")
    @click.argument("hook_id", type=int)
    @one_line_errors
    def set_secret(hook_id: int) -> None:
        """Read the secret by which a hook's sender signs, from the terminal or standard input.

        For senders that show a secret of their own, such as Sentry's client secret.
        """
        secret = click.prompt("Secret", hide_input=True, err=True).strip()
        hooks = find_services().webhooks
        if not secret or not hooks.set_signing_secret(hook_id, secret, senders_with_secrets()):
            fail(
                f"Hook {hook_id} does not exist, is revoked, or has no tool that signs: make "
                "another with --from."
            )
        click.echo(f"Hook {hook_id} takes only what is signed with this secret.")

    @group.command("revoke")
    @click.argument("hook_id", type=int)
    @cancel_option
    @one_line_errors
    def revoke(hook_id: int, *, cancel: bool) -> None:
        """Revoke a webhook."""
        services = find_services()
        is_revoked = services.webhooks.revoke(hook_id) is not None
        # What one sent that was revoked before can still be cancelled.
        number = services.history.cancel_all(Credential("hook", hook_id)) if cancel else 0
        if not is_revoked and not number:
            fail(f"There is no hook {hook_id}, or it is revoked already.")
        click.echo(f"Hook {hook_id} is revoked.")
        if cancel:
            click.echo(cancelled(number))


def _sender(hook: WebhookRecord) -> str:
    if hook.sender == AUTO:
        return ""
    return f"; from {hook.sender}{', signed' if hook.is_signed else ''}"


def _key(hook: WebhookRecord) -> str:
    return f"; key from {hook.key_field}" if hook.key_field else ""


def _unrecognized(hook: WebhookRecord) -> str:
    if not hook.unrecognized:
        return ""
    at = hook.unrecognized_at
    last = "" if at is None else f", last {at:%Y-%m-%d %H:%M} UTC"
    return f"; {hook.unrecognized} in an unknown format{last}"
