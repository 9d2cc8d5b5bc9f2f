"""Commands for topics: names to send to, and who gets what is sent to them."""

from __future__ import annotations

import click
from flask import Flask
from flask.cli import AppGroup

from bolt_app.cli.errors import MISUSED, fail, one_line_errors
from bolt_app.services import Services


def register(app: Flask, services: Services) -> None:
    """Add the commands."""
    group = AppGroup("topic", help="Names to send to: topic:NAME.")
    app.cli.add_command(group)

    @group.command("subscribe")
    @click.option("--team", "team_id", required=True, help="The workspace's id, T….")
    @click.argument("topic")
    @click.argument("address")
    @one_line_errors
    def subscribe(team_id: str, topic: str, address: str) -> None:
        """Let ADDRESS get what is sent to TOPIC from now on."""
        services.calls.find_place(team_id)
        try:
            is_new = services.topics.subscribe(team_id, topic, address)
        except ValueError as error:
            fail(str(error), status=MISUSED)
        click.echo(f"{address} {'gets' if is_new else 'got already'} what is sent to {topic}.")

    @group.command("unsubscribe")
    @click.option("--team", "team_id", required=True, help="The workspace's id, T….")
    @click.argument("topic")
    @click.argument("address")
    @one_line_errors
    def unsubscribe(team_id: str, topic: str, address: str) -> None:
        """Let ADDRESS get nothing more of what is sent to TOPIC."""
        try:
            was_there = services.topics.unsubscribe(team_id, topic, address)
        except ValueError as error:
            fail(str(error), status=MISUSED)
        if not was_there:
            fail(f"{address} gets nothing of what is sent to {topic}.")
        click.echo(f"{address} gets nothing more of what is sent to {topic}.")

    @group.command("list")
    @click.option("--team", "team_id", required=True, help="The workspace's id, T….")
    @one_line_errors
    def show(team_id: str) -> None:
        """Show who gets what, topic by topic."""
        for one in services.topics.of_team(team_id):
            click.echo(f"{one.topic}  {one.address}")
