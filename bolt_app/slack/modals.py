"""Modals: opened, read."""

from __future__ import annotations

from typing import Any

from slack_bolt import BoltContext

from bolt_app.services import Services
from bolt_app.slack.blocks.elements import VALUE, Block


def open_modal(services: Services, context: BoltContext, body: dict[str, Any], view: Block) -> None:
    """Show a modal to whoever pressed a button (https://docs.slack.dev/reference/methods/views.open).

    Raises:
        NotInstalledError: there is no bot there.
        SlackCallError: Slack refused or did not answer; after three seconds it takes none.
    """
    place = services.calls.find_place(context.team_id or "")
    services.calls.as_bot(place, "views.open", trigger_id=body["trigger_id"], view=view)


def input_of(view: dict[str, Any], block_id: str) -> dict[str, Any]:
    """Return the state of a modal's input."""
    state: dict[str, Any] = view["state"]["values"][block_id][VALUE]
    return state


def text_of(view: dict[str, Any], block_id: str) -> str:
    """Return what was typed into a modal's input."""
    return (input_of(view, block_id).get("value") or "").strip()
