"""A notification as somebody in its workspace may see it.

Who was told may read it: whoever can see one of its deliveries. A direct message is for the person
it went to; what went to a public channel is for everybody in the workspace but its guests; what
went to another channel, or is looked at by a guest, is for the channel's members. A topic that
nobody was subscribed to keeps no secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, select

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import ApiKey, Delivery, Hook, Lane, Notification
from bolt_app.notifications.addresses import is_id, is_person
from bolt_app.notifications.channels import Channels
from bolt_app.notifications.history import History
from bolt_app.notifications.page_addresses import is_notification_id
from bolt_app.notifications.permalinks import Permalinks
from bolt_app.notifications.reports import DeliveryReport, NotificationReport
from bolt_app.notifications.shown_content import shown_content
from bolt_app.notifications.shown_incidents import ShownIncident, find_people, find_shown

# For so many deliveries Slack is asked where they stand, one call each.
MOST_LINKS = 10
# People and channels that a page names where its text mentions them.
MOST_MENTIONED = 1000
_PERSON_ID = re.compile(r"<@([UW][A-Z0-9]+)[|>]")
_CHANNEL_ID = re.compile(r"<#([CG][A-Z0-9]+)[|>]")


@dataclass(frozen=True)
class Viewer:
    """Who somebody is in one workspace."""

    team_id: str
    user_id: str
    email: str | None
    is_guest: bool


@dataclass(frozen=True)
class ViewedDelivery:
    """A delivery that the viewer may see.

    Attributes:
        place: where it went, for people: "#general", or "you".
    """

    place: str
    report: DeliveryReport


@dataclass(frozen=True)
class ViewedNotification:
    """A notification, without what the viewer may not see.

    Attributes:
        content: as much of it as a page shows; `is_cut` where that is not all.
        sender: which way in it took, for people.
        topics: those it was sent to.
        hidden: how many deliveries the viewer may not see.
        people: the names of those it mentions, by their ids, where they linked their profiles.
        channels: the names of the channels it mentions, likewise, where the viewer may know them.
    """

    id: str
    team_id: str
    content: Mapping[str, Any]
    is_cut: bool
    sender: str
    topics: Sequence[str]
    key: str | None
    created_at: datetime
    incident: ShownIncident | None
    deliveries: Sequence[ViewedDelivery]
    hidden: int
    people: Mapping[str, str]
    channels: Mapping[str, str]


@dataclass(frozen=True)
class SharedNotification:
    """A notification to which somebody has posted a link, as whoever reads that may see it."""

    id: str
    content: Mapping[str, Any]
    topics: Sequence[str]
    created_at: datetime
    incident: ShownIncident | None


class Viewing:
    """Shows notifications to people of their workspaces."""

    def __init__(
        self,
        database: Database,
        history: History,
        channels: Channels,
        permalinks: Permalinks,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._history = history
        self._channels = channels
        self._permalinks = permalinks
        self._clock = clock

    def find(self, viewers: Sequence[Viewer], notification_id: str) -> ViewedNotification | None:
        """Return a notification as the person may see it whose accounts `viewers` are.

        Returns: None where there is none, or it is not for them: which of both is not said.
        """
        if not is_notification_id(notification_id):
            return None
        for viewer in viewers:
            report = self._history.find(viewer.team_id, notification_id)
            if report is not None:
                return self._view(viewer, report)
        return None

    def find_shared(
        self, team_id: str, notification_id: str, channel_id: str, *, is_outside: bool
    ) -> SharedNotification | None:
        """Return a notification as it may be shown where somebody has posted a link to it.

        It went to that channel too; or to a public channel, and no other organisation reads there.

        Args:
            is_outside: whether people of other organisations are in the channel.
        """
        report = self._history.find(team_id, notification_id)
        if report is None:
            return None
        with self._database.reading_connection() as connection:
            addresses = set(_addresses(connection, notification_id).values())
        is_public = not is_outside and bool(self._public(team_id, addresses))
        if not is_public and channel_id not in addresses:
            return None
        with self._database.reading_connection() as connection:
            return SharedNotification(
                id=report.id,
                content=report.content,
                topics=_topics(connection, report.id),
                created_at=report.created_at,
                incident=_incident(connection, team_id, report, self._clock()),
            )

    def _view(self, viewer: Viewer, report: NotificationReport) -> ViewedNotification | None:
        with self._database.reading_connection() as connection:
            addresses = _addresses(connection, report.id)
        content, is_cut = shown_content(report.content)
        mentioned = _ids(_CHANNEL_ID, content)
        names = self._names(viewer, {*addresses.values(), *mentioned})
        seen = [
            ViewedDelivery(place, one)
            for one in report.deliveries
            if (place := _place(viewer, addresses.get(one.id), names)) is not None
        ]
        if not seen and (report.deliveries or viewer.is_guest):
            return None
        shown = [one.report for one in seen[:MOST_LINKS]]
        self._permalinks.add(viewer.team_id, report.model_copy(update={"deliveries": shown}))
        with self._database.reading_connection() as connection:
            return ViewedNotification(
                id=report.id,
                team_id=viewer.team_id,
                content=content,
                is_cut=is_cut,
                sender=_sender(connection, viewer.team_id, report.source),
                topics=_topics(connection, report.id),
                key=report.key if report.key != report.id else None,
                created_at=report.created_at,
                incident=_incident(connection, viewer.team_id, report, self._clock()),
                deliveries=seen,
                hidden=len(report.deliveries) - len(seen),
                people=_names(connection, viewer.team_id, _ids(_PERSON_ID, content)),
                channels=names,
            )

    def _names(self, viewer: Viewer, addresses: set[str]) -> dict[str, str]:
        """Return the names of the channels among `addresses` that the viewer may see."""
        wanted = {one for one in addresses if is_id(one) and not is_person(one)}
        known = {} if viewer.is_guest else self._public(viewer.team_id, wanted)
        if wanted <= known.keys():
            return known
        own = self._channels.names_of_member(viewer.team_id, viewer.user_id)
        return known | {one: own[one] for one in wanted if one in own}

    def _public(self, team_id: str, addresses: set[str]) -> dict[str, str]:
        wanted = {one for one in addresses if is_id(one) and not is_person(one)}
        return self._channels.names_of_public(team_id, wanted) if wanted else {}


def _place(viewer: Viewer, address: str | None, names: Mapping[str, str]) -> str | None:
    """Return where a delivery goes, for people; None where it is not the viewer's to know."""
    if address is None:  # deleted in this very moment
        return None
    if is_person(address):
        return "you" if address == viewer.user_id else None
    if is_id(address):
        return f"#{names[address]}" if address in names else None
    if address.startswith("@"):
        is_own = viewer.email is not None and address == f"@{viewer.email.lower()}"
        return "you" if is_own else None
    # A name leads to public channels alone.
    return None if viewer.is_guest else address


def _addresses(connection: Connection, notification_id: str) -> dict[int, str]:
    """Return the address that each delivery of a notification goes to."""
    statement = (
        select(Delivery.id, Lane.address)
        .join(Lane, Lane.id == Delivery.lane_id)
        .where(Delivery.notification_id == notification_id)
    )
    return {row.id: row.address for row in connection.execute(statement)}


def _sender(connection: Connection, team_id: str, source: str) -> str:
    kind, _, id_ = source.partition(":")
    if kind == "slack":
        return _names(connection, team_id, {id_}).get(id_, "somebody in Slack")
    if kind == "command":
        return "the command line"
    if kind == "workflow":
        return "a workflow in Slack"
    if kind == "api_key":
        return f"the API key {connection.scalar(select(ApiKey.name).where(ApiKey.id == int(id_)))}"
    if kind == "hook":
        return f"the webhook {connection.scalar(select(Hook.name).where(Hook.id == int(id_)))}"
    return "Bellhop itself"


def _topics(connection: Connection, notification_id: str) -> list[str]:
    topics = select(Notification.topics).where(Notification.id == notification_id)
    return (connection.scalar(topics) or "").split()


def _incident(
    connection: Connection, team_id: str, report: NotificationReport, now: datetime
) -> ShownIncident | None:
    if report.incident is None:
        return None
    # As it is stored, behind its source.
    key = connection.scalar(select(Notification.key).where(Notification.id == report.id))
    return None if key is None else find_shown(connection, team_id, key, now)


def _names(connection: Connection, team_id: str, user_ids: set[str]) -> dict[str, str]:
    people = find_people(connection, team_id, user_ids)
    return {one.user_id: one.name for one in people.values() if one.name is not None}


def _ids(pattern: re.Pattern[str], value: object) -> set[str]:
    """Return the first ids that texts anywhere in `value` mention."""
    found = dict.fromkeys(islice(_each_id(pattern, value), MOST_MENTIONED))
    return set(found)


def _each_id(pattern: re.Pattern[str], value: object) -> Iterator[str]:
    if isinstance(value, str):
        for match in pattern.finditer(value):
            yield match[1]
    elif isinstance(value, Mapping):
        yield from _each_id(pattern, list(value.values()))
    elif isinstance(value, list):
        for item in value:
            yield from _each_id(pattern, item)
