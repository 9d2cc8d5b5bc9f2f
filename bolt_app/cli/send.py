"""The command that sends notifications."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, get_args

import click
from flask import Flask
from pydantic import ValidationError

from bolt_app.charsets import CharsetError, decode
from bolt_app.cli.errors import FAILED, MISUSED, fail, one_line_errors
from bolt_app.cli.workspaces import require_workspace
from bolt_app.credentials.sources import COMMAND
from bolt_app.db import DATABASE_UNAVAILABLE
from bolt_app.notifications.content.errors import problems_of
from bolt_app.notifications.content.schema import (
    BATCH,
    Mode,
    NotificationRequest,
    Severity,
    read_one,
)
from bolt_app.notifications.content.states import OPEN_STATES
from bolt_app.notifications.history.reports import DeliveryReport, NotificationReport
from bolt_app.notifications.history.waiting import wait_until_done
from bolt_app.notifications.intake.results import NewNotification
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.subscriptions.previews import NEAR_TOPIC
from bolt_app.recipients import normal_address, topic_of
from bolt_app.services import FindServices, Services

UNKNOWN = 3
STILL_WAITING = 4
UNROUTED = 5
# So many are worth a progress bar.
MANY = 10
_UNROUTED_WORDS = "is unrouted: no subscription matched"


def register(app: Flask, find_services: FindServices) -> None:
    """Add the command."""

    @app.cli.command("send")
    @click.option("--team", "team_id", required=True, help="The workspace's id, T….")
    @click.option(
        "--to",
        "--channel",
        "to",
        multiple=True,
        required=True,
        help="#name, a channel's or person's id, @e-mail or topic:name. Can be repeated.",
    )
    @click.option("--title", help="Plain text, shown in bold above.")
    @click.option(
        "--severity",
        type=click.Choice(get_args(Severity), case_sensitive=False),
        help="Its colour.",
    )
    @click.option("--field", "fields", multiple=True, metavar="NAME=VALUE", help="Can be repeated.")
    @click.option("--link", help="Where the title leads.")
    @click.option("--key", help="What it is about, such as an alert's id.")
    @click.option(
        "--source",
        help="The source that the key belongs to, such as api_key:3; default: the command line.",
    )
    @click.option(
        "--mode",
        type=click.Choice(get_args(Mode), case_sensitive=False),
        help="With a key: change the earlier message (the default), reply to it, or post anew.",
    )
    @click.option("--priority", type=int, help="From -9 to 9; higher goes first in its channel.")
    @click.option("--delay", type=click.IntRange(0), metavar="SECONDS", help="Not before then.")
    @click.option("--expires-in", type=click.IntRange(1), metavar="SECONDS", help="Not after then.")
    @click.option("--each-line", is_flag=True, help="Send each line as a notification of its own.")
    @click.option("--wait", is_flag=True, help="Wait until it has gone out, and say what happened.")
    @click.option(
        "--timeout",
        type=click.FloatRange(0),
        default=60,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait at most.",
    )
    @click.argument("text", default="")
    @one_line_errors
    def send(
        team_id: str,
        text: str,
        *,
        fields: Sequence[str],
        expires_in: int | None,
        each_line: bool,
        wait: bool,
        timeout: float,
        **content: Any,
    ) -> None:
        """Send TEXT to channels and people; "-" reads it from standard input.

        Without --wait it is done when the notification is stored, and exits with 0. With it the
        exit status is 0 where everything was sent, 1 where something never will be, 3 where nobody
        can know, 4 where something still waits, and 5 where no subscription to a topic matched.
        """
        services = find_services()
        require_workspace(services, team_id)
        said = {name: value for name, value in content.items() if value is not None}
        said["to"] = list(content["to"])
        if fields:
            said["fields"] = [_field(one) for one in fields]
        if expires_in is not None:
            said["expires_at"] = services.clock() + timedelta(seconds=expires_in)
        message = _standard_input().removesuffix("\n") if text == "-" else text
        texts = [line for line in message.splitlines() if line.strip()] if each_line else [message]
        if not texts:
            fail("there is nothing to send: every line is empty", status=MISUSED)
        requests = [_request(services, {**said, "text": one}) for one in texts]
        accepted = list(_accept(services, team_id, requests))
        if not wait:
            _tell_accepted(accepted)
        status = _wait(services, team_id, accepted, timeout) if wait else 0
        if any(one.is_unrouted for one in accepted):
            _suggest_topics(services, team_id, said["to"])
        sys.exit(status)


def _standard_input() -> str:
    try:
        return decode(sys.stdin.buffer.read(), sys.stdin.encoding)
    except CharsetError as error:
        fail(str(error), status=MISUSED)


def _field(given: str) -> dict[str, str]:
    name, is_there, value = given.partition("=")
    if not is_there:
        fail(f"--field {given!r} has no value: give NAME=VALUE", status=MISUSED)
    return {"name": name, "value": value}


def _request(services: Services, said: dict[str, Any]) -> NotificationRequest:
    try:
        return read_one(said, services.clock())
    except ValidationError as error:
        problems = (f"{one.field} {one.detail}" for one in problems_of(error))
        fail("\n".join(problems), status=MISUSED)


def _accept(
    services: Services, team_id: str, requests: Sequence[NotificationRequest]
) -> Iterator[NewNotification]:
    # Whoever runs Bellhop may call everybody.
    sender = Sender(team_id, COMMAND, allow_broadcast=True)
    for start in range(0, len(requests), BATCH):
        try:
            answer = services.intake.submit(sender, requests[start : start + BATCH])
        except DATABASE_UNAVAILABLE:
            if start:
                click.echo(f"Accepted {start} of {len(requests)}, and no more:", err=True)
            raise
        yield from answer.notifications


def _tell_accepted(accepted: Sequence[NewNotification]) -> None:
    for one in accepted:
        if one.is_unrouted:
            click.echo(f"{one.id} {_UNROUTED_WORDS}.")
            continue
        to = ", ".join(delivery.to for delivery in one.deliveries)
        click.echo(f"{one.id} is on its way to {to}.")


def _suggest_topics(services: Services, team_id: str, to: Sequence[str]) -> None:
    """Name the subscribed topics that look like those to which nothing is subscribed."""
    subscribed = (one.spec.topic for one in services.subscriptions.of_team(team_id))
    known = {topic for topic in subscribed if "*" not in topic}
    for topic in filter(None, map(topic_of, map(normal_address, to))):
        near = get_close_matches(topic, known - {topic}, 1, NEAR_TOPIC)
        if near:
            click.echo(f"topic:{topic}: did you mean topic:{near[0]}?", err=True)


def _wait(
    services: Services, team_id: str, accepted: Sequence[NewNotification], timeout: float
) -> int:
    """Wait, tell what became of each delivery, and return the exit status."""
    ids = [one.id for one in accepted]
    with click.progressbar(
        length=len(ids), label="Sending", file=sys.stderr, hidden=len(ids) < MANY
    ) as bar:
        wait_until_done(
            services.history, ids, timeout=timeout, report=lambda done: bar.update(done - bar.pos)
        )
    reports = services.history.reports(ids)
    tally = _Tally()
    for id_ in ids:
        report = reports.get(id_)
        if report is not None:
            tally.add(services.permalinks.add(team_id, report))
    return tally.status


@dataclass
class _Tally:
    """What became of deliveries, told one by one and summed up to an exit status."""

    waiting: int = 0
    unknown: int = 0
    failed: int = 0
    unrouted: int = 0

    def add(self, report: NotificationReport) -> None:
        """Tell what became of a notification."""
        if not report.deliveries:
            click.echo(f"{report.id} {_UNROUTED_WORDS}.")
            self.unrouted += 1
        for delivery in report.deliveries:
            click.echo(f"{delivery.to}: {_outcome(delivery)}")
            self.waiting += delivery.state in OPEN_STATES
            self.unknown += delivery.state == "unknown"
            self.failed += delivery.state in ("dead", "expired", "cancelled")

    @property
    def status(self) -> int:
        """The exit status: what is still open says more than what is settled."""
        if self.waiting:
            return STILL_WAITING
        if self.unknown:
            return UNKNOWN
        if self.failed:
            return FAILED
        return UNROUTED if self.unrouted else 0


def _outcome(delivery: DeliveryReport) -> str:
    if delivery.state == "sent":
        return f"sent, {delivery.permalink or f'{delivery.channel_id} at {delivery.ts}'}"
    words = {"waiting": "still waiting", "sending": "being sent", "unknown": "outcome unknown"}
    if delivery.state == "held":
        return f"held until {delivery.send_at:%Y-%m-%d %H:%M} UTC"
    state = words.get(delivery.state, delivery.state)
    if delivery.error is None:
        return state
    return f"{state}. {delivery.error.sentence} ({delivery.error.code})"
