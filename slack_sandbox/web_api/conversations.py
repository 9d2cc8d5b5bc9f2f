"""``conversations.*``: channels, direct messages and their history."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice

from slack_sandbox.errors import ApiError, InvalidArgumentsError
from slack_sandbox.limits import Tier
from slack_sandbox.message_log import MessageLog, micros
from slack_sandbox.people import add_member
from slack_sandbox.web_api.call import MOST_PER_PAGE, Call
from slack_sandbox.web_api.paging import make_cursor, page_after, read_cursor
from slack_sandbox.web_api.registry import method
from slack_sandbox.world import Channel, JsonDict, Message

_READ = {
    "public_channel": "channels:read",
    "private_channel": "groups:read",
    "im": "im:read",
    "mpim": "mpim:read",
}
_HISTORY = {
    "public_channel": "channels:history",
    "private_channel": "groups:history",
    "im": "im:history",
}
_ANY_READ = tuple(_READ.values())
_ANY_HISTORY = ("channels:history", "groups:history", "mpim:history", "im:history")


@method("conversations.list", Tier.TWO, scopes=_ANY_READ)
def list_conversations(call: Call) -> JsonDict:
    """List conversations by type (https://docs.slack.dev/reference/methods/conversations.list)."""
    kinds = _kinds(call)
    team_id = call.team_id()
    found = [
        channel
        for channel in call.core.world.channels_of(team_id)
        if _kind(channel) in kinds and call.sees(channel) and _listed(call, channel)
    ]
    page, cursor = page_after(
        found, call.text("cursor"), call.limit(100), lambda channel: channel.id
    )
    return {
        "ok": True,
        "channels": [_shown(call, channel, with_count=True) for channel in page],
        "response_metadata": {"next_cursor": cursor},
    }


@method("users.conversations", Tier.THREE, scopes=_ANY_READ)
def conversations_of_user(call: Call) -> JsonDict:
    """List the conversations of the caller, or of another user.

    See https://docs.slack.dev/reference/methods/users.conversations. For another user, the list
    contains only public conversations and the caller's own. The response has neither ``is_member``
    nor ``num_members``.
    """
    kinds = _kinds(call)
    team_id = call.team_id()
    user = call.find_user(call.text("user") or call.viewer.id)
    found = [
        channel
        for channel in call.core.world.channels_of(team_id)
        if _kind(channel) in kinds
        and user.id in channel.members
        and call.sees(channel)
        and _listed(call, channel)
    ]
    limit = call.limit(100, MOST_PER_PAGE - 1)
    page, cursor = page_after(found, call.text("cursor"), limit, lambda channel: channel.id)
    return {
        "ok": True,
        "channels": [_without_membership(_shown(call, channel)) for channel in page],
        "response_metadata": {"next_cursor": cursor},
    }


@method("conversations.info", Tier.THREE, scopes=_ANY_READ)
def info(call: Call) -> JsonDict:
    """Return one conversation (https://docs.slack.dev/reference/methods/conversations.info)."""
    channel = call.find_channel(call.need_text("channel"))
    call.need(_READ[_kind(channel)])
    with_count = call.flag("include_num_members")
    return {"ok": True, "channel": _shown(call, channel, with_count=with_count)}


@method(
    "conversations.join", Tier.THREE, scopes=("channels:join", "channels:write"), takes_json=True
)
def join(call: Call) -> JsonDict:
    """Join a public channel (https://docs.slack.dev/reference/methods/conversations.join)."""
    channel = call.find_channel(call.need_text("channel"))
    if channel.is_im or channel.is_private:
        raise ApiError("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise ApiError("is_archived")
    if call.viewer.id in channel.members:
        call.warnings.append("already_in_channel")
    else:
        add_member(call.core, channel, call.viewer.id)
    return {"ok": True, "channel": _shown(call, channel)}


@method("conversations.open", Tier.THREE, scopes=("im:write", "mpim:write"), takes_json=True)
def open_conversation(call: Call) -> JsonDict:
    """Open a direct message (https://docs.slack.dev/reference/methods/conversations.open).

    With one user only: group messages are not supported and answered with ``not_enough_users``.
    """
    call.need("im:write")
    if call.text("channel"):
        channel = call.find_channel(call.text("channel"))
        if not channel.is_im:
            raise ApiError("method_not_supported_for_channel_type")
        return _opened(call, channel, existed=True)
    users = _user_ids(call)
    if len(users) != 1:
        raise ApiError("users_list_not_supplied" if not users else "not_enough_users")
    before = len(call.core.world.channels)
    channel = direct_message(call, users[0])
    return _opened(call, channel, existed=len(call.core.world.channels) == before)


@method("conversations.history", Tier.THREE, scopes=_ANY_HISTORY, takes_json=True)
def history(call: Call) -> JsonDict:
    """Return messages, newest first.

    See https://docs.slack.dev/reference/methods/conversations.history. Thread replies are not
    included.
    """
    channel = _readable(call)
    log = call.core.world.messages[channel.id]
    indexes = log.between(*_window(call, newest_first=True))
    found = (log[index] for index in reversed(indexes))
    seen = (
        message
        for message in found
        if message.thread_ts in (None, message.ts) or message.reply_broadcast
    )
    return _page_of_messages(call, log, seen, default=100)


@method("conversations.replies", Tier.THREE, scopes=_ANY_HISTORY, takes_json=True)
def replies(call: Call) -> JsonDict:
    """Return a thread, its parent first
    (https://docs.slack.dev/reference/methods/conversations.replies).
    """
    channel = _readable(call)
    log = call.core.world.messages[channel.id]
    parent = log.find_first(call.need_text("ts"))
    if parent is None:
        raise ApiError("thread_not_found")
    thread = log.thread(parent.ts)
    found = (thread[index] for index in thread.between(*_window(call, newest_first=False)))
    # Only the first page starts with the parent, regardless of the time bounds.
    head = () if call.text("cursor") else (parent,)
    return _page_of_messages(call, log, chain(head, found), default=MOST_PER_PAGE)


def direct_message(call: Call, user_id: str) -> Channel:
    """The direct message between the caller and a user; opened if necessary.

    Raises ``user_not_found``, ``user_disabled`` or ``cannot_dm_bot``.
    """
    user = call.find_user(user_id)
    if user.deleted:
        raise ApiError("user_disabled")
    if user.is_bot:
        raise ApiError("cannot_dm_bot")
    team_id = next(team_id for team_id in call.installation.team_ids if user.is_in(team_id))
    return call.core.direct_message(team_id, call.viewer.id, user.id)


def _opened(call: Call, channel: Channel, *, existed: bool) -> JsonDict:
    answer: JsonDict = {"ok": True}
    if existed:
        answer |= {"no_op": True, "already_open": True}
    if call.flag("return_im"):
        return answer | {"channel": channel.as_slack(call.viewer.id)}
    return answer | {"channel": {"id": channel.id}}


def _user_ids(call: Call) -> list[str]:
    value = call.arguments.get("users")
    if isinstance(value, list):
        return [str(user_id) for user_id in value]
    return [user_id.strip() for user_id in call.text("users").split(",") if user_id.strip()]


def _kinds(call: Call) -> list[str]:
    """The requested conversation types; each needs its own scope."""
    kinds = [kind.strip() for kind in call.text("types", "public_channel").split(",")]
    for kind in kinds:
        if kind not in _READ:
            raise ApiError("invalid_types")
        call.need(_READ[kind])
    return kinds


def _without_membership(shown: JsonDict) -> JsonDict:
    return {name: value for name, value in shown.items() if name != "is_member"}


def _kind(channel: Channel) -> str:
    if channel.is_im:
        return "im"
    return "private_channel" if channel.is_private else "public_channel"


def _listed(call: Call, channel: Channel) -> bool:
    if channel.is_archived and call.flag("exclude_archived"):
        return False
    # Direct messages are visible only to their members, even for an administrator.
    return not channel.is_im or call.viewer.id in channel.members


def _shown(call: Call, channel: Channel, *, with_count: bool = False) -> JsonDict:
    shown = channel.as_slack(call.viewer.id)
    if with_count and not channel.is_im:
        shown["num_members"] = len(channel.members)
    return shown


def _readable(call: Call) -> Channel:
    channel = call.find_channel(call.need_text("channel"))
    call.need(_HISTORY[_kind(channel)])
    if call.token.kind == "bot" and call.viewer.id not in channel.members:
        raise ApiError("not_in_channel")
    return channel


def _window(call: Call, *, newest_first: bool) -> tuple[int | None, int | None]:
    """The exclusive bounds in time of the messages on this page."""
    margin = 1 if call.flag("inclusive") else 0
    oldest, latest = call.text("oldest"), call.text("latest")
    after = _micros(oldest, "invalid_ts_oldest") - margin if oldest else None
    before = _micros(latest, "invalid_ts_latest") + margin if latest else None
    if call.text("cursor"):
        shown = _micros(read_cursor(call.text("cursor")), "invalid_cursor")
        return (after, shown) if newest_first else (shown, before)
    return after, before


def _micros(ts: str, error: str) -> int:
    try:
        return micros(ts)
    except ValueError:
        raise ApiError(error) from None


def _page_of_messages(
    call: Call, log: MessageLog, found: Iterable[Message], *, default: int
) -> JsonDict:
    limit = call.number("limit", default) or default
    if not 1 <= limit <= MOST_PER_PAGE:
        raise InvalidArgumentsError("must be between 1 and 999 [json-pointer:/limit]")
    seen = (message for message in found if not message.deleted or log.is_tombstone(message))
    page = list(islice(seen, min(limit, MOST_PER_PAGE - 1)))
    has_more = next(seen, None) is not None
    with_metadata = call.flag("include_all_metadata")
    answer: JsonDict = {
        "ok": True,
        "messages": [_with_thread(log, message, with_metadata) for message in page],
        "has_more": has_more,
        "pin_count": 0,
    }
    if has_more:
        answer["response_metadata"] = {"next_cursor": make_cursor(page[-1].ts)}
    return answer


def _tombstone(message: Message) -> JsonDict:
    return {
        "type": "message",
        "subtype": "tombstone",
        "text": "This message was deleted.",
        "user": "USLACKBOT",
        "hidden": True,
        "ts": message.ts,
        "thread_ts": message.thread_ts,
    }


def _with_thread(log: MessageLog, message: Message, with_metadata: bool) -> JsonDict:
    shown = message.as_slack(with_metadata=with_metadata)
    if message.deleted:
        shown = _tombstone(message)
    if message.thread_ts is None:
        return shown
    if message.thread_ts != message.ts:
        parent = log.find(message.thread_ts)  # the author of a tombstone is unknown
        return shown | ({"parent_user_id": parent.user_id} if parent else {})
    answers = [reply for reply in log.thread(message.ts) if not reply.deleted]
    who = list(dict.fromkeys(reply.user_id for reply in answers if reply.user_id))
    return shown | {
        "reply_count": len(answers),
        "reply_users_count": len(who),
        "latest_reply": answers[-1].ts if answers else message.ts,
        "reply_users": who,
        "is_locked": False,
        "subscribed": False,
    }
