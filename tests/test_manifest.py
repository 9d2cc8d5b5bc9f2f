"""The manifest: valid for Slack, with a reason for every scope."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bolt_app import manifest
from bolt_app.slack.ids import (
    LINK_TO_NOTIFICATION,
    NOTIFY_COMMAND,
    PROFILE_COMMAND,
    SEND_STEP,
)

SCHEMA = Path(__file__).parent / "slack_manifest_schema" / "manifest.schema.1.0.0.json"


@pytest.fixture
def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return loaded


def test_the_manifest_is_valid_against_slacks_published_schema(schema: dict[str, Any]) -> None:
    validator = jsonschema.Draft7Validator(schema)
    validator.validate(manifest.load_manifest("https://bell.acme.test"))
    validator.validate(yaml.safe_load(manifest.manifest_with_step("https://bell.acme.test")))


def test_the_schema_refuses_a_broken_manifest(schema: dict[str, Any]) -> None:
    broken = manifest.load_manifest()
    broken["features"]["slash_commands"][0]["command"] = "profile"

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(broken)


def test_every_address_is_under_the_public_url() -> None:
    text = manifest.manifest_text("https://bell.acme.test")

    assert manifest.PLACEHOLDER_HOST not in text
    made = manifest.load_manifest("https://bell.acme.test")
    assert made["features"]["unfurl_domains"] == ["bell.acme.test"]
    assert made["oauth_config"]["redirect_urls"] == ["https://bell.acme.test/slack/oauth_redirect"]
    events = "https://bell.acme.test/slack/events"
    assert made["settings"]["event_subscriptions"]["request_url"] == events
    assert made["settings"]["interactivity"]["request_url"] == events
    assert made["features"]["slash_commands"][0]["url"] == events


def test_every_scope_has_a_reason_and_every_reason_a_scope() -> None:
    scopes = manifest.load_scopes()

    assert set(scopes.bot) == set(manifest.BOT_SCOPE_REASONS)
    assert set(scopes.user) == set(manifest.USER_SCOPE_REASONS)
    assert scopes.user == ("users:read", "users:read.email")


def test_optional_scopes_are_requested_and_marked() -> None:
    optional = manifest.load_manifest()["oauth_config"]["scopes"]["bot_optional"]

    marked = [
        scope
        for scope, reason in manifest.BOT_SCOPE_REASONS.items()
        if reason.startswith("Optional")
    ]
    assert optional == marked
    assert set(optional) < set(manifest.load_scopes().bot)


def test_the_operators_guide_explains_every_scope() -> None:
    guide = (Path(__file__).parent.parent / "docs" / "scopes.md").read_text(encoding="utf-8")

    for reasons in (manifest.BOT_SCOPE_REASONS, manifest.USER_SCOPE_REASONS):
        for scope, reason in reasons.items():
            assert f"| `{scope}` | {reason}" in guide


def test_the_slash_commands_are_those_the_code_listens_for() -> None:
    commands = manifest.load_manifest()["features"]["slash_commands"]

    assert [command["command"] for command in commands] == [PROFILE_COMMAND, NOTIFY_COMMAND]


def test_the_shortcuts_are_those_the_code_listens_for() -> None:
    shortcuts = manifest.load_manifest()["features"]["shortcuts"]

    assert [(shortcut["type"], shortcut["callback_id"]) for shortcut in shortcuts] == [
        ("message", LINK_TO_NOTIFICATION)
    ]


def test_the_workflow_step_is_the_one_the_code_listens_for() -> None:
    made = yaml.safe_load(manifest.manifest_with_step("https://bell.acme.test"))

    assert list(made["functions"]) == [SEND_STEP]
