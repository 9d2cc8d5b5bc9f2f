"""Senders of notifications: a credential, a command, or a person in Slack."""

from __future__ import annotations

from dataclasses import dataclass

from bolt_app.credentials.api_keys import ApiKeyRecord
from bolt_app.credentials.sources import Credential, SourceKind, read_default_source
from bolt_app.credentials.webhooks import WebhookRecord


@dataclass(frozen=True)
class Sender:
    """The sender of a notification.

    Attributes:
        name: the entry point: "command", "api_key:3", "hook:1" or "slack:U012".
        source: the source that its keys belong to; empty: `name`.
        credential: charged for the notification, and required to be active when it is stored.
        allow_broadcast: whether it may mention everyone in a channel, or a user group.
    """

    team_id: str
    name: str
    source: str = ""
    credential: Credential | None = None
    allow_broadcast: bool = False

    @property
    def turn(self) -> str:
        """The source whose turn its notifications take; people in Slack share one."""
        kind, _ = read_default_source(self.name)
        return SourceKind.PERSON if kind == SourceKind.PERSON else self.source or self.name

    @classmethod
    def of(cls, record: ApiKeyRecord | WebhookRecord) -> Sender:
        """Return the sender that an API key or webhook authenticates."""
        return cls(
            record.team_id,
            record.credential.name,
            record.source,
            record.credential,
            record.allow_broadcast,
        )
