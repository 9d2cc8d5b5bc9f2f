"""Links to delivered messages, asked for when somebody looks: never while delivering."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import Delivery
from bolt_app.notifications.history.reports import DeliveryReport, NotificationReport
from bolt_app.recent_answers import RecentAnswers
from bolt_app.slack_api import SlackCallError
from bolt_app.workspaces.client import NotInstalledError, WorkspaceClient

# One call each.
MOST_ASKED = 10
# For so long nobody asks again for a message that Slack did not find: it was deleted, or the bot
# has left a private channel, to which it may come back.
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
        """Return the report with the links that are known, now or from now on.

        Slack is asked for `MOST_ASKED` of them at a time, and for none after one that it does not
        answer: these calls delay the answer.
        """
        missing = [
            one
            for one in report.deliveries
            if one.state == "sent" and one.permalink is None and not self._gone.find(one.id)
        ]
        for delivery in missing[:MOST_ASKED]:
            try:
                delivery.permalink = self._ask(team_id, delivery)
            except (SlackCallError, NotInstalledError):
                break  # the message is posted; a link to it is a courtesy
        return report

    def _ask(self, team_id: str, delivery: DeliveryReport) -> str | None:
        """Ask Slack once (https://docs.slack.dev/reference/methods/chat.getPermalink).

        Returns: the link; None where the message is gone.

        Raises:
            NotInstalledError: the bot was uninstalled.
            SlackCallError: Slack does not answer now.
        """
        workspace = self._client.find_workspace(team_id)
        where = {"channel": delivery.channel_id, "message_ts": delivery.ts}
        try:
            answer = self._client.as_bot(workspace, "chat.getPermalink", **where)
        except SlackCallError as error:
            if error.is_dead_token or not error.is_permanent:
                raise
            self._gone.ask(delivery.id, lambda: True)
            return None
        permalink = str(answer["permalink"])
        with self._database.writing() as session:
            # Another message may have taken its place meanwhile.
            mine = (Delivery.id == delivery.id, Delivery.ts == delivery.ts)
            session.execute(update(Delivery).where(*mine).values(permalink=permalink))
        return permalink
