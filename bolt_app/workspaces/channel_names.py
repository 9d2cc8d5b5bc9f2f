"""Resolution of channel names, including names that several channels share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select

from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import Channel

# Archived channels come last, before them private ones. Only the first of each name counts.
_NAMED = (
    select(Channel.name, Channel.channel_id)
    .where(
        Channel.team_id == bindparam("team_id"),
        is_any_of(Channel.name, "names"),
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


def renamed_among(
    connection: Connection, team_id: str, named: Mapping[str, str]
) -> Collection[str]:
    """Return the channels, among some, that do not have their name any more.

    A channel that is not listed has its name as long as no other one has it.

    Args:
        named: `#name` by channel id.
    """
    if not named:
        return ()
    current = find_named(connection, team_id, {name[1:] for name in named.values()})
    is_among = (Channel.team_id == team_id, is_any_of(Channel.channel_id, values=named))
    names = select(Channel.channel_id, Channel.name).where(*is_among)
    listed = {id_: name for id_, name in connection.execute(names)}
    return [
        id_
        for id_, name in named.items()
        if listed.get(id_, name[1:]) != name[1:] or current.get(name[1:], id_) != id_
    ]
