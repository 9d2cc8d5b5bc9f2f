"""The workspace that a request is about, if Slack names another one or none.

This happens in the Home tab, in forms, and with organization-wide installations:
https://github.com/slackapi/bolt-python/issues/1229,
https://github.com/slackapi/bolt-js/issues/1720 and
https://github.com/slackapi/bolt-python/pull/23.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bolt_app.blockkit.signed_values import OutdatedError, ValueSigner
from bolt_app.slack.signed_actions import addresses_of, carried_value, form_action


def with_workspace(body: dict[str, Any], signer: ValueSigner) -> dict[str, Any]:
    """Return a verified request that names the workspace it is about, if that is known."""
    if body.get("type") == "event_callback":
        return _with_events_workspace(body)
    team_id = _signed_workspace(body, signer)
    if team_id is None or ("view" not in body and body.get("team") is not None):
        return body
    located = {**body, "team": {"id": team_id}}
    if "view" in body:
        located["view"] = {**body["view"], "app_installed_team_id": team_id}
    return located


def _with_events_workspace(body: dict[str, Any]) -> dict[str, Any]:
    """Name the workspace of an event in the authorization of an organization.

    https://docs.slack.dev/apis/events-api/#callback-field: `team_id` is the workspace, or the
    organization if the event is about all of it; `context_team_id` is the workspace through which
    the app receives the event.
    """
    authorizations = body.get("authorizations")
    team_id = body.get("context_team_id") or body.get("team_id")
    if not authorizations or authorizations[0].get("team_id") is not None:
        return body
    if not isinstance(team_id, str) or not team_id.startswith("T"):
        return body
    first = {**authorizations[0], "team_id": team_id}
    return {**body, "authorizations": [first, *authorizations[1:]]}


def _signed_workspace(body: Mapping[str, Any], signer: ValueSigner) -> str | None:
    """Return the workspace in which Bellhop showed the clicked element or the form.

    A value signed for a person's Home tab or form, or for a channel, is invalid elsewhere.
    """
    try:
        match body.get("type"):
            case "block_actions":
                action = body["actions"][0]
                name, addresses = action["action_id"], addresses_of(body)
                return signer.open(carried_value(action), name, addresses)[0]
            case "view_submission":
                view, name = body["view"], form_action(body["view"].get("callback_id"))
                return signer.open(view.get("private_metadata"), name, [body["user"]["id"]])[0]
    except OutdatedError:
        pass
    return None
