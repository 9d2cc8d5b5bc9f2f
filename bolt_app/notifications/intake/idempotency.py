"""Idempotency keys: a repeated request gets the response of the first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from bolt_app.db.models import IdempotencyKey
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.intake.errors import IdempotencyConflictError
from bolt_app.notifications.intake.planning import Submission
from bolt_app.notifications.intake.results import NewNotification, SubmitResult
from bolt_app.notifications.intake.store import find_deliveries

IDEMPOTENCY_LIFETIME = timedelta(days=1)
_INSERT = {
    dialect.dialect.name: dialect.insert(IdempotencyKey.__table__)
    .on_conflict_do_nothing()
    .returning(IdempotencyKey.key)
    for dialect in (sqlite, postgresql)
}
_FIND = select(IdempotencyKey.body_hash, IdempotencyKey.notification_ids).where(
    IdempotencyKey.owner == bindparam("owner"), IdempotencyKey.key == bindparam("key")
)


def claim_key(
    connection: Connection, submission: Submission, key: str, body_hash: str, now: datetime
) -> SubmitResult | None:
    """Claim a key for a submission.

    Returns: None where the key is now claimed; the first result where it was claimed before.

    Raises:
        IdempotencyConflictError: the key was claimed with another body.
    """
    owner = f"{submission.sender.team_id}/{submission.sender.name}"
    row = {
        "owner": owner,
        "key": key,
        "body_hash": body_hash,
        "notification_ids": " ".join(draft.id for draft in submission.drafts),
        "created_at": now,
    }
    # Of two concurrent requests the second waits here for the first.
    if connection.execute(_INSERT[connection.dialect.name], row).first() is not None:
        return None
    first = connection.execute(_FIND, {"owner": owner, "key": key}).one()
    if first.body_hash != body_hash:
        raise IdempotencyConflictError
    ids = str(first.notification_ids).split()
    found = find_deliveries(connection, ids)
    notifications = [NewNotification(id_, found.get(id_, ())) for id_ in ids]
    return SubmitResult(notifications, is_replay=True)


def hash_requests(requests: Sequence[NotificationRequest]) -> str:
    """Return a hash by which two request bodies are compared."""
    bodies = [request.model_dump(mode="json", exclude_defaults=True) for request in requests]
    return hashlib.sha256(json.dumps(bodies, sort_keys=True).encode()).hexdigest()
