"""Everything that API keys and webhooks share: fields, memory of a process, and revocation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, delete, select, update
from sqlalchemy.orm import Session

from bolt_app.client_address import client_address
from bolt_app.clock import Clock, utc_now
from bolt_app.credentials.limits import LIMIT_WORDS
from bolt_app.credentials.secrets import hash_of
from bolt_app.credentials.sources import normal_source
from bolt_app.credentials.webhook_bodies import delete_bodies
from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import ApiKey, CallbackEndpoint, Webhook
from bolt_app.db.receipts import record_effect

MOST_REMEMBERED = 10_000
# The audit event of a revocation, and the name of the credential in it.
_AUDITED: Mapping[type[ApiKey | Webhook], tuple[AuditAction, str]] = {
    ApiKey: (AuditAction.API_KEY_REVOKED, "api_key"),
    Webhook: (AuditAction.WEBHOOK_REVOKED, "webhook"),
}


class _Record(Protocol):
    @property
    def id(self) -> int: ...


R = TypeVar("R", bound=_Record)


class RememberedCredentials(Generic[R]):
    """Credentials that this process has found, by the hash of their secrets.

    They may be revoked by now: the transaction that uses one checks that.
    """

    def __init__(self, clock: Clock = utc_now, *, lifetime: timedelta = timedelta.max) -> None:
        """Remember credentials.

        Args:
            lifetime: after which a credential is to be read again.
        """
        self._clock = clock
        self._lifetime = lifetime
        self._records: dict[str, tuple[R, datetime]] = {}

    def find(self, secret: str) -> R | None:
        """Return the credential with that secret, however old."""
        record, _ = self._records.get(hash_of(secret), (None, None))
        return record

    def is_outdated(self, secret: str) -> bool:
        """Whether the credential with that secret is to be read again."""
        _, at = self._records.get(hash_of(secret), (None, None))
        return at is None or self._clock() - at > self._lifetime

    def add(self, secret: str, record: R) -> None:
        """Remember a credential; too many are all forgotten."""
        secret_hash = hash_of(secret)
        if len(self._records) >= MOST_REMEMBERED and secret_hash not in self._records:
            self._records.clear()
        self._records[secret_hash] = record, self._clock()

    def replace(self, record: R) -> None:
        """Remember the current version of a credential, if it is remembered."""
        for secret_hash, (known, _) in list(self._records.items()):
            if known.id == record.id:
                self._records[secret_hash] = record, self._clock()

    def forget(self, id_: int) -> None:
        """Drop a credential, so that its next request reads it again."""
        for secret_hash, (known, _) in list(self._records.items()):
            if known.id == id_:
                self._records.pop(secret_hash, None)


@dataclass(frozen=True)
class SenderUse:
    """Requests of a credential that exceeded a limit.

    Attributes:
        rejected: their total number.
        at: the time of the latest.
        reason: the limit that the latest exceeded, in words.
    """

    rejected: int = 0
    at: datetime | None = None
    reason: str = ""


def sender_columns(model: type[ApiKey | Webhook]) -> tuple[Any, ...]:
    """Return the columns that `use_of` and the records read."""
    return (
        model.source,
        model.allow_broadcast,
        model.rejected,
        model.rejected_at,
        model.rejected_reason,
    )


def sender_row(source: str | None, *, allow_broadcast: bool) -> Mapping[str, Any]:
    """Return the values of a new credential.

    Raises:
        ValueError: `source` is not a valid source.
    """
    return {
        "source": None if source is None else normal_source(source),
        "allow_broadcast": allow_broadcast,
    }


def use_of(row: Any) -> SenderUse:
    """Return the rejected requests that a row counts."""
    reason = LIMIT_WORDS.get(row.rejected_reason, row.rejected_reason or "")
    return SenderUse(row.rejected, row.rejected_at, reason)


def revoke_row(
    session: Session,
    model: type[ApiKey | Webhook],
    id_: int,
    *,
    team_id: str | None,
    revoked_by: str | None,
    now: datetime,
) -> Row[int, str, str] | None:
    """Revoke an API key or a webhook at someone's request.

    Args:
        team_id: if given, the row must belong to this workspace.
        revoked_by: the id of the person; None for the command line.

    Returns: its workspace and name; None if it does not exist or was already revoked.
    """
    record_effect(session, now, team_id)
    conditions = [model.id == id_]
    if team_id is not None:
        conditions.append(model.team_id == team_id)
    address = client_address()
    revoked = _revoke(session, model, conditions, now, revoked_by=revoked_by, address=address)
    return next(iter(revoked), None)


def lock_credentials(
    connection: Session | Connection, team_ids: Collection[str], *, with_uploads: bool = False
) -> None:
    """Lock the API keys and webhooks of workspaces, before anything that is locked after them.

    The order is that of `limits.py`. Requests wait until the transaction ends.

    Args:
        with_uploads: whether to wait for uploads in progress, too (`hold_key`).
    """
    for model in (ApiKey, Webhook):
        of_teams = is_any_of(model.team_id, values=team_ids)
        found = select(model.id).where(of_teams).order_by(model.id)
        connection.execute(found.with_for_update(key_share=not with_uploads))


def hold_key(connection: Connection, key_id: int) -> None:
    """Keep the workspace of an API key from being erased until the transaction ends.

    The key's other requests and its revocation do not wait.
    """
    held = select(ApiKey.id).where(ApiKey.id == key_id)
    connection.execute(held.with_for_update(read=True, key_share=True))


def creator_of(session: Session, key_id: int) -> str | None:
    """Return the creator of an API key, in a transaction that has locked the key.

    A remembered key may still name a person who has been erased.
    """
    return session.scalar(select(ApiKey.created_by).where(ApiKey.id == key_id))


def revoke_all(session: Session, team_id: str, now: datetime) -> None:
    """Revoke the API keys and webhooks of a workspace, which nobody requested."""
    lock_credentials(session, [team_id])
    for model in (ApiKey, Webhook):
        _revoke(session, model, [model.team_id == team_id], now)


def _revoke(
    session: Session,
    model: type[ApiKey | Webhook],
    conditions: Iterable[ColumnElement[bool]],
    now: datetime,
    *,
    revoked_by: str | None = None,
    address: str | None = None,
) -> Sequence[Row[int, str, str]]:
    """Revoke rows with all that belongs to them, and write the audit events.

    Returns: the id, workspace and name of each.
    """
    statement = (
        update(model)
        .where(*conditions, model.revoked_at.is_(None))
        .values(revoked_at=now, revoked_by=revoked_by)
        .returning(model.id, model.team_id, model.name)
    )
    revoked = session.execute(statement).all()
    ids = [row.id for row in revoked]
    if model is Webhook:
        delete_bodies(session, is_any_of(Webhook.id, values=ids))
    else:
        is_theirs = is_any_of(CallbackEndpoint.api_key_id, values=ids)
        session.execute(delete(CallbackEndpoint).where(is_theirs))
    action, name = _AUDITED[model]
    for row in revoked:
        write_audit(
            session,
            action,
            at=now,
            address=address,
            team_id=row.team_id,
            user_id=revoked_by,
            credential=f"{name}:{row.id}",
        )
    return revoked
