"""Resolution of channel names, including names that several channels share."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select

from bolt_app.db.models import Channel

# Archived channels come last, before them private ones. Only the first of each name counts.
_NAMED = (
    select(Channel.name, Channel.channel_id)
    .where(
        Channel.team_id == bindparam("team_id"),
        Channel.name.in_(bindparam("names", expanding=True)),
    )
    .order_by(Channel.is_archived, Channel.is_private, Channel.channel_id)
)


def named_channels(*conditions: Any) -> Select[str, str]:
    """Return a statement for `find_named` that is limited by conditions."""
    return _NAMED.where(*conditions)


def find_named(
    connection: Connection,
    team_id: str,
    names: Collection[str],
    statement: Select[str, str] = _NAMED,
) -> dict[str, str]:
    """Return the ids of known channels by name (without `#`)."""
    if not names:
        return {}
    found: dict[str, str] = {}
    for name, channel_id in connection.execute(statement, {"team_id": team_id, "names": [*names]}):
        found.setdefault(name, channel_id)
    return found
