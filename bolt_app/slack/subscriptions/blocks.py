"""Subscriptions as Block Kit: pure functions from typed values to dictionaries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, time
from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, Field

from bolt_app.blockkit.elements import (
    Answer,
    Block,
    actions,
    button,
    context,
    moment,
    overflow,
    plain_answer,
    section,
)
from bolt_app.blockkit.mrkdwn import escape, person_mention
from bolt_app.blockkit.signed_values import OutdatedError, fits
from bolt_app.blockkit.text import counted, first_of
from bolt_app.notifications.content.message import SIGNS
from bolt_app.notifications.content.schema import Mode
from bolt_app.notifications.content.states import STATE_WORDS
from bolt_app.notifications.content.topics import normal_pattern
from bolt_app.notifications.subscriptions.filters import parse_filter
from bolt_app.notifications.subscriptions.previews import LATELY, Preview, PreviewExample
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import (
    StoredSubscription,
    SubscriptionChange,
    SubscriptionSpec,
)
from bolt_app.slack import ids

MOST_LISTED = 45
_MODES = {"new": "posted anew", "thread": "in threads", "update": "updated in place"}
_PAUSES = {
    "archived": "the channel is archived",
    "removed": "Bellhop was removed from the channel; `/invite @Bellhop` brings it back",
    "deactivated": "the person is deactivated",
    "guest": "guests cannot subscribe to topics",
}
_DAYS = LATELY.days
Choice = Literal[
    "mute-hour",
    "mute-day",
    "unmute",
    "digest-hourly",
    "digest-daily",
    "digest-off",
    "unsubscribe",
]
# What a button carries.
Fields = Mapping[str, Any]
DAILY_AT = time(9)
_LABELS: dict[Choice, str] = {
    "mute-hour": "Mute for an hour",
    "mute-day": "Mute for a day",
    "unmute": "Unmute",
    "digest-hourly": "As a digest every hour",
    "digest-daily": f"As a digest every day at {DAILY_AT:%H:%M}",
    "digest-off": "Each at once",
    "unsubscribe": "Unsubscribe",
}


def subscribed_answer(
    user_id: str,
    place: str,
    wish: SubscriptionSpec,
    change: SubscriptionChange,
    preview: Preview | None,
    *,
    near: str | None,
    undo: Fields | None,
) -> Answer:
    """Say what somebody subscribed to, and what that would have brought lately.

    Args:
        place: "this channel" or "themselves".
        preview: None where nothing of it may be told.
        near: a topic that is known, where this one is not but looks like it.
    """
    verb = "subscribed" if change.before is None else "changed the subscription of"
    text = f"<@{user_id}> {verb} {place} to {_wish(wish)}."
    lines = [] if preview is None else [_previewed(preview)]
    if near is not None:
        lines.append(near_sentence(near))
    for name, known in (preview.misspelled if preview else {}).items():
        lines.append(
            f"No recent notification has the field {_code(name)}: did you mean {_code(known)}?"
        )
    return _change(text, "\n".join(lines), undo)


def unsubscribed_answer(
    user_id: str, place: str, change: SubscriptionChange, undo: Fields | None
) -> Answer:
    """Say what somebody ended."""
    is_digest = change.before is not None and change.before.digest is not None
    small = "What is held for its next digest does not come, unless this is undone."
    text = f"<@{user_id}> unsubscribed {place} from {_topic(change.topic)}."
    return _change(text, small if is_digest else "", undo)


def muted_answer(
    user_id: str,
    place: str,
    topics: Sequence[str],
    until: datetime | None,
    undo: Fields | None,
) -> Answer:
    """Say what somebody muted, or where `until` is None unmuted."""
    what = first_of([*map(_topic, topics)])
    if until is None:
        return _change(f"<@{user_id}> unmuted {what} for {place}.", "", undo)
    text = f"<@{user_id}> muted {what} for {place} until {moment(until)}."
    return _change(text, "What comes meanwhile is not kept for later.", undo)


def digest_answer(
    user_id: str,
    place: str,
    topic: str,
    schedule: Schedule | None,
    now: datetime,
    undo: Fields | None,
) -> Answer:
    """Say who wants a digest, or where `schedule` is None no more of them."""
    if schedule is None:
        text = f"<@{user_id}> ended the digest of {_topic(topic)} for {place}."
        return _change(text, "What is held already still comes at its time.", undo)
    text = f"<@{user_id}> chose a digest of {_topic(topic)} for {place}: {_schedule(schedule)}."
    next_at = moment(schedule.next_after(now))
    return _change(text, f"The next is due {next_at}. What is critical comes at once.", undo)


def which_digest_answer(words: str, here: Sequence[str]) -> Answer:
    """Ask which of several subscriptions is meant."""
    if not here:
        return plain_answer("Nothing is subscribed to here: `/notify subscribe deploys` begins.")
    offers = [f"• `/notify digest {escape(topic)} {words}`" for topic in here[:MOST_LISTED]]
    return plain_answer("\n".join(["Say of which topic:", *offers]))


def same_digest_answer(topic: str, schedule: Schedule | None) -> Answer:
    """Say that it is so already."""
    if schedule is None:
        return plain_answer(f"{_topic(topic)} has no digest here: each comes at once.")
    return plain_answer(f"{_topic(topic)} comes as a digest already: {_schedule(schedule)}.")


def undone_answer(user_id: str, topics: Sequence[str]) -> Answer:
    """Say who undid a change."""
    what = first_of([*map(_topic, topics)])
    return plain_answer(f"<@{user_id}> undid the change: {what} is as it was before.")


def not_undone_answer() -> Answer:
    """Say why nothing was undone."""
    return plain_answer(
        "That was undone already, or changed again since. `/notify list` shows how it is."
    )


def not_subscribed_answer(topic: str, here: Sequence[str]) -> Answer:
    """Say that there is nothing to end, and what there is."""
    known = f" Here: {first_of([*map(_topic, here)])}." if here else " Nothing is."
    return plain_answer(f"{_topic(topic)} is not subscribed to here.{known}")


def nothing_to_mute_answer(*, mutes: bool) -> Answer:
    """Say that there is nothing to mute or unmute."""
    return plain_answer(f"Nothing here is {'there to be muted' if mutes else 'muted'}.")


def list_answer(
    place: str,
    subscriptions: Sequence[StoredSubscription],
    topics: Sequence[str],
    now: datetime,
) -> Answer:
    """Show what is subscribed, who made it and what came last; or teach where nothing is."""
    if not subscriptions:
        return _empty(place, topics)
    text = f"What comes to {place}: {counted(len(subscriptions), 'subscription')}"
    heading = section(f"*What comes to {place}*")
    return Answer(text, [heading, *subscription_blocks(subscriptions, now, most=MOST_LISTED)])


def subscription_blocks(
    subscriptions: Sequence[StoredSubscription], now: datetime, *, most: int
) -> list[Block]:
    """Return a block for each subscription, with a menu that changes it."""
    blocks = [_listed(one, now) for one in subscriptions[:most]]
    if len(subscriptions) > most:
        blocks.append(context(f"… and {len(subscriptions) - most} more"))
    return blocks


def tested_answer(place: str) -> Answer:
    """Say that a notification is on its way."""
    return plain_answer(f"A test notification is on its way to {place}.")


def near_sentence(topic: str) -> str:
    """Ask whether a known topic was meant."""
    return f"Did you mean `/notify subscribe {escape(topic)}`?"


def help_answer(reason: str = "", nearest: str = "") -> Answer:
    """Say what `/notify` understands; or, with a reason, what was wrong and the nearest right."""
    if nearest:
        return plain_answer(f"{escape(reason)}\nDid you mean `/notify {escape(nearest)}`?")
    if reason:
        return plain_answer(f"{escape(reason)}\n`/notify help` shows all commands.")
    return plain_answer(
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
    """Return what was chosen of a subscription.

    Raises:
        OutdatedError: the menu does not offer it.
    """
    for choice in _LABELS:
        if value == choice:
            return choice
    raise OutdatedError


def undo_fields(changes: Sequence[SubscriptionChange]) -> dict[str, Any] | None:
    """Return what the button that undoes changes carries; None where it is too much."""
    packed = _Undo(changes=[_UndoneChange.of(one) for one in changes])
    fields = packed.model_dump(mode="json", exclude_defaults=True)
    return fields if fits(fields) else None


def read_undo_fields(fields: Mapping[str, Any]) -> list[SubscriptionChange]:
    """Return the changes that `undo_fields` packed.

    Raises:
        OutdatedError: it packed none.
    """
    try:
        return [one.change() for one in _Undo.model_validate(fields).changes]
    except ValueError:
        raise OutdatedError from None


class _Before(BaseModel):
    """A subscription as it was; fields that are added later have a default."""

    filter: str = ""
    mode: Mode | None = None
    muted_until: AwareDatetime | None = None
    created_at: AwareDatetime | None = None
    digest: str | None = None
    tz: str | None = None

    @classmethod
    def of(cls, wish: SubscriptionSpec) -> Self:
        digest = wish.digest
        return cls(
            filter=wish.filter,
            mode=wish.mode,
            muted_until=wish.muted_until,
            created_at=wish.created_at,
            digest=None if digest is None else str(digest),
            tz=None if digest is None else digest.tz,
        )

    def wish(self, topic: str) -> SubscriptionSpec:
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
    """One change, as its button carries it."""

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
        before = None if self.before is None else self.before.wish(topic)
        return SubscriptionChange(topic, before, self.at, self.id, self.ended)


class _Undo(BaseModel):
    """What an Undo button carries."""

    changes: list[_UndoneChange] = Field(min_length=1)


def _change(text: str, small: str, undo: Fields | None) -> Answer:
    blocks = [section(text)]
    if small:
        blocks.append(context(small))
    if undo is not None:
        blocks.append(actions(button("Undo", ids.UNDO_SUBSCRIPTIONS, value=undo)))
    return Answer(text, blocks)


def _listed(one: StoredSubscription, now: datetime) -> Block:
    wish = one.spec
    facts = [f"by {person_mention(wish.created_by)}" if wish.created_by else "by the command line"]
    if wish.muted_until is not None and _is_muted(wish, now):
        facts.append(f"muted until {moment(wish.muted_until)}")
    if one.paused is not None:
        facts.append(f"paused: {_PAUSES.get(one.paused, escape(one.paused))}")
    if one.last is None:
        facts.append("nothing came as yet")
    else:
        state = STATE_WORDS.get(one.last.state, STATE_WORDS["unknown"])
        facts.append(f"last {state} {moment(one.last.at)}")
    if one.unreadable:
        what = ", ".join(one.unreadable)
        facts.append(f":warning: not used: its {what} cannot be read; subscribe again")
    if "topic" in one.unreadable or "address" in one.unreadable:
        # No button could name it.
        return section(f"{_wish(wish)}\n{'  •  '.join(facts)}")
    labels: dict[str, str] = {what: _LABELS[what] for what in _offered(wish, now)}
    menu = overflow(ids.CHANGE_SUBSCRIPTION, labels)
    block = section(f"{_wish(wish)}\n{'  •  '.join(facts)}", menu)
    return {**block, "block_id": {"topic": wish.topic}}


def _offered(wish: SubscriptionSpec, now: datetime) -> Iterator[Choice]:
    """Yield what can be chosen as things are."""
    if _is_muted(wish, now):
        yield "unmute"
    else:
        yield from ("mute-hour", "mute-day")
    if wish.digest is None:
        yield from ("digest-hourly", "digest-daily")
    else:
        yield "digest-off"
    yield "unsubscribe"


def _is_muted(wish: SubscriptionSpec, now: datetime) -> bool:
    return wish.muted_until is not None and wish.muted_until > now


def _empty(place: str, topics: Sequence[str]) -> Answer:
    lately = ""
    if topics:
        lately = f"\nTopics in this workspace: {', '.join(map(_topic, topics[:20]))}."
    name = topics[0] if topics else "deploys"
    return plain_answer(
        f"*No topic comes to {place} yet.*\n"
        f"`/notify subscribe {escape(name)}` delivers notifications to `topic:{escape(name)}` "
        f"here; `/notify help` shows all commands.{lately}"
    )


def _wish(wish: SubscriptionSpec) -> str:
    words = _topic(wish.topic)
    if wish.filter:
        words += f" where {_code(wish.filter)}"
    if wish.mode is not None:
        words += f", {_MODES[wish.mode]}"
    if wish.digest is not None:
        words += f", digest {_schedule(wish.digest)}"
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
        return f"Nothing that can be shown here was sent there in the last {_DAYS} days."
    lead = f"Of {preview.sent} sent there in the last {_DAYS} days {preview.wanted} would have come"
    end = ":" if preview.examples else "."
    return "\n".join([lead + end, *map(_example, preview.examples)])


def _example(one: PreviewExample) -> str:
    return f"{SIGNS.get(one.severity or '', '•')} {escape(one.headline)}  {moment(one.at)}"
