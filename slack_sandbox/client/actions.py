"""A person's actions in the client, as JSON from the page's script.

Bodies must be ``application/json``, which a page of another origin cannot send without permission.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from slack_sandbox.blocks import elements_of
from slack_sandbox.client.composer import split_command, to_slack_text
from slack_sandbox.client.conversations import (
    Conversation,
    find_conversation,
    open_channel,
    reader_for,
)
from slack_sandbox.client.render import Reader, confirm_dialog
from slack_sandbox.client.render.elements import timestamp_of
from slack_sandbox.client.timeline import find_message
from slack_sandbox.errors import ConfirmationNeededError, NotFoundError, SandboxError
from slack_sandbox.interactions import InteractionResult
from slack_sandbox.sandbox import Sandbox
from slack_sandbox.world import JsonDict, Message, View

_FAILURES = {
    "operation_timeout": "did not respond within three seconds",
    "dispatch_failed": "could not be reached",
    "dispatch_unknown_error": "responded with an error",
}


def register_actions(client: Blueprint, sandbox: Sandbox) -> None:
    """Add the actions to the client's blueprint."""

    @client.post("/live/message")
    def say() -> Response:
        body = _Body()
        conversation = body.conversation(sandbox)
        thread_ts = body.find_text("thread")
        _post(sandbox, conversation, body.text("text"), thread_ts)
        return jsonify(ok=True)

    @client.post("/live/join")
    def join() -> Response:
        conversation = _Body().conversation(sandbox)
        sandbox.join_as(conversation.user.id, open_channel(sandbox, conversation).id)
        return jsonify(ok=True)

    @client.post("/live/invite")
    def invite() -> Response:
        conversation = _Body().conversation(sandbox)
        with sandbox.edit():
            sandbox.invite_bot(conversation.user.id, open_channel(sandbox, conversation).id)
        return jsonify(ok=True)

    @client.post("/live/open-app")
    def look() -> Response:
        body = _Body()
        conversation = body.conversation(sandbox)
        if sandbox.is_installed(conversation.workspace.id):
            tab = body.find_text("tab")
            sandbox.open_home(conversation.user.id, conversation.workspace.id, tab or "messages")
        return jsonify(ok=True)

    @client.post("/live/action")
    def act() -> Response:
        return _act_on(sandbox, _Body())

    @client.post("/live/shortcut")
    def shortcut() -> Response:
        body = _Body()
        conversation = body.conversation(sandbox)
        message = _source(sandbox, conversation.user.id, body)
        if isinstance(message, View):
            raise BadRequest("A shortcut belongs to a message.")
        done = sandbox.use_shortcut(conversation.user.id, message, body.text("callback_id"))
        return _response(sandbox, done)

    @client.post("/live/submit")
    def submit() -> Response:
        body = _Body()
        conversation = body.conversation(sandbox)
        view = sandbox.get_view(body.text("view"))
        reader = reader_for(sandbox, conversation.workspace.id, conversation.user)
        values = _with_timestamps(view, body.state(), reader)
        return _response(sandbox, sandbox.submit_view(conversation.user.id, view.id, values))

    @client.post("/live/close")
    def close() -> Response:
        body = _Body()
        conversation = body.conversation(sandbox)
        return _response(sandbox, sandbox.close_view(conversation.user.id, body.text("view")))

    @client.errorhandler(SandboxError)
    def refused(error: SandboxError) -> tuple[Response, int]:
        return jsonify(error=error.sentence), 400

    @client.errorhandler(BadRequest)
    def malformed(error: BadRequest) -> tuple[Response, int]:
        return jsonify(error=error.description), 400


class _Body:
    """The JSON object of a request. Raises BadRequest for any other body."""

    def __init__(self) -> None:
        fields = request.get_json() if request.is_json else None
        if not isinstance(fields, dict):
            raise BadRequest("The body must be a JSON object, sent as application/json.")
        self._fields: JsonDict = fields

    def text(self, name: str) -> str:
        value = self.find_text(name)
        if value is None:
            raise BadRequest(f"{name} is missing.")
        return value

    def find_text(self, name: str) -> str | None:
        value = self._fields.get(name)
        return value if isinstance(value, str) and value else None

    def flag(self, name: str) -> bool:
        return self._fields.get(name) is True

    def conversation(self, sandbox: Sandbox) -> Conversation:
        return find_conversation(
            sandbox, self.text("team"), self.text("conversation"), self.text("user")
        )

    def value(self) -> str | list[str] | None:
        return _chosen(self._fields.get("value"))

    def state(self) -> dict[str, dict[str, Any]]:
        fields = self._fields.get("state") or {}
        if not isinstance(fields, dict) or not all(
            isinstance(typed, dict) for typed in fields.values()
        ):
            raise BadRequest("state must hold objects by block id.")
        return {
            block_id: {action_id: _chosen(value) for action_id, value in typed.items()}
            for block_id, typed in fields.items()
        }


def _chosen(value: Any) -> str | list[str] | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise BadRequest("A value must be a string or a list of strings.")


def _post(sandbox: Sandbox, conversation: Conversation, text: str, thread_ts: str | None) -> None:
    channel = open_channel(sandbox, conversation)
    command = split_command(text)
    if command is None:
        people = {
            user.name: user.id
            for user in sandbox.users.values()
            if user.is_in(conversation.workspace.id)
        }
        visible = sandbox.conversations_for(conversation.workspace.id, conversation.user.id)
        channels = {channel.name: channel.id for channel in visible if not channel.is_im}
        written = to_slack_text(text, people, channels)
        sandbox.post_as(conversation.user.id, channel.id, written, thread_ts=thread_ts)
        return
    if thread_ts is not None:
        raise SandboxError(f"{command[0]} is not supported in threads")
    sandbox.send_command(conversation.user.id, channel.id, *command)


def _act_on(sandbox: Sandbox, body: _Body) -> Response:
    conversation = body.conversation(sandbox)
    user_id = conversation.user.id
    reader = reader_for(sandbox, conversation.workspace.id, conversation.user)
    source = _source(sandbox, user_id, body)
    block_id, action_id = body.text("block_id"), body.text("action_id")
    value = body.value()
    typed: JsonDict = {block_id: {action_id: value}}
    stamped = _with_timestamps(source, typed, reader)[block_id][action_id]
    state = _with_timestamps(source, body.state(), reader)
    # The element's type determines how the sandbox uses the value.
    act = sandbox.select_option if stamped is not None else sandbox.click
    try:
        done = act(
            user_id,
            source,
            action_id,
            stamped,
            block_id=block_id,
            confirmed=body.flag("confirmed"),
            state=state,
        )
    except ConfirmationNeededError as error:
        return jsonify(confirm=confirm_dialog(error.confirm, reader))
    return _response(sandbox, done)


def _source(sandbox: Sandbox, user_id: str, body: _Body) -> Message | View:
    view_id = body.find_text("view")
    if view_id is not None:
        return sandbox.get_view(view_id)
    found = find_message(
        sandbox,
        user_id,
        body.text("channel"),
        body.text("ts"),
        is_ephemeral=body.flag("is_ephemeral"),
    )
    if found is None:
        raise NotFoundError("the message was deleted")
    return found


def _blocks(source: Message | View) -> list[JsonDict]:
    if isinstance(source, View):
        return source.blocks
    attached = [attachment.get("blocks") or [] for attachment in source.attachments]
    return [*source.blocks, *(block for blocks in attached for block in blocks)]


def _with_timestamps(
    source: Message | View, state: Mapping[str, Mapping[str, Any]], reader: Reader
) -> dict[str, dict[str, Any]]:
    """``state`` with date-and-time values converted from the person's time zone."""
    read: dict[str, dict[str, Any]] = {name: dict(typed) for name, typed in state.items()}
    for block, element in elements_of(_blocks(source)):
        typed = read.get(block["block_id"], {})
        value = typed.get(element["action_id"])
        if element["type"] == "datetimepicker" and isinstance(value, str):
            typed[element["action_id"]] = timestamp_of(value, reader)
    return read


def _response(sandbox: Sandbox, done: InteractionResult) -> Response:
    if done.error is None or done.errors:
        return jsonify(ok=not done.errors)
    failure = _FAILURES.get(done.error, "sent an invalid response")
    return jsonify(error=f"{sandbox.config.name} {failure} ({done.error}).")
