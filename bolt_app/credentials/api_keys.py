"""API keys: creation, lookup by secret, listing and revocation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, insert, select

from bolt_app.client_address import client_address
from bolt_app.clock import Clock, utc_now
from bolt_app.credentials.create_once import check_created_once
from bolt_app.credentials.records import (
    RememberedCredentials,
    SenderUse,
    revoke_row,
    sender_columns,
    sender_row,
    use_of,
)
from bolt_app.credentials.secrets import hash_of, new_api_key
from bolt_app.credentials.sources import Credential, SourceKind
from bolt_app.db import Database, PreparedSelect
from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.models import ApiKey
from bolt_app.recipients import normal_address
from bolt_app.signals import Signals
from bolt_app.text_forms import visible


class Scope(StrEnum):
    """A permission of an API key; ADMIN includes SEND and READ.

    USERS is about personal data: only the command line gives it.
    """

    SEND = "send"
    READ = "read"
    ADMIN = "admin"
    USERS = "users"


class ApiKeyState(StrEnum):
    """State of an API key."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


# The scopes of keys that people create in Slack.
PERSONAL_SCOPES = (Scope.SEND, Scope.READ, Scope.ADMIN)
DEFAULT_SCOPES = (Scope.SEND, Scope.READ)
# Default scopes of a key that is limited to some channels.
LIMITED_SCOPES = (Scope.SEND,)

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
# Prepared once, because it runs for every request.
_FIND = select(*_COLUMNS).where(ApiKey.secret_hash == bindparam("secret_hash"))
# Prepared once, because it runs for every App Home of an admin.
_OF_TEAM = PreparedSelect(
    select(*_COLUMNS).where(ApiKey.team_id == bindparam("team_id")).order_by(ApiKey.id)
)


@dataclass(frozen=True)
class ApiKeyRecord:
    """An API key without its secret.

    Attributes:
        scopes: its permissions; `admin` includes all others except `users`.
        channels: the addresses it may send to; empty means anywhere.
        created_by: the id of the person, like `revoked_by`; None for the command line.
        own_source: its explicit source; None for the default, which is named after it.
        allow_broadcast: whether it may mention everyone in a channel, or a user group.
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
        """The credential stored with its notifications and charged for them."""
        return Credential(SourceKind.API_KEY, self.id)

    @property
    def source(self) -> str:
        """The source of its notifications, which other API keys and webhooks may share."""
        return self.own_source or self.credential.name

    @property
    def is_personal(self) -> bool:
        """Whether a person created it in Slack, rather than an operator on the command line."""
        return self.created_by is not None

    @property
    def reads_all(self) -> bool:
        """Whether it may read all notifications of its workspace, and where they went."""
        return self.may(Scope.READ) and not self.channels and not self.is_personal

    @property
    def creates_webhooks(self) -> bool:
        """Whether it may create webhooks, which remain after it is revoked."""
        return self.may(Scope.ADMIN) and not self.channels

    @property
    def sends_for_all(self) -> bool:
        """Whether it may name another source, whose incidents its notifications show and end."""
        return self.creates_webhooks and not self.is_personal

    def may(self, scope: Scope) -> bool:
        """Whether it has `scope`."""
        return scope in self.scopes or (Scope.ADMIN in self.scopes and scope != Scope.USERS)

    def forbidden(self, addresses: Iterable[str]) -> list[str]:
        """Return the addresses that it may not send to."""
        if not self.channels:
            return []
        return [address for address in addresses if address not in self.channels]

    def state(self, now: datetime) -> ApiKeyState:
        """Return its state at a point in time."""
        if self.revoked_at is not None:
            return ApiKeyState.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return ApiKeyState.EXPIRED
        return ApiKeyState.ACTIVE


class ApiKeys:
    """The API keys of all workspaces."""

    def __init__(
        self, database: Database, signals: Signals | None = None, *, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._signals = signals or Signals()
        self._clock = clock
        # By the hash of the secret. A key changes only if it is revoked, if the id of one of its
        # channels changes, or if its creator is erased: `creator_of` returns the current one.
        self._remembered = RememberedCredentials[ApiKeyRecord]()

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
        """Create a key and return its secret, which is not stored and cannot be shown again.

        Args:
            scopes: default: `send` and `read`; `send` alone where `channels` limits it.
            channels: the addresses it may send to; none means anywhere.
            source: shared with other API keys and webhooks; None for the default.
            allow_broadcast: whether it may mention everyone in a channel, or a user group.
            lifetime: how long it is valid; None means until it is revoked.
            created_by: the id of the person; None for the command line.
            receipt: identifies the request; only the first request with a receipt creates a key.

        Raises:
            ValueError: one of `channels` is not an address, or `source` is not a source.
            AlreadyCreatedError: an earlier request with this receipt created its key.
        """
        secret, now = new_api_key(), self._clock()
        if scopes is None:
            scopes = LIMITED_SCOPES if channels else DEFAULT_SCOPES
        row = {
            "team_id": team_id,
            "name": visible(name),
            "secret_hash": hash_of(secret),
            "scopes": " ".join(scope for scope in Scope if scope in scopes),
            "channels": " ".join(dict.fromkeys(map(normal_address, channels))),
            "created_at": now,
            "created_by": created_by,
            "expires_at": None if lifetime is None else now + lifetime,
            **sender_row(source, allow_broadcast=allow_broadcast),
        }
        with self._database.writing() as session:
            check_created_once(session, team_id, receipt, now)
            key_id = session.scalars(insert(ApiKey).values(row).returning(ApiKey.id)).one()
            write_audit(
                session,
                AuditAction.API_KEY_CREATED,
                at=now,
                address=client_address(),
                team_id=team_id,
                user_id=created_by,
                credential=f"api_key:{key_id}",
            )
        self._signals.admin_data_changed(team_id)
        return secret

    def find(self, secret: str) -> ApiKeyRecord | None:
        """Return the key with that secret, in any state."""
        with self._database.reading_connection() as connection:
            row = connection.execute(_FIND, {"secret_hash": hash_of(secret)}).first()
        found = None if row is None else _record(row)
        if found is not None and found.revoked_at is None:
            self._remembered.add(secret, found)
        return found

    def remembered(self, secret: str) -> ApiKeyRecord | None:
        """Return the key with that secret if this process has found it before."""
        return self._remembered.find(secret)

    def remember(self, secret: str) -> ApiKeyRecord | None:
        """Return the key with that secret, from memory if possible; it may be revoked by now.

        For callers that check `revoked_at` in their own transaction.
        """
        return self.remembered(secret) or self.find(secret)

    def forget(self, key_id: int) -> None:
        """Drop a key from memory, so that its next request reads it again."""
        self._remembered.forget(key_id)

    def read_again(self, known: ApiKeyRecord) -> ApiKeyRecord:
        """Return the current stored version of a key."""
        statement = select(*_COLUMNS).where(ApiKey.id == known.id)
        with self._database.reading_connection() as connection:
            row = connection.execute(statement).first()
        current = known if row is None else _record(row)
        if row is None or current.revoked_at is not None:
            self.forget(known.id)
        else:
            # Not forgotten: its next request would be a guess.
            self._remembered.replace(current)
        return current

    def of_team(self, team_id: str) -> list[ApiKeyRecord]:
        """Return the keys of a workspace, oldest first."""
        return [_record(row) for row in self._database.fetch(_OF_TEAM, {"team_id": team_id})]

    def revoke(
        self, key_id: int, *, team_id: str | None = None, revoked_by: str | None = None
    ) -> str | None:
        """Revoke a key, and delete its callback endpoint.

        Args:
            team_id: if given, the key must belong to this workspace.
            revoked_by: the id of the person; None for the command line.

        Returns: its name; None if it does not exist or was already revoked.
        """
        with self._database.writing() as session:
            revoked = revoke_row(
                session,
                ApiKey,
                key_id,
                team_id=team_id,
                revoked_by=revoked_by,
                now=self._clock(),
            )
        if revoked is None:
            return None
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
