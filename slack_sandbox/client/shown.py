"""The messages of a place in the order and shape a person sees them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from slack_sandbox.client.places import Place
from slack_sandbox.client.render import Reader, message_body
from slack_sandbox.client.render.dates import clock, date_text, day_name
from slack_sandbox.client.render.emoji import EMOJI
from slack_sandbox.sandbox import Sandbox
from slack_sandbox.world import Message, User

MOST_SHOWN = 200
_TOGETHER = 300
"""Seconds in which messages of one author stand under one name."""
SLACKBOT = "USLACKBOT"


@dataclass(frozen=True)
class Author:
    """Who a message is by: a name, and a picture's address or an emoji."""

    id: str
    name: str
    is_app: bool = False
    picture: str | None = None
    emoji: str | None = None


@dataclass(frozen=True)
class ShownMessage:
    """A message with everything its template needs."""

    key: str
    ts: str
    channel_id: str
    author: Author
    body: Markup
    time: str
    full_time: str
    moment: datetime | None
    is_edited: bool
    is_ephemeral: bool
    is_continued: bool
    replies: int


@dataclass(frozen=True)
class Day:
    """The line between two days."""

    key: str
    name: str


def shown_messages(
    sandbox: Sandbox, place: Place, reader: Reader, thread_ts: str | None = None
) -> Iterator[ShownMessage | Day]:
    """The latest messages of a place, or of one thread of it, with lines between days."""
    if place.channel is None:
        return
    everything = [
        *sandbox.messages(place.channel.id),
        *sandbox.ephemerals(place.user.id, place.channel.id),
    ]
    replies = Counter(one.thread_ts for one in everything if _is_reply(one))
    wanted = sorted((one for one in everything if _belongs(one, thread_ts)), key=lambda one: one.ts)
    before: ShownMessage | None = None
    users = sandbox.users
    for message in wanted[-MOST_SHOWN:]:
        count = 0 if thread_ts else replies[message.ts]
        shown = _shown(sandbox, message, users, reader, before, count)
        if shown.moment is not None and (before is None or _day(before) != _day(shown)):
            yield Day(f"day-{_day(shown)}", day_name(shown.moment, reader))
        yield shown
        before = shown


def find_message(
    sandbox: Sandbox, user_id: str, channel_id: str, ts: str, *, is_ephemeral: bool
) -> Message | None:
    """A message a person sees in a channel."""
    seen = sandbox.ephemerals(user_id, channel_id) if is_ephemeral else sandbox.messages(channel_id)
    return next((one for one in seen if one.ts == ts), None)


def _is_reply(message: Message) -> bool:
    return message.thread_ts is not None and message.thread_ts != message.ts


def _belongs(message: Message, thread_ts: str | None) -> bool:
    if thread_ts is None:
        return not _is_reply(message) or message.reply_broadcast
    return thread_ts in (message.ts, message.thread_ts)


def _day(shown: ShownMessage) -> str:
    return f"{shown.moment:%Y-%m-%d}" if shown.moment else ""


def _shown(
    sandbox: Sandbox,
    message: Message,
    users: Mapping[str, User],
    reader: Reader,
    before: ShownMessage | None,
    replies: int,
) -> ShownMessage:
    key = f"{'only-' if message.is_ephemeral else ''}{message.ts}"
    seconds = float(message.ts)
    moment = reader.local(seconds)
    author = _author(sandbox, message, users, reader)
    return ShownMessage(
        key=key,
        ts=message.ts,
        channel_id=message.channel_id,
        author=author,
        body=message_body(message.as_slack(), reader.within(key)),
        time=clock(moment, reader) if moment else "",
        full_time=date_text(int(seconds), "{date_long}, {time_secs}", reader) or "",
        moment=moment,
        is_edited=message.edited_ts is not None and not message.is_ephemeral,
        is_ephemeral=message.is_ephemeral,
        is_continued=_continues(before, message, author, seconds),
        replies=replies,
    )


def _continues(
    before: ShownMessage | None, message: Message, author: Author, seconds: float
) -> bool:
    if before is None or before.author != author or before.is_ephemeral != message.is_ephemeral:
        return False
    return seconds - float(before.ts) < _TOGETHER and before.replies == 0


def _author(
    sandbox: Sandbox, message: Message, users: Mapping[str, User], reader: Reader
) -> Author:
    if message.user_id == SLACKBOT:
        return Author(SLACKBOT, "Slackbot (the stand-in)", emoji="⚙️")
    icons = message.icons or {}
    emoji = EMOJI.get(str(icons.get("emoji", "")).strip(":"))
    own = next((str(url) for name, url in icons.items() if name.startswith("image")), None)
    picture = own if own and reader.shows_picture(own) else None
    user = users.get(message.user_id or "")
    if message.bot_id is not None:
        profile = message.bot_profile or {}
        name = message.username or str(profile.get("name") or sandbox.config.name)
        fallback = f"/avatars/{sandbox.config.app_id}/48.svg"
        return Author(message.bot_id, name, True, picture or fallback, emoji)
    if user is None:
        return Author(message.user_id or "", message.username or "Somebody", emoji="👤")
    return Author(user.id, user.label, False, str(user.images("")["image_48"]))
