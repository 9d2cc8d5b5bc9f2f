"""What an admin asks of the API keys, hooks and failed deliveries of their workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from slack_bolt import BoltContext

from bolt_app.access.authorization import Action, Person
from bolt_app.blockkit.elements import Answer
from bolt_app.credentials.api_keys import Scope
from bolt_app.notifications.history.views import Viewer
from bolt_app.services import Services
from bolt_app.slack.credentials.blocks import revoked_answer
from bolt_app.slack.ensure_can_post import ensure_can_post
from bolt_app.slack.home.failed_deliveries import retried_answer


@dataclass(frozen=True)
class CredentialActions:
    """A person in a workspace."""

    services: Services
    team_id: str
    user_id: str

    @classmethod
    def of(cls, services: Services, context: BoltContext) -> CredentialActions:
        """Return the person a Bolt request comes from."""
        return cls(services, context.team_id or "", context.user_id or "")

    def check(self, action: Action = Action.ADMINISTER) -> Person:
        """Make sure that the person may do something, as Slack says at this moment.

        Returns: the person.

        Raises:
            AccessDeniedError: they may not.
            SlackCallError: Slack does not say.
        """
        person = self.services.access.person(self.team_id, self.user_id, now=True)
        person.require(action)
        return person

    def retry(self, notification_id: str, viewer: Viewer) -> Answer:
        """Deliver after all what failed of a notification, where the person may see that it did.

        Args:
            viewer: the same person, as one who looks at notifications.

        Raises:
            AccessDeniedError: not this person.
            NothingToRetryError: nothing that they see has failed, or it was retried before.
            SlackCallError: Slack does not say what they see.
        """
        person = self.check(Action.RETRY_FAILED)
        seen = self.services.visibility.failed_ids(viewer, person, notification_id)
        self.services.history.retry(self.team_id, notification_id, seen)
        return retried_answer(self.user_id)

    def create_key(
        self,
        name: str,
        scopes: Sequence[Scope],
        channels: Sequence[str],
        lifetime: timedelta | None,
        receipt: str,
    ) -> str:
        """Make an API key and return its text.

        Args:
            receipt: names the request: it makes one key, however often it comes.

        Raises:
            AccessDeniedError: not this person.
            AlreadyCreatedError: it was made.
        """
        self.check()
        return self.services.api_keys.create(
            self.team_id,
            name,
            scopes=scopes,
            channels=channels,
            lifetime=lifetime,
            created_by=self.user_id,
            receipt=receipt,
        )

    def create_webhook(
        self, name: str, channel_id: str, key_field: str | None, receipt: str
    ) -> str:
        """Make a hook into a channel and return its address.

        Args:
            key_field: the field of what it takes whose value is the notification's key.

        Raises:
            AccessDeniedError: not this person.
            NotInvitedError: the bot could not post there.
            SlackCallError: the channel is archived.
            AlreadyCreatedError: it was made.
        """
        self.check()
        ensure_can_post(self.services, self.team_id, channel_id)
        return self.services.webhooks.create(
            self.team_id,
            name,
            [channel_id],
            key_field=key_field,
            created_by=self.user_id,
            receipt=receipt,
        )

    def revoke_key(self, key_id: int) -> Answer:
        """Make an API key useless.

        Raises:
            AccessDeniedError: not this person.
        """
        self.check()
        name = self.services.api_keys.revoke(key_id, team_id=self.team_id, revoked_by=self.user_id)
        return revoked_answer(self.user_id, "API key", name)

    def revoke_webhook(self, hook_id: int) -> Answer:
        """Let a hook take nothing any more.

        Raises:
            AccessDeniedError: not this person.
        """
        self.check()
        name = self.services.webhooks.revoke(hook_id, team_id=self.team_id, revoked_by=self.user_id)
        return revoked_answer(self.user_id, "hook", name)
