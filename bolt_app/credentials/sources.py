"""Sources: names of senders that survive the rotation of their API keys and hooks.

A credential without a source of its own has one that is named after it, as in `api_key:3`.
Credentials with the same source share what they sent and the keys of their notifications: a key is
stored behind the name of its source, so that equal keys of two sources are two keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, bindparam, select

from bolt_app.db.models import ApiKey, Hook
from bolt_app.text_forms import visible

CredentialKind = Literal["api_key", "hook"]
COMMAND, WORKFLOW = "command", "workflow"
SOURCE_LENGTH = 64
SOURCE_PATTERN = r"^[A-Za-z0-9_.:-]{1,64}$"
_SOURCE = re.compile(SOURCE_PATTERN)
# In no source, and so the first one ends it.
_SEPARATOR = "|"
_MODELS: dict[CredentialKind, type[ApiKey | Hook]] = {"api_key": ApiKey, "hook": Hook}
_OF_TEAM = {
    kind: select(model.id, model.source).where(model.team_id == bindparam("team_id"))
    for kind, model in _MODELS.items()
}


@dataclass(frozen=True, order=True)
class Credential:
    """An API key or hook, by its id."""

    kind: CredentialKind
    id: int

    @property
    def name(self) -> str:
        """The name that its notifications are stored with, and of its own source."""
        return f"{self.kind}:{self.id}"


def normal_source(value: str) -> str:
    """Return a source's name as it is stored.

    Raises:
        ValueError: it is not one.
    """
    name = visible(value)
    if not _SOURCE.fullmatch(name):
        raise ValueError(
            f"{name[:80]!r} is not a source: give up to {SOURCE_LENGTH} letters, digits, and any "
            "of - _ . :"
        )
    return name


def stored_key(source: str, key: str) -> str:
    """Return a notification's key as it is stored: it belongs to its source."""
    return f"{source}{_SEPARATOR}{key}"


def plain_key(stored: str) -> str:
    """Return a notification's key as its sender gave it."""
    _, separator, key = stored.partition(_SEPARATOR)
    return key if separator else stored


def source_of_key(stored: str) -> str | None:
    """Return the source that a stored key belongs to; None where it is a notification's id."""
    source, separator, _ = stored.partition(_SEPARATOR)
    return source if separator else None


def credentials_of(connection: Connection, team_id: str, source: str) -> frozenset[str]:
    """Return the names of a workspace's credentials that share a source, revoked or not."""
    known = sources_of(connection, team_id)
    return frozenset(name for name, its in known.items() if its == source)


def stored_keys(connection: Connection, team_id: str, key: str) -> list[str]:
    """Return how a key may be stored in a workspace: once for each source, and as an id."""
    sources = {*sources_of(connection, team_id).values(), COMMAND, WORKFLOW}
    return [key, *(stored_key(source, key) for source in sorted(sources))]


def sources_of(connection: Connection, team_id: str) -> dict[str, str]:
    """Return the source of each of a workspace's credentials, by their names."""
    found = {}
    for kind, statement in _OF_TEAM.items():
        for id_, source in connection.execute(statement, {"team_id": team_id}):
            name = Credential(kind, id_).name
            found[name] = source or name
    return found
