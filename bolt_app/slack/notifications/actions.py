"""Actions of one person on the notifications they can see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from slack_bolt import BoltContext

from bolt_app.access.authorization import Action
from bolt_app.blockkit.elements import Reply
from bolt_app.notifications.history.views import Viewer
from bolt_app.services import Services
from bolt_app.slack.notifications.failed_blocks import retried_reply


@dataclass(frozen=True)
class NotificationActions:
    """One person, and the services their actions use."""

    services: Services
    team_id: str
    user_id: str

    @classmethod
    def of(cls, services: Services, context: BoltContext) -> Self:
        """Return the person who sent a Bolt request."""
        return cls(services, context.team_id or "", context.user_id or "")

    def retry(self, notification_id: str, viewer: Viewer) -> Reply:
        """Retry the failed deliveries of a notification that the person can see.

        Args:
            viewer: the same person, as a viewer of notifications.

        Raises:
            AccessDeniedError: the person may not retry.
            NothingToRetryError: no delivery that they can see has failed, or it was retried before.
            SlackCallError: Slack did not report the person's role or channels.
        """
        access = self.services.access
        person = access.require_now(self.team_id, self.user_id, Action.RETRY_FAILED)
        failed = self.services.visibility.failed_ids(viewer, person, notification_id)
        self.services.history.retry(self.team_id, notification_id, failed)
        return retried_reply(self.user_id)
