"""Hooks: addresses that take what a Slack incoming webhook takes.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import Hook
from bolt_app.db.receipts import record_effect
from bolt_app.news import News
from bolt_app.notifications.addresses import normal_address
from bolt_app.notifications.making import check_made_once
from bolt_app.notifications.secret_text import hash_of, new_hook_secret

HOOKS_PATH = "/hooks/"

_COLUMNS = (
    Hook.id,
    Hook.team_id,
    Hook.name,
    Hook.target,
    Hook.created_at,
    Hook.created_by,
    Hook.revoked_at,
    Hook.revoked_by,
)
# Read for every request, and so put together once.
_FIND = select(*_COLUMNS).where(Hook.secret_hash == bindparam("secret_hash"))


@dataclass(frozen=True)
class HookRecord:
    """What is known of a hook, which is all but its secret.

    Attributes:
        to: the addresses that what it takes is for.
        created_by: the person's id, as `revoked_by`; None for the command line.
    """

    id: int
    team_id: str
    name: str
    to: tuple[str, ...]
    created_at: datetime
    created_by: str | None
    revoked_at: datetime | None
    revoked_by: str | None

    @property
    def source(self) -> str:
        """What the notifications it takes have for their source."""
        return f"hook:{self.id}"


class Hooks:
    """The hooks of all workspaces."""

    def __init__(
        self,
        database: Database,
        public_url: str,
        news: News | None = None,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._public_url = public_url
        self._news = news or News()
        self._clock = clock

    def create(
        self,
        team_id: str,
        name: str,
        to: Sequence[str],
        *,
        created_by: str | None = None,
        receipt: str | None = None,
    ) -> str:
        """Make a hook and return its address, which nobody can find out later.

        Args:
            created_by: the person's id; None for the command line.
            receipt: names the request: of those with one receipt only the first makes a hook.

        Raises:
            ValueError: one of `to` is no address.
            MadeAlreadyError: a request with this receipt made its hook.
        """
        secret, now = new_hook_secret(), self._clock()
        row = {
            "team_id": team_id,
            "name": name,
            "secret_hash": hash_of(secret),
            "target": " ".join(dict.fromkeys(map(normal_address, to))),
            "created_at": now,
            "created_by": created_by,
        }
        with self._database.writing() as session:
            check_made_once(session, receipt, now)
            session.execute(insert(Hook).values(row))
        self._news.tell_admins(team_id)
        return f"{self._public_url}{HOOKS_PATH}{secret}"

    def find(self, secret: str) -> HookRecord | None:
        """Return the hook with that secret, revoked or not."""
        with self._database.reading_connection() as connection:
            row = connection.execute(_FIND, {"secret_hash": hash_of(secret)}).first()
        return None if row is None else _record(row)

    def of_team(self, team_id: str) -> list[HookRecord]:
        """Return the hooks of a workspace, the oldest first."""
        statement = select(*_COLUMNS).where(Hook.team_id == team_id).order_by(Hook.id)
        with self._database.reading() as session:
            return [_record(row) for row in session.execute(statement)]

    def revoke(
        self, hook_id: int, *, team_id: str | None = None, revoked_by: str | None = None
    ) -> str | None:
        """Let a hook take nothing any more.

        Args:
            team_id: only where it is a hook of this workspace.
            revoked_by: the person's id; None for the command line.

        Returns: its name; None where there is no such hook, or it was revoked before.
        """
        good = [Hook.id == hook_id, Hook.revoked_at.is_(None)]
        if team_id is not None:
            good.append(Hook.team_id == team_id)
        statement = (
            update(Hook)
            .where(*good)
            .values(revoked_at=self._clock(), revoked_by=revoked_by)
            .returning(Hook.team_id, Hook.name)
        )
        with self._database.writing() as session:
            record_effect(session, self._clock())
            revoked = session.execute(statement).first()
        if revoked is None:
            return None
        self._news.tell_admins(revoked.team_id)
        name: str = revoked.name
        return name


def _record(row: Any) -> HookRecord:
    return HookRecord(
        id=row.id,
        team_id=row.team_id,
        name=row.name,
        to=tuple(row.target.split()),
        created_at=row.created_at,
        created_by=row.created_by,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
    )
