"""Links to delivered messages, asked for when somebody looks: never while delivering."""

from __future__ import annotations

from sqlalchemy import update

from bolt_app.db import Database
from bolt_app.db.models import Delivery
from bolt_app.notifications.reports import DeliveryReport, NotificationReport
from bolt_app.oauth.calls import InstallationCalls, NotInstalledError
from bolt_app.slack_api import SlackCallError


class Permalinks:
    """Finds and keeps the links of messages."""

    def __init__(self, database: Database, calls: InstallationCalls) -> None:
        self._database = database
        self._calls = calls

    def add(self, team_id: str, report: NotificationReport) -> NotificationReport:
        """Return the report with the links that are known, now or from now on."""
        for delivery in report.deliveries:
            if delivery.state == "sent" and delivery.permalink is None:
                delivery.permalink = self._ask(team_id, delivery)
        return report

    def _ask(self, team_id: str, delivery: DeliveryReport) -> str | None:
        """Ask Slack once (https://docs.slack.dev/reference/methods/chat.getPermalink)."""
        try:
            place = self._calls.find_place(team_id)
            answer = self._calls.as_bot(
                place, "chat.getPermalink", channel=delivery.channel_id, message_ts=delivery.ts
            )
        except (SlackCallError, NotInstalledError):
            return None  # the message is posted; a link to it is a courtesy
        permalink = str(answer["permalink"])
        with self._database.writing() as session:
            session.execute(
                update(Delivery).where(Delivery.id == delivery.id).values(permalink=permalink)
            )
        return permalink
