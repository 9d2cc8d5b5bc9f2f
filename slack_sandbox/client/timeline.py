"""The messages of a conversation as the client shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from slack_sandbox.client.conversations import Conversation
from slack_sandbox.client.render import Reader, message_body
from slack_sandbox.client.render.dates import clock, date_text, day_name
from slack_sandbox.client.render.emoji import EMOJI
from slack_sandbox.sandbox import Sandbox
from slack_sandbox.world import Message, User

MAX_MESSAGES = 200
_GROUPING_SECONDS = 300
"""Maximum age difference of consecutive messages grouped under one name."""
SLACKBOT = "USLACKBOT"


@dataclass(frozen=True)
class Author:
    """The author of a message: a name, and a picture URL or an emoji."""

    id: str
    name: str
    is_app: bool = False
    picture: str | None = None
    emoji: str | None = None


@dataclass(frozen=True)
class TimelineMessage:
    """A message with the values its template needs."""

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
    is_grouped: bool
    replies: int


@dataclass(frozen=True)
class DayDivider:
    """The divider between two days."""

    key: str
    name: str


def timeline(
    sandbox: Sandbox, conversation: Conversation, reader: Reader, thread_ts: str | None = None
) -> Iterator[TimelineMessage | DayDivider]:
    """The latest messages of a conversation or thread, with dividers between days."""
    if conversation.channel is None:
        return
    everything = [
        *sandbox.messages(conversation.channel.id),
        *sandbox.ephemerals(conversation.user.id, conversation.channel.id),
    ]
    replies = Counter(message.thread_ts for message in everything if _is_reply(message))
    wanted = sorted(
        (message for message in everything if _belongs(message, thread_ts)),
        key=lambda message: message.ts,
    )
    previous: TimelineMessage | None = None
    users = sandbox.users
    for message in wanted[-MAX_MESSAGES:]:
        count = 0 if thread_ts else replies[message.ts]
        shown = _shown(sandbox, message, users, reader, previous, count)
        if shown.moment is not None and (previous is None or _day(previous) != _day(shown)):
            yield DayDivider(f"day-{_day(shown)}", day_name(shown.moment, reader))
        yield shown
        previous = shown


def find_message(
    sandbox: Sandbox, user_id: str, channel_id: str, ts: str, *, is_ephemeral: bool
) -> Message | None:
    """A message that a person sees in a channel, or None."""
    seen = sandbox.ephemerals(user_id, channel_id) if is_ephemeral else sandbox.messages(channel_id)
    return next((message for message in seen if message.ts == ts), None)


def _is_reply(message: Message) -> bool:
    return message.thread_ts is not None and message.thread_ts != message.ts


def _belongs(message: Message, thread_ts: str | None) -> bool:
    if thread_ts is None:
        return not _is_reply(message) or message.reply_broadcast
    return thread_ts in (message.ts, message.thread_ts)


def _day(shown: TimelineMessage) -> str:
    return f"{shown.moment:%Y-%m-%d}" if shown.moment else ""


def _shown(
    sandbox: Sandbox,
    message: Message,
    users: Mapping[str, User],
    reader: Reader,
    previous: TimelineMessage | None,
    replies: int,
) -> TimelineMessage:
    key = f"{'only-' if message.is_ephemeral else ''}{message.ts}"
    seconds = float(message.ts)
    moment = reader.local(seconds)
    author = _author(sandbox, message, users, reader)
    return TimelineMessage(
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
        is_grouped=_is_grouped(previous, message, author, seconds),
        replies=replies,
    )


def _is_grouped(
    previous: TimelineMessage | None, message: Message, author: Author, seconds: float
) -> bool:
    if (
        previous is None
        or previous.author != author
        or previous.is_ephemeral != message.is_ephemeral
    ):
        return False
    return seconds - float(previous.ts) < _GROUPING_SECONDS and previous.replies == 0


def _author(
    sandbox: Sandbox, message: Message, users: Mapping[str, User], reader: Reader
) -> Author:
    if message.user_id == SLACKBOT:
        return Author(SLACKBOT, "Slackbot (sandbox)", emoji="⚙️")
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
        return Author(message.user_id or "", message.username or "Unknown user", emoji="👤")
    return Author(user.id, user.label, False, str(user.images("")["image_48"]))
