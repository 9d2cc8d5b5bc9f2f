"""Modals: opening them, and reading their inputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from slack_bolt import BoltContext

from bolt_app.blockkit.elements import VALUE, Block
from bolt_app.blockkit.signed_values import OutdatedFormError
from bolt_app.services import Services
from bolt_app.slack.signed_actions import form_action
from bolt_app.text_forms import visible
from bolt_app.workspaces.client import BotWorkspace


def open_modal(services: Services, context: BoltContext, body: dict[str, Any], view: Block) -> None:
    """Open a modal for the person who pressed a button.

    https://docs.slack.dev/reference/methods/views.open

    Raises:
        NotInstalledError: the bot is not installed in the workspace.
        SlackCallError: Slack refused or did not answer; its trigger expires after three seconds.
    """
    team_id, user_id = context.team_id or "", context.user_id or ""
    if "callback_id" in view:
        action = form_action(view["callback_id"])
        view = {**view, "private_metadata": services.signer.sign(action, team_id, user_id)}
    workspace = BotWorkspace(context.enterprise_id, team_id, bool(context.is_enterprise_install))
    services.client.as_bot(workspace, "views.open", trigger_id=body["trigger_id"], view=view)


@contextmanager
def reading_form() -> Iterator[None]:
    """Turn errors while reading a submitted modal into `OutdatedFormError`.

    Raises:
        OutdatedFormError: the modal has a value that its inputs do not offer.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, OverflowError):
        raise OutdatedFormError from None


def input_of(view: dict[str, Any], block_id: str) -> dict[str, Any]:
    """Return the state of an input of a modal."""
    state: dict[str, Any] = view["state"]["values"][block_id][VALUE]
    return state


def text_of(view: dict[str, Any], block_id: str) -> str:
    """Return the text of an input of a modal."""
    text = input_of(view, block_id).get("value") or ""
    if not isinstance(text, str):
        raise TypeError("must be text")
    return visible(text)
