"""Installations that ended without a report, or with one that does not name them."""

from __future__ import annotations

from bolt_app.db.models import BotInstallation
from tests.lifecycle.test_separate_bots import (
    ORGANIZATION,
    WORKSPACE,
    list_only,
    serves_by_organization,
    status_of_key,
)
from tests.lifecycle.test_two_installations import sign_in
from tests.lifecycle.test_unnamed_installations import UNINSTALLED, report
from tests.people import GRID, NORTH, SOUTH
from tests.running import Bellhop
from tests.slack.test_late_events import can_see_profile, pending


def bots(bellhop: Bellhop) -> list[str]:
    with bellhop.services.database.reading() as session:
        return [row.team_id for row in session.query(BotInstallation)]


def test_the_organization_serves_a_workspace_whose_uninstall_was_lost(bellhop: Bellhop) -> None:
    before = sign_in(bellhop, NORTH)
    key = bellhop.services.api_keys.create(NORTH, "of the workspace's own")
    bellhop.clock.advance(60)
    bellhop.slack.tokens.uninstall(WORKSPACE)
    bellhop.clock.advance(60)

    after = sign_in(bellhop, None)
    bellhop.settle()

    assert serves_by_organization(bellhop)
    assert not can_see_profile(before)
    assert can_see_profile(after)
    assert status_of_key(bellhop, key) == 401
    assert pending(bellhop) == []


def test_a_token_that_slack_rejects_for_a_list_is_verified(bellhop: Bellhop) -> None:
    sign_in(bellhop, None)
    bellhop.settle()
    bellhop.slack.tokens.uninstall(ORGANIZATION)

    bellhop.services.lifecycle.installations.organization_installed(GRID)
    bellhop.settle()

    assert bots(bellhop) == []
    assert pending(bellhop) == []


def test_a_report_about_an_unknown_workspace_concerns_the_organizations(bellhop: Bellhop) -> None:
    """The organization opened North, and the event was lost."""
    sign_in(bellhop, None)
    list_only(bellhop, SOUTH)
    bellhop.services.lifecycle.installations.organization_installed(GRID)
    bellhop.settle()
    assert serves_by_organization(bellhop) is None
    list_only(bellhop, NORTH, SOUTH)
    bellhop.slack.tokens.uninstall(ORGANIZATION)

    report(bellhop, UNINSTALLED, {"team_id": NORTH})

    assert bots(bellhop) == []


def test_a_lost_uninstall_is_found_within_a_day(bellhop: Bellhop) -> None:
    before = sign_in(bellhop, NORTH)
    bellhop.slack.tokens.uninstall(WORKSPACE)
    bellhop.clock.advance(23 * 3600)
    bellhop.services.installation_checks.run_periodically()
    assert bots(bellhop) == [NORTH]

    bellhop.clock.advance(2 * 3600)
    bellhop.services.installation_checks.run_periodically()

    assert bots(bellhop) == []
    assert not can_see_profile(before)
