"""Profiles as pages and messages show them: a person, their workspaces and their roles."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Row

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workspace:
    """A workspace in which a person is linked, and their role there."""

    team_id: str
    enterprise_id: str | None
    name: str
    domain: str | None
    is_admin: bool
    is_owner: bool
    is_guest: bool
    linked_at: datetime

    @property
    def role(self) -> str:
        """The person's role, in one word."""
        if self.is_owner:
            return "Owner"
        if self.is_admin:
            return "Admin"
        return "Guest" if self.is_guest else "Member"


@dataclass(frozen=True)
class Profile:
    """The profile of a linked person, from Slack."""

    user_id: str
    real_name: str
    display_name: str | None
    email: str | None = field(repr=False)
    title: str | None
    images: Mapping[int, str]
    tz: str | None
    tz_label: str | None
    tz_offset: int | None
    locale: str | None
    is_deleted: bool
    linked_at: datetime
    refreshed_at: datetime
    workspaces: tuple[Workspace, ...]

    def image(self, size: int) -> str | None:
        """Return the URL of the smallest image of at least `size` pixels, else of the largest."""
        fitting = [known for known in sorted(self.images) if known >= size]
        if fitting:
            return self.images[fitting[0]]
        return self.images[max(self.images)] if self.images else None

    def local_time(self, now: datetime) -> datetime | None:
        """Return `now` in the person's time zone; None if it is unknown."""
        if self.tz is not None:
            try:
                return now.astimezone(ZoneInfo(self.tz))
            except (ZoneInfoNotFoundError, ValueError, OSError):
                logger.info("a time zone is unknown on this machine", extra={"tz": self.tz})
        if self.tz_offset is None or abs(self.tz_offset) >= 24 * 3600:
            return None
        return now.astimezone(timezone(timedelta(seconds=self.tz_offset)))


@dataclass(frozen=True)
class Account:
    """A person's account in one workspace."""

    team_id: str
    user_id: str
    is_guest: bool


def profile_of(rows: Sequence[Row[Any]]) -> Profile:
    """Return the profile in the rows of a profile statement."""
    user = rows[0]
    return Profile(
        user_id=user.user_id,
        real_name=user.real_name or user.display_name or user.name or user.user_id,
        display_name=user.display_name,
        email=user.email,
        title=user.title,
        images={int(size): url for size, url in user.images.items() if _is_image(size, url)},
        tz=user.tz,
        tz_label=user.tz_label,
        tz_offset=user.tz_offset,
        locale=user.locale,
        is_deleted=user.is_deleted,
        linked_at=user.linked_at,
        refreshed_at=user.refreshed_at,
        workspaces=tuple(map(_workspace, rows)),
    )


def _is_image(size: str, address: object) -> bool:
    return size.isdecimal() and isinstance(address, str)


def _workspace(row: Row[Any]) -> Workspace:
    return Workspace(
        team_id=row.team_id,
        enterprise_id=row.enterprise_id or None,
        name=row.team_name or row.team_id,
        domain=row.domain,
        is_admin=row.is_admin,
        is_owner=row.is_owner,
        is_guest=row.is_guest,
        linked_at=row.member_since,
    )
