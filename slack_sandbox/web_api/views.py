"""``views.*``: modals and App Home tabs."""

from __future__ import annotations

from slack_sandbox.blocks import check_view, with_ids
from slack_sandbox.blocks.check import VIEW_BYTES
from slack_sandbox.core import Trigger
from slack_sandbox.errors import ApiError, InvalidArgumentsError
from slack_sandbox.limits import Tier
from slack_sandbox.views import make_view, new_hash, replace_stack
from slack_sandbox.web_api.call import Call
from slack_sandbox.web_api.registry import method
from slack_sandbox.world import JsonDict, View


@method("views.open", Tier.FOUR, takes_json=True)
def open_view(call: Call) -> JsonDict:
    """Open a modal (https://docs.slack.dev/reference/methods/views.open)."""
    described = _view_argument(call, "modal")
    trigger = _trigger(call)
    view = _new_view(call, described, trigger.team_id, trigger.user_id)
    with call.core.edit():
        replace_stack(call.core, view)
    return {"ok": True, "view": view.as_slack()}


@method("views.update", Tier.FOUR, takes_json=True)
def update_view(call: Call) -> JsonDict:
    """Update an open modal (https://docs.slack.dev/reference/methods/views.update)."""
    view = _find_view(call)
    _check_hash(call, view)
    described = _view_argument(call, view.type)
    with call.core.edit():
        view.blocks = described["blocks"]
        view.title, view.submit = described.get("title"), described.get("submit")
        view.close = described.get("close")
        view.private_metadata = described.get("private_metadata") or ""
        view.callback_id = described.get("callback_id") or ""
        view.external_id = described.get("external_id") or view.external_id
        view.clear_on_close = bool(described.get("clear_on_close"))
        view.notify_on_close = bool(described.get("notify_on_close"))
        view.errors = {}
        view.hash = new_hash(call.core)
    return {"ok": True, "view": view.as_slack()}


@method("views.publish", Tier.FOUR, takes_json=True)
def publish_view(call: Call) -> JsonDict:
    """Publish a person's App Home tab
    (https://docs.slack.dev/reference/methods/views.publish).
    """
    if not call.core.config.home_tab:
        raise ApiError("not_enabled")
    described = _view_argument(call, "home")
    user = call.find_user(call.need_text("user_id"))
    team_id = next(team_id for team_id in call.installation.team_ids if user.is_in(team_id))
    before = call.core.world.homes.get((team_id, user.id))
    if before is not None:
        _check_hash(call, before)
    view = _new_view(call, described, team_id, user.id)
    if before is not None:
        view.id = before.id
    with call.core.edit():
        call.core.world.homes[(team_id, user.id)] = view
    return {"ok": True, "view": view.as_slack()}


def _view_argument(call: Call, kind: str) -> JsonDict:
    described = call.structure("view")
    if described is None or described == "":
        raise InvalidArgumentsError("missing required field: view")
    if isinstance(described, dict) and len(str(described)) > VIEW_BYTES:
        raise ApiError("view_too_large")
    errors = check_view(described, unreachable=call.core.unreachable_hosts)
    if errors:
        raise InvalidArgumentsError(*errors)
    if described["type"] != kind:
        raise InvalidArgumentsError(f"unsupported type: {described['type']} [json-pointer:/view]")
    return {**described, "blocks": with_ids(described["blocks"])}


def _new_view(call: Call, described: JsonDict, team_id: str, user_id: str) -> View:
    external_id = described.get("external_id")
    others = call.core.world.views.values()
    if external_id and any(other.external_id == external_id for other in others):
        raise ApiError("duplicate_external_id")
    return make_view(call.core, described, team_id, user_id, call.installation.bot_id)


def _trigger(call: Call) -> Trigger:
    trigger_id = call.text("trigger_id") or call.text("interactivity_pointer")
    if not trigger_id:
        raise InvalidArgumentsError("missing required field: trigger_id")
    trigger = call.core.triggers.get(trigger_id)
    if trigger is None or trigger.team_id not in call.installation.team_ids:
        raise ApiError("invalid_trigger_id")
    if trigger.used:
        raise ApiError("exchanged_trigger_id")
    if call.core.clock() >= trigger.expires_at:
        raise ApiError("expired_trigger_id")
    trigger.used = True
    return trigger


def _find_view(call: Call) -> View:
    view_id, external_id = call.text("view_id"), call.text("external_id")
    if not view_id and not external_id:
        raise InvalidArgumentsError("missing required field: view_id")
    homes = call.core.world.homes.values()
    for view in (*call.core.world.views.values(), *homes):
        if view.team_id not in call.installation.team_ids:
            continue
        if view.id == view_id or (external_id and view.external_id == external_id):
            return view
    raise ApiError("not_found")


def _check_hash(call: Call, view: View) -> None:
    expected = call.text("hash")
    if expected and expected != view.hash:
        raise ApiError("hash_conflict")
