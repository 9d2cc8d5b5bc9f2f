"""Actions of one person on the subscriptions of a channel, or on their own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from slack_bolt import BoltContext

from bolt_app.access.authorization import AccessDeniedError, Action, Person
from bolt_app.blockkit.elements import Reply, plain_reply
from bolt_app.credentials.sources import person_source
from bolt_app.db.receipts import signed_request_id
from bolt_app.notifications.content.modes import Mode
from bolt_app.notifications.content.schema import read_one
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.subscriptions.errors import TooManySubscriptionsError
from bolt_app.notifications.subscriptions.schedules import OFF, Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionChange, SubscriptionSpec
from bolt_app.services import Services
from bolt_app.severity import Severity
from bolt_app.slack.ensure_can_post import ensure_can_post
from bolt_app.slack.errors import NotInvitedError
from bolt_app.slack.preferences.time_zones import time_zone_of
from bolt_app.slack.signed_actions import address_of_command
from bolt_app.slack.subscriptions.blocks import (
    digest_reply,
    list_reply,
    muted_reply,
    near_sentence,
    not_subscribed_reply,
    not_undone_reply,
    nothing_to_mute_reply,
    same_digest_reply,
    subscribed_reply,
    tested_reply,
    undo_fields,
    undone_reply,
    unsubscribed_reply,
    which_digest_reply,
)
from bolt_app.slack.subscriptions.errors import TooManyTestsError
from bolt_app.slack_api import SlackCallError
from bolt_app.slack_ids import is_person

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SubscriptionResult:
    """The reply to an action.

    Attributes:
        is_change: whether something was changed, so that the whole channel sees the reply.
        private_note: a second reply that only the person sees.
    """

    reply: Reply
    is_change: bool = False
    private_note: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SubscriptionActions:
    """One person, and the destination whose subscriptions they change.

    Attributes:
        address: the id of the channel or of the person.
    """

    services: Services
    team_id: str
    user_id: str
    address: str = field(repr=False)

    @classmethod
    def of(cls, services: Services, context: BoltContext) -> SubscriptionActions:
        """Return the person who sent a Bolt request, with the channel it was sent from.

        In any direct message, and in the App Home, the destination is the person.
        """
        if not context.channel_id:
            return cls.of_person(services, context)
        address = address_of_command(context)
        return cls(services, context.team_id or "", context.user_id or "", address)

    @classmethod
    def of_person(cls, services: Services, context: BoltContext) -> SubscriptionActions:
        """Return the person who sent a Bolt request, with themselves as the destination."""
        user_id = context.user_id or ""
        return cls(services, context.team_id or "", user_id, user_id)

    @property
    def person(self) -> Person:
        """The person with their role.

        Raises:
            SlackCallError: the call to Slack failed.
        """
        return self.services.access.person(self.team_id, self.user_id)

    @property
    def destination(self) -> str:
        """The destination, in sentences for everyone in the channel."""
        return "themselves" if is_person(self.address) else "this channel"

    @property
    def destination_for_person(self) -> str:
        """The destination, in sentences for the person."""
        return "you" if is_person(self.address) else "this channel"

    def subscribe(
        self, topic: str, filter_: str, mode: Mode | None, digest: Schedule | None = None
    ) -> SubscriptionResult:
        """Create or replace a subscription.

        Args:
            digest: the schedule of its digest, in the person's time zone.

        Raises:
            AccessDeniedError: the person may not subscribe here.
            NotInvitedError: the bot cannot post here.
            SlackCallError: the channel is archived.
            TooManySubscriptionsError: the destination has the most subscriptions allowed.
        """
        self._require(Action.SUBSCRIBE_SELF)
        is_outside = ensure_can_post(self.services, self.team_id, self.address)
        lately = self.services.previews.recent(self.team_id)
        schedule = self._local(digest)
        spec = SubscriptionSpec(topic, filter_, mode, created_by=self.user_id, digest=schedule)
        # People of another organization read the reply in a shared channel.
        preview = None if is_outside else lately.preview(topic, filter_, self._visible)
        change = self.services.subscriptions.subscribe(self.team_id, self.address, spec)
        may_see_topics = not is_outside and self.person.may(Action.SEE_WORKSPACE)
        near = lately.near_topic(topic) if may_see_topics else None
        is_own = is_person(self.address)
        reply = subscribed_reply(
            self.user_id,
            self.destination,
            spec,
            change,
            preview,
            near=near if is_own else None,
            undo=self._undo([change]),
        )
        # Guests may read the channel, and must not learn topics of other channels.
        private_note = None if is_own or near is None else near_sentence(near)
        return SubscriptionResult(reply, is_change=True, private_note=private_note)

    def unsubscribe(self, topic: str) -> SubscriptionResult:
        """End a subscription.

        Raises:
            AccessDeniedError: the person may not change the subscriptions here.
        """
        self._require(Action.USE)
        change = self.services.subscriptions.unsubscribe(
            self.team_id, self.address, topic, by=self.user_id
        )
        if change is None:
            return SubscriptionResult(not_subscribed_reply(topic, self._topics()))
        reply = unsubscribed_reply(self.user_id, self.destination, change, self._undo([change]))
        return SubscriptionResult(reply, is_change=True)

    def mute(self, duration: timedelta | None, topic: str | None) -> SubscriptionResult:
        """Mute subscriptions; a duration of None unmutes them.

        Args:
            topic: the subscription to mute; None for all.

        Raises:
            AccessDeniedError: the person may not change the subscriptions here.
        """
        self._require(Action.USE)
        until = None if duration is None else self.services.clock() + duration
        changes = self.services.subscriptions.mute(
            self.team_id, self.address, until, topic, by=self.user_id
        )
        if not changes:
            here = self._topics()
            if topic is not None and topic not in here:
                return SubscriptionResult(not_subscribed_reply(topic, here))
            return SubscriptionResult(nothing_to_mute_reply(mutes=duration is not None))
        topics = [change.topic for change in changes]
        reply = muted_reply(self.user_id, self.destination, topics, until, self._undo(changes))
        return SubscriptionResult(reply, is_change=True)

    def digest(self, schedule: Schedule | None, topic: str | None) -> SubscriptionResult:
        """Set the digest schedule of a subscription, in the person's time zone.

        Args:
            schedule: None ends the digest.
            topic: None for the only subscription here.

        Raises:
            AccessDeniedError: the person may not change the subscriptions here.
        """
        self._require(Action.USE)
        here = self._topics()
        if topic is None and len(here) != 1:
            return SubscriptionResult(which_digest_reply(str(schedule or OFF), here))
        named = topic or here[0]
        if named not in here:
            return SubscriptionResult(not_subscribed_reply(named, here))
        local = self._local(schedule)
        changes = self.services.subscriptions.digest(
            self.team_id, self.address, named, local, by=self.user_id
        )
        if not changes:
            return SubscriptionResult(same_digest_reply(named, local))
        now, undo = self.services.clock(), self._undo(changes)
        reply = digest_reply(self.user_id, self.destination, named, local, now, undo)
        return SubscriptionResult(reply, is_change=True)

    def undo(self, changes: Sequence[SubscriptionChange]) -> SubscriptionResult:
        """Restore the subscriptions before changes.

        Raises:
            AccessDeniedError: the person may not subscribe here.
            TooManySubscriptionsError: the destination has the most subscriptions allowed.
        """
        self._require(Action.SUBSCRIBE_SELF)
        undo = self.services.subscriptions.undo
        if not undo(self.team_id, self.address, changes, by=self.user_id):
            return SubscriptionResult(not_undone_reply())
        return SubscriptionResult(
            undone_reply(self.user_id, [change.topic for change in changes]), is_change=True
        )

    def show(self) -> SubscriptionResult:
        """List the subscriptions here."""
        found = self.services.subscriptions.of_address(self.team_id, self.address)
        topics: list[str] = []
        if not found and self.person.may(Action.SEE_WORKSPACE):
            topics = self.services.previews.recent(self.team_id).topics
        may_change = self.address == self.user_id or self.person.may(Action.CHANGE_CHANNEL)
        now = self.services.clock()
        return SubscriptionResult(
            list_reply(self.destination_for_person, found, topics, now, may_change=may_change)
        )

    def test(self) -> SubscriptionResult:
        """Send a test notification here.

        Raises:
            AccessDeniedError: the person may not send tests here, or sent too many.
            NotInvitedError: the bot cannot post here.
            SlackCallError: the channel is archived.
        """
        if self.address != self.user_id:
            self.person.require(Action.POST_TEST)
        if self.services.tests.take(f"{self.team_id}:{self.user_id}"):
            raise TooManyTestsError
        ensure_can_post(self.services, self.team_id, self.address)
        request = read_one(
            {
                "to": self.address,
                "title": "A test notification",
                # It names nobody, because a notification remains after people unlink.
                "text": "Someone in Slack requested this test.",
                "severity": Severity.INFO,
                "fields": [{"name": "Sent by", "value": "Bellhop"}],
            },
            self.services.clock(),
        )
        sender = Sender(self.team_id, person_source(self.user_id))
        self.services.intake.submit(sender, [request], idempotency_key=signed_request_id())
        return SubscriptionResult(tested_reply(self.destination_for_person))

    def _topics(self) -> list[str]:
        found = self.services.subscriptions.of_address(self.team_id, self.address)
        return [subscription.spec.topic for subscription in found]

    def _local(self, schedule: Schedule | None) -> Schedule | None:
        if schedule is None:
            return None
        tz = time_zone_of(self.services, self.team_id, self.user_id)
        return replace(schedule, tz=tz)

    def _undo(self, changes: Sequence[SubscriptionChange]) -> Mapping[str, Any] | None:
        return undo_fields(changes)

    def _visible(self, ids: Sequence[str]) -> Collection[str]:
        """Return the notifications that may be shown here; none if Slack does not answer."""
        try:
            return self.services.visibility.visible_ids(self.person, ids, self.address)
        except SlackCallError as error:
            logger.info("a preview shows no examples", extra={"error": error.code})
            return ()

    def _require(self, for_self: Action) -> None:
        """Require that the person may change subscriptions here, by their role at this moment.

        The change outlasts the role, and the event about a new role may have reached only another
        process.

        Args:
            for_self: the action if the destination is the person; otherwise `CHANGE_CHANNEL`.

        Raises:
            AccessDeniedError: the person may not.
            SlackCallError: the call to Slack failed.
        """
        action = for_self if self.address == self.user_id else Action.CHANGE_CHANNEL
        # Middleware has checked that the person may use Bellhop.
        if action is not Action.USE:
            self.services.access.require_now(self.team_id, self.user_id, action)


def attempt(do: Callable[[], SubscriptionResult]) -> SubscriptionResult:
    """Run an action; if it is refused, return the reason as the result."""
    try:
        return do()
    except (AccessDeniedError, NotInvitedError, TooManySubscriptionsError) as error:
        return SubscriptionResult(plain_reply(str(error)))
