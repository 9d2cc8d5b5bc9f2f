"""`manifest.yml`: the Slack app's own description, and the one list of scopes.

https://docs.slack.dev/reference/app-manifest
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

_FOLDER = Path(__file__).resolve().parent
# Beside the package in a checkout, inside it in a wheel.
MANIFEST_PATH = next(
    path
    for path in (_FOLDER.parent / "manifest.yml", _FOLDER / "manifest.yml")
    if path.exists() or path.parent == _FOLDER
)
STEP_PATH = _FOLDER / "workflow_step.yml"
PLACEHOLDER_ORIGIN = "https://bellhop.example.com"
# Where Slack wants a host alone.
PLACEHOLDER_HOST = "bellhop.example.com"

BOT_SCOPE_REASONS: Mapping[str, str] = {
    "channels:history": "After a broken connection, see whether its own message was posted",
    "channels:join": "Join the public channel you choose, to post there",
    "channels:read": "List public channels to choose from, and see which ones a guest is in",
    "chat:write": "Post your company's notifications",
    "chat:write.customize": "Keep the name and picture that your tools give their messages",
    "commands": "Answer /profile and /notify, and link to a notification from its message",
    "groups:history": "The same in private channels that it was invited to",
    "groups:read": "Find the private channels it was invited to, and see who is in them",
    "im:history": "The same in its direct messages",
    "im:write": "Send direct messages",
    "links:read": "See links to its own notifications, and no others, to show what is behind them",
    "links:write": "Show the notification under such a link",
    "team:read": "Know the workspace's name and address, and follow when they change",
    "users:read": "Follow changes of linked profiles, and see who is admin, guest or deactivated",
    "users:read.email": "Follow changes of their e-mail addresses",
}
USER_SCOPE_REASONS: Mapping[str, str] = {
    "users:read": "Read your name, picture and time zone",
    "users:read.email": "Read your e-mail address",
}


@dataclass(frozen=True)
class Scopes:
    """The scopes the manifest asks for."""

    bot: tuple[str, ...]
    user: tuple[str, ...]


def manifest_text(public_url: str, path: Path = MANIFEST_PATH) -> str:
    """Return the manifest as YAML, with the addresses of the app at `public_url`."""
    text = path.read_text(encoding="utf-8").replace(PLACEHOLDER_ORIGIN, public_url)
    return text.replace(PLACEHOLDER_HOST, urlsplit(public_url).hostname or "")


def manifest_with_step(public_url: str) -> str:
    """Return the manifest as YAML with the step for Workflow Builder.

    https://docs.slack.dev/workflows/workflow-steps
    """
    manifest = load_manifest(public_url)
    step = yaml.safe_load(STEP_PATH.read_text(encoding="utf-8"))
    events = manifest["settings"]["event_subscriptions"]["bot_events"]
    events += step["settings"].pop("event_subscriptions")["bot_events"]
    manifest["settings"] |= step["settings"]
    manifest["functions"] = step["functions"]
    return yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True)


def load_manifest(public_url: str = PLACEHOLDER_ORIGIN) -> dict[str, Any]:
    """Return the manifest as Slack reads it, with the addresses of the app at `public_url`."""
    manifest: dict[str, Any] = yaml.safe_load(manifest_text(public_url))
    return manifest


@cache
def load_scopes() -> Scopes:
    """Return the scopes the app asks for."""
    scopes = load_manifest()["oauth_config"]["scopes"]
    return Scopes(bot=tuple(scopes["bot"]), user=tuple(scopes["user"]))
