"""Commands for topics: names to send to, and who gets what is sent to them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, get_args

import click
from flask import Flask
from flask.cli import AppGroup

from bolt_app.cli.destinations import stored_address, warn_of_unknown
from bolt_app.cli.errors import MISUSED, fail, one_line_errors
from bolt_app.cli.workspaces import require_workspace
from bolt_app.notifications.content.schema import Mode
from bolt_app.notifications.subscriptions.errors import TooManySubscriptionsError
from bolt_app.notifications.subscriptions.filters import parse_typed_filter
from bolt_app.notifications.subscriptions.service import StoredSubscription, SubscriptionSpec
from bolt_app.services import FindServices


def register(app: Flask, find_services: FindServices) -> None:
    """Add the commands."""
    group = AppGroup("topic", help="Names to send to: topic:NAME.")
    app.cli.add_command(group)

    @group.command("subscribe")
    @click.option("--team", "team_id", required=True, help="The workspace's id, T….")
    @click.option(
        "--mode",
        type=click.Choice(get_args(Mode), case_sensitive=False),
        help="What becomes of notifications with a key; the sender says where this does not.",
    )
    @click.argument("topic")
    @click.argument("address")
    @click.argument("condition", nargs=-1)
    @one_line_errors
    def subscribe(team_id: str, mode: Any, topic: str, address: str, condition: Any) -> None:
        """Let ADDRESS get what is sent to TOPIC from now on.

        TOPIC may be NAME/* or *. CONDITIONs are as in severity>=warning, service=api, -label:bot;
        what was subscribed before is replaced.
        """
        services = find_services()
        place = require_workspace(services, team_id)
        try:
            wanted = str(parse_typed_filter(" ".join(condition)))
            lately = services.previews.recent(team_id)
            wish = SubscriptionSpec(topic, wanted, mode)
            where = stored_address(services, team_id, address)
            change = services.subscriptions.subscribe(team_id, where, wish)
        except ValueError as error:
            fail(str(error), status=MISUSED)
        except TooManySubscriptionsError as error:
            fail(str(error))
        warn_of_unknown(services, place, [address])
        what = f"what is sent to {change.topic}{' where ' + wanted if wanted else ''}"
        click.echo(f"{address} gets {what}{'' if change.before is None else ', as changed now'}.")
        # Whoever runs Bellhop may see every notification.
        preview = lately.preview(change.topic, wanted, lambda ids: ids)
        for name, known in preview.misspelled.items():
            click.echo(f"No recent notification has the field {name}: did you mean {known}?")
        near = lately.near_topic(change.topic)
        if near is not None:
            click.echo(f"The topic {change.topic} is new: did you mean {near}?")

    @group.command("unsubscribe")
    @click.option("--team", "team_id", required=True, help="The workspace's id, T….")
    @click.argument("topic")
    @click.argument("address")
    @one_line_errors
    def unsubscribe(team_id: str, topic: str, address: str) -> None:
        """Let ADDRESS get nothing more of what is sent to TOPIC."""
        services = find_services()
        try:
            where = stored_address(services, team_id, address)
            change = services.subscriptions.unsubscribe(team_id, where, topic)
        except ValueError as error:
            fail(str(error), status=MISUSED)
        if change is None:
            require_workspace(services, team_id)
            fail(f"{address} gets nothing of what is sent to {topic}.")
        click.echo(f"{address} gets nothing more of what is sent to {topic}.")

    @group.command("list")
    @click.option("--team", "team_id", required=True, help="The workspace's id, T….")
    @one_line_errors
    def show(team_id: str) -> None:
        """Show who gets what, topic by topic."""
        services = find_services()
        found = services.subscriptions.of_team(team_id)
        if not found:
            require_workspace(services, team_id)
        for one in found:
            click.echo(_line(one, services.clock()))


def _line(one: StoredSubscription, now: datetime) -> str:
    wish = one.spec
    mode = f"mode={wish.mode}" if wish.mode else ""
    digest = f"digest {wish.digest} ({wish.digest.tz})" if wish.digest else ""
    muted = ""
    if wish.muted_until is not None and wish.muted_until > now:
        muted = f"muted until {wish.muted_until:%Y-%m-%d %H:%M} UTC"
    paused = f"paused: {one.paused}" if one.paused else ""
    skipped = f"not used, cannot be read: {', '.join(one.unreadable)}" if one.unreadable else ""
    facts = (wish.topic, one.address, wish.filter, mode, digest, muted, paused, skipped)
    return "  ".join(filter(None, facts))
