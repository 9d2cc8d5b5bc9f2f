"""Audit rows, written in the transaction of the change that they record."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import insert
from sqlalchemy.orm import Session

from bolt_app.db.models import AuditEvent


class AuditAction(StrEnum):
    """The recorded security events."""

    SIGNED_IN = "signed_in"
    SIGNED_OUT = "signed_out"
    SESSION_ENDED = "session_ended"
    INSTALLED = "installed"
    LINKED = "linked"
    UNLINKED = "unlinked"
    TOKENS_REVOKED = "tokens_revoked"
    UNINSTALLED = "uninstalled"
    ACCOUNTS_JOINED = "accounts_joined"
    API_KEY_CREATED = "api_key_created"
    API_KEY_REVOKED = "api_key_revoked"
    API_KEY_REJECTED = "api_key_rejected"
    WEBHOOK_CREATED = "webhook_created"
    WEBHOOK_REVOKED = "webhook_revoked"
    WEBHOOK_SIGNING_CHANGED = "webhook_signing_changed"
    WEBHOOK_TOPIC_SET = "webhook_topic_set"
    WEBHOOK_TEMPLATE_CHANGED = "webhook_template_changed"
    WEBHOOK_REJECTED = "webhook_rejected"
    CHANNEL_SUBSCRIPTIONS_CHANGED = "channel_subscriptions_changed"


def write_audit(
    session: Session,
    action: AuditAction,
    *,
    at: datetime,
    address: str | None,
    enterprise_id: str | None = None,
    team_id: str | None = None,
    user_id: str | None = None,
    credential: str | None = None,
) -> None:
    """Record a security event.

    Args:
        address: the client's address if the client's request is the event; None if the event only
            happens during the request. People see the events of their account with the addresses.
        user_id: the person who did it; None for the command line.
        credential: the id of the credential, such as `api_key:3`, never its secret; or the
            channel, such as `channel:C123`. An erasure does not reach it: it names no person.
    """
    session.execute(
        insert(AuditEvent).values(
            action=action.value,
            at=at,
            enterprise_id=enterprise_id or None,
            team_id=team_id or None,
            user_id=user_id,
            credential=credential,
            address=address,
            count=1,
        )
    )
