"""Commands for notifications: list, show, retry, cancel. They never print message texts."""

from __future__ import annotations

from collections.abc import Sequence

import click
from flask import Flask
from flask.cli import AppGroup

from bolt_app.cli.errors import fail, one_line_errors
from bolt_app.cli.output import print_line
from bolt_app.cli.workspaces import team_option
from bolt_app.notifications.content.states import FAILED_STATES, StateFilter
from bolt_app.notifications.history.errors import NothingToRetryError
from bolt_app.notifications.history.reports import DeliveryReport, NotificationReport
from bolt_app.notifications.history.search import HistoryQuery
from bolt_app.services import FindServices, Services

FAILED = "failed"


def register(app: Flask, find_services: FindServices) -> None:
    """Register the commands."""
    group = AppGroup("notifications", help="Notifications and their deliveries.")
    app.cli.add_command(group)

    @group.command("list")
    @team_option
    @click.option(
        "--state",
        type=click.Choice([FAILED, *(state.value for state in StateFilter)]),
        help=(
            f"Only with a delivery in this state. {FAILED} means {' or '.join(FAILED_STATES)}; "
            f"{StateFilter.UNROUTED} means that no subscription matched."
        ),
    )
    @click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
    @one_line_errors
    def show_all(team_id: str, state: str | None, limit: int) -> None:
        """List the latest notifications of a workspace, newest first."""
        services = find_services()
        for report in _search(services, team_id, state, limit):
            wanted = FAILED_STATES if state == FAILED else (state,)
            line = f"{report.id}  {_moment(report)}  {report.source}"
            for delivery in report.deliveries:
                if state is None or delivery.state in wanted:
                    print_line(f"{line}  {_delivery(delivery)}")
            if not report.deliveries:
                print_line(
                    f"{line}  {StateFilter.UNROUTED if report.unrouted else 'no deliveries'}"
                )

    @group.command("show")
    @team_option
    @click.argument("notification_id")
    @one_line_errors
    def show(team_id: str, notification_id: str) -> None:
        """Show the deliveries of a notification, with the reasons for failures."""
        services = find_services()
        report = _find(services, team_id, notification_id)
        print_line(f"{report.id}  {_moment(report)}  {report.source}")
        print_line(report.page_url)
        for delivery in report.deliveries:
            print_line(f"{_delivery(delivery)}  attempts: {delivery.attempts}")
            if delivery.error is not None:
                print_line(f"  {delivery.error.sentence}")

    @group.command("retry")
    @team_option
    @click.argument("notification_ids", nargs=-1, required=True)
    @one_line_errors
    def retry(team_id: str, notification_ids: Sequence[str]) -> None:
        """Retry the failed deliveries of notifications."""
        services = find_services()
        for id_ in notification_ids:
            _find(services, team_id, id_)
            try:
                services.history.retry(team_id, id_)
            except NothingToRetryError as error:
                fail(f"{id_}: {error}")
            print_line(f"{id_}: retrying.")

    @group.command("cancel")
    @team_option
    @click.argument("notification_ids", nargs=-1, required=True)
    @one_line_errors
    def cancel(team_id: str, notification_ids: Sequence[str]) -> None:
        """Cancel deliveries of notifications that have not started."""
        services = find_services()
        for id_ in notification_ids:
            _find(services, team_id, id_)
            done = services.history.cancel(team_id, id_)
            if not done.cancelled:
                fail(f"{id_}: no delivery can be cancelled now.")
            print_line(f"{id_}: cancelled {len(done.cancelled)}, kept {len(done.kept)}.")


def _search(
    services: Services, team_id: str, state: str | None, limit: int
) -> Sequence[NotificationReport]:
    """Return the latest notifications; reads more pages if one is not full."""
    if state == FAILED:
        return services.history.failed(team_id, limit)
    query = HistoryQuery(state=None if state is None else StateFilter(state))
    found: list[NotificationReport] = []
    cursor: str | None = None
    while len(found) < limit:
        page = services.history.search(team_id, query, limit=limit - len(found), cursor=cursor)
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


def _delivery(delivery: DeliveryReport) -> str:
    error = f" ({delivery.error.code})" if delivery.error is not None else ""
    return f"{delivery.to}: {delivery.state}{error}"
