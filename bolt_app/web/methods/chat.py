"""`chat.*`: messages, which the durable queue delivers, changes and deletes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from bolt_app.credentials.api_keys import Scope
from bolt_app.notifications.content.page_urls import page_url
from bolt_app.notifications.content.schema import FARTHEST, NotificationRequest
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.intake.results import NewDelivery
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.messages.errors import MessageNotFoundError
from bolt_app.notifications.messages.store import Message
from bolt_app.slack_ids import is_person
from bolt_app.web.methods.call import Answer, Call, Method
from bolt_app.web.methods.charged import charged_by_transaction
from bolt_app.web.methods.contents import (
    given_members,
    kept_members,
    merged_content,
    read_content,
    to_request,
    with_warnings,
)
from bolt_app.web.methods.destinations import (
    Destination,
    allowed_channels,
    find_destination,
    hidden_channels,
    names_person,
)
from bolt_app.web.methods.errors import MethodError, invalid_argument

# Scheduled messages in one answer; Slack's own limit.
MOST_SCHEDULED = 100
_SCHEDULED_ID = "Q"


def post_message(call: Call) -> Answer:
    """Post a message (https://docs.slack.dev/reference/methods/chat.postMessage).

    The answer has Slack's `ts` if the message was posted at once, else a provisional one and
    `is_provisional`.
    """
    destination, content = find_destination(call), read_content(call)
    require_own_thread(call, destination, content)
    delivery = _submit(call, to_request(call, content, destination.address))
    channel_id, ts = destination.channel_id, delivery.provisional_ts
    provisional: Answer = {"is_provisional": True}
    result = call.services.message_results.wait(delivery.id)
    if result is not None and result.error is not None:
        raise MethodError(result.error, is_charged=True)
    if result is not None and result.ts is not None:
        channel_id, ts, provisional = result.channel_id or channel_id, result.ts, {}
    message = _shown(content, ts)
    return with_warnings(call, {"channel": channel_id, "ts": ts, **provisional, "message": message})


def update(call: Call) -> Answer:
    """Change a message (https://docs.slack.dev/reference/methods/chat.update)."""
    destination, ts = find_destination(call), call.arguments.require_ts("ts")
    given, contents = given_members(call), list[Mapping[str, Any]]()

    def merge(kept: Mapping[str, Any]) -> NotificationRequest:
        contents.append(merged_content(given, kept))
        return to_request(call, contents[-1], destination.address)

    with charged_by_transaction(call):
        sender, kept = Sender.of(call.key), kept_members(call, given)
        edit = call.services.messages.edit
        delivery_id = edit(sender, destination.addresses, ts, kept, merge)
    _require_no_error(call, delivery_id)
    message = _shown(contents[-1], ts)
    answer = {"channel": destination.channel_id, "ts": ts, "text": message["text"]}
    return with_warnings(call, {**answer, "message": message})


def delete(call: Call) -> Answer:
    """Delete a message (https://docs.slack.dev/reference/methods/chat.delete)."""
    destination, ts = find_destination(call), call.arguments.require_ts("ts")
    with charged_by_transaction(call):
        delivery_id = call.services.messages.delete(Sender.of(call.key), destination.addresses, ts)
    if delivery_id is not None:
        _require_no_error(call, delivery_id)
    return {"channel": destination.channel_id, "ts": ts}


def schedule_message(call: Call) -> Answer:
    """Schedule a message (https://docs.slack.dev/reference/methods/chat.scheduleMessage)."""
    destination, post_at = find_destination(call), _post_at(call)
    content = read_content(call)
    require_own_thread(call, destination, content)
    request = to_request(call, content, destination.address, send_at=post_at)
    delivery = _submit(call, request)
    answer = {
        "channel": destination.channel_id,
        "scheduled_message_id": _scheduled_id(str(delivery.provisional_ts)),
        "post_at": int(post_at.timestamp()),
        "message": _shown(content, None),
    }
    return with_warnings(call, answer)


def delete_scheduled_message(call: Call) -> Answer:
    """Cancel a scheduled message
    (https://docs.slack.dev/reference/methods/chat.deleteScheduledMessage).
    """
    destination = find_destination(call)
    ts = _scheduled_ts(call.arguments.require_text("scheduled_message_id"))
    try:
        with charged_by_transaction(call):
            messages, sender = call.services.messages, Sender.of(call.key)
            messages.cancel_scheduled(sender, destination.addresses, ts)
    except MessageNotFoundError:
        raise MethodError("invalid_scheduled_message_id") from None
    return {}


def list_scheduled_messages(call: Call) -> Answer:
    """List scheduled messages
    (https://docs.slack.dev/reference/methods/chat.scheduledMessages.list).
    """
    has_channel = call.arguments.has("channel")
    addresses = find_destination(call).addresses if has_channel else allowed_channels(call)
    found = call.services.messages.scheduled(Sender.of(call.key), addresses, MOST_SCHEDULED)
    hidden = hidden_channels(call, {message.address for message in found})
    listed = [
        {
            "id": _scheduled_id(message.provisional_ts),
            "channel_id": _shown_address(call, message, hidden),
            "post_at": int(message.send_at.timestamp()),
        }
        for message in found
    ]
    return {"scheduled_messages": listed, "response_metadata": {"next_cursor": ""}}


def get_permalink(call: Call) -> Answer:
    """Return the link of a message (https://docs.slack.dev/reference/methods/chat.getPermalink).

    It leads to the notification's page while the message is not in Slack.
    """
    destination = find_destination(call)
    ts, services = call.arguments.require_ts("message_ts"), call.services
    message = services.messages.find(Sender.of(call.key), destination.addresses, ts)
    permalink = None
    if message.state == DeliveryState.SENT:
        report = services.history.find(call.team_id, message.notification_id)
        deliveries = services.permalinks.add(call.team_id, report).deliveries if report else ()
        permalink = next((one.permalink for one in deliveries if one.id == message.id), None)
    page = page_url(services.settings.public_url, message.notification_id)
    return {"channel": destination.channel_id, "permalink": permalink or page}


def _shown_address(call: Call, message: Message, hidden: Collection[str]) -> str:
    """Return the address of a message; of a person the id only to a caller who may know it.

    Args:
        hidden: the channels that the sender's own address shows instead.
    """
    address, target = message.address, message.target
    is_hidden = is_person(address) and not names_person(call, address, {target})
    return target if is_hidden or address in hidden else address


def _submit(call: Call, request: NotificationRequest) -> NewDelivery:
    """Accept a message, and return its delivery."""
    with charged_by_transaction(call):
        sender, intake = Sender.of(call.key), call.services.intake
        result = intake.submit(sender, [request], as_messages=True)
    [delivery] = result.notifications[0].deliveries
    return delivery


def _require_no_error(call: Call, delivery_id: int) -> None:
    """Raise Slack's error if the change was made at once, and failed."""
    result = call.services.message_results.wait(delivery_id)
    if result is not None and result.error is not None:
        raise MethodError(result.error, is_charged=True)


def require_own_thread(call: Call, destination: Destination, content: Mapping[str, Any]) -> None:
    """Reject a reply to another source's message: the key may not know that it exists."""
    if "thread_ts" not in content:
        return
    sender, thread_ts = Sender.of(call.key), content["thread_ts"]
    try:
        call.services.messages.find(sender, destination.addresses, thread_ts)
    except MessageNotFoundError:
        raise MethodError("thread_not_found") from None


def _post_at(call: Call) -> datetime:
    text, now = call.arguments.require_text("post_at"), call.services.clock()
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise invalid_argument("must be a Unix timestamp [json-pointer:/post_at]")
    if int(text) <= now.timestamp():
        raise MethodError("time_in_past")
    if int(text) > (now + FARTHEST).timestamp():
        raise MethodError("time_too_far")
    return datetime.fromtimestamp(int(text), UTC)


def _scheduled_id(ts: str) -> str:
    return _SCHEDULED_ID + ts.replace(".", "")


def _scheduled_ts(id_: str) -> str:
    digits = id_.removeprefix(_SCHEDULED_ID)
    return f"{digits[:-6]}.{digits[-6:]}"


def _shown(content: Mapping[str, Any], ts: str | None) -> Answer:
    """Return a message as Slack shows that of a bot."""
    names = ("text", "blocks", "attachments", "username", "thread_ts")
    message = {name: content[name] for name in names if name in content}
    known = {} if ts is None else {"ts": ts}
    return {"type": "message", "subtype": "bot_message", "text": "", **message, **known}


METHODS = {
    "chat.postMessage": Method(post_message, Scope.SEND, charges=True),
    "chat.update": Method(update, Scope.SEND, charges=True),
    "chat.delete": Method(delete, Scope.SEND, charges=True),
    "chat.scheduleMessage": Method(schedule_message, Scope.SEND, charges=True),
    "chat.deleteScheduledMessage": Method(delete_scheduled_message, Scope.SEND, charges=True),
    "chat.scheduledMessages.list": Method(list_scheduled_messages, Scope.SEND),
    "chat.getPermalink": Method(get_permalink, Scope.SEND),
}
