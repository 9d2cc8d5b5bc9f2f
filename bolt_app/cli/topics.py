"""Commands for topics and their subscriptions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup

from bolt_app.cli.destinations import stored_address, warn_of_unknown
from bolt_app.cli.errors import MISUSED, fail, one_line_errors
from bolt_app.cli.output import print_line
from bolt_app.cli.workspaces import require_workspace, team_option
from bolt_app.notifications.content.modes import Mode
from bolt_app.notifications.subscriptions.errors import TooManySubscriptionsError
from bolt_app.notifications.subscriptions.filters import parse_typed_filter
from bolt_app.notifications.subscriptions.service import StoredSubscription, SubscriptionSpec
from bolt_app.services import FindServices


def register(app: Flask, find_services: FindServices) -> None:
    """Register the commands."""
    group = AppGroup("topic", help="Topics (topic:NAME) and their subscriptions.")
    app.cli.add_command(group)

    @group.command("subscribe")
    @team_option
    @click.option(
        "--mode",
        type=click.Choice([mode.value for mode in Mode], case_sensitive=False),
        help="How notifications with a key are posted. Default: as the sender chooses.",
    )
    @click.argument("topic")
    @click.argument("address")
    @click.argument("condition", nargs=-1)
    @one_line_errors
    def subscribe(team_id: str, mode: str | None, topic: str, address: str, condition: Any) -> None:
        """Subscribe ADDRESS to TOPIC, or replace its subscription.

        TOPIC may be NAME/* or *. A CONDITION is, for example, severity>=warning, service=api or
        -label:bot.
        """
        services = find_services()
        workspace = require_workspace(services, team_id)
        try:
            wanted = str(parse_typed_filter(" ".join(condition)))
            lately = services.previews.recent(team_id)
            spec = SubscriptionSpec(topic, wanted, None if mode is None else Mode(mode))
            destination = stored_address(services, team_id, address)
            change = services.subscriptions.subscribe(team_id, destination, spec)
        except ValueError as error:
            fail(str(error), status=MISUSED)
        except TooManySubscriptionsError as error:
            fail(str(error))
        warn_of_unknown(services, workspace, [address])
        verb = "Subscribed" if change.before is None else "Changed the subscription of"
        print_line(f"{verb} {address} to {change.topic}{' where ' + wanted if wanted else ''}.")
        # The operator may see every notification.
        preview = lately.preview(change.topic, wanted, lambda ids: ids)
        for name, known in preview.misspelled.items():
            print_line(f"No recent notification has the field {name}: did you mean {known}?")
        near = lately.near_topic(change.topic)
        if near is not None:
            print_line(f"The topic {change.topic} is new: did you mean {near}?")

    @group.command("unsubscribe")
    @team_option
    @click.argument("topic")
    @click.argument("address")
    @one_line_errors
    def unsubscribe(team_id: str, topic: str, address: str) -> None:
        """End the subscription of ADDRESS to TOPIC."""
        services = find_services()
        try:
            destination = stored_address(services, team_id, address)
            change = services.subscriptions.unsubscribe(team_id, destination, topic)
        except ValueError as error:
            fail(str(error), status=MISUSED)
        if change is None:
            require_workspace(services, team_id)
            fail(f"{address} is not subscribed to {topic}.")
        print_line(f"Unsubscribed {address} from {topic}.")

    @group.command("list")
    @team_option
    @one_line_errors
    def show(team_id: str) -> None:
        """List the subscriptions of a workspace by topic."""
        services = find_services()
        found = services.subscriptions.of_team(team_id)
        if not found:
            require_workspace(services, team_id)
        for subscription in found:
            print_line(_line(subscription, services.clock()))


def _line(subscription: StoredSubscription, now: datetime) -> str:
    spec = subscription.spec
    mode = f"mode={spec.mode}" if spec.mode else ""
    digest = f"digest {spec.digest} ({spec.digest.tz})" if spec.digest else ""
    muted = ""
    if spec.muted_until is not None and spec.muted_until > now:
        muted = f"muted until {spec.muted_until:%Y-%m-%d %H:%M} UTC"
    paused = f"paused: {subscription.paused}" if subscription.paused else ""
    unreadable = ", ".join(subscription.unreadable)
    skipped = f"not used, damaged: {unreadable}" if unreadable else ""
    facts = (spec.topic, subscription.address, spec.filter, mode, digest, muted, paused, skipped)
    return "  ".join(filter(None, facts))
