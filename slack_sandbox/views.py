"""Modals and App Home tabs: creation, and a person's stack of open modals."""

from __future__ import annotations

import secrets

from slack_sandbox.core import Core
from slack_sandbox.world import JsonDict, View

DEEPEST_STACK = 3
"""Maximum number of modals in a stack (https://docs.slack.dev/surfaces/modals)."""


def make_view(
    core: Core, described: JsonDict, team_id: str, user_id: str, bot_id: str | None
) -> View:
    """Create a view from a validated description, without showing it."""
    return View(
        core.world.next_id("V"),
        team_id,
        user_id,
        described["type"],
        described["blocks"],
        new_hash(core),
        core.config.app_id,
        bot_id,
        title=described.get("title"),
        submit=described.get("submit"),
        close=described.get("close"),
        private_metadata=described.get("private_metadata") or "",
        callback_id=described.get("callback_id") or "",
        external_id=described.get("external_id") or "",
        clear_on_close=bool(described.get("clear_on_close")),
        notify_on_close=bool(described.get("notify_on_close")),
    )


def new_hash(core: Core) -> str:
    """A hash that identifies one state of a view."""
    return f"{int(core.clock())}.{secrets.token_hex(4)}"


def open_stack(core: Core, view: View) -> bool:
    """Add a modal to the top of the stack. Returns False if the stack is full."""
    stack = core.world.modals.setdefault(view.user_id, [])
    if len(stack) >= DEEPEST_STACK:
        return False
    view.previous_view_id = stack[-1] if stack else None
    view.root_view_id = stack[0] if stack else view.id
    stack.append(view.id)
    core.world.views[view.id] = view
    return True


def replace_stack(core: Core, view: View) -> None:
    """Replace all open modals by this one."""
    for view_id in core.world.modals.pop(view.user_id, []):
        core.world.views.pop(view_id, None)
    open_stack(core, view)
