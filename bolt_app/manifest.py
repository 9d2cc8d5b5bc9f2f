"""`manifest.yml`: the manifest of the Slack app, with the only list of scopes.

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
_PACKAGED = _FOLDER / "manifest.yml"
# Inside the package in a wheel, beside it in a checkout.
MANIFEST_PATH = _PACKAGED if _PACKAGED.exists() else _FOLDER.parent / "manifest.yml"
STEP_PATH = _FOLDER / "workflow_step.yml"
PLACEHOLDER_ORIGIN = "https://bellhop.example.com"
# For fields that take only a host.
PLACEHOLDER_HOST = "bellhop.example.com"

BOT_SCOPE_REASONS: Mapping[str, str] = {
    "channels:history": "After a connection failure, look for its own message to avoid a duplicate",
    "channels:join": "Join a public channel that you choose, to post there",
    "channels:read": "List public channels to choose from, and check which ones a guest belongs to",
    "chat:write": "Post your company's notifications",
    "chat:write.customize": "Show the name and picture that your tools set for their messages",
    "commands": "Answer /profile and /notify, and link to a notification from its message",
    "files:write": "Optional: upload the files that your tools send, instead of links to them",
    "groups:history": "The same in private channels it was invited to",
    "groups:read": "List the private channels it was invited to, and check who belongs to them",
    "im:history": "The same in direct messages with Bellhop",
    "im:write": "Send direct messages",
    "links:read": "Receive links to Bellhop's notifications, and no others, to preview them",
    "links:write": "Show the preview below such a link",
    "reactions:write": "Optional: add the emoji reactions that your tools send",
    "team:read": "Read the workspace's name and domain, and follow their changes",
    "users:read": "Follow changes of linked profiles, and check who is admin, guest or deactivated",
    "users:read.email": "Follow changes of their e-mail addresses",
}
USER_SCOPE_REASONS: Mapping[str, str] = {
    "users:read": "Read your name, picture and time zone",
    "users:read.email": "Read your e-mail address",
}


@dataclass(frozen=True)
class Scopes:
    """The scopes that the manifest requests."""

    bot: tuple[str, ...]
    user: tuple[str, ...]


def manifest_text(public_url: str, path: Path = MANIFEST_PATH) -> str:
    """Return the manifest as YAML, with the URLs of the app at `public_url`."""
    text = path.read_text(encoding="utf-8").replace(PLACEHOLDER_ORIGIN, public_url)
    return text.replace(PLACEHOLDER_HOST, urlsplit(public_url).hostname or "")


def manifest_with_step(public_url: str) -> str:
    """Return the manifest as YAML, including the step for Workflow Builder.

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
    """Return the manifest as Slack reads it, with the URLs of the app at `public_url`."""
    manifest: dict[str, Any] = yaml.safe_load(manifest_text(public_url))
    return manifest


@cache
def load_scopes() -> Scopes:
    """Return the scopes that the app requests."""
    scopes = load_manifest()["oauth_config"]["scopes"]
    return Scopes(bot=tuple(scopes["bot"]), user=tuple(scopes["user"]))
