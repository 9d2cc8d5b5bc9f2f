"""Actions of an admin on the API keys and webhooks of their workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from slack_bolt import BoltContext

from bolt_app.access.authorization import Action
from bolt_app.blockkit.elements import Reply
from bolt_app.credentials.api_keys import Scope
from bolt_app.senders.registry import secret_for
from bolt_app.services import Services
from bolt_app.slack.credentials.blocks import revoked_reply
from bolt_app.slack.ensure_can_post import ensure_can_post


@dataclass(frozen=True)
class CredentialActions:
    """One person, and the services their actions use."""

    services: Services
    team_id: str
    user_id: str

    @classmethod
    def of(cls, services: Services, context: BoltContext) -> Self:
        """Return the person who sent a Bolt request."""
        return cls(services, context.team_id or "", context.user_id or "")

    def require_admin(self) -> None:
        """Require an admin, by the role that Slack reports at this moment.

        Raises:
            AccessDeniedError: the person is not an admin.
            SlackCallError: Slack did not report the role.
        """
        self.services.access.require_now(self.team_id, self.user_id, Action.ADMINISTER)

    def create_key(
        self,
        name: str,
        scopes: Sequence[Scope],
        channels: Sequence[str],
        lifetime: timedelta | None,
        receipt: str,
    ) -> str:
        """Create an API key and return its secret.

        Args:
            receipt: identifies the request, which creates one key however often it arrives.

        Raises:
            AccessDeniedError: the person is not an admin.
            AlreadyCreatedError: the request has created its key.
        """
        self.require_admin()
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
        self,
        name: str,
        channel_id: str,
        sender: str,
        own_secret: str | None,
        key_field: str | None,
        receipt: str,
    ) -> tuple[str, str | None]:
        """Create a webhook that posts to a channel.

        Args:
            sender: a known sender's name, or `webhooks.AUTO`.
            own_secret: the secret that the sender shows, if it shows one and it is known.
            key_field: the field of a message whose value is the notification's key.
            receipt: identifies the request, which creates one webhook however often it arrives.

        Returns: its URL, and the secret to paste into the sender, if one was generated.

        Raises:
            AccessDeniedError: the person is not an admin.
            NotInvitedError: the bot cannot post to the channel.
            SlackCallError: the channel is archived.
            AlreadyCreatedError: the request has created its webhook.
        """
        self.require_admin()
        ensure_can_post(self.services, self.team_id, channel_id)
        secret = secret_for(sender)
        url = self.services.webhooks.create(
            self.team_id,
            name,
            [channel_id],
            key_field=key_field,
            sender=sender,
            signing_secret=secret or own_secret,
            created_by=self.user_id,
            receipt=receipt,
        )
        return url, secret

    def revoke_key(self, key_id: int) -> Reply:
        """Revoke an API key.

        Raises:
            AccessDeniedError: the person is not an admin.
        """
        self.require_admin()
        name = self.services.api_keys.revoke(key_id, team_id=self.team_id, revoked_by=self.user_id)
        return revoked_reply(self.user_id, "API key", name)

    def revoke_webhook(self, webhook_id: int) -> Reply:
        """Revoke a webhook.

        Raises:
            AccessDeniedError: the person is not an admin.
        """
        self.require_admin()
        name = self.services.webhooks.revoke(
            webhook_id, team_id=self.team_id, revoked_by=self.user_id
        )
        return revoked_reply(self.user_id, "webhook", name)
