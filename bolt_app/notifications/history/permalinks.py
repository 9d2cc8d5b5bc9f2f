"""Permalinks of delivered messages, fetched when someone views a notification."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import Delivery
from bolt_app.notifications.content.states import ShownState
from bolt_app.notifications.history.reports import DeliveryReport, NotificationReport
from bolt_app.recent_answers import RecentAnswers
from bolt_app.slack_api import SlackCallError
from bolt_app.workspaces.client import NotInstalledError, WorkspaceClient

# One call to Slack each.
MOST_ASKED = 10
# A message that Slack did not find is not asked for again for this long: it was deleted, or the bot
# left a private channel, which it may join again.
GONE_FOR, MOST_GONE = timedelta(hours=1), 10_000


class Permalinks:
    """Finds and keeps the links of messages."""

    def __init__(
        self, database: Database, client: WorkspaceClient, *, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._client = client
        self._gone: RecentAnswers[int, bool] = RecentAnswers(GONE_FOR, MOST_GONE, clock)

    def add(self, team_id: str, report: NotificationReport) -> NotificationReport:
        """Add the permalinks of sent deliveries to a report, and return it.

        Up to `MOST_ASKED` missing ones are fetched from Slack. The first failed call ends that,
        because these calls delay the response.
        """
        missing = [
            one
            for one in report.deliveries
            if one.state == ShownState.SENT
            and one.channel_id is not None
            and one.permalink is None
            and not self._gone.find(one.id)
        ]
        for delivery in missing[:MOST_ASKED]:
            try:
                delivery.permalink = self._ask(team_id, delivery)
            except (SlackCallError, NotInstalledError):
                break  # permalinks are optional
        return report

    def _ask(self, team_id: str, delivery: DeliveryReport) -> str | None:
        """Fetch a permalink (https://docs.slack.dev/reference/methods/chat.getPermalink).

        Returns: None if the message is gone.

        Raises:
            NotInstalledError: the bot was uninstalled.
            SlackCallError: the call failed for another reason.
        """
        workspace = self._client.find_workspace(team_id)
        message = {"channel": delivery.channel_id, "message_ts": delivery.ts}
        try:
            answer = self._client.as_bot(workspace, "chat.getPermalink", **message)
        except SlackCallError as error:
            if error.is_dead_token or not error.is_permanent:
                raise
            self._gone.ask(delivery.id, lambda: True)
            return None
        permalink = str(answer["permalink"])
        with self._database.writing() as session:
            # Another message may have replaced it meanwhile.
            is_current = (Delivery.id == delivery.id, Delivery.ts == delivery.ts)
            session.execute(update(Delivery).where(*is_current).values(permalink=permalink))
        return permalink
