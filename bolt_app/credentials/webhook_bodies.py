"""The latest bodies of each webhook, for admins: encrypted, and deleted after a day."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    bindparam,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import Webhook, WebhookBody

KEPT = 10
LIFETIME = timedelta(days=1)
# In characters of JSON; of a longer body the beginning is kept.
LENGTH = 64 * 1024

_TABLE: Any = WebhookBody.__table__
_NEXT = (
    select(func.coalesce(func.max(WebhookBody.number), 0) + 1)
    .where(WebhookBody.webhook_id == bindparam("of_webhook"))
    .scalar_subquery()
)
_VALUES = {
    "webhook_id": bindparam("of_webhook"),
    "slot": _NEXT % KEPT,
    "number": _NEXT,
    # Encrypted before the transaction.
    "body": bindparam("sealed_body", type_=Text),
    "is_cut": bindparam("cut"),
    "problem": bindparam("sealed_problem", type_=Text),
    "received_at": bindparam("now"),
}
_REPLACED = ("number", "body", "is_cut", "problem", "received_at")


def _record_statement(dialect: Any) -> Any:
    statement = dialect.insert(_TABLE).values(_VALUES)
    return statement.on_conflict_do_update(
        index_elements=["webhook_id", "slot"],
        set_={name: statement.excluded[name] for name in _REPLACED},
    )


# Prepared once, because they run for every body.
_RECORD = {dialect.dialect.name: _record_statement(dialect) for dialect in (sqlite, postgresql)}
_COUNT_UNRECOGNIZED = (
    update(Webhook.__table__)  # type: ignore[arg-type]
    .where(Webhook.id == bindparam("of_webhook"))
    .values(unrecognized=Webhook.unrecognized + bindparam("more"), unrecognized_at=bindparam("now"))
)


@dataclass(frozen=True)
class SealedBody:
    """A body, encrypted and ready to be recorded.

    Attributes:
        problem: why no mapping understood it, encrypted; None if one did.
    """

    webhook_id: int
    body: str = field(repr=False)
    is_cut: bool
    problem: str | None = field(repr=False)


@dataclass(frozen=True)
class RecordedBody:
    """A recorded body.

    Attributes:
        number: counts the bodies of the webhook since its first.
        written: its JSON; the beginning of it if `is_cut`.
        problem: why no mapping understood it; None if one did.
    """

    number: int
    written: str = field(repr=False)
    is_cut: bool
    problem: str | None = field(repr=False)
    received_at: datetime

    @property
    def value(self) -> Any:
        """The body as it was read from JSON or a form; None if it is cut."""
        return None if self.is_cut else json.loads(self.written)


class WebhookBodies:
    """The latest bodies of the webhooks of all workspaces."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def seal(self, webhook_id: int, body: Any, problem: str | None = None) -> SealedBody:
        """Encrypt a body for `record_bodies`.

        Args:
            body: any JSON value.
            problem: why no mapping understood it.
        """
        written = json.dumps(body, ensure_ascii=False)
        encrypt = self._database.cipher.encrypt
        sealed_problem = None if problem is None else encrypt(problem)
        is_cut = len(written) > LENGTH
        return SealedBody(webhook_id, encrypt(written[:LENGTH]), is_cut, sealed_problem)

    def of_webhook(self, webhook_id: int) -> list[RecordedBody]:
        """Return the recorded bodies of a webhook, latest first."""
        is_kept = WebhookBody.received_at >= self._clock() - LIFETIME
        statement = (
            select(
                WebhookBody.number,
                WebhookBody.body,
                WebhookBody.is_cut,
                WebhookBody.problem,
                WebhookBody.received_at,
            )
            .where(WebhookBody.webhook_id == webhook_id, is_kept)
            .order_by(WebhookBody.number.desc())
        )
        with self._database.reading_connection() as connection:
            return [RecordedBody(*row) for row in connection.execute(statement)]

    def delete_expired(self) -> int:
        """Delete bodies older than `LIFETIME`; return their number."""
        old = WebhookBody.received_at < self._clock() - LIFETIME
        with self._database.writing_connection() as connection:
            return connection.execute(delete(WebhookBody).where(old)).rowcount


def record_bodies(connection: Connection, bodies: Sequence[SealedBody], now: datetime) -> None:
    """Record bodies in the transaction that accepts them, and count those without a mapping.

    Each webhook keeps its latest `KEPT`. Its row must be locked by now, so that numbers are unique.
    """
    by_webhook: dict[int, list[SealedBody]] = defaultdict(list)
    for body in bodies:
        by_webhook[body.webhook_id].append(body)
    rows = [
        {
            "of_webhook": body.webhook_id,
            "sealed_body": body.body,
            "cut": body.is_cut,
            "sealed_problem": body.problem,
            "now": now,
        }
        for received in by_webhook.values()
        for body in received[-KEPT:]
    ]
    if rows:
        connection.execute(_RECORD[connection.dialect.name], rows)
    for webhook_id, received in by_webhook.items():
        unrecognized = sum(body.problem is not None for body in received)
        if unrecognized:
            values = {"of_webhook": webhook_id, "more": unrecognized, "now": now}
            connection.execute(_COUNT_UNRECOGNIZED, values)


def delete_bodies(session: Session, webhooks: ColumnElement[bool]) -> None:
    """Delete the recorded bodies of webhooks.

    The webhooks or their workspace's queue must be locked: bodies are recorded under both locks.

    Args:
        webhooks: a condition on `Webhook`.
    """
    ids = session.scalars(select(Webhook.id).where(webhooks)).all()
    session.execute(delete(WebhookBody).where(is_any_of(WebhookBody.webhook_id, values=ids)))
