"""What a person does in the client, as JSON from the page's script.

Bodies must be sent as ``application/json``, which a page of another origin may not do unasked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from slack_sandbox.blocks import elements_of
from slack_sandbox.client.places import Place, find_place, open_channel, reader_for
from slack_sandbox.client.render import Reader, confirm_dialog
from slack_sandbox.client.render.elements import timestamp_of
from slack_sandbox.client.shown import find_message
from slack_sandbox.client.typed import as_slack_text, split_command
from slack_sandbox.errors import ConfirmationNeededError, NotFoundError, SandboxError
from slack_sandbox.interactions import InteractionResult
from slack_sandbox.sandbox import Sandbox
from slack_sandbox.world import JsonDict, Message, View

_WORDS = {
    "operation_timeout": "did not answer within three seconds",
    "dispatch_failed": "could not be reached",
    "dispatch_unknown_error": "answered with an error",
}


def register_acts(client: Blueprint, sandbox: Sandbox) -> None:
    """Add what people do to the client's blueprint."""

    @client.post("/live/say")
    def say() -> Response:
        body = _Body()
        place = body.place(sandbox)
        thread_ts = body.find_text("thread")
        _say(sandbox, place, body.text("text"), thread_ts)
        return jsonify(ok=True)

    @client.post("/live/join")
    def join() -> Response:
        place = _Body().place(sandbox)
        sandbox.join_as(place.user.id, open_channel(sandbox, place).id)
        return jsonify(ok=True)

    @client.post("/live/invite")
    def invite() -> Response:
        place = _Body().place(sandbox)
        with sandbox.edit():
            sandbox.invite_bot(place.user.id, open_channel(sandbox, place).id)
        return jsonify(ok=True)

    @client.post("/live/look")
    def look() -> Response:
        body = _Body()
        place = body.place(sandbox)
        if sandbox.is_installed(place.workspace.id):
            tab = body.find_text("tab")
            sandbox.open_home(place.user.id, place.workspace.id, tab or "messages")
        return jsonify(ok=True)

    @client.post("/live/act")
    def act() -> Response:
        return _act(sandbox, _Body())

    @client.post("/live/shortcut")
    def shortcut() -> Response:
        body = _Body()
        place = body.place(sandbox)
        message = _source(sandbox, place.user.id, body)
        if isinstance(message, View):
            raise BadRequest("A shortcut is of a message.")
        done = sandbox.use_shortcut(place.user.id, message, body.text("callback_id"))
        return _worded(sandbox, done)

    @client.post("/live/submit")
    def submit() -> Response:
        body = _Body()
        place = body.place(sandbox)
        view = sandbox.get_view(body.text("view"))
        reader = reader_for(sandbox, place.workspace.id, place.user)
        values = _with_timestamps(view, body.state(), reader)
        return _worded(sandbox, sandbox.submit_view(place.user.id, view.id, values))

    @client.post("/live/close")
    def close() -> Response:
        body = _Body()
        place = body.place(sandbox)
        return _worded(sandbox, sandbox.close_view(place.user.id, body.text("view")))

    @client.errorhandler(SandboxError)
    def refused(error: SandboxError) -> tuple[Response, int]:
        return jsonify(error=error.sentence), 400

    @client.errorhandler(BadRequest)
    def malformed(error: BadRequest) -> tuple[Response, int]:
        return jsonify(error=error.description), 400


class _Body:
    """The JSON object of a request. Raises BadRequest where it is none."""

    def __init__(self) -> None:
        given = request.get_json() if request.is_json else None
        if not isinstance(given, dict):
            raise BadRequest("The body must be a JSON object, sent as application/json.")
        self._given: JsonDict = given

    def text(self, name: str) -> str:
        value = self.find_text(name)
        if value is None:
            raise BadRequest(f"{name} is missing.")
        return value

    def find_text(self, name: str) -> str | None:
        value = self._given.get(name)
        return value if isinstance(value, str) and value else None

    def flag(self, name: str) -> bool:
        return self._given.get(name) is True

    def place(self, sandbox: Sandbox) -> Place:
        return find_place(sandbox, self.text("team"), self.text("place"), self.text("user"))

    def value(self) -> str | list[str] | None:
        return _chosen(self._given.get("value"))

    def state(self) -> dict[str, dict[str, Any]]:
        given = self._given.get("state") or {}
        if not isinstance(given, dict) or not all(isinstance(one, dict) for one in given.values()):
            raise BadRequest("state must hold objects by block id.")
        return {
            block_id: {action_id: _chosen(value) for action_id, value in typed.items()}
            for block_id, typed in given.items()
        }


def _chosen(value: Any) -> str | list[str] | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return value
    raise BadRequest("A value must be a text or a list of texts.")


def _say(sandbox: Sandbox, place: Place, text: str, thread_ts: str | None) -> None:
    channel = open_channel(sandbox, place)
    command = split_command(text)
    if command is None:
        people = {
            one.name: one.id for one in sandbox.users.values() if one.is_in(place.workspace.id)
        }
        visible = sandbox.conversations_for(place.workspace.id, place.user.id)
        channels = {one.name: one.id for one in visible if not one.is_im}
        written = as_slack_text(text, people, channels)
        sandbox.post_as(place.user.id, channel.id, written, thread_ts=thread_ts)
        return
    if thread_ts is not None:
        raise SandboxError(f"{command[0]} is not supported in threads")
    sandbox.send_command(place.user.id, channel.id, *command)


def _act(sandbox: Sandbox, body: _Body) -> Response:
    place = body.place(sandbox)
    user_id = place.user.id
    reader = reader_for(sandbox, place.workspace.id, place.user)
    source = _source(sandbox, user_id, body)
    block_id, action_id = body.text("block_id"), body.text("action_id")
    value = body.value()
    typed: JsonDict = {block_id: {action_id: value}}
    stamped = _with_timestamps(source, typed, reader)[block_id][action_id]
    state = _with_timestamps(source, body.state(), reader)
    # One way for all: what a button or a menu does with the value, its element says.
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
    return _worded(sandbox, done)


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
        raise NotFoundError("the message is gone")
    return found


def _blocks(source: Message | View) -> list[JsonDict]:
    if isinstance(source, View):
        return source.blocks
    attached = [one.get("blocks") or [] for one in source.attachments]
    return [*source.blocks, *(block for blocks in attached for block in blocks)]


def _with_timestamps(
    source: Message | View, state: Mapping[str, Mapping[str, Any]], reader: Reader
) -> dict[str, dict[str, Any]]:
    """``state`` with what date-and-time pickers hold read in the person's time zone."""
    read: dict[str, dict[str, Any]] = {name: dict(typed) for name, typed in state.items()}
    for block, element in elements_of(_blocks(source)):
        typed = read.get(block["block_id"], {})
        value = typed.get(element["action_id"])
        if element["type"] == "datetimepicker" and isinstance(value, str):
            typed[element["action_id"]] = timestamp_of(value, reader)
    return read


def _worded(sandbox: Sandbox, done: InteractionResult) -> Response:
    if done.error is None or done.errors:
        return jsonify(ok=not done.errors)
    said = _WORDS.get(done.error, "answered with something Slack does not take")
    return jsonify(error=f"{sandbox.config.name} {said} ({done.error}).")
