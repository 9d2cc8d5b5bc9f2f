"""The `send` command: sends notifications."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

import click
from flask import Flask
from pydantic import ValidationError

from bolt_app.charsets import CharsetError, decode
from bolt_app.cli.errors import FAILED, MISUSED, fail, one_line_errors
from bolt_app.cli.output import print_line
from bolt_app.cli.workspaces import require_workspace, team_option
from bolt_app.credentials.sources import SourceKind
from bolt_app.db import DATABASE_UNAVAILABLE
from bolt_app.notifications.content.errors import problems_of
from bolt_app.notifications.content.modes import Mode
from bolt_app.notifications.content.schema import (
    BATCH,
    Format,
    NotificationRequest,
    read_one,
)
from bolt_app.notifications.content.states import OPEN_STATES, ShownState
from bolt_app.notifications.history.reports import DeliveryReport, NotificationReport
from bolt_app.notifications.history.waiting import wait_until_done
from bolt_app.notifications.intake.results import NewNotification
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.subscriptions.previews import NEAR_TOPIC
from bolt_app.recipients import normal_address, topic_of
from bolt_app.services import FindServices, Services
from bolt_app.severity import Severity

UNKNOWN = 3
STILL_WAITING = 4
UNROUTED = 5
_FAILED_STATES = (ShownState.DEAD, ShownState.EXPIRED, ShownState.CANCELLED)
# From this number on, a progress bar is shown.
PROGRESS_FROM = 10
_UNROUTED_WORDS = "is unrouted: no subscription matched"


def register(app: Flask, find_services: FindServices) -> None:
    """Register the command."""

    @app.cli.command("send")
    @team_option
    @click.option(
        "--to",
        "--channel",
        "to",
        multiple=True,
        required=True,
        help="Recipient: #name, channel or user id, @email or topic:name. Repeatable.",
    )
    @click.option("--title", help="Title in plain text, shown in bold above the text.")
    @click.option(
        "--severity",
        type=click.Choice([severity.value for severity in Severity], case_sensitive=False),
        help="Severity, shown as a color.",
    )
    @click.option(
        "--field", "fields", multiple=True, metavar="NAME=VALUE", help="Field. Repeatable."
    )
    @click.option(
        "--format",
        type=click.Choice([one.value for one in Format], case_sensitive=False),
        help="Markup of TEXT: Slack's mrkdwn (default), or standard Markdown.",
    )
    @click.option("--link", help="URL that the title links to.")
    @click.option("--key", help="Key of the subject, such as the id of an alert.")
    @click.option(
        "--source",
        help="Source of the key, such as api_key:3. Default: the command line.",
    )
    @click.option(
        "--mode",
        type=click.Choice([mode.value for mode in Mode], case_sensitive=False),
        help="With a key: update the earlier message (default), reply in its thread or post again.",
    )
    @click.option("--priority", type=int, help="From -9 to 9; higher is sent first in its channel.")
    @click.option(
        "--delay", type=click.IntRange(0), metavar="SECONDS", help="Earliest delivery from now."
    )
    @click.option(
        "--expires-in", type=click.IntRange(1), metavar="SECONDS", help="Latest delivery from now."
    )
    @click.option("--each-line", is_flag=True, help="Send each line as a separate notification.")
    @click.option("--wait", is_flag=True, help="Wait for delivery and print the results.")
    @click.option(
        "--timeout",
        type=click.FloatRange(0),
        default=60,
        show_default=True,
        metavar="SECONDS",
        help="Maximum time to wait.",
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
        **options: Any,
    ) -> None:
        """Send TEXT to channels and people; "-" reads it from standard input.

        Without --wait, the command exits with 0 when the notification is stored. With --wait, the
        exit status is 0 if everything was sent, 1 if a delivery failed, 3 if a delivery was not
        confirmed, 4 if a delivery is still open, and 5 if no subscription matched.
        """
        services = find_services()
        require_workspace(services, team_id)
        content = {name: value for name, value in options.items() if value is not None}
        content["to"] = list(options["to"])
        if fields:
            content["fields"] = [_field(field) for field in fields]
        if expires_in is not None:
            content["expires_at"] = services.clock() + timedelta(seconds=expires_in)
        message = _standard_input().removesuffix("\n") if text == "-" else text
        texts = [line for line in message.splitlines() if line.strip()] if each_line else [message]
        if not texts:
            fail("nothing to send: every line is empty", status=MISUSED)
        requests = [_request(services, {**content, "text": line}) for line in texts]
        accepted = list(_accept(services, team_id, requests))
        if not wait:
            _print_accepted(accepted)
        status = _wait(services, team_id, accepted, timeout) if wait else 0
        if any(notification.is_unrouted for notification in accepted):
            _suggest_topics(services, team_id, content["to"])
        sys.exit(status)


def _standard_input() -> str:
    try:
        return decode(sys.stdin.buffer.read(), sys.stdin.encoding)
    except CharsetError as error:
        fail(str(error), status=MISUSED)


def _field(given: str) -> dict[str, str]:
    name, separator, value = given.partition("=")
    if not separator:
        fail(f"--field {given!r} has no value: give NAME=VALUE", status=MISUSED)
    return {"name": name, "value": value}


def _request(services: Services, content: dict[str, Any]) -> NotificationRequest:
    try:
        return read_one(content, services.clock())
    except ValidationError as error:
        problems = (f"{problem.field} {problem.detail}" for problem in problems_of(error))
        fail(*problems, status=MISUSED)


def _accept(
    services: Services, team_id: str, requests: Sequence[NotificationRequest]
) -> Iterator[NewNotification]:
    # The operator may broadcast.
    sender = Sender(team_id, SourceKind.COMMAND, allow_broadcast=True)
    for start in range(0, len(requests), BATCH):
        try:
            yield from services.intake.submit_in_parts(sender, requests[start : start + BATCH])
        except DATABASE_UNAVAILABLE:
            if start:
                print_line(f"Accepted only {start} of {len(requests)}:", err=True)
            raise


def _print_accepted(accepted: Sequence[NewNotification]) -> None:
    for notification in accepted:
        if notification.is_unrouted:
            print_line(f"{notification.id} {_UNROUTED_WORDS}.")
            continue
        to = ", ".join(delivery.to for delivery in notification.deliveries)
        print_line(f"{notification.id} is on its way to {to}.")


def _suggest_topics(services: Services, team_id: str, to: Sequence[str]) -> None:
    """Suggest subscribed topics that look like topics without a subscription."""
    subscriptions = services.subscriptions.of_team(team_id)
    subscribed = (subscription.spec.topic for subscription in subscriptions)
    known = {topic for topic in subscribed if "*" not in topic}
    for topic in filter(None, map(topic_of, map(normal_address, to))):
        near = get_close_matches(topic, known - {topic}, 1, NEAR_TOPIC)
        if near:
            print_line(f"topic:{topic}: did you mean topic:{near[0]}?", err=True)


def _wait(
    services: Services, team_id: str, accepted: Sequence[NewNotification], timeout: float
) -> int:
    """Wait, print the state of each delivery, and return the exit status."""
    ids = [notification.id for notification in accepted]
    with click.progressbar(
        length=len(ids), label="Sending", file=sys.stderr, hidden=len(ids) < PROGRESS_FROM
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
    """Counts of delivery states, from which the exit status follows."""

    waiting: int = 0
    unknown: int = 0
    failed: int = 0
    unrouted: int = 0

    def add(self, report: NotificationReport) -> None:
        """Print and count the deliveries of a notification."""
        if not report.deliveries:
            print_line(f"{report.id} {_UNROUTED_WORDS}.")
            self.unrouted += 1
        for delivery in report.deliveries:
            print_line(f"{delivery.to}: {_outcome(delivery)}")
            self.waiting += delivery.state in OPEN_STATES
            self.unknown += delivery.state == ShownState.UNKNOWN
            self.failed += delivery.state in _FAILED_STATES

    @property
    def status(self) -> int:
        """The exit status: open deliveries take precedence, then unconfirmed, then failed ones."""
        if self.waiting:
            return STILL_WAITING
        if self.unknown:
            return UNKNOWN
        if self.failed:
            return FAILED
        return UNROUTED if self.unrouted else 0


def _outcome(delivery: DeliveryReport) -> str:
    if delivery.state == ShownState.SENT:
        return f"sent, {delivery.permalink or f'{delivery.channel_id} at {delivery.ts}'}"
    words = {
        ShownState.WAITING: "still waiting",
        ShownState.SENDING: "being sent",
        ShownState.UNKNOWN: "delivery not confirmed",
    }
    if delivery.state == ShownState.HELD:
        return f"held until {delivery.send_at:%Y-%m-%d %H:%M} UTC"
    state = words.get(delivery.state, delivery.state)
    if delivery.error is None:
        return state
    return f"{state}. {delivery.error.sentence} ({delivery.error.code})"
