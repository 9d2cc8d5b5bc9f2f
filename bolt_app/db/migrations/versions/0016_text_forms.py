"""names, addresses and filters in one form: composed, in lower case, without invisible characters

Texts that look the same were stored differently. Of subscriptions that become equal the latest
change is kept; queues that become equal are merged. Notification keys, idempotency keys, sources
and secrets are unchanged.

Revision: 0016
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_TYPED = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-"),
        **dict.fromkeys("\u2018\u2019\u201a\u201b", "'"),
    }
)
_WORD = r'(?:"[^"]*"|[^\s"=:<>!,]+)'
_VALUE = r'(?:"[^"]*"|[^\s",]+)'
_CONDITION = re.compile(rf"({_WORD})(>=|<=|!=|=|<|>)({_VALUE}(?:,{_VALUE})*)(?:\s|$)")
_PLAIN = re.compile(r"[\w.@/][\w.@/:-]*")

_channels = sa.table(
    "channels", sa.column("team_id"), sa.column("channel_id"), sa.column("name", sa.Text)
)
_users = sa.table("users", sa.column("id"), sa.column("email", sa.Text))
_api_keys = sa.table(
    "api_keys", sa.column("id"), sa.column("name", sa.Text), sa.column("channels", sa.Text)
)
_hooks = sa.table(
    "hooks", sa.column("id"), sa.column("name", sa.Text), sa.column("target", sa.Text)
)
_lanes = sa.table(
    "lanes",
    sa.column("id", sa.Integer),
    sa.column("team_id", sa.String),
    sa.column("address", sa.Text),
    sa.column("wake_at", sa.DateTime(timezone=True)),
    sa.column("is_erasable", sa.Boolean),
)
_deliveries = sa.table(
    "deliveries",
    sa.column("lane_id", sa.Integer),
    sa.column("target", sa.Text),
    sa.column("subscription_id", sa.Integer),
)
_subscriptions = sa.table(
    "subscriptions",
    sa.column("id", sa.Integer),
    sa.column("team_id", sa.String),
    sa.column("topic", sa.String),
    sa.column("address", sa.Text),
    sa.column("filter", sa.Text),
    sa.column("changed_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    _rewrite(_channels.c.name, _lowered)
    _rewrite(_users.c.email, _lowered)
    _rewrite(_api_keys.c.name, _visible)
    _rewrite(_hooks.c.name, _visible)
    _rewrite(_api_keys.c.channels, _addresses)
    _rewrite(_hooks.c.target, _addresses)
    _rewrite(_deliveries.c.target, _address)
    _join_lanes()
    _join_subscriptions()
    _rewrite(_subscriptions.c.filter, _filter)


def downgrade() -> None:
    pass  # Earlier versions read these forms too.


def _rewrite(column: Any, form: Callable[[str], str]) -> None:
    """Normalize each value of a column, each distinct value once."""
    connection = op.get_bind()
    for value in connection.scalars(sa.select(column).where(column.is_not(None)).distinct()).all():
        new = form(value)
        if new != value:
            connection.execute(sa.update(column.table).where(column == value).values({column: new}))


def _join_lanes() -> None:
    connection = op.get_bind()
    stored = {one["name"] for one in sa.inspect(connection).get_columns("lanes")}
    columns = [column for column in _lanes.c if column.name in stored]
    lanes = sa.select(*columns).order_by(_lanes.c.id)
    for lane in connection.execute(lanes).mappings().all():
        address, mine = _address(lane["address"]), _lanes.c.id == lane["id"]
        if address == lane["address"]:
            continue
        same = lanes.where(_lanes.c.team_id == lane["team_id"], _lanes.c.address == address)
        there = connection.execute(same).mappings().first()
        if there is None:
            connection.execute(sa.update(_lanes).where(mine).values(address=address))
            continue
        moved = sa.update(_deliveries).where(_deliveries.c.lane_id == lane["id"])
        connection.execute(moved.values(lane_id=there["id"]))
        kept = sa.update(_lanes).where(_lanes.c.id == there["id"])
        connection.execute(kept.values(_joined(lane, there)))
        connection.execute(sa.delete(_lanes).where(mine))


def _joined(lane: Any, there: Any) -> dict[str, Any]:
    """Return the values of two merged queues: the earlier wakeup is kept."""
    joined: dict[str, Any] = {"is_erasable": lane["is_erasable"] or there["is_erasable"]}
    # For queues with a wakeup column.
    if "wake_at" in lane:
        moments = filter(None, (lane["wake_at"], there["wake_at"]))
        joined["wake_at"] = min(moments, default=None)
    return joined


def _join_subscriptions() -> None:
    connection = op.get_bind()
    latest_last = _subscriptions.c.changed_at, _subscriptions.c.id
    groups: dict[tuple[str, str, str], list[Any]] = {}
    for row in connection.execute(sa.select(_subscriptions).order_by(*latest_last)).all():
        groups.setdefault((row.team_id, _lowered(row.topic), _address(row.address)), []).append(row)
    for (_, topic, address), rows in groups.items():
        *outdated, kept = rows
        for row in outdated:
            theirs = sa.update(_deliveries).where(_deliveries.c.subscription_id == row.id)
            connection.execute(theirs.values(subscription_id=kept.id))
            connection.execute(sa.delete(_subscriptions).where(_subscriptions.c.id == row.id))
        if (topic, address) != (kept.topic, kept.address):
            connection.execute(
                sa.update(_subscriptions)
                .where(_subscriptions.c.id == kept.id)
                .values(topic=topic, address=address)
            )


def _addresses(stored: str) -> str:
    return " ".join(dict.fromkeys(map(_address, stored.split())))


def _address(stored: str) -> str:
    """Return an address in its stored form; ids are unchanged."""
    return _lowered(stored) if stored.startswith(("#", "@", "topic:")) else stored


def _filter(stored: str) -> str:
    """Return a filter with every name and value in its stored form.

    A leading dash of another kind meant exclusion; a leading plus had no meaning.
    """
    text = _comparable(stored)
    matches = list(_CONDITION.finditer(text))
    if sum(len(match[0]) for match in matches) != len(text):
        return stored  # Unreadable values are reported when they are read.
    return " ".join(dict.fromkeys(_conditions(matches)))


def _conditions(matches: list[re.Match[str]]) -> Iterator[str]:
    for match in matches:
        name, operator, values = match[1], match[2], re.findall(_VALUE, match[3])
        if not name.startswith('"'):
            sign = re.match(r"`?([+-]*)", name)
            name = name[sign.end() :] if sign else name
            if sign and "-" in sign[1]:
                operator = {"=": "!=", "!=": "="}.get(operator, operator)
        yield f"{_quoted(name)}{operator}{','.join(map(_quoted, values))}"


def _quoted(word: str) -> str:
    plain = word[1:-1] if word.startswith('"') else word.strip("`")
    return plain if _PLAIN.fullmatch(plain) else f'"{plain}"'


def _visible(text: str) -> str:
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", text)).strip()


def _lowered(text: str) -> str:
    return unicodedata.normalize("NFC", _visible(text).lower())


def _comparable(text: str) -> str:
    words = " ".join(_visible(text).translate(_TYPED).split())
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", words).casefold())
