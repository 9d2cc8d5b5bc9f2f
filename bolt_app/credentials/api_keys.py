"""Keys of the HTTP API: made, listed, revoked, and found by what a request brings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from sqlalchemy import bindparam, delete, insert, select, update

from bolt_app.clock import Clock, utc_now
from bolt_app.credentials.create_once import check_created_once
from bolt_app.credentials.records import (
    SenderUse,
    sender_columns,
    sender_row,
    use_of,
)
from bolt_app.credentials.secrets import hash_of, new_api_key
from bolt_app.credentials.sources import Credential
from bolt_app.db import Database, PreparedSelect
from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.models import ApiKey, CallbackEndpoint
from bolt_app.db.receipts import record_effect
from bolt_app.recipients import normal_address
from bolt_app.signals import Signals
from bolt_app.text_forms import visible

Scope = Literal["send", "read", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
DEFAULT_SCOPES: tuple[Scope, ...] = ("send", "read")
# Of a key that is limited to some channels.
LIMITED_SCOPES: tuple[Scope, ...] = ("send",)

MOST_REMEMBERED = 10_000

_COLUMNS = (
    ApiKey.id,
    ApiKey.team_id,
    ApiKey.name,
    ApiKey.scopes,
    ApiKey.channels,
    ApiKey.created_at,
    ApiKey.created_by,
    ApiKey.expires_at,
    ApiKey.revoked_at,
    ApiKey.revoked_by,
    *sender_columns(ApiKey),
)
# Read for every request, and so put together once.
_FIND = select(*_COLUMNS).where(ApiKey.secret_hash == bindparam("secret_hash"))
# Read for every App Home of an admin.
_OF_TEAM = PreparedSelect(
    select(*_COLUMNS).where(ApiKey.team_id == bindparam("team_id")).order_by(ApiKey.id)
)


@dataclass(frozen=True)
class ApiKeyRecord:
    """What is known of a key, which is all but its text.

    Attributes:
        scopes: what it may do; `admin` may do everything.
        channels: the addresses it may send to; empty means anywhere.
        created_by: the person's id, as `revoked_by`; None for the command line.
        own_source: the source it was made for; None where it has one that is named after it.
        allow_broadcast: whether it may call everybody in a channel, or a user group.
    """

    id: int
    team_id: str
    name: str
    scopes: frozenset[str]
    channels: tuple[str, ...]
    created_at: datetime
    created_by: str | None
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None
    own_source: str | None
    allow_broadcast: bool
    use: SenderUse = field(compare=False)

    @property
    def credential(self) -> Credential:
        """The key as what it sends is stored with, and charged to."""
        return Credential("api_key", self.id)

    @property
    def source(self) -> str:
        """The source of what it sends, which other keys and hooks may share."""
        return self.own_source or self.credential.name

    @property
    def is_personal(self) -> bool:
        """Whether a person made it in Slack, and not an operator on the command line."""
        return self.created_by is not None

    @property
    def manages_all(self) -> bool:
        """Whether it may change what other sources have sent, anywhere."""
        return self.may("admin") and not self.channels

    def may(self, scope: Scope) -> bool:
        """Whether it has `scope`."""
        return scope in self.scopes or "admin" in self.scopes

    def forbidden(self, addresses: Iterable[str]) -> list[str]:
        """Return those of the addresses that it may not send to."""
        if not self.channels:
            return []
        return [one for one in addresses if one not in self.channels]

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Return whether it is good for anything."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return "active"


class ApiKeys:
    """The API keys of all workspaces."""

    def __init__(
        self, database: Database, signals: Signals | None = None, *, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._signals = signals or Signals()
        self._clock = clock
        # By the hashes of their texts. A key only changes where it is revoked, or one
        # of its channels gets another id.
        self._remembered: dict[str, ApiKeyRecord] = {}

    def create(
        self,
        team_id: str,
        name: str,
        *,
        scopes: Sequence[Scope] | None = None,
        channels: Sequence[str] = (),
        lifetime: timedelta | None = None,
        source: str | None = None,
        allow_broadcast: bool = False,
        created_by: str | None = None,
        receipt: str | None = None,
    ) -> str:
        """Make a key and return its text, which nobody can find out later.

        Args:
            scopes: default: `send` and `read`; `send` alone where `channels` limits it.
            channels: the addresses it may send to; none means anywhere.
            source: shared with other keys and hooks; None for one of its own.
            allow_broadcast: whether it may call everybody in a channel, or a user group.
            lifetime: how long it is good for; None means until it is revoked.
            created_by: the person's id; None for the command line.
            receipt: names the request: of those with one receipt only the first makes a key.

        Raises:
            ValueError: one of `channels` is not an address, or `source` is not a source.
            AlreadyCreatedError: a request with this receipt made its key.
        """
        secret, now = new_api_key(), self._clock()
        if scopes is None:
            scopes = LIMITED_SCOPES if channels else DEFAULT_SCOPES
        row = {
            "team_id": team_id,
            "name": visible(name),
            "secret_hash": hash_of(secret),
            "scopes": " ".join(one for one in SCOPES if one in scopes),
            "channels": " ".join(dict.fromkeys(map(normal_address, channels))),
            "created_at": now,
            "created_by": created_by,
            "expires_at": None if lifetime is None else now + lifetime,
            **sender_row(source, allow_broadcast=allow_broadcast),
        }
        with self._database.writing() as session:
            check_created_once(session, receipt, now)
            key_id = session.scalars(insert(ApiKey).values(row).returning(ApiKey.id)).one()
            write_audit(
                session,
                AuditAction.API_KEY_CREATED,
                at=now,
                team_id=team_id,
                user_id=created_by,
                credential=f"api_key:{key_id}",
            )
        self._signals.admin_data_changed(team_id)
        return secret

    def find(self, secret: str) -> ApiKeyRecord | None:
        """Return the key with that text, whatever its state."""
        secret_hash = hash_of(secret)
        with self._database.reading_connection() as connection:
            row = connection.execute(_FIND, {"secret_hash": secret_hash}).first()
        found = None if row is None else _record(row)
        if found is not None and found.revoked_at is None:
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[secret_hash] = found
        return found

    def remembered(self, secret: str) -> ApiKeyRecord | None:
        """Return the key with that text where this process has found it before."""
        return self._remembered.get(hash_of(secret))

    def remember(self, secret: str) -> ApiKeyRecord | None:
        """Return the key with that text, as `find`, though it may have been revoked since.

        For what is going to look at `revoked_at` in a transaction of its own.
        """
        return self.remembered(secret) or self.find(secret)

    def forget(self, key_id: int) -> None:
        """Read a key again with its next request: it turned out to be revoked."""
        for secret_hash, known in list(self._remembered.items()):
            if known.id == key_id:
                self._remembered.pop(secret_hash, None)

    def read_again(self, known: ApiKeyRecord) -> ApiKeyRecord:
        """Return a key as it is stored now."""
        self.forget(known.id)
        mine = select(*_COLUMNS).where(ApiKey.id == known.id)
        with self._database.reading_connection() as connection:
            row = connection.execute(mine).first()
        return known if row is None else _record(row)

    def of_team(self, team_id: str) -> list[ApiKeyRecord]:
        """Return the keys of a workspace, the oldest first."""
        return [_record(row) for row in self._database.fetch(_OF_TEAM, {"team_id": team_id})]

    def revoke(
        self, key_id: int, *, team_id: str | None = None, revoked_by: str | None = None
    ) -> str | None:
        """Make a key useless from the next request on.

        The system that has it is told no more, either.

        Args:
            team_id: only where it is a key of this workspace.
            revoked_by: the person's id; None for the command line.

        Returns: its name; None where there is no such key, or it was revoked before.
        """
        good = [ApiKey.id == key_id, ApiKey.revoked_at.is_(None)]
        if team_id is not None:
            good.append(ApiKey.team_id == team_id)
        now = self._clock()
        statement = (
            update(ApiKey)
            .where(*good)
            .values(revoked_at=now, revoked_by=revoked_by)
            .returning(ApiKey.team_id, ApiKey.name)
        )
        endpoint = delete(CallbackEndpoint).where(CallbackEndpoint.api_key_id == key_id)
        with self._database.writing() as session:
            record_effect(session, self._clock())
            revoked = session.execute(statement).first()
            if revoked is None:
                return None
            session.execute(endpoint)
            write_audit(
                session,
                AuditAction.API_KEY_REVOKED,
                at=now,
                team_id=revoked.team_id,
                user_id=revoked_by,
                credential=f"api_key:{key_id}",
            )
        self._signals.admin_data_changed(revoked.team_id)
        name: str = revoked.name
        return name


def _record(row: Any) -> ApiKeyRecord:
    return ApiKeyRecord(
        id=row.id,
        team_id=row.team_id,
        name=row.name,
        scopes=frozenset(row.scopes.split()),
        channels=tuple(row.channels.split()),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
        own_source=row.source,
        allow_broadcast=row.allow_broadcast,
        use=use_of(row),
    )
