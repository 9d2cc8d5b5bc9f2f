"""A notification as somebody in its workspace may see it.

It is for those who can see one of its published deliveries. A direct message is for the person it
went to; what went to a public channel is for everybody in the workspace but its guests; what went
to another channel, or is looked at by a guest, is for the channel's members. An escalation is
published once it goes out; a cancelled delivery counts for the sender and the admins. A name that
leads nowhere may be that of a private channel: what was sent there is for its sender and the
admins. A topic that nobody was subscribed to keeps no secret from members.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, select

from bolt_app.access.authorization import Action, Authorization, Person
from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import ApiKey, Delivery, Hook, Lane, Notification
from bolt_app.notifications.content.page_urls import is_notification_id
from bolt_app.notifications.content.shown import shown_content
from bolt_app.notifications.content.states import FAILED_STATES, OPEN_STATES, DeliveryState
from bolt_app.notifications.content.summaries import headline
from bolt_app.notifications.history.permalinks import Permalinks
from bolt_app.notifications.history.publication import IS_PUBLISHED, IS_WITHDRAWN
from bolt_app.notifications.history.reports import DeliveryReport, NotificationReport
from bolt_app.notifications.history.service import History
from bolt_app.notifications.incidents.view import IncidentView, find_incident_view, find_responders
from bolt_app.recipients import email_address
from bolt_app.slack_api import SlackCallError
from bolt_app.slack_ids import is_id, is_person
from bolt_app.workspaces.channel_names import find_named
from bolt_app.workspaces.client import NotInstalledError

# Of the latest failed notifications so many are looked at for those that a person may see.
MOST_FAILED_LOOKED_AT = 50
# People and channels that a page names where its text mentions them.
MOST_MENTIONED = 1000
_PERSON_ID = re.compile(r"<@([UW][A-Z0-9]+)[|>]")
_CHANNEL_ID = re.compile(r"<#([CG][A-Z0-9]+)[|>]")


@dataclass(frozen=True)
class Viewer:
    """The account of a person who looks, in one workspace."""

    team_id: str
    user_id: str
    email: str | None = field(repr=False)


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
    content: Mapping[str, Any] = field(repr=False)
    is_cut: bool
    sender: str
    topics: Sequence[str]
    key: str | None
    created_at: datetime
    incident: IncidentView | None
    deliveries: Sequence[ViewedDelivery]
    hidden: int
    people: Mapping[str, str]
    channels: Mapping[str, str]


@dataclass(frozen=True)
class FailedNotification:
    """A notification with the failed deliveries that the viewer may see."""

    id: str
    headline: str = field(repr=False)
    deliveries: Sequence[ViewedDelivery]


@dataclass(frozen=True)
class SharedNotification:
    """A notification to which somebody has posted a link, as whoever reads that may see it."""

    id: str
    content: Mapping[str, Any] = field(repr=False)
    topics: Sequence[str]
    created_at: datetime
    incident: IncidentView | None


@dataclass(frozen=True)
class _Routes:
    """Where the deliveries of a notification go, by their ids.

    Attributes:
        stored: the addresses of their lanes.
        addresses: the same, with the ids of channels in the place of names that are known.
        published: the ids of those that make the notification known where they go.
        withdrawn: the ids of those that were cancelled.
    """

    stored: Mapping[int, str]
    addresses: Mapping[int, str]
    published: Collection[int]
    withdrawn: Collection[int]


class Visibility:
    """Shows notifications to people of their workspaces."""

    def __init__(
        self,
        database: Database,
        history: History,
        access: Authorization,
        permalinks: Permalinks,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._history = history
        self._access = access
        self._permalinks = permalinks
        self._clock = clock

    def find(self, viewers: Sequence[Viewer], notification_id: str) -> ViewedNotification | None:
        """Return a notification as the person may see it whose accounts `viewers` are.

        Returns: None where there is none, or it is not for them: which of both is not said.

        Raises:
            NotInstalledError: it was found in no workspace, and one of them has no bot.
            SlackCallError: Slack had to be asked about the person, and refused or did not answer.
        """
        people: list[tuple[Viewer, Person]] = []
        unknown: SlackCallError | NotInstalledError | None = None
        for viewer in viewers:
            # The role is asked first: an error does not depend on whether there is a notification.
            try:
                people.append((viewer, self._access.person(viewer.team_id, viewer.user_id)))
            except (SlackCallError, NotInstalledError) as error:
                unknown = error
        for viewer, person in people if is_notification_id(notification_id) else ():
            report = self._history.find(viewer.team_id, notification_id)
            if report is not None and person.may(Action.USE):
                return self._view(viewer, person, report)
        if unknown is not None:
            raise unknown
        return None

    def failed(self, viewer: Viewer, person: Person, most: int) -> list[FailedNotification]:
        """Return the latest notifications with failed deliveries that a person may see.

        Raises:
            NotInstalledError: Bellhop is not installed in that workspace.
            SlackCallError: Slack had to be asked, and refused or did not answer.
        """
        found: list[FailedNotification] = []
        for report in self._history.failed(viewer.team_id, MOST_FAILED_LOOKED_AT):
            seen = self._seen_failed(viewer, person, report)
            if seen:
                found.append(FailedNotification(report.id, headline(report.content), seen))
            if len(found) == most:
                break
        return found

    def failed_ids(self, viewer: Viewer, person: Person, notification_id: str) -> set[int]:
        """Return the ids of those failed deliveries of a notification that a person may see.

        Raises:
            NotInstalledError: Bellhop is not installed in that workspace.
            SlackCallError: Slack had to be asked, and refused or did not answer.
        """
        report = self._history.find(viewer.team_id, notification_id)
        if report is None:
            return set()
        return {one.report.id for one in self._seen_failed(viewer, person, report)}

    def _seen_failed(
        self, viewer: Viewer, person: Person, report: NotificationReport
    ) -> list[ViewedDelivery]:
        failed = [one for one in report.deliveries if one.state in FAILED_STATES]
        own = report.model_copy(update={"deliveries": failed})
        routes = self._routes(viewer, own)
        names = person.channel_names(set(routes.addresses.values()))
        return _seen(viewer, person, own, routes, names)

    def find_shared(
        self,
        team_id: str,
        notification_id: str,
        channel_id: str | None,
        *,
        shared_by: str,
        is_outside: bool,
    ) -> SharedNotification | None:
        """Return a notification as it may be shown where somebody has posted a link to it.

        It went to that channel too; or to a public channel, a member shares it, and no other
        organisation reads there. Another organisation is shown what was posted there, and no topic.

        Args:
            channel_id: of the message; None while it is written.
            shared_by: the id of the person who posted the link.
            is_outside: whether people of other organisations are in the channel.

        Raises:
            NotInstalledError: there is no bot in that workspace.
            SlackCallError: Slack had to be asked, and refused or did not answer.
        """
        report = self._history.find(team_id, notification_id)
        if report is None:
            return None
        with self._database.reading_connection() as connection:
            routed = _routed(connection, [notification_id])
        addresses = {row.address for row in routed if row.is_published}
        if is_outside:
            posted = {row.address for row in routed if row.state == DeliveryState.SENT}
            if channel_id not in posted:
                return None
        elif channel_id not in addresses and not self._may_share(team_id, shared_by, addresses):
            return None
        with self._database.reading_connection() as connection:
            return SharedNotification(
                id=report.id,
                content=report.content,
                topics=() if is_outside else _topics(connection, report.id),
                created_at=report.created_at,
                incident=_incident(connection, team_id, report, self._clock()),
            )

    def visible_ids(self, person: Person, ids: Sequence[str], place: str) -> set[str]:
        """Return those of the notifications that may be named where a person asked about them.

        To a person alone: those that they may see. In a channel, where others read: those that
        went there or to a public channel. Not what no subscription wanted: guests may read there.

        Args:
            place: the channel's or the person's id.

        Raises:
            NotInstalledError: there is no bot in that workspace.
            SlackCallError: Slack had to be asked, and refused or did not answer.
        """
        with self._database.reading_connection() as connection:
            routed = _routed(connection, ids)
        published = [row for row in routed if row.is_published]
        addresses = {row.address for row in published}
        is_member = person.may(Action.SEE_WORKSPACE)
        allowed = {place}
        if is_person(place):
            allowed.update(person.channel_names(addresses))
        elif is_member:
            allowed.update(self._access.public.names_of_public(person.team_id, addresses))
        visible = {row.notification_id for row in published if row.address in allowed}
        if is_person(place) and is_member:
            visible.update(set(ids) - {row.notification_id for row in routed})
        return visible

    def _may_share(self, team_id: str, user_id: str, addresses: set[str]) -> bool:
        public = self._access.public.names_of_public(team_id, {one for one in addresses if one})
        if not public:
            return False
        return self._access.person(team_id, user_id).may(Action.SEE_WORKSPACE)

    def _routes(self, viewer: Viewer, report: NotificationReport) -> _Routes:
        with self._database.reading_connection() as connection:
            routed = _routed(connection, [report.id])
            stored = {row.id: row.address for row in routed}
            # What has ended went nowhere else, whichever channel has its name by now.
            is_open = {one.id for one in report.deliveries if one.state in OPEN_STATES}
            going = {id_: address for id_, address in stored.items() if id_ in is_open}
            channels = _at_their_channels(connection, viewer.team_id, going)
        published = {row.id for row in routed if row.is_published}
        withdrawn = {row.id for row in routed if row.is_withdrawn}
        return _Routes(stored, stored | channels, published, withdrawn)

    def _view(
        self, viewer: Viewer, person: Person, report: NotificationReport
    ) -> ViewedNotification | None:
        routes = self._routes(viewer, report)
        content, is_cut = shown_content(report.content)
        mentioned = _ids(_CHANNEL_ID, content)
        names = person.channel_names({*routes.addresses.values(), *mentioned})
        seen = _seen(viewer, person, report, routes, names)
        if not _is_for(person, report, routes, seen):
            return None
        shown = [one.report for one in seen]
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


def _seen(
    viewer: Viewer,
    person: Person,
    report: NotificationReport,
    routes: _Routes,
    names: Mapping[str, str],
) -> list[ViewedDelivery]:
    """Return the deliveries that a person may see."""
    is_unresolved_shown = _is_sender_or_admin(person, report)
    seen = []
    for one in report.deliveries:
        place = _place(viewer, routes.addresses.get(one.id), names)
        stored = routes.stored.get(one.id, "")
        if place is None and is_unresolved_shown and stored.startswith("#"):
            # It may be the name of a private channel that Bellhop is not in.
            place = stored
        if place is not None:
            seen.append(ViewedDelivery(place, one))
    return seen


def _place(viewer: Viewer, address: str | None, names: Mapping[str, str]) -> str | None:
    """Return where a delivery goes, for people; None where it is not the viewer's to know."""
    if address is None:  # deleted in this very moment
        return None
    if is_person(address):
        return "you" if address == viewer.user_id else None
    if is_id(address):
        return f"#{names[address]}" if address in names else None
    if address.startswith("@"):
        is_own = viewer.email is not None and address == email_address(viewer.email)
        return "you" if is_own else None
    return None


def _is_for(
    person: Person,
    report: NotificationReport,
    routes: _Routes,
    seen: Sequence[ViewedDelivery],
) -> bool:
    """Whether a person may see a notification, by the deliveries of it that they may see."""
    if not report.deliveries:
        return person.may(Action.SEE_WORKSPACE)
    ids = {one.report.id for one in seen}
    if not ids.isdisjoint(routes.published):
        return True
    return not ids.isdisjoint(routes.withdrawn) and _is_sender_or_admin(person, report)


def _is_sender_or_admin(person: Person, report: NotificationReport) -> bool:
    return report.source == f"slack:{person.user_id}" or person.may(Action.SEE_UNRESOLVED)


def _at_their_channels(
    connection: Connection, team_id: str, addresses: Mapping[int, str]
) -> dict[int, str]:
    """Return the addresses, with the ids of channels in the place of names that are known."""
    names = {one[1:] for one in addresses.values() if one.startswith("#")}
    known = find_named(connection, team_id, names)
    return {
        id_: known.get(address[1:], address) if address.startswith("#") else address
        for id_, address in addresses.items()
    }


def _routed(connection: Connection, ids: Sequence[str]) -> Sequence[Any]:
    """Return the deliveries of notifications, each with its address and whether it is published."""
    if not ids:
        return []
    statement = (
        select(
            Delivery.id,
            Delivery.notification_id,
            Delivery.state,
            Lane.address,
            IS_PUBLISHED.label("is_published"),
            IS_WITHDRAWN.label("is_withdrawn"),
        )
        .join(Lane, Lane.id == Delivery.lane_id)
        .where(Delivery.notification_id.in_(ids))
    )
    return connection.execute(statement).all()


def _sender(connection: Connection, team_id: str, source: str) -> str:
    kind, _, id_ = source.partition(":")
    if kind == "slack":
        return _names(connection, team_id, {id_}).get(id_, "somebody in Slack")
    if kind == "command":
        return "the command line"
    if kind == "workflow":
        return "a workflow in Slack"
    if not id_.isdecimal():
        return "Bellhop itself"
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
) -> IncidentView | None:
    if report.incident is None:
        return None
    # As it is stored, behind its source.
    key = connection.scalar(select(Notification.key).where(Notification.id == report.id))
    return None if key is None else find_incident_view(connection, team_id, key, now)


def _names(connection: Connection, team_id: str, user_ids: set[str]) -> dict[str, str]:
    people = find_responders(connection, team_id, user_ids)
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
