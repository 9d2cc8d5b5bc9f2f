"""Ids of notifications: sortable by time, and unguessable."""

from __future__ import annotations

import secrets
from datetime import datetime

ID_PATTERN = r"^[0-9a-f]{32}$"


def new_id(now: datetime) -> str:
    """Return a new id: the time in milliseconds, and 80 random bits."""
    return id_of_moment(now) + secrets.token_hex(10)


def id_of_moment(moment: datetime) -> str:
    """Return the prefix of ids from that millisecond."""
    return f"{int(moment.timestamp() * 1000):012x}"
