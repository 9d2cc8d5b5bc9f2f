"""`chat.postEphemeral`: a message to one person in a channel, sent at once or not at all.

Slack keeps no such message, so that an attempt in doubt cannot be looked up and repeated.
"""

from __future__ import annotations

from typing import Any

from bolt_app.blockkit.broadcasts import without_broadcasts
from bolt_app.credentials.api_keys import Scope
from bolt_app.notifications.content.message import render
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.messages.errors import MessageNotFoundError
from bolt_app.recipients import normal_person
from bolt_app.slack_ids import is_conversation, is_person, looks_like_channel_id
from bolt_app.web.methods.call import Answer, Call, Method
from bolt_app.web.methods.contents import read_content, to_request, with_warnings
from bolt_app.web.methods.destinations import (
    NOT_FOUND,
    Destination,
    find_verified_destination,
)
from bolt_app.web.methods.errors import MethodError
from bolt_app.web.methods.slack_calls import waiting_for_slack
from bolt_app.workspaces.client import BotWorkspace

_METHOD = "chat.postEphemeral"
_CUSTOMIZE = "chat:write.customize"
_LOOKS = ("username", "icon_emoji", "icon_url")


def post_ephemeral(call: Call) -> Answer:
    """Show a message to one person
    (https://docs.slack.dev/reference/methods/chat.postEphemeral).
    """
    destination, user_id = find_verified_destination(call), _user(call)
    if not looks_like_channel_id(destination.channel_id):
        raise MethodError(NOT_FOUND)
    content = to_request(call, read_content(call), destination.address).content()
    thread_ts = _thread_ts(call, destination, content)
    if not call.key.allow_broadcast:
        content = without_broadcasts(content)
    services = call.services
    workspace = services.client.find_workspace(call.team_id)
    message = render(content)
    if not services.client.has_scope(workspace, _CUSTOMIZE):
        message = {name: value for name, value in message.items() if name not in _LOOKS}
    with waiting_for_slack(call):
        _check_recipient(call, workspace, destination.channel_id, user_id)
        services.lookup_budgets.take(_METHOD, call.team_id, call.share)
        answer = services.client.as_bot(
            workspace,
            _METHOD,
            channel=destination.channel_id,
            user=user_id,
            thread_ts=thread_ts,
            **message,
        )
    return with_warnings(call, {"message_ts": answer["message_ts"]})


def _user(call: Call) -> str:
    try:
        user_id = normal_person(call.arguments.require_text("user"))
    except ValueError:
        raise MethodError("user_not_in_channel") from None
    if not is_person(user_id):
        raise MethodError("user_not_in_channel")
    return user_id


def _check_recipient(call: Call, workspace: BotWorkspace, channel_id: str, user_id: str) -> None:
    """Check the person of a direct message, as each delivery to one does.

    Raises:
        MethodError: it is another person's, or the person may not receive it.
        SlackCallError: a call to Slack failed.
    """
    if not is_conversation(channel_id):
        return
    users, access = call.services.users, call.services.access
    if users.find_by_conversation(workspace, channel_id, call.share) != user_id:
        raise MethodError("user_not_in_channel")
    if not access.may_receive(workspace, user_id, call.share, by_subscription=False):
        raise MethodError("recipient_denied")


def _thread_ts(call: Call, destination: Destination, content: dict[str, Any]) -> str | None:
    """Return Slack's `ts` of the thread, which must be of a message of the same source."""
    if "thread_ts" not in content:
        return None
    sender, thread_ts = Sender.of(call.key), content["thread_ts"]
    try:
        message = call.services.messages.find(sender, destination.addresses, thread_ts)
    except MessageNotFoundError:
        raise MethodError("thread_not_found") from None
    if message.ts is None:
        raise MethodError("thread_not_found")
    return message.ts


METHODS = {_METHOD: Method(post_ephemeral, Scope.SEND)}
