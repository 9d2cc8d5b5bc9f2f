"""Pictures of people, workspaces and the app: initials on a color, as SVG."""

from __future__ import annotations

import hashlib
from html import escape

from slack_sandbox.core import Core

_COLORS = ("#7a3b69", "#2f6690", "#3a7d44", "#b5651d", "#5b5ea6", "#9b2335", "#00777b")


def avatar(core: Core, who: str, size: int) -> str:
    """The picture of a person (``U…-hash``), workspace or the app, ``size`` pixels wide."""
    who = who.partition("-")[0]
    color = _COLORS[hashlib.sha256(who.encode()).digest()[0] % len(_COLORS)]
    letters = "".join(word[0] for word in _name(core, who).split()[:2]).upper() or "?"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" '
        f'viewBox="0 0 100 100"><rect width="100" height="100" rx="16" fill="{color}"/>'
        '<text x="50" y="50" dy=".36em" text-anchor="middle" font-family="sans-serif" '
        f'font-size="44" font-weight="600" fill="#fff">{escape(letters)}</text></svg>'
    )


def _name(core: Core, who: str) -> str:
    with core.lock:
        if who in core.world.users:
            return core.world.users[who].real_name
        if who in core.world.workspaces:
            return core.world.workspaces[who].name
        return core.config.name
