"""Interactions with blocks and views: click, select, submit, close.

See https://docs.slack.dev/reference/interaction-payloads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from slack_sandbox.blocks import check_view, elements_of, with_ids
from slack_sandbox.config import MessageShortcut
from slack_sandbox.core import Core
from slack_sandbox.deliveries import Reply
from slack_sandbox.errors import ConfirmationNeededError, NotFoundError, SandboxError
from slack_sandbox.people import channel_name, deliver_now
from slack_sandbox.views import make_view, open_stack
from slack_sandbox.world import JsonDict, Message, View

State = Mapping[str, Mapping[str, Any]]
"""Input values by block id and action id: plain strings, or lists of strings."""


@dataclass
class InteractionResult:
    """The outcome of an interaction. ``errors`` are the errors shown in a modal, by block id."""

    status: int = 0
    body: JsonDict | str = ""
    headers: dict[str, str] = field(default_factory=dict)
    elapsed: float = 0.0
    error: str | None = None
    errors: dict[str, str] = field(default_factory=dict)


def act(
    core: Core,
    user_id: str,
    source: Message | View,
    action_id: str,
    chosen: str | Sequence[str] | None,
    *,
    block_id: str | None = None,
    confirmed: bool = False,
    state: State | None = None,
) -> InteractionResult:
    """Use an element of a message or view and send ``block_actions``.

    Raises NotFoundError for an unknown element, ConfirmationNeededError if it has a confirm dialog
    and ``confirmed`` is false, SandboxError if the person cannot see it.
    """
    with core.lock:
        _check_sees(core, user_id, source)
        block, element = find_element(source, action_id, block_id, chosen)
        if element.get("confirm") and not confirmed:
            raise ConfirmationNeededError(element["confirm"])
        action = {
            "action_id": element["action_id"],
            "block_id": block["block_id"],
            **_chosen(element, chosen),
            "action_ts": core.world.next_ts(core.clock()),
        }
        payload = _payload(core, "block_actions", user_id, source.team_id)
        payload |= _origin(core, user_id, source, state or {})
        payload["actions"] = [action]
    return _result(_deliver(core, payload, action_id, source.team_id))


def use_shortcut(core: Core, user_id: str, message: Message, callback_id: str) -> InteractionResult:
    """Choose a message shortcut and send ``message_action``.

    See https://docs.slack.dev/reference/interaction-payloads/shortcuts-interaction-payload. Raises
    NotFoundError for an unknown shortcut, SandboxError if the person cannot see the message or the
    message is ephemeral.
    """
    with core.lock:
        _check_sees(core, user_id, message)
        if message.is_ephemeral:
            raise SandboxError("a message visible to only one person has no shortcuts")
        if callback_id not in {
            shortcut.callback_id for shortcut in shortcuts_in(core, message.team_id)
        }:
            raise NotFoundError(f"unknown shortcut {callback_id}")
        payload = _payload(core, "message_action", user_id, message.team_id)
        del payload["api_app_id"]
        where = _origin(core, user_id, message, {})
        kept = ("trigger_id", "channel", "response_url", "message")
        payload |= {name: where[name] for name in kept}
        payload["callback_id"] = callback_id
        payload["message_ts"] = message.ts
        payload["action_ts"] = core.world.next_ts(core.clock())
    return _result(_deliver(core, payload, callback_id, message.team_id))


def shortcuts_in(core: Core, team_id: str) -> tuple[MessageShortcut, ...]:
    """The message shortcuts available in a workspace; they need the ``commands`` scope."""
    installation = core.installation_for(team_id)
    if installation is None or "commands" not in core.bot_scopes(installation):
        return ()
    return core.config.message_shortcuts


def submit_view(core: Core, user_id: str, view_id: str, values: State) -> InteractionResult:
    """Submit a modal and apply the app's ``response_action``."""
    with core.lock:
        view = _own_modal(core, user_id, view_id)
        missing = _missing(view, values)
        if missing:
            with core.edit():
                view.errors = missing
            return InteractionResult(error="incomplete", errors=missing)
        payload = _view_payload(core, "view_submission", view, values)
        payload["trigger_id"] = core.new_trigger(user_id, view.team_id)
        payload["response_urls"] = []
    reply = _deliver(core, payload, view.callback_id, view.team_id)
    result = _result(reply)
    if result.error is None:
        with core.edit():
            _apply_response_action(core, view, result)
    return result


def close_view(core: Core, user_id: str, view_id: str, *, clear: bool) -> InteractionResult:
    """Close a modal (``clear``: the whole stack), with ``view_closed`` if the view asks for it."""
    with core.edit():
        view = _own_modal(core, user_id, view_id)
        payload = _view_payload(core, "view_closed", view, {})
        payload["is_cleared"] = clear
        close_modal(core, view, everything=clear or view.clear_on_close)
    if not view.notify_on_close:
        return InteractionResult()
    return _result(_deliver(core, payload, view.callback_id, view.team_id))


def close_modal(core: Core, view: View, *, everything: bool) -> None:
    """Remove a modal from the stack, and the modals above it."""
    stack = core.world.modals.get(view.user_id, [])
    gone = list(stack) if everything else stack[stack.index(view.id) :]
    for view_id in gone:
        stack.remove(view_id)
        core.world.views.pop(view_id, None)


def find_element(
    source: Message | View,
    action_id: str,
    block_id: str | None = None,
    chosen: str | Sequence[str] | None = None,
) -> tuple[JsonDict, JsonDict]:
    """The block and element of an action.

    Blocks may repeat an action id; ``block_id`` or the chosen value then selects the element.
    """
    blocks = list(source.blocks)
    if isinstance(source, Message):
        for attachment in source.attachments:
            blocks += attachment.get("blocks") or []
    found = [
        (block, element)
        for block, element in elements_of(blocks)
        if element.get("action_id") == action_id and block_id in (None, block.get("block_id"))
    ]
    exact = [pair for pair in found if chosen is not None and chosen in _offers(pair[1])]
    if not found:
        raise NotFoundError(f"unknown action {action_id}")
    return (exact or found)[0]


def _offers(element: JsonDict) -> list[str | None]:
    return [element.get("value"), *(option.get("value") for option in element.get("options") or ())]


_SINGLE = {
    "users_select": "selected_user",
    "channels_select": "selected_channel",
    "conversations_select": "selected_conversation",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "plain_text_input": "value",
    "email_text_input": "value",
    "url_text_input": "value",
    "number_input": "value",
}
_SEVERAL = {
    "multi_users_select": "selected_users",
    "multi_channels_select": "selected_channels",
    "multi_conversations_select": "selected_conversations",
}
_INITIAL = {
    "users_select": "initial_user",
    "channels_select": "initial_channel",
    "conversations_select": "initial_conversation",
    "datepicker": "initial_date",
    "timepicker": "initial_time",
    "datetimepicker": "initial_date_time",
    "multi_users_select": "initial_users",
    "multi_channels_select": "initial_channels",
    "multi_conversations_select": "initial_conversations",
}


def _chosen(element: JsonDict, chosen: str | Sequence[str] | None) -> JsonDict:
    """The fields of an action, or of a view's state, with the selected value."""
    kind = element["type"]
    fields: JsonDict = {"type": kind}
    if kind == "button":
        kept = ("text", "value", "style", "url", "confirm")
        return fields | {name: element[name] for name in kept if name in element}
    if kind in _SINGLE:
        return fields | {_SINGLE[kind]: _one(chosen)}
    if kind in _SEVERAL:
        return fields | {_SEVERAL[kind]: _many(chosen)}
    if kind == "datetimepicker":
        single = _one(chosen)
        return fields | {"selected_date_time": int(single) if single else None}
    if kind in ("checkboxes", "multi_static_select"):
        return fields | {"selected_options": [_option(element, value) for value in _many(chosen)]}
    single = _one(chosen)
    return fields | {"selected_option": _option(element, single) if single is not None else None}


def _one(chosen: str | Sequence[str] | None) -> str | None:
    if chosen is None or isinstance(chosen, str):
        return chosen or None
    return chosen[0] if chosen else None


def _many(chosen: str | Sequence[str] | None) -> list[str]:
    if chosen is None:
        return []
    return [chosen] if isinstance(chosen, str) else list(chosen)


def _option(element: JsonDict, value: str) -> JsonDict:
    groups = element.get("option_groups") or []
    options = [*(element.get("options") or []), *(o for group in groups for o in group["options"])]
    for option in options:
        if option["value"] == value:
            found: JsonDict = option
            return found
    raise NotFoundError(f"{value} is not among the options")


def _initial(element: JsonDict) -> str | list[str] | None:
    kind = element["type"]
    if kind in _INITIAL:
        value = element.get(_INITIAL[kind])
        return value if isinstance(value, list) or value is None else str(value)
    if kind in ("checkboxes", "multi_static_select"):
        return [option["value"] for option in element.get("initial_options") or []]
    if "initial_option" in element:
        return str(element["initial_option"]["value"])
    initial = element.get("initial_value")
    return None if initial is None else str(initial)


def _values(blocks: list[JsonDict], state: State) -> JsonDict:
    """``state.values``: the value of every input and menu."""
    values: JsonDict = {}
    for block, element in elements_of(blocks):
        if element["type"] in ("button", "overflow"):
            continue
        typed = state.get(block["block_id"], {})
        action_id = element["action_id"]
        chosen = typed[action_id] if action_id in typed else _initial(element)
        values.setdefault(block["block_id"], {})[action_id] = _chosen(element, chosen)
    return values


def _missing(view: View, values: State) -> dict[str, str]:
    """Required inputs left empty, which Slack's client does not submit."""
    filled = _values(view.blocks, values)
    missing: dict[str, str] = {}
    for block, element in elements_of(view.blocks):
        if block["type"] != "input" or block.get("optional"):
            continue
        fields = filled[block["block_id"]][element["action_id"]]
        if not any(value for name, value in fields.items() if name != "type"):
            missing[block["block_id"]] = "Please complete this required field."
    return missing


def _check_sees(core: Core, user_id: str, source: Message | View) -> None:
    if isinstance(source, View):
        if source.user_id != user_id:
            raise SandboxError("that view belongs to another person")
        return
    if source.deleted:
        raise NotFoundError("the message was deleted")
    if source.ephemeral_to not in (None, user_id):
        raise SandboxError("that message is visible only to another person")
    if user_id not in core.get_channel(source.channel_id).members:
        raise SandboxError("that person is not in the channel")


def _own_modal(core: Core, user_id: str, view_id: str) -> View:
    view = core.world.views.get(view_id)
    if view is None or view.user_id != user_id:
        raise NotFoundError(f"unknown view {view_id}")
    return view


def _payload(core: Core, kind: str, user_id: str, team_id: str) -> JsonDict:
    user, workspace = core.get_user(user_id), core.get_workspace(team_id)
    installation = core.installation_for(team_id)
    enterprise = core.world.enterprise_of(team_id)
    is_org = installation is not None and installation.key.is_org
    team: JsonDict = {"id": workspace.id, "domain": workspace.domain}
    if enterprise is not None:
        team |= {"enterprise_id": enterprise.id, "enterprise_name": enterprise.name}
    return {
        "type": kind,
        "user": {
            "id": user.id,
            "username": user.name,
            "name": user.name,
            # A member of a shared channel keeps their own workspace.
            "team_id": team_id if user.is_in(team_id) and not is_org else user.team_id,
        },
        "api_app_id": core.config.app_id,
        "token": core.config.verification_token,
        # For an organization-wide app Slack omits the workspace
        # (https://github.com/slackapi/bolt-python/pull/23).
        "team": None if is_org else team,
        "enterprise": enterprise and {"id": enterprise.id, "name": enterprise.name},
        "is_enterprise_install": is_org,
    }


def _origin(core: Core, user_id: str, source: Message | View, state: State) -> JsonDict:
    trigger_id = core.new_trigger(user_id, source.team_id)
    if isinstance(source, View):
        return {
            "container": {"type": "view", "view_id": source.id},
            "trigger_id": trigger_id,
            "view": _view(core, source, state),
        }
    channel = core.get_channel(source.channel_id)
    container: JsonDict = {
        "type": "message",
        "message_ts": source.ts,
        "channel_id": channel.id,
        "is_ephemeral": source.is_ephemeral,
    }
    where: JsonDict = {
        "container": container,
        "trigger_id": trigger_id,
        "channel": {"id": channel.id, "name": channel_name(channel)},
        "state": {"values": _values(source.blocks, state)},
        "response_url": core.new_response_url("actions", user_id, channel, source),
    }
    if source.thread_ts is not None:
        container["thread_ts"] = source.thread_ts
    if not source.is_ephemeral:
        # Slack does not send the content of an ephemeral message.
        where["message"] = source.as_slack()
    return where


def _view_payload(core: Core, kind: str, view: View, values: State) -> JsonDict:
    payload = _payload(core, kind, view.user_id, view.team_id)
    payload["view"] = _view(core, view, values)
    return payload


def _view(core: Core, view: View, state: State) -> JsonDict:
    """A view in the format of interaction payloads.

    For an organization's installation, ``app_installed_team_id`` is the organization
    (https://github.com/slackapi/bolt-js/issues/1720).
    """
    shown = view.as_slack(_values(view.blocks, state))
    installation = core.installation_for(view.team_id)
    if installation is not None and installation.key.is_org:
        shown["app_installed_team_id"] = installation.key.enterprise_id
    return shown


def _deliver(core: Core, payload: JsonDict, name: str, team_id: str) -> Reply:
    url = core.config.interactivity_url
    if url is None:
        return Reply(problem="not_configured")
    body = urlencode({"payload": json.dumps(payload)}).encode()
    return deliver_now(core, "interaction", name, url, team_id, body)


def _result(reply: Reply) -> InteractionResult:
    result = InteractionResult(reply.status, reply.text, dict(reply.headers), reply.elapsed)
    if reply.problem == "http_timeout":
        result.error = "operation_timeout"
    elif reply.problem is not None:
        result.error = "dispatch_failed"
    elif reply.status != 200:
        result.error = "dispatch_unknown_error"
    if reply.text.strip().startswith("{"):
        try:
            result.body = json.loads(reply.text)
        except ValueError:
            result.error = "invalid_response"
    return result


def _apply_response_action(core: Core, view: View, result: InteractionResult) -> None:
    """Apply a ``response_action``; without one, the modal closes."""
    if view.id not in core.world.views:
        return
    view.errors = {}
    body = result.body if isinstance(result.body, dict) else {}
    action = body.get("response_action")
    if action == "errors":
        _show_errors(view, body, result)
    elif action in ("update", "push"):
        _show_view(core, view, body, result, push=action == "push")
    elif action in (None, "clear") and not (isinstance(result.body, str) and result.body.strip()):
        close_modal(core, view, everything=action == "clear")
    else:
        result.error = "invalid_response_action"


def _show_errors(view: View, body: JsonDict, result: InteractionResult) -> None:
    errors = body.get("errors")
    inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
    if not isinstance(errors, dict) or not errors or not set(errors) <= inputs:
        result.error = "invalid_errors"
        return
    view.errors = {str(block_id): str(text) for block_id, text in errors.items()}
    result.errors = dict(view.errors)


def _show_view(
    core: Core, view: View, body: JsonDict, result: InteractionResult, *, push: bool
) -> None:
    described = body.get("view")
    if not isinstance(described, dict) or described.get("type") != "modal":
        result.error = "invalid_view"
        return
    if check_view(described, unreachable=core.unreachable_hosts):
        result.error = "invalid_view"
        return
    described = {**described, "blocks": with_ids(described["blocks"])}
    installation = core.installation_for(view.team_id)
    bot_id = installation.bot_id if installation else None
    shown = make_view(core, described, view.team_id, view.user_id, bot_id)
    if push:
        if not open_stack(core, shown):
            result.error = "push_limit_reached"
        return
    shown.id, shown.root_view_id = view.id, view.root_view_id
    shown.previous_view_id = view.previous_view_id
    core.world.views[view.id] = shown
