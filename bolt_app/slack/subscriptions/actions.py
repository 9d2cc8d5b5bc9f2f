"""What one person asks of the subscriptions of one place: a channel, or their direct message."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from slack_bolt import BoltContext

from bolt_app.access.authorization import AccessDeniedError, Action, Person
from bolt_app.blockkit.elements import Answer, plain_answer
from bolt_app.db.receipts import signed_request_id
from bolt_app.notifications.content.schema import Mode, read_one
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.subscriptions.errors import TooManySubscriptionsError
from bolt_app.notifications.subscriptions.schedules import OFF, Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionChange, SubscriptionSpec
from bolt_app.services import Services
from bolt_app.slack.ensure_can_post import NotInvitedError, ensure_can_post
from bolt_app.slack.preferences.time_zones import time_zone_of
from bolt_app.slack.signed_actions import address_of_command
from bolt_app.slack.subscriptions.blocks import (
    digest_answer,
    list_answer,
    muted_answer,
    near_sentence,
    not_subscribed_answer,
    not_undone_answer,
    nothing_to_mute_answer,
    same_digest_answer,
    subscribed_answer,
    tested_answer,
    undo_fields,
    undone_answer,
    unsubscribed_answer,
    which_digest_answer,
)
from bolt_app.slack_api import SlackCallError
from bolt_app.slack_ids import is_person

logger = logging.getLogger(__name__)


class TooManyTestsError(AccessDeniedError):
    """The person has sent many tests within a minute."""

    def __init__(self) -> None:
        super().__init__("You have sent many tests: try again in a minute.")


@dataclass(frozen=True)
class Outcome:
    """What to answer, and whether everybody in the channel is to see it.

    Attributes:
        aside: what the person alone is to read besides.
    """

    answer: Answer
    is_change: bool = False
    aside: str | None = None


@dataclass(frozen=True)
class SubscriptionActions:
    """A person in a place.

    Attributes:
        address: of the channel, or the person's own.
    """

    services: Services
    team_id: str
    user_id: str
    address: str

    @classmethod
    def here(cls, services: Services, context: BoltContext) -> SubscriptionActions:
        """Return the person and place a Bolt request comes from.

        What is asked in a direct message, with whomever, is asked for the person who asks; and so
        is what is asked in the App Home.
        """
        if not context.channel_id:
            return cls.own(services, context)
        address = address_of_command(context)
        return cls(services, context.team_id or "", context.user_id or "", address)

    @classmethod
    def own(cls, services: Services, context: BoltContext) -> SubscriptionActions:
        """Return the person a Bolt request comes from, for what comes to themselves."""
        user_id = context.user_id or ""
        return cls(services, context.team_id or "", user_id, user_id)

    @property
    def person(self) -> Person:
        """The person, with their role.

        Raises:
            SlackCallError: Slack had to be asked, and refused or did not answer.
        """
        return self.services.access.person(self.team_id, self.user_id)

    @property
    def place(self) -> str:
        """The place, as the channel is told of it."""
        return "themselves" if is_person(self.address) else "this channel"

    @property
    def reader(self) -> str:
        """The place, as the person is told of it."""
        return "you" if is_person(self.address) else "this channel"

    def subscribe(
        self, topic: str, filter_: str, mode: Mode | None, digest: Schedule | None = None
    ) -> Outcome:
        """Bring what is sent to a topic here.

        Args:
            digest: when what is held comes as one, where the person lives.

        Raises:
            AccessDeniedError: not this person.
            NotInvitedError: the bot could not post here.
            SlackCallError: the channel is archived.
            TooManySubscriptionsError: there are as many here as there may be.
        """
        self._require(Action.SUBSCRIBE_SELF)
        is_outside = ensure_can_post(self.services, self.team_id, self.address)
        lately = self.services.previews.recent(self.team_id)
        schedule = self._local(digest)
        wish = SubscriptionSpec(topic, filter_, mode, created_by=self.user_id, digest=schedule)
        # Others read the answer in a channel that is shared with another organisation.
        preview = None if is_outside else lately.preview(topic, filter_, self._visible)
        change = self.services.subscriptions.subscribe(self.team_id, self.address, wish)
        is_told = not is_outside and self.person.may(Action.SEE_WORKSPACE)
        near = lately.near_topic(topic) if is_told else None
        is_own = is_person(self.address)
        answer = subscribed_answer(
            self.user_id,
            self.place,
            wish,
            change,
            preview,
            near=near if is_own else None,
            undo=self._undo([change]),
        )
        # Guests may read in the channel: they learn of no topic of other channels.
        aside = None if is_own or near is None else near_sentence(near)
        return Outcome(answer, is_change=True, aside=aside)

    def unsubscribe(self, topic: str) -> Outcome:
        """Bring it no more.

        Raises:
            AccessDeniedError: not this person.
        """
        self._require(Action.USE)
        change = self.services.subscriptions.unsubscribe(
            self.team_id, self.address, topic, by=self.user_id
        )
        if change is None:
            return Outcome(not_subscribed_answer(topic, self._topics()))
        answer = unsubscribed_answer(self.user_id, self.place, change, self._undo([change]))
        return Outcome(answer, is_change=True)

    def mute(self, duration: timedelta | None, topic: str | None) -> Outcome:
        """Bring nothing for a while; None ends that.

        Raises:
            AccessDeniedError: not this person.
        """
        self._require(Action.USE)
        until = None if duration is None else self.services.clock() + duration
        changes = self.services.subscriptions.mute(
            self.team_id, self.address, until, topic, by=self.user_id
        )
        if not changes:
            here = self._topics()
            if topic is not None and topic not in here:
                return Outcome(not_subscribed_answer(topic, here))
            return Outcome(nothing_to_mute_answer(mutes=duration is not None))
        topics = [one.topic for one in changes]
        answer = muted_answer(self.user_id, self.place, topics, until, self._undo(changes))
        return Outcome(answer, is_change=True)

    def digest(self, schedule: Schedule | None, topic: str | None) -> Outcome:
        """Bring what comes by a subscription as one, by a schedule where the person lives.

        Args:
            schedule: None brings each at once again.
            topic: None means the only one there is.

        Raises:
            AccessDeniedError: not this person.
        """
        self._require(Action.USE)
        here = self._topics()
        if topic is None and len(here) != 1:
            return Outcome(which_digest_answer(str(schedule or OFF), here))
        named = topic or here[0]
        if named not in here:
            return Outcome(not_subscribed_answer(named, here))
        local = self._local(schedule)
        changes = self.services.subscriptions.digest(
            self.team_id, self.address, named, local, by=self.user_id
        )
        if not changes:
            return Outcome(same_digest_answer(named, local))
        now, undo = self.services.clock(), self._undo(changes)
        answer = digest_answer(self.user_id, self.place, named, local, now, undo)
        return Outcome(answer, is_change=True)

    def undo(self, changes: Sequence[SubscriptionChange]) -> Outcome:
        """Put things back as they were.

        Raises:
            AccessDeniedError: not this person.
            TooManySubscriptionsError: there are as many here as there may be.
        """
        self._require(Action.SUBSCRIBE_SELF)
        undo = self.services.subscriptions.undo
        if not undo(self.team_id, self.address, changes, by=self.user_id):
            return Outcome(not_undone_answer())
        return Outcome(undone_answer(self.user_id, [one.topic for one in changes]), is_change=True)

    def show(self) -> Outcome:
        """Show what is subscribed here."""
        found = self.services.subscriptions.of_address(self.team_id, self.address)
        topics: list[str] = []
        if not found and self.person.may(Action.SEE_WORKSPACE):
            topics = self.services.previews.recent(self.team_id).topics
        return Outcome(list_answer(self.reader, found, topics, self.services.clock()))

    def test(self) -> Outcome:
        """Send a notification here.

        Raises:
            AccessDeniedError: not this person, or not so soon after others.
            NotInvitedError: the bot could not post here.
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
                # It names nobody: what a notification says stays when people unlink.
                "text": "Someone in Slack asked Bellhop for a test.",
                "severity": "info",
                "fields": [{"name": "Sent by", "value": "Bellhop"}],
            },
            self.services.clock(),
        )
        sender = Sender(self.team_id, f"slack:{self.user_id}")
        self.services.intake.submit(sender, [request], idempotency_key=signed_request_id())
        return Outcome(tested_answer(self.reader))

    def _topics(self) -> list[str]:
        found = self.services.subscriptions.of_address(self.team_id, self.address)
        return [one.spec.topic for one in found]

    def _local(self, schedule: Schedule | None) -> Schedule | None:
        if schedule is None:
            return None
        tz = time_zone_of(self.services, self.team_id, self.user_id)
        return replace(schedule, tz=tz)

    def _undo(self, changes: Sequence[SubscriptionChange]) -> Mapping[str, Any] | None:
        return undo_fields(changes)

    def _visible(self, ids: Sequence[str]) -> Collection[str]:
        """Return those of the notifications that may be named here; none where Slack is silent."""
        try:
            return self.services.visibility.visible_ids(self.person, ids, self.address)
        except SlackCallError as error:
            logger.info("a preview shows no examples", extra={"error": error.code})
            return ()

    def _require(self, for_self: Action) -> None:
        """Make sure that the person may change what comes here, as Slack says at this moment.

        The change lasts, whatever the person becomes, and an event about that may have reached
        another process alone.

        Args:
            for_self: what it needs where "here" is the person; it needs `CHANGE_CHANNEL` elsewhere.

        Raises:
            AccessDeniedError: they may not.
            SlackCallError: Slack had to be asked, and refused or did not answer.
        """
        action = for_self if self.address == self.user_id else Action.CHANGE_CHANNEL
        # Whether they may use Bellhop at all was decided when the request came.
        if action is not Action.USE:
            self.services.access.person(self.team_id, self.user_id, now=True).require(action)


def attempt(do: Callable[[], Outcome]) -> Outcome:
    """Do what was asked; where it is refused, the outcome says why."""
    try:
        return do()
    except (AccessDeniedError, NotInvitedError, TooManySubscriptionsError) as error:
        return Outcome(plain_answer(str(error)))
