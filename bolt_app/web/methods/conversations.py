"""`conversations.*`: channels from the last listing, and direct messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bolt_app.credentials.api_keys import Scope
from bolt_app.slack_ids import is_conversation, is_person
from bolt_app.web.methods.call import Answer, Call, Method
from bolt_app.web.methods.destinations import (
    NOT_FOUND,
    allowed_channels,
    find_destination,
    names_person,
)
from bolt_app.web.methods.errors import MethodError, invalid_argument
from bolt_app.web.methods.slack_calls import waiting_for_slack
from bolt_app.workspaces.channels import ListedChannel
from bolt_app.workspaces.lookup_budgets import CONVERSATIONS_JOIN

MOST_LISTED = 1000
DEFAULT_LISTED = 100
_KINDS = frozenset({"public_channel", "private_channel", "mpim", "im"})
_NOT_SUPPORTED = "method_not_supported_for_channel_type"


def list_channels(call: Call) -> Answer:
    """List channels (https://docs.slack.dev/reference/methods/conversations.list)."""
    return _list(call, _shown)


def list_joined_channels(call: Call) -> Answer:
    """List the channels with the bot in them
    (https://docs.slack.dev/reference/methods/users.conversations).

    Bellhop knows the channels of its bot alone: the argument `user` may name no one else.
    """
    user_id = call.arguments.text("user").strip()
    if user_id and user_id != _bot_user_id(call):
        raise invalid_argument("must be the bot's own user id, or omitted [json-pointer:/user]")
    return _list(call, _shown_as_joined, joined=True)


def _list(call: Call, show: Callable[[ListedChannel], Answer], *, joined: bool = False) -> Answer:
    """Return a page of channels.

    A limited key sees its own channels only, and a key that a person made only public ones.

    Args:
        joined: whether to list only channels with the bot in them.

    Raises:
        MethodError: a type or the size of the page is invalid.
    """
    arguments = call.arguments
    kinds = {kind.strip() for kind in (arguments.text("types") or "public_channel").split(",")}
    if not kinds <= _KINDS:
        raise MethodError("invalid_types")
    if call.key.is_personal:
        kinds -= {"private_channel"}
    limit = arguments.number("limit", DEFAULT_LISTED, most=MOST_LISTED)
    found = _page(
        call,
        public="public_channel" in kinds,
        private="private_channel" in kinds,
        archived=not arguments.flag("exclude_archived"),
        joined=joined,
        among=allowed_channels(call),
        after=arguments.text("cursor"),
        limit=limit + 1,
    )
    page = found[:limit]
    cursor = page[-1].channel_id if len(found) > limit else ""
    return {
        "channels": [show(channel) for channel in page],
        "response_metadata": {"next_cursor": cursor},
    }


def info(call: Call) -> Answer:
    """Return a channel (https://docs.slack.dev/reference/methods/conversations.info)."""
    return {"channel": _shown(_require_channel(call))}


def join(call: Call) -> Answer:
    """Let the bot join a public channel
    (https://docs.slack.dev/reference/methods/conversations.join).
    """
    channel, services = _require_channel(call), call.services
    if channel.is_private:
        raise MethodError(_NOT_SUPPORTED)
    if channel.is_archived:
        raise MethodError("is_archived")
    shown = {"channel": {**_shown(channel), "is_member": True}}
    if channel.is_member:
        warning = "already_in_channel"
        return {**shown, "warning": warning, "response_metadata": {"warnings": [warning]}}
    with waiting_for_slack(call):
        services.lookup_budgets.take(CONVERSATIONS_JOIN, call.team_id, call.share)
        services.channels.join(services.client.find_workspace(call.team_id), channel.channel_id)
    return shown


def open_conversation(call: Call) -> Answer:
    """Open the bot's direct message with a person
    (https://docs.slack.dev/reference/methods/conversations.open).

    `return_im` names the person only to a caller who may know their id, see `names_person`.
    """
    name = "channel" if call.arguments.has("channel") else "users"
    address = find_destination(call, name).channel_id
    services = call.services
    workspace = services.client.find_workspace(call.team_id)
    if is_conversation(address):
        with waiting_for_slack(call):
            user_id = services.users.find_by_conversation(workspace, address, call.share)
        conversation_id = address
    elif is_person(address):
        user_id = address
        with waiting_for_slack(call):
            conversation_id = services.users.open_conversation(workspace, user_id, call.share)
    else:
        raise MethodError(_NOT_SUPPORTED)
    channel = {"id": conversation_id}
    if not call.arguments.flag("return_im"):
        return {"channel": channel}
    user = {"user": user_id} if names_person(call, user_id, {address}) else {}
    return {"channel": {**channel, "is_im": True, **user}}


def _page(call: Call, **which: Any) -> list[ListedChannel]:
    workspace = call.services.client.find_workspace(call.team_id)
    return call.services.channels.page(workspace, **which)


def _bot_user_id(call: Call) -> str | None:
    bot = call.services.installations.find_bot(call.team_id)
    return None if bot is None else bot.user_id


def _require_channel(call: Call) -> ListedChannel:
    """Return the channel of a call from the last listing.

    Raises:
        MethodError: it is not in there, or the key may not use it.
    """
    channel_id = find_destination(call).channel_id
    found = _page(
        call,
        public=True,
        private=not call.key.is_personal,
        archived=True,
        among=[channel_id],
        limit=1,
    )
    if not found:
        raise MethodError(NOT_FOUND)
    return found[0]


def _shown(channel: ListedChannel) -> Answer:
    """Return a channel as in https://docs.slack.dev/reference/objects/conversation-object."""
    return {
        "id": channel.channel_id,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": not channel.is_private,
        "is_group": channel.is_private,
        "is_im": False,
        "is_mpim": False,
        "is_private": channel.is_private,
        "is_archived": channel.is_archived,
        "is_member": channel.is_member,
        "num_members": channel.member_count,
    }


def _shown_as_joined(channel: ListedChannel) -> Answer:
    """Return a channel as `users.conversations` shows it: without membership and its size."""
    shown = _shown(channel)
    del shown["is_member"], shown["num_members"]
    return shown


METHODS = {
    "conversations.list": Method(list_channels, Scope.READ),
    "conversations.info": Method(info, Scope.READ),
    "conversations.join": Method(join, Scope.SEND),
    "conversations.open": Method(open_conversation, Scope.SEND),
    "users.conversations": Method(list_joined_channels, Scope.READ),
}
