"""Subscriptions as Block Kit: pure functions from typed values to dictionaries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, time
from enum import StrEnum
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, Field

from bolt_app.blockkit.elements import (
    Block,
    Reply,
    actions,
    button,
    context,
    moment,
    overflow,
    plain_reply,
    section,
)
from bolt_app.blockkit.mrkdwn import escape, person_mention
from bolt_app.blockkit.signed_values import OutdatedError, fits
from bolt_app.blockkit.text import counted, first_of
from bolt_app.notifications.content.modes import Mode
from bolt_app.notifications.content.states import STATE_WORDS, ShownState
from bolt_app.notifications.content.topics import normal_pattern
from bolt_app.notifications.subscriptions.channel_sync import PauseReason
from bolt_app.notifications.subscriptions.filters import parse_filter
from bolt_app.notifications.subscriptions.previews import LATELY, Preview, PreviewExample
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import (
    StoredSubscription,
    SubscriptionChange,
    SubscriptionSpec,
)
from bolt_app.severity import SIGNS
from bolt_app.slack import ids

MOST_LISTED = 45
_MODES = {
    Mode.NEW: "as new messages",
    Mode.THREAD: "in threads",
    Mode.UPDATE: "updated in place",
}
_PAUSES: Mapping[str, str] = {
    PauseReason.ARCHIVED: "the channel is archived",
    PauseReason.REMOVED: "Bellhop was removed from the channel; `/invite @Bellhop` resumes it",
    PauseReason.DEACTIVATED: "the person is deactivated",
    PauseReason.GUEST: "guests cannot subscribe to topics",
}
_DAYS = LATELY.days


class Choice(StrEnum):
    """A choice in the menu of a subscription."""

    MUTE_HOUR = "mute-hour"
    MUTE_DAY = "mute-day"
    UNMUTE = "unmute"
    DIGEST_HOURLY = "digest-hourly"
    DIGEST_DAILY = "digest-daily"
    DIGEST_OFF = "digest-off"
    UNSUBSCRIBE = "unsubscribe"


# The fields of a button.
Fields = Mapping[str, Any]
DAILY_AT = time(9)
_LABELS = {
    Choice.MUTE_HOUR: "Mute for an hour",
    Choice.MUTE_DAY: "Mute for a day",
    Choice.UNMUTE: "Unmute",
    Choice.DIGEST_HOURLY: "Hourly digest",
    Choice.DIGEST_DAILY: f"Daily digest at {DAILY_AT:%H:%M}",
    Choice.DIGEST_OFF: "End the digest",
    Choice.UNSUBSCRIBE: "Unsubscribe",
}


def subscribed_reply(
    user_id: str,
    destination: str,
    spec: SubscriptionSpec,
    change: SubscriptionChange,
    preview: Preview | None,
    *,
    near: str | None,
    undo: Fields | None,
) -> Reply:
    """Report a new or changed subscription, with a preview of recent notifications.

    Args:
        place: "this channel" or "themselves".
        preview: None if recent notifications may not be shown.
        near: a known topic that looks like this unknown one.
    """
    verb = "subscribed" if change.before is None else "changed the subscription of"
    text = f"<@{user_id}> {verb} {destination} to {_describe(spec)}."
    lines = [] if preview is None else [_previewed(preview)]
    if near is not None:
        lines.append(near_sentence(near))
    for name, known in (preview.misspelled if preview else {}).items():
        lines.append(
            f"No recent notification has the field {_code(name)}: did you mean {_code(known)}?"
        )
    return _change(text, "\n".join(lines), undo)


def unsubscribed_reply(
    user_id: str, destination: str, change: SubscriptionChange, undo: Fields | None
) -> Reply:
    """Report an ended subscription."""
    is_digest = change.before is not None and change.before.digest is not None
    small = "Notifications held for its next digest are not delivered unless you undo this."
    text = f"<@{user_id}> unsubscribed {destination} from {_topic(change.topic)}."
    return _change(text, small if is_digest else "", undo)


def muted_reply(
    user_id: str,
    destination: str,
    topics: Sequence[str],
    until: datetime | None,
    undo: Fields | None,
) -> Reply:
    """Report muted subscriptions; unmuted ones if `until` is None."""
    names = first_of([*map(_topic, topics)])
    if until is None:
        return _change(f"<@{user_id}> unmuted {names} for {destination}.", "", undo)
    text = f"<@{user_id}> muted {names} for {destination} until {moment(until)}."
    return _change(text, "Notifications until then are not delivered later.", undo)


def digest_reply(
    user_id: str,
    destination: str,
    topic: str,
    schedule: Schedule | None,
    now: datetime,
    undo: Fields | None,
) -> Reply:
    """Report a digest schedule; an ended digest if `schedule` is None."""
    if schedule is None:
        text = f"<@{user_id}> ended the digest of {_topic(topic)} for {destination}."
        return _change(text, "Notifications that are already held keep their delivery time.", undo)
    text = f"<@{user_id}> set a digest of {_topic(topic)} for {destination}: {_schedule(schedule)}."
    next_at = moment(schedule.next_after(now))
    return _change(
        text, f"Next digest: {next_at}. Critical notifications are delivered immediately.", undo
    )


def which_digest_reply(words: str, here: Sequence[str]) -> Reply:
    """Ask which of several subscriptions to change."""
    if not here:
        return plain_reply("No subscriptions here yet. Start with `/notify subscribe deploys`.")
    offers = [f"• `/notify digest {escape(topic)} {words}`" for topic in here[:MOST_LISTED]]
    return plain_reply("\n".join(["Choose a topic:", *offers]))


def same_digest_reply(topic: str, schedule: Schedule | None) -> Reply:
    """Report that the digest schedule is already set."""
    if schedule is None:
        return plain_reply(
            f"{_topic(topic)} has no digest here. Its notifications are delivered immediately."
        )
    return plain_reply(f"{_topic(topic)} already has this digest: {_schedule(schedule)}.")


def undone_reply(user_id: str, topics: Sequence[str]) -> Reply:
    """Report who undid a change."""
    names = first_of([*map(_topic, topics)])
    return plain_reply(f"<@{user_id}> undid the change to {names}.")


def not_undone_reply() -> Reply:
    """Report why nothing was undone."""
    return plain_reply(
        "That change was already undone, or the subscription has changed since. "
        "`/notify list` shows its current state."
    )


def not_subscribed_reply(topic: str, here: Sequence[str]) -> Reply:
    """Report that a topic has no subscription here, and list the topics that have one."""
    known = f"Subscribed: {first_of([*map(_topic, here)])}." if here else "No subscriptions yet."
    return plain_reply(f"No subscription to {_topic(topic)} here. {known}")


def nothing_to_mute_reply(*, mutes: bool) -> Reply:
    """Report that there is nothing to mute or unmute."""
    return plain_reply("No subscriptions here to mute." if mutes else "Nothing is muted here.")


def list_reply(
    destination: str,
    subscriptions: Sequence[StoredSubscription],
    topics: Sequence[str],
    now: datetime,
    *,
    may_change: bool,
) -> Reply:
    """List subscriptions with their creator and latest delivery; explain how to start if empty."""
    if not subscriptions:
        return _empty(destination, topics)
    text = f"Notifications for {destination}: {counted(len(subscriptions), 'subscription')}"
    heading = section(f"*Notifications for {destination}*")
    listed = subscription_blocks(subscriptions, now, most=MOST_LISTED, may_change=may_change)
    return Reply(text, [heading, *listed])


def subscription_blocks(
    subscriptions: Sequence[StoredSubscription],
    now: datetime,
    *,
    most: int,
    may_change: bool = True,
) -> list[Block]:
    """Return a block for each subscription, with a menu for people who may change it."""
    blocks = [_listed(one, now, may_change=may_change) for one in subscriptions[:most]]
    if len(subscriptions) > most:
        blocks.append(context(f"… and {len(subscriptions) - most} more"))
    return blocks


def tested_reply(destination: str) -> Reply:
    """Report that a test notification was sent."""
    return plain_reply(f"A test notification is on its way to {destination}.")


def near_sentence(topic: str) -> str:
    """Suggest a known topic."""
    return f"Did you mean `/notify subscribe {escape(topic)}`?"


def help_reply(reason: str = "", nearest: str = "") -> Reply:
    """List the commands of `/notify`; with a reason, explain the error and suggest a command."""
    if nearest:
        return plain_reply(f"{escape(reason)}\nDid you mean `/notify {escape(nearest)}`?")
    if reason:
        return plain_reply(f"{escape(reason)}\n`/notify help` shows all commands.")
    return plain_reply(
        "*Commands, in a channel or in a direct message*\n"
        "• `/notify subscribe deploys`: deliver notifications to `topic:deploys` here\n"
        "• `/notify subscribe deploys/* severity&gt;=warning service=api -label:bot`: deliver "
        "topics below `deploys/`, only warnings and worse, of one service, without a label\n"
        "• `/notify subscribe deploys mode=thread`: reply in the thread of the earlier message "
        "with the same key; `mode=update` changes that message, `mode=channel` posts a new one\n"
        "• `/notify unsubscribe deploys`: end a subscription\n"
        "• `/notify list`: show the subscriptions here\n"
        "• `/notify mute 2h` or `/notify mute deploys 1d`: deliver nothing for a while; "
        "`/notify unmute` ends it\n"
        "• `/notify digest deploys daily 09:00` or `hourly`: deliver one summary of everything "
        "that is not critical; `/notify digest deploys off` ends it\n"
        "• `/notify quiet 22:00-07:00`: your quiet hours, in which only critical notifications "
        "are delivered to you; `/notify quiet off` ends them\n"
        "• `/notify test`: send a test notification here"
    )


def read_choice(value: object) -> Choice:
    """Return the choice in the menu of a subscription.

    Raises:
        OutdatedError: the menu does not offer the value.
    """
    try:
        return Choice(str(value))
    except ValueError:
        raise OutdatedError from None


def undo_fields(changes: Sequence[SubscriptionChange]) -> dict[str, Any] | None:
    """Return the fields of the button that undoes changes; None if they are too long."""
    packed = _Undo(changes=[_UndoneChange.of(change) for change in changes])
    fields = packed.model_dump(mode="json", exclude_defaults=True)
    return fields if fits(fields) else None


def read_undo_fields(fields: Mapping[str, Any]) -> list[SubscriptionChange]:
    """Return the changes in fields from `undo_fields`.

    Raises:
        OutdatedError: the fields have no changes.
    """
    try:
        return [packed.change() for packed in _Undo.model_validate(fields).changes]
    except ValueError:
        raise OutdatedError from None


class _Before(BaseModel):
    """A subscription before a change; fields that are added later have a default."""

    filter: str = ""
    mode: Mode | None = None
    muted_until: AwareDatetime | None = None
    created_at: AwareDatetime | None = None
    digest: str | None = None
    tz: str | None = None

    @classmethod
    def of(cls, spec: SubscriptionSpec) -> Self:
        digest = spec.digest
        return cls(
            filter=spec.filter,
            mode=spec.mode,
            muted_until=spec.muted_until,
            created_at=spec.created_at,
            digest=None if digest is None else str(digest),
            tz=None if digest is None else digest.tz,
        )

    def spec(self, topic: str) -> SubscriptionSpec:
        digest = None if self.digest is None else Schedule.read(self.digest, self.tz or "UTC")
        if digest is not None and str(digest) != self.digest:
            raise ValueError("must be hourly or daily with a time")
        return SubscriptionSpec(
            topic,
            str(parse_filter(self.filter)),
            self.mode,
            self.muted_until,
            created_at=self.created_at,
            digest=digest,
        )


class _UndoneChange(BaseModel):
    """One change, as a field of its button."""

    topic: str
    at: AwareDatetime | None = None
    id: int | None = None
    ended: AwareDatetime | None = None
    before: _Before | None = None

    @classmethod
    def of(cls, change: SubscriptionChange) -> Self:
        before = None if change.before is None else _Before.of(change.before)
        return cls(
            topic=change.topic,
            at=change.changed_at,
            id=change.id,
            ended=change.ended_at,
            before=before,
        )

    def change(self) -> SubscriptionChange:
        topic = normal_pattern(self.topic)
        before = None if self.before is None else self.before.spec(topic)
        return SubscriptionChange(topic, before, self.at, self.id, self.ended)


class _Undo(BaseModel):
    """The fields of an Undo button."""

    changes: list[_UndoneChange] = Field(min_length=1)


def _change(text: str, small: str, undo: Fields | None) -> Reply:
    blocks = [section(text)]
    if small:
        blocks.append(context(small))
    if undo is not None:
        blocks.append(actions(button("Undo", ids.UNDO_SUBSCRIPTIONS, value=undo)))
    return Reply(text, blocks)


def _listed(subscription: StoredSubscription, now: datetime, *, may_change: bool) -> Block:
    spec = subscription.spec
    facts = [
        f"by {person_mention(spec.created_by)}" if spec.created_by else "from the command line"
    ]
    if spec.muted_until is not None and _is_muted(spec, now):
        facts.append(f"muted until {moment(spec.muted_until)}")
    paused, last, damaged = subscription.paused, subscription.last, subscription.unreadable
    if paused is not None:
        facts.append(f"paused: {_PAUSES.get(paused, escape(paused))}")
    if last is None:
        facts.append("no notifications yet")
    else:
        state = STATE_WORDS.get(last.state, STATE_WORDS[ShownState.UNKNOWN])
        facts.append(f"last {state} {moment(last.at)}")
    if damaged:
        facts.append(f":warning: not used: its {', '.join(damaged)} is damaged; subscribe again")
    if not may_change or "topic" in damaged or "address" in damaged:
        # A menu could not identify a damaged one.
        return section(f"{_describe(spec)}\n{'  •  '.join(facts)}")
    labels: dict[str, str] = {choice: _LABELS[choice] for choice in _offered(spec, now)}
    menu = overflow(ids.CHANGE_SUBSCRIPTION, labels)
    block = section(f"{_describe(spec)}\n{'  •  '.join(facts)}", menu)
    return {**block, "block_id": {"topic": spec.topic}}


def _offered(spec: SubscriptionSpec, now: datetime) -> Iterator[Choice]:
    """Yield the choices that apply to a subscription."""
    if _is_muted(spec, now):
        yield Choice.UNMUTE
    else:
        yield from (Choice.MUTE_HOUR, Choice.MUTE_DAY)
    if spec.digest is None:
        yield from (Choice.DIGEST_HOURLY, Choice.DIGEST_DAILY)
    else:
        yield Choice.DIGEST_OFF
    yield Choice.UNSUBSCRIBE


def _is_muted(spec: SubscriptionSpec, now: datetime) -> bool:
    return spec.muted_until is not None and spec.muted_until > now


def _empty(destination: str, topics: Sequence[str]) -> Reply:
    known = ""
    if topics:
        known = f"\nTopics in this workspace: {', '.join(map(_topic, topics[:20]))}."
    name = topics[0] if topics else "deploys"
    return plain_reply(
        f"*No subscriptions for {destination} yet.*\n"
        f"`/notify subscribe {escape(name)}` delivers notifications to `topic:{escape(name)}` "
        f"here; `/notify help` shows all commands.{known}"
    )


def _describe(spec: SubscriptionSpec) -> str:
    words = _topic(spec.topic)
    if spec.filter:
        words += f" where {_code(spec.filter)}"
    if spec.mode is not None:
        words += f", {_MODES[spec.mode]}"
    if spec.digest is not None:
        words += f", digest {_schedule(spec.digest)}"
    return words


def _schedule(schedule: Schedule) -> str:
    if schedule.daily_at is None:
        return "every hour"
    return f"every day at {schedule.daily_at:%H:%M} ({escape(schedule.tz)})"


def _topic(topic: str) -> str:
    return _code(topic)


def _code(text: str) -> str:
    return f"`{escape(text).replace('`', chr(39))}`"


def _previewed(preview: Preview) -> str:
    if preview.sent == 0:
        return f"No notifications that can be shown here in the last {_DAYS} days."
    count = f"{preview.wanted} of the last {counted(preview.sent, 'notification')} ({_DAYS} days)"
    end = ":" if preview.examples else "."
    lead = f"{count} would have been delivered here{end}"
    return "\n".join([lead, *map(_example, preview.examples)])


def _example(example: PreviewExample) -> str:
    sign = SIGNS.get(example.severity or "", "•")
    return f"{sign} {escape(example.headline)}  {moment(example.at)}"
