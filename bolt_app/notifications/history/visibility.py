"""Visibility: the people who may see a notification.

A person may see a notification if they may see one of its published deliveries. A direct message is
visible to its recipient; a delivery to a public channel, to everyone in the workspace except
guests; a delivery to another channel, and any delivery for a guest, to the channel's members. An
escalation is published when it goes out. A cancelled delivery counts only for the sender and
admins. A channel name that led to no channel may be that of a private channel, and an e-mail
address that led to nobody may be another person's later: such deliveries are visible only to the
sender and admins. Before a name or address has led anywhere, or after it was cancelled, a delivery
to a name is visible only to the sender, and one to an e-mail address to nobody: its person is
stored with it. A notification without deliveries is visible to all members.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import select

from bolt_app.access.authorization import Action, Authorization, Person
from bolt_app.clock import Clock, utc_now
from bolt_app.credentials.sources import person_source
from bolt_app.db import Database
from bolt_app.db.models import IS_TROUBLED, Notification
from bolt_app.notifications.content.page_urls import is_notification_id
from bolt_app.notifications.content.shown import shown_content
from bolt_app.notifications.content.states import FAILED_STATES, OPEN_STATES
from bolt_app.notifications.content.summaries import headline
from bolt_app.notifications.history.details import (
    CHANNEL_MENTION,
    PERSON_MENTION,
    find_incident,
    find_names,
    find_topics,
    mentioned_ids,
    sender_label,
)
from bolt_app.notifications.history.permalinks import Permalinks
from bolt_app.notifications.history.reports import DeliveryReport, NotificationReport
from bolt_app.notifications.history.routes import (
    DeliveryRoutes,
    find_audiences,
    find_published,
    find_routes,
    find_unrouted,
    shown_address,
    with_channel_ids,
)
from bolt_app.notifications.history.service import History
from bolt_app.notifications.history.store import Condition
from bolt_app.notifications.history.views import (
    FailedNotification,
    SharedNotification,
    ViewedDelivery,
    ViewedNotification,
    Viewer,
)
from bolt_app.slack_api import SlackCallError
from bolt_app.slack_ids import NOBODY, is_person
from bolt_app.workspaces.client import NotInstalledError

# The most failed notifications that are checked for those that a person may see.
MOST_FAILED_CHECKED = 50
# The most audiences of a file that are checked. It has one for each channel that it was sent to.
MOST_AUDIENCES = 50


class Visibility:
    """Returns notifications as people of their workspaces may see them."""

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
        """Return a notification as a person may see it.

        Args:
            viewers: all accounts of the person.

        Returns: None if it does not exist or the person may not see it; callers cannot tell which.

        Raises:
            NotInstalledError: it was not found, and one of the workspaces has no bot.
            SlackCallError: it was not found, and a call to Slack about the person failed.
        """
        people, unknown = self._people(viewers)
        for viewer, person in people if is_notification_id(notification_id) else ():
            report = self._history.find(viewer.team_id, notification_id)
            if report is not None and person.may(Action.USE):
                return self._view(viewer, person, report)
        if unknown is not None:
            raise unknown
        return None

    def find_with_file(self, viewers: Sequence[Viewer], file_id: str | None) -> str | None:
        """Return the id of a notification with a file, that a person may see.

        Args:
            viewers: all accounts of the person.
            file_id: of a stored file; None if there is none, for the same errors as otherwise.

        Returns: None if the person may see none, among the first `MOST_AUDIENCES` audiences.

        Raises:
            NotInstalledError: none was found, and one of the workspaces has no bot.
            SlackCallError: none was found, and a call to Slack about the person failed.
        """
        people, unknown = self._people(viewers)
        audiences: Sequence[Any] = ()
        if file_id is not None:
            with self._database.reading_connection() as connection:
                audiences = find_audiences(connection, file_id, MOST_AUDIENCES)
        examined: set[str] = set()
        for audience in audiences:
            if audience.oldest in examined:
                continue
            examined.add(audience.oldest)
            if self._is_seen_by(people, audience.oldest):
                is_newest = self._is_seen_by(people, audience.newest)
                return str(audience.newest if is_newest else audience.oldest)
        if unknown is not None:
            raise unknown
        return None

    def failed(self, viewer: Viewer, person: Person, most: int) -> list[FailedNotification]:
        """Return the latest notifications with failed deliveries that a person may see.

        Raises:
            NotInstalledError: Bellhop is not installed in that workspace.
            SlackCallError: a call to Slack failed.
        """
        found: list[FailedNotification] = []
        for report in self._history.failed(viewer.team_id, MOST_FAILED_CHECKED):
            seen = self._seen_failed(viewer, person, report)
            if seen:
                found.append(FailedNotification(report.id, headline(report.content), seen))
            if len(found) == most:
                break
        return found

    def failed_ids(self, viewer: Viewer, person: Person, notification_id: str) -> set[int]:
        """Return the ids of a notification's failed deliveries that a person may see.

        Raises:
            NotInstalledError: Bellhop is not installed in that workspace.
            SlackCallError: a call to Slack failed.
        """
        report = self._history.find(viewer.team_id, notification_id)
        if report is None:
            return set()
        return {delivery.report.id for delivery in self._seen_failed(viewer, person, report)}

    def _seen_failed(
        self, viewer: Viewer, person: Person, report: NotificationReport
    ) -> list[ViewedDelivery]:
        failed = [delivery for delivery in report.deliveries if delivery.state in FAILED_STATES]
        report = report.model_copy(update={"deliveries": failed})
        routes = self._routes(viewer, report, IS_TROUBLED)
        names = person.channel_names(routes.places())
        seen = _seen(viewer, person, report, routes, names)
        if not seen or _is_for(person, report, routes, seen):
            return seen
        # Another delivery may make it visible.
        return seen if self.visible_ids(person, [report.id], person.user_id) else []

    def find_shared(
        self,
        team_id: str,
        notification_id: str,
        channel_id: str | None,
        *,
        shared_by: str,
        is_outside: bool,
    ) -> SharedNotification | None:
        """Return a notification as it may be shown under a posted link to it.

        Either it went to that channel too, or it went to a public channel, a member shares it, and
        no other organization is in the channel. Where another organization is, it must have been
        posted in that channel. No topics are shown, because guests may read there.

        Args:
            channel_id: of the message; None while it is being written.
            shared_by: the id of the person who posted the link.
            is_outside: whether people of other organizations are in the channel.

        Raises:
            NotInstalledError: the workspace has no bot.
            SlackCallError: a call to Slack failed.
        """
        found = select(Notification.content, Notification.created_at).where(
            Notification.id == notification_id, Notification.team_id == team_id
        )
        with self._database.reading_connection() as connection:
            row = connection.execute(found).first()
        if row is None:
            return None
        here = [] if channel_id is None else [channel_id]
        is_here = self._published(team_id, [notification_id], here, only_sent=is_outside)
        if not is_here and (is_outside or not self._may_share(team_id, shared_by, notification_id)):
            return None
        with self._database.reading_connection() as connection:
            return SharedNotification(
                id=notification_id,
                content=row.content,
                created_at=row.created_at,
                incident=find_incident(
                    connection, team_id, notification_id, row.content, self._clock()
                ),
            )

    def visible_ids(self, person: Person, ids: Sequence[str], place: str) -> set[str]:
        """Return the ids of notifications that may be named in a reply to a person.

        In a direct reply: those that the person may see. In a channel, which others read: those
        that went to it or to a public channel; not unrouted ones, because guests may read them.

        Args:
            place: the id of the channel, or of the person for a direct reply.

        Raises:
            NotInstalledError: the workspace has no bot.
            SlackCallError: a call to Slack failed.
        """
        is_member, team_id = person.may(Action.SEE_WORKSPACE), person.team_id
        if not is_person(place):
            return self._published(team_id, ids, [place], with_public=is_member)
        visible = self._published(
            team_id,
            ids,
            (),
            person_id=person.user_id,
            with_public=is_member,
            with_expected=person.may(Action.SUBSCRIBE_SELF),
        )
        if visible.issuperset(ids):
            return visible
        visible |= self._published(team_id, ids, person.memberships())
        if is_member:
            with self._database.reading_connection() as connection:
                visible |= find_unrouted(connection, ids)
        return visible

    def _people(
        self, viewers: Sequence[Viewer]
    ) -> tuple[list[tuple[Viewer, Person]], SlackCallError | NotInstalledError | None]:
        """Return the accounts with their roles, and the error about an account without one.

        The roles come first, so that an error does not reveal whether a notification exists.
        """
        people: list[tuple[Viewer, Person]] = []
        unknown: SlackCallError | NotInstalledError | None = None
        for viewer in viewers:
            try:
                people.append((viewer, self._access.person(viewer.team_id, viewer.user_id)))
            except (SlackCallError, NotInstalledError) as error:
                unknown = error
        return people, unknown

    def _is_seen_by(self, people: Sequence[tuple[Viewer, Person]], notification_id: str) -> bool:
        for viewer, person in people:
            report = self._history.find(viewer.team_id, notification_id)
            if report is not None and person.may(Action.USE):
                routes = self._routes(viewer, report)
                names = person.channel_names(routes.places())
                seen = _seen(viewer, person, report, routes, names)
                return _is_for(person, report, routes, seen)
        return False

    def _may_share(self, team_id: str, user_id: str, notification_id: str) -> bool:
        if not self._access.person(team_id, user_id).may(Action.SEE_WORKSPACE):
            return False
        return bool(self._published(team_id, [notification_id], (), with_public=True))

    def _published(
        self,
        team_id: str,
        ids: Sequence[str],
        channels: Collection[str],
        *,
        with_public: bool = False,
        **more: Any,
    ) -> set[str]:
        if with_public:
            # Raises if the listing is too old.
            self._access.public.names_of_public(team_id, ())
        with self._database.reading_connection() as connection:
            return find_published(
                connection, team_id, ids, channels, with_public=with_public, **more
            )

    def _routes(
        self, viewer: Viewer, report: NotificationReport, *conditions: Condition
    ) -> DeliveryRoutes:
        with self._database.reading_connection() as connection:
            routed = find_routes(connection, report.id, *conditions)
            stored = {row.id: address for row in routed if (address := shown_address(row))}
            # An ended delivery is not affected by a channel that has its name now.
            open_ids = {
                delivery.id for delivery in report.deliveries if delivery.state in OPEN_STATES
            }
            current = with_channel_ids(connection, viewer.team_id, stored)
        named = {id_: current[id_] for id_, address in stored.items() if current[id_] != address}
        addresses = {id_: current[id_] if id_ in open_ids else stored[id_] for id_ in stored}
        published = {row.id for row in routed if row.is_published}
        withdrawn = {row.id for row in routed if row.is_withdrawn}
        expected = {row.id for row in routed if row.is_expected}
        return DeliveryRoutes(stored, addresses, named, published, withdrawn, expected)

    def _view(
        self, viewer: Viewer, person: Person, report: NotificationReport
    ) -> ViewedNotification | None:
        routes = self._routes(viewer, report)
        content, is_cut = shown_content(report.content)
        mentioned = mentioned_ids(CHANNEL_MENTION, content)
        names = person.channel_names({*routes.places(), *mentioned})
        seen = _seen(viewer, person, report, routes, names)
        if not _is_for(person, report, routes, seen):
            return None
        shown = [delivery.report for delivery in seen]
        self._permalinks.add(viewer.team_id, report.model_copy(update={"deliveries": shown}))
        with self._database.reading_connection() as connection:
            return ViewedNotification(
                id=report.id,
                team_id=viewer.team_id,
                content=content,
                is_cut=is_cut,
                sender=sender_label(connection, viewer.team_id, report.source),
                # Guests know the topics of no other channel.
                topics=find_topics(connection, report.id)
                if person.may(Action.SEE_WORKSPACE)
                else [],
                key=report.key if report.key != report.id else None,
                created_at=report.created_at,
                incident=find_incident(
                    connection, viewer.team_id, report.id, report.content, self._clock()
                ),
                deliveries=seen,
                hidden=len(report.deliveries) - len(seen),
                people=find_names(
                    connection, viewer.team_id, mentioned_ids(PERSON_MENTION, content)
                ),
                channels=names,
            )


def _seen(
    viewer: Viewer,
    person: Person,
    report: NotificationReport,
    routes: DeliveryRoutes,
    names: Mapping[str, str],
) -> list[ViewedDelivery]:
    """Return the deliveries that a person may see."""
    seen = []
    for delivery in report.deliveries:
        label = _destination_label(viewer, routes.addresses.get(delivery.id), names)
        if label is None and _is_sender_or_admin(person, report):
            is_sender = _is_sender(person, report)
            label = _unresolved_label(delivery, routes, names, is_sender=is_sender)
        if label is not None:
            seen.append(ViewedDelivery(label, delivery))
    return seen


def _destination_label(viewer: Viewer, address: str | None, names: Mapping[str, str]) -> str | None:
    """Return a destination in words; None if the viewer may not know it.

    Args:
        address: None if it is not known.
    """
    if address is None:
        return None
    if address == viewer.user_id:
        return "you"
    return f"#{names[address]}" if address in names else None


def _unresolved_label(
    delivery: DeliveryReport,
    routes: DeliveryRoutes,
    names: Mapping[str, str],
    *,
    is_sender: bool,
) -> str | None:
    """Return a destination that led nowhere, as its sender wrote it; None for any other."""
    address = routes.stored.get(delivery.id)
    if address == NOBODY:
        return delivery.to
    if address is None or not address.startswith("#"):
        return None
    # It may be the name of a private channel, with or without the bot.
    return address if is_sender or _has_led_nowhere(delivery, routes, names) else None


def _has_led_nowhere(
    delivery: DeliveryReport, routes: DeliveryRoutes, names: Mapping[str, str]
) -> bool:
    """Whether a delivery to a name failed, and no channel that the person does not see has it."""
    channel_id = routes.named.get(delivery.id)
    return delivery.state in FAILED_STATES and (channel_id is None or channel_id in names)


def _is_for(
    person: Person,
    report: NotificationReport,
    routes: DeliveryRoutes,
    seen: Sequence[ViewedDelivery],
) -> bool:
    """Whether a person may see a notification, given the deliveries of it that they may see."""
    if not report.deliveries:
        return person.may(Action.SEE_WORKSPACE)
    ids = {one.report.id for one in seen}
    if not ids.isdisjoint(_published_to(person, routes)):
        return True
    return not ids.isdisjoint(routes.withdrawn) and _is_sender_or_admin(person, report)


def _published_to(person: Person, routes: DeliveryRoutes) -> Collection[int]:
    if person.may(Action.SUBSCRIBE_SELF):
        return routes.published
    # What their earlier subscriptions hold for them does not go out.
    return {
        id_
        for id_ in routes.published
        if id_ not in routes.expected or not is_person(routes.stored.get(id_, NOBODY))
    }


def _is_sender(person: Person, report: NotificationReport) -> bool:
    return report.source == person_source(person.user_id)


def _is_sender_or_admin(person: Person, report: NotificationReport) -> bool:
    return _is_sender(person, report) or person.may(Action.SEE_UNRESOLVED)
