"""Sources: names of senders that survive the rotation of their API keys and webhooks.

A credential without an explicit source has one named after it, such as `api_key:3`. Credentials
with the same source share their notifications and their notification keys. A stored key is prefixed
with its source, so equal keys of two sources do not collide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from sqlalchemy import ColumnElement, Connection, bindparam, func, select

from bolt_app.db.models import ApiKey, Delivery, Notification, Webhook
from bolt_app.text_forms import visible


class SourceKind(StrEnum):
    """Kind of a sender: the default source of one is its kind, or its kind and its id."""

    API_KEY = "api_key"
    WEBHOOK = "hook"
    PERSON = "slack"
    COMMAND = "command"
    WORKFLOW = "workflow"
    DIGEST = "digest"
    LIFECYCLE = "lifecycle"


CredentialKind = Literal[SourceKind.API_KEY, SourceKind.WEBHOOK]
SOURCE_LENGTH = 64
SOURCE_PATTERN = r"^[A-Za-z0-9_.:-]{1,64}$"
_SOURCE = re.compile(SOURCE_PATTERN)
# No source contains it, so the first one ends the source.
_SEPARATOR = "|"
_MODELS: dict[CredentialKind, type[ApiKey | Webhook]] = {
    SourceKind.API_KEY: ApiKey,
    SourceKind.WEBHOOK: Webhook,
}
_OF_TEAM = {
    kind: select(model.id, model.source).where(model.team_id == bindparam("team_id"))
    for kind, model in _MODELS.items()
}


@dataclass(frozen=True, order=True)
class Credential:
    """An API key or webhook, by its id."""

    kind: CredentialKind
    id: int

    @property
    def name(self) -> str:
        """The name stored with its notifications, and the name of its default source."""
        return f"{self.kind}:{self.id}"


def person_source(user_id: str) -> str:
    """Return the source of what a person sends in Slack."""
    return f"{SourceKind.PERSON}:{user_id}"


def read_default_source(name: str) -> tuple[SourceKind | None, str]:
    """Return the kind and the id, which may be empty, in the name of a default source."""
    kind, _, id_ = name.partition(":")
    return (SourceKind(kind) if kind in tuple(SourceKind) else None), id_


def normal_source(value: str) -> str:
    """Return a source's name as it is stored.

    Raises:
        ValueError: it is not a valid source.
    """
    name = visible(value)
    if not _SOURCE.fullmatch(name):
        raise ValueError(
            f"{name[:80]!r} is not a source: use up to {SOURCE_LENGTH} letters, digits and - _ . :"
        )
    return name


def stored_key(source: str, key: str) -> str:
    """Return a notification's key as it is stored, prefixed with its source."""
    return f"{source}{_SEPARATOR}{key}"


def plain_key(stored: str) -> str:
    """Return a notification's key as its sender gave it."""
    _, separator, key = stored.partition(_SEPARATOR)
    return key if separator else stored


def credentials_of(connection: Connection, team_id: str, source: str) -> frozenset[str]:
    """Return the names of a workspace's credentials that share a source, revoked or not."""
    known = sources_of(connection, team_id)
    return frozenset(name for name, other in known.items() if other == source)


def stored_keys(connection: Connection, team_id: str, key: str) -> list[str]:
    """Return the forms a key may have in a workspace: one per source, and the plain id."""
    sources = {*sources_of(connection, team_id).values(), SourceKind.COMMAND, SourceKind.WORKFLOW}
    return [key, *(stored_key(source, key) for source in sorted(sources))]


def is_delivery_of(credential: str | ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that a credential caused a delivery, joined with its notification.

    Args:
        credential: its name, or a parameter.
    """
    return func.coalesce(Delivery.changed_by, Notification.source) == credential


def sources_of(connection: Connection, team_id: str) -> dict[str, str]:
    """Return the sources of a workspace's credentials, by credential name."""
    found = {}
    for kind, statement in _OF_TEAM.items():
        for id_, source in connection.execute(statement, {"team_id": team_id}):
            name = Credential(kind, id_).name
            found[name] = source or name
    return found
