"""``conversations.*``: channels, direct messages and what was said in them."""

from __future__ import annotations

from bolt_app.sandbox.errors import ApiError, InvalidArgumentsError
from bolt_app.sandbox.limits import Tier
from bolt_app.sandbox.messages import find_message, visible_messages
from bolt_app.sandbox.people import add_member
from bolt_app.sandbox.web_api.call import Call
from bolt_app.sandbox.web_api.paging import page_after
from bolt_app.sandbox.web_api.registry import method
from bolt_app.sandbox.world import Channel, JsonDict, Message

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
    """Conversations, by kind and page by page
    (https://docs.slack.dev/reference/methods/conversations.list).
    """
    kinds = [one.strip() for one in call.text("types", "public_channel").split(",")]
    for kind in kinds:
        if kind not in _READ:
            raise ApiError("invalid_types")
        call.need(_READ[kind])
    team_id = call.team_id()
    found = [
        one
        for one in call.core.world.channels_of(team_id)
        if _kind(one) in kinds and call.sees(one) and _listed(call, one)
    ]
    page, cursor = page_after(found, call.text("cursor"), call.limit(100), lambda one: one.id)
    return {
        "ok": True,
        "channels": [_shown(call, one, with_count=True) for one in page],
        "response_metadata": {"next_cursor": cursor},
    }


@method("conversations.info", Tier.THREE, scopes=_ANY_READ)
def info(call: Call) -> JsonDict:
    """One conversation (https://docs.slack.dev/reference/methods/conversations.info)."""
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

    One person at a time: the stand-in has no group messages, and answers ``not_enough_users``.
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
    """What was said, newest first
    (https://docs.slack.dev/reference/methods/conversations.history).

    Replies in threads are not part of it.
    """
    channel = _readable(call)
    found = [
        one
        for one in reversed(visible_messages(call.core, channel.id))
        if one.thread_ts in (None, one.ts) or one.reply_broadcast
    ]
    found = [one for one in found if _in_range(call, one)]
    return _page_of_messages(call, channel, found)


@method("conversations.replies", Tier.THREE, scopes=_ANY_HISTORY, takes_json=True)
def replies(call: Call) -> JsonDict:
    """A thread, its parent first
    (https://docs.slack.dev/reference/methods/conversations.replies).
    """
    channel = _readable(call)
    ts = call.need_text("ts")
    if find_message(call.core, channel.id, ts) is None:
        raise ApiError("thread_not_found")
    found = [
        one
        for one in visible_messages(call.core, channel.id)
        if one.ts == ts or (one.thread_ts == ts and _in_range(call, one))
    ]
    return _page_of_messages(call, channel, found)


@method("conversations.members", Tier.FOUR, scopes=_ANY_READ)
def members(call: Call) -> JsonDict:
    """Who is in a conversation
    (https://docs.slack.dev/reference/methods/conversations.members).
    """
    channel = call.find_channel(call.need_text("channel"))
    call.need(_READ[_kind(channel)])
    page, cursor = page_after(
        channel.members, call.text("cursor"), call.limit(100), lambda one: one
    )
    return {"ok": True, "members": page, "response_metadata": {"next_cursor": cursor}}


def direct_message(call: Call, user_id: str) -> Channel:
    """The direct message between the caller and somebody, opened when there is none.

    Raises ``user_not_found``, ``user_disabled`` or ``cannot_dm_bot``.
    """
    user = call.find_user(user_id)
    if user.deleted:
        raise ApiError("user_disabled")
    if user.is_bot:
        raise ApiError("cannot_dm_bot")
    team_id = next(one for one in call.installation.team_ids if user.is_in(one))
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
        return [str(one) for one in value]
    return [one.strip() for one in call.text("users").split(",") if one.strip()]


def _kind(channel: Channel) -> str:
    if channel.is_im:
        return "im"
    return "private_channel" if channel.is_private else "public_channel"


def _listed(call: Call, channel: Channel) -> bool:
    if channel.is_archived and call.flag("exclude_archived"):
        return False
    # Direct messages belong to those in them, even for an administrator.
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


def _in_range(call: Call, message: Message) -> bool:
    inclusive = call.flag("inclusive")
    at = _micros(message.ts)
    oldest, latest = call.text("oldest"), call.text("latest")
    if oldest:
        edge = _micros(oldest, "invalid_ts_oldest")
        if at < edge or (at == edge and not inclusive):
            return False
    if latest:
        edge = _micros(latest, "invalid_ts_latest")
        if at > edge or (at == edge and not inclusive):
            return False
    return True


def _micros(ts: str, error: str = "internal_error") -> int:
    whole, _, fraction = ts.partition(".")
    try:
        return int(whole) * 1_000_000 + int(fraction[:6].ljust(6, "0") or "0")
    except ValueError:
        raise ApiError(error) from None


def _page_of_messages(call: Call, channel: Channel, found: list[Message]) -> JsonDict:
    limit = call.number("limit", 100) or 100
    if not 1 <= limit <= 1_000:
        raise InvalidArgumentsError("must be between 1 and 999 [json-pointer:/limit]")
    page, cursor = page_after(found, call.text("cursor"), min(limit, 999), lambda one: one.ts)
    with_metadata = call.flag("include_all_metadata")
    answer: JsonDict = {
        "ok": True,
        "messages": [_with_thread(call, channel, one, with_metadata) for one in page],
        "has_more": bool(cursor),
        "pin_count": 0,
    }
    if cursor:
        answer["response_metadata"] = {"next_cursor": cursor}
    return answer


def _with_thread(call: Call, channel: Channel, message: Message, with_metadata: bool) -> JsonDict:
    shown = message.as_slack(with_metadata=with_metadata)
    if message.thread_ts != message.ts:
        return shown
    answers = [
        one
        for one in visible_messages(call.core, channel.id)
        if one.thread_ts == message.ts and one is not message
    ]
    who = list(dict.fromkeys(one.user_id for one in answers if one.user_id))
    return shown | {
        "reply_count": len(answers),
        "reply_users_count": len(who),
        "latest_reply": answers[-1].ts if answers else message.ts,
        "reply_users": who,
        "is_locked": False,
        "subscribed": False,
    }
