"""Commands for notifications: list, show, retry, cancel. They print no texts of messages."""

from __future__ import annotations

from collections.abc import Sequence

import click
from flask import Flask
from flask.cli import AppGroup

from bolt_app.cli.errors import fail, one_line_errors
from bolt_app.notifications.content.states import FAILED_STATES, STATES, UNROUTED
from bolt_app.notifications.history.errors import NothingToRetryError
from bolt_app.notifications.history.reports import DeliveryReport, NotificationReport
from bolt_app.notifications.history.search import HistoryQuery
from bolt_app.services import FindServices, Services

FAILED = "failed"
team_option = click.option("--team", "team_id", required=True, help="The workspace's id, T….")


def register(app: Flask, find_services: FindServices) -> None:
    """Add the commands."""
    group = AppGroup("notifications", help="Notifications and their deliveries.")
    app.cli.add_command(group)

    @group.command("list")
    @team_option
    @click.option(
        "--state",
        type=click.Choice([FAILED, UNROUTED, *STATES]),
        help=(
            f"Only with a delivery in this state; {FAILED} is {' or '.join(FAILED_STATES)}, "
            f"{UNROUTED} matched no subscription."
        ),
    )
    @click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
    @one_line_errors
    def show_all(team_id: str, state: str | None, limit: int) -> None:
        """List the latest notifications of a workspace, the newest first."""
        services = find_services()
        for report in _search(services, team_id, state, limit):
            wanted = FAILED_STATES if state == FAILED else (state,)
            for one in report.deliveries:
                if state is None or one.state in wanted:
                    click.echo(f"{report.id}  {_moment(report)}  {report.source}  {_delivery(one)}")
            if not report.deliveries:
                nothing = UNROUTED if report.unrouted else "no deliveries"
                click.echo(f"{report.id}  {_moment(report)}  {report.source}  {nothing}")

    @group.command("show")
    @team_option
    @click.argument("notification_id")
    @one_line_errors
    def show(team_id: str, notification_id: str) -> None:
        """Show a notification's deliveries, with the reasons of those that failed."""
        services = find_services()
        report = _find(services, team_id, notification_id)
        click.echo(f"{report.id}  {_moment(report)}  {report.source}")
        click.echo(report.page_url)
        for one in report.deliveries:
            click.echo(f"{_delivery(one)}  attempts: {one.attempts}")
            if one.error is not None:
                click.echo(f"  {one.error.sentence}")

    @group.command("retry")
    @team_option
    @click.argument("notification_ids", nargs=-1, required=True)
    @one_line_errors
    def retry(team_id: str, notification_ids: Sequence[str]) -> None:
        """Deliver failed deliveries of notifications after all."""
        services = find_services()
        for id_ in notification_ids:
            _find(services, team_id, id_)
            try:
                services.history.retry(team_id, id_)
            except NothingToRetryError as error:
                fail(f"{id_}: {error}")
            click.echo(f"{id_} is delivered again.")

    @group.command("cancel")
    @team_option
    @click.argument("notification_ids", nargs=-1, required=True)
    @one_line_errors
    def cancel(team_id: str, notification_ids: Sequence[str]) -> None:
        """Cancel deliveries of notifications that have not begun."""
        services = find_services()
        for id_ in notification_ids:
            _find(services, team_id, id_)
            done = services.history.cancel(team_id, id_)
            if not done.cancelled:
                fail(f"{id_}: no delivery can be cancelled any more.")
            click.echo(f"{id_}: cancelled {len(done.cancelled)}, kept {len(done.kept)}.")


def _search(
    services: Services, team_id: str, state: str | None, limit: int
) -> Sequence[NotificationReport]:
    """Return the latest notifications; a page may have fewer than there are, so all are read."""
    if state == FAILED:
        return services.history.failed(team_id, limit)
    found: list[NotificationReport] = []
    cursor: str | None = None
    while len(found) < limit:
        page = services.history.search(
            team_id, HistoryQuery(state=state), limit=limit - len(found), cursor=cursor
        )
        found += page.notifications
        cursor = page.next_cursor
        if cursor is None:
            break
    return found


def _find(services: Services, team_id: str, notification_id: str) -> NotificationReport:
    report = services.history.find(team_id, notification_id)
    if report is None:
        fail(f"The workspace {team_id} has no notification {notification_id}.")
    return report


def _moment(report: NotificationReport) -> str:
    return f"{report.created_at:%Y-%m-%d %H:%M} UTC"


def _delivery(one: DeliveryReport) -> str:
    error = f" ({one.error.code})" if one.error is not None else ""
    return f"{one.to}: {one.state}{error}"
