"""People's actions in a channel: posting, joining, and slash commands.

See https://docs.slack.dev/interactivity/implementing-slash-commands.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from slack_sandbox.core import Core
from slack_sandbox.deliveries import Attempt, Delivery, DeliveryKind, Reply, post
from slack_sandbox.errors import ApiError, SandboxError
from slack_sandbox.links import share_links
from slack_sandbox.messages import add_ephemeral, add_message
from slack_sandbox.responses import post_response
from slack_sandbox.tokens import Installation
from slack_sandbox.world import Channel, JsonDict, Message, User

FORM = "application/x-www-form-urlencoded"


@dataclass
class CommandResult:
    """The outcome of a slash command.

    ``error`` is the code shown to the person (``operation_timeout``, ``dispatch_failed`` …),
    ``message`` the app's response in the channel, or Slack's error message. ``body`` is the JSON
    object of the response, or its text.
    """

    status: int = 0
    body: JsonDict | str = ""
    headers: dict[str, str] = field(default_factory=dict)
    elapsed: float = 0.0
    error: str | None = None
    message: Message | None = None


def post_as(
    core: Core, user_id: str, channel_id: str, text: str, thread_ts: str | None = None
) -> Message:
    """Post a message as a member of the channel. Raises SandboxError for anyone else."""
    with core.lock:
        user, channel = _person_in(core, user_id, channel_id)
        if channel.is_archived:
            raise SandboxError(f"#{channel.name} is archived")
        if core.config.messages_tab_read_only and _is_with_app(core, channel):
            raise SandboxError("sending messages to this app has been turned off")
        if not text.strip():
            raise SandboxError("a message needs text")
        message = Message(
            channel.id,
            core.world.next_ts(core.clock()),
            channel.team_id,
            text=text,
            user_id=user.id,
            thread_ts=thread_ts,
        )
        add_message(core, message)
        share_links(core, message)
        return message


def _is_with_app(core: Core, channel: Channel) -> bool:
    people = (core.get_user(member) for member in channel.members)
    return channel.is_im and any(user.app_id == core.config.app_id for user in people)


def join_as(core: Core, user_id: str, channel_id: str) -> None:
    """Join a public channel as a person."""
    with core.edit():
        user, channel = core.get_user(user_id), core.get_channel(channel_id)
        if channel.is_private or channel.is_archived or channel.is_im or user.is_restricted:
            raise SandboxError(f"{user.label} cannot join {channel.name or channel.id}")
        add_member(core, channel, user_id)


def add_member(core: Core, channel: Channel, user_id: str, inviter: str | None = None) -> None:
    """Add a user to a channel and publish ``member_joined_channel``."""
    if user_id in channel.members:
        return
    channel.members.append(user_id)
    event = {
        "type": "member_joined_channel",
        "user": user_id,
        "channel": channel.id,
        "channel_type": "G" if channel.is_private else "C",
        "team": channel.team_id,
    }
    core.publish(channel.team_id, event | ({"inviter": inviter} if inviter else {}))


def send_command(
    core: Core, user_id: str, channel_id: str, command: str, text: str
) -> CommandResult:
    """Send a slash command and wait up to three seconds, as Slack does."""
    with core.lock:
        user, channel = _person_in(core, user_id, channel_id)
        installation = core.installation_for(channel.team_id)
        registered = core.config.find_command(command)
        scopes = core.bot_scopes(installation) if installation else ()
        if installation is None or registered is None or "commands" not in scopes:
            return _failed(core, user, channel, command, "unknown_command")
        form = _command_form(core, user, channel, installation)
        form["command"] = command
        form["text"] = _escaped(core, text) if registered.should_escape else text
    body = urlencode(form).encode()
    reply = deliver_now(core, "command", command, registered.url, channel.team_id, body)
    return _answered(core, user, channel, installation, command, reply)


def deliver_now(
    core: Core, kind: DeliveryKind, name: str, url: str, team_id: str, body: bytes
) -> Reply:
    """Send a signed form once, log it, and return the response."""
    headers = core.headers_for(body, FORM)
    started = core.clock()
    reply = post(url, body, headers, core.answer_within)
    delivery = Delivery(core.world.next_id("Dl"), kind, name, url, team_id, body, FORM, started)
    reason = reply.problem or (None if reply.is_success else "http_error")
    delivery.attempts.append(Attempt(0, started, reply.status, reason, reply.elapsed))
    delivery.reply = reply
    delivery.settle("delivered" if reply.is_success else "failed")
    core.events.record(delivery)
    return reply


def channel_name(channel: Channel) -> str:
    """The channel's name in commands and interactions."""
    if channel.is_im:
        return "directmessage"
    return "privategroup" if channel.is_private else channel.name


def _person_in(core: Core, user_id: str, channel_id: str) -> tuple[User, Channel]:
    user, channel = core.get_user(user_id), core.get_channel(channel_id)
    if user.deleted or user.is_bot:
        raise SandboxError(f"{user.label} cannot act")
    if user_id not in channel.members:
        raise SandboxError(f"{user.label} is not in {channel.name or channel.id}")
    return user, channel


def _command_form(
    core: Core, user: User, channel: Channel, installation: Installation
) -> dict[str, str]:
    workspace = core.get_workspace(channel.team_id)
    form = {
        "token": core.config.verification_token,
        "team_id": workspace.id,
        "team_domain": workspace.domain,
        "channel_id": channel.id,
        "channel_name": channel_name(channel),
        "user_id": user.id,
        "user_name": user.name,
        "command": "",
        "text": "",
        "api_app_id": core.config.app_id,
        "is_enterprise_install": "true" if installation.key.is_org else "false",
    }
    enterprise = core.world.enterprise_of(workspace.id)
    if enterprise is not None:
        form |= {"enterprise_id": enterprise.id, "enterprise_name": enterprise.name}
    form["response_url"] = core.new_response_url("commands", user.id, channel)
    form["trigger_id"] = core.new_trigger(user.id, workspace.id)
    return form


def _escaped(core: Core, text: str) -> str:
    """The text with mentions as ``<@U…|name>`` and ``<#C…|name>``, for ``should_escape``."""

    def person(match: re.Match[str]) -> str:
        found = [user for user in core.world.users.values() if user.name == match[1]]
        return f"<@{found[0].id}|{found[0].name}>" if found else match[0]

    def channel(match: re.Match[str]) -> str:
        found = [channel for channel in core.world.channels.values() if channel.name == match[1]]
        return f"<#{found[0].id}|{found[0].name}>" if found else match[0]

    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"#([\w-]+)", channel, re.sub(r"@([\w.-]+)", person, text))


def _answered(
    core: Core,
    user: User,
    channel: Channel,
    installation: Installation,
    command: str,
    reply: Reply,
) -> CommandResult:
    result = CommandResult(reply.status, reply.text, dict(reply.headers), reply.elapsed)
    error = _error_of(reply)
    if error is None:
        try:
            body = _parsed(reply)
            result.body = reply.text if body is None else body
            if body is not None:
                result.message = post_response(core, installation, channel, user.id, body)
            return result
        except ApiError:
            error = "invalid_command_response"
    failed = _failed(core, user, channel, command, error)
    result.error, result.message = failed.error, failed.message
    return result


def _error_of(reply: Reply) -> str | None:
    if reply.problem == "http_timeout":
        return "operation_timeout"
    if reply.problem is not None:
        return "dispatch_failed"
    if reply.status != 200:
        return "dispatch_unknown_error" if reply.status >= 500 else "http_client_error"
    return None


def _parsed(reply: Reply) -> JsonDict | None:
    """The response as a message body, or None if it is empty."""
    if not reply.text.strip():
        return None
    kinds = [value for name, value in reply.headers.items() if name.lower() == "content-type"]
    if not kinds or "application/json" not in kinds[0]:
        return {"text": reply.text}
    try:
        parsed: Any = json.loads(reply.body)
    except ValueError:
        raise ApiError("invalid_json") from None
    if not isinstance(parsed, dict):
        raise ApiError("invalid_json")
    return parsed or None


def _failed(core: Core, user: User, channel: Channel, command: str, error: str) -> CommandResult:
    text = f'{command} failed with the error "{error}"'
    if error == "unknown_command":
        text = f"{command} is not a valid command."
    message = Message(
        channel.id,
        core.world.next_ts(core.clock()),
        channel.team_id,
        text=text,
        user_id="USLACKBOT",
        username="Slackbot",
        ephemeral_to=user.id,
    )
    add_ephemeral(core, message)
    return CommandResult(error=error, message=message)
