"""Reports of an uninstall or a revocation that do not name the installation.

Slack documents them without `authorizations`, where `team_id` may be any workspace
(https://docs.slack.dev/reference/events/app_uninstalled).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.lifecycle.test_separate_bots import (
    ORGANIZATION,
    WORKSPACE,
    both,
    serves_by_organization,
    status_of_key,
)
from tests.lifecycle.test_two_installations import sign_in
from tests.people import GRID, NORTH, WES
from tests.running import Bellhop, Browser
from tests.slack.signing import post_signed
from tests.slack.test_late_events import can_see_profile, pending

__all__ = ["both"]

UNINSTALLED = {"type": "app_uninstalled"}
SHAPES: dict[str, Mapping[str, Any]] = {
    "a workspace": {"team_id": NORTH},
    "a workspace and its organization": {
        "team_id": NORTH,
        "enterprise_id": GRID,
        "authorizations": [],
    },
    "an organization as a workspace": {"team_id": GRID},
}
in_every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def report(bellhop: Bellhop, event: Mapping[str, Any], shape: Mapping[str, Any]) -> None:
    """Deliver an event as Slack's reference shows it; its checks have taken effect then."""
    bellhop.clock.advance(60)
    now = int(bellhop.clock.timestamp())
    body = {"type": "event_callback", "event_id": f"Ev{now}", "event_time": now, "event": event}
    assert post_signed(bellhop, json.dumps({**body, **shape}).encode()).status == 200
    bellhop.settle()
    assert pending(bellhop) == []


@pytest.fixture
def browser(bellhop: Bellhop) -> Browser:
    """Wes's browser; only the organization has an installation."""
    browser = sign_in(bellhop, None)
    bellhop.settle()
    return browser


@in_every_shape
def test_an_organizations_uninstall_takes_effect(
    bellhop: Bellhop, browser: Browser, shape: Mapping[str, Any]
) -> None:
    key = bellhop.services.api_keys.create(NORTH, "monitoring")
    bellhop.slack.tokens.uninstall(ORGANIZATION)

    report(bellhop, UNINSTALLED, shape)

    assert serves_by_organization(bellhop) is None
    assert status_of_key(bellhop, key) == 403
    assert not can_see_profile(browser)


@pytest.mark.sqlite_only
@in_every_shape
def test_a_persons_revocation_in_an_organization_takes_effect(
    bellhop: Bellhop, browser: Browser, shape: Mapping[str, Any]
) -> None:
    assert bellhop.slack.tokens.revoke(ORGANIZATION, "user", WES)

    report(bellhop, {"type": "tokens_revoked", "tokens": {"oauth": [WES], "bot": []}}, shape)

    assert not can_see_profile(browser)
    assert serves_by_organization(bellhop)


@pytest.mark.sqlite_only
def test_an_organizations_uninstall_leaves_a_workspaces_own(both: Bellhop) -> None:
    both.slack.tokens.uninstall(ORGANIZATION)

    report(both, UNINSTALLED, SHAPES["a workspace"])

    assert serves_by_organization(both) is False
    assert both.services.profiles.find(NORTH, WES) is None


@pytest.mark.sqlite_only
def test_a_workspaces_uninstall_leaves_the_organizations(both: Bellhop) -> None:
    browser = sign_in(both, None)
    both.slack.tokens.uninstall(WORKSPACE)

    report(both, UNINSTALLED, SHAPES["a workspace"])

    assert serves_by_organization(both)
    assert can_see_profile(browser)
