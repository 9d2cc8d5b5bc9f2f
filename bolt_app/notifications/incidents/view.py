"""The view of an incident that its messages show."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import Incident, Membership, User
from bolt_app.notifications.content.states import IncidentState


@dataclass(frozen=True)
class Responder:
    """A person who answered, with name and picture if they linked their profile."""

    user_id: str
    name: str | None = None
    image_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class IncidentView:
    """An incident, as its messages show it."""

    state: str
    state_at: datetime
    state_by: Responder | None
    assigned_to: Responder | None
    snoozed_until: datetime | None
    snoozed_by: Responder | None
    muted_by: Responder | None
    changed_at: datetime

    @property
    def wants_attention(self) -> bool:
        """Whether it is neither resolved nor snoozed nor muted."""
        return self.state != IncidentState.RESOLVED and not self.is_quiet

    @property
    def is_quiet(self) -> bool:
        """Whether it is snoozed or muted."""
        return self.muted_by is not None or self.snoozed_until is not None


_FIND = select(Incident.__table__).where(
    Incident.team_id == bindparam("team_id"), Incident.key == bindparam("key")
)
_PEOPLE = (
    select(User.user_id, User.real_name, User.images)
    .join(Membership, Membership.user_id == User.id)
    .where(
        Membership.team_id == bindparam("team_id"),
        is_any_of(User.user_id, "user_ids"),
    )
)


def find_incident_view(
    connection: Connection, team_id: str, key: str, now: datetime
) -> IncidentView | None:
    """Return an incident with the people who answered, without a snooze that is over."""
    row = connection.execute(_FIND, {"team_id": team_id, "key": key}).first()
    if row is None:
        return None
    is_over = row.snoozed_until is not None and row.snoozed_until <= now
    people = find_responders(
        connection, team_id, {row.state_by, row.assigned_to, row.snoozed_by, row.muted_by} - {None}
    )
    return IncidentView(
        state=row.state,
        state_at=row.state_at,
        state_by=people.get(row.state_by),
        assigned_to=people.get(row.assigned_to),
        snoozed_until=None if is_over else row.snoozed_until,
        snoozed_by=None if is_over else people.get(row.snoozed_by),
        muted_by=people.get(row.muted_by),
        changed_at=max(row.snoozed_until, row.changed_at) if is_over else row.changed_at,
    )


def find_responders(
    connection: Connection, team_id: str, user_ids: Collection[str]
) -> dict[str, Responder]:
    """Return people by their ids, with name and picture of those who linked their profile."""
    if not user_ids:
        return {}
    people = {id_: Responder(id_) for id_ in user_ids}
    for row in connection.execute(_PEOPLE, {"team_id": team_id, "user_ids": list(user_ids)}):
        image = row.images.get("48") or row.images.get("72")
        image_url = image if isinstance(image, str) else None
        people[row.user_id] = Responder(row.user_id, row.real_name, image_url)
    return people
