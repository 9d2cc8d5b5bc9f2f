"""Commands for hooks: addresses that take what a Slack incoming webhook takes."""

from __future__ import annotations

from collections.abc import Sequence

import click
from flask import Flask
from flask.cli import AppGroup

from bolt_app.cli.errors import MISUSED, fail, one_line_errors
from bolt_app.services import Services


def register(app: Flask, services: Services) -> None:
    """Add the commands."""
    group = AppGroup("hook", help="Addresses that take what a Slack incoming webhook takes.")
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
    @one_line_errors
    def create(team_id: str, to: Sequence[str], name: str) -> None:
        """Make a hook and print its address, this once, on the last line."""
        services.calls.find_place(team_id)
        try:
            url = services.hooks.create(team_id, name, to)
        except ValueError as error:
            fail(str(error), status=MISUSED)
        click.echo("The address is shown only now. Whoever has it may post: keep it to yourself.")
        click.echo(url)

    @group.command("list")
    @click.option("--team", "team_id", required=True, help="The workspace's id, T….")
    @one_line_errors
    def show(team_id: str) -> None:
        """Show the hooks of a workspace, without their secrets."""
        for hook in services.hooks.of_team(team_id):
            name = f"{hook.name}, " if hook.name else ""
            state = "active" if hook.revoked_at is None else "revoked"
            click.echo(f"{hook.id}  {name}to {', '.join(hook.to)}; {state}")

    @group.command("revoke")
    @click.argument("hook_id", type=int)
    @one_line_errors
    def revoke(hook_id: int) -> None:
        """Let the hook with that id take nothing any more."""
        if services.hooks.revoke(hook_id) is None:
            fail(f"There is no hook {hook_id}, or it is revoked already.")
        click.echo(f"Hook {hook_id} is revoked.")
