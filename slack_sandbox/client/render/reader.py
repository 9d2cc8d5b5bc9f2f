"""The reader: names, clock and trusted picture hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from urllib.parse import quote, urlsplit

LOOPBACK = frozenset({"127.0.0.1", "localhost"})


@dataclass(frozen=True)
class Reader:
    """The rendering context of one person.

    ``people`` and ``channels`` map ids to labels; ``pickable_people`` are the ids in a menu of
    people. ``scope`` keeps form field names of different messages apart.
    """

    user_id: str
    team_id: str
    now: datetime
    zone: tzinfo = UTC
    has_long_day: bool = False
    """Whether the person uses a 24-hour clock."""
    people: Mapping[str, str] = field(default_factory=dict)
    pickable_people: tuple[str, ...] = ()
    channels: Mapping[str, str] = field(default_factory=dict)
    picture_hosts: frozenset[str] = frozenset()
    scope: str = ""

    def within(self, scope: str) -> Reader:
        """The same reader, with the scope of one message or view."""
        return replace(self, scope=scope)

    def local(self, timestamp: float) -> datetime | None:
        """A moment in the person's time zone, or None outside the calendar's range."""
        try:
            return datetime.fromtimestamp(timestamp, self.zone)
        except (ValueError, OverflowError, OSError):
            return None

    def conversation_url(self, conversation_id: str) -> str:
        """The page of a channel or a direct message."""
        path = f"/client/{quote(self.team_id)}/{quote(conversation_id, safe='')}"
        return f"{path}?as={quote(self.user_id)}"

    def shows_picture(self, url: str) -> bool:
        """Whether a picture is on this machine; other pictures are linked, not fetched."""
        try:
            parts = urlsplit(url)
            return parts.netloc in self.picture_hosts or parts.hostname in LOOPBACK
        except ValueError:
            return False
