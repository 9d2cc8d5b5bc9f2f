"""A workspace that moved to another organization, and reports about the former one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bolt_app.lifecycle.events import EventOrigin
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from slack_sandbox.tokens import InstallKey
from tests.lifecycle.organizations import add_organization, move_workspace
from tests.lifecycle.test_separate_bots import (
    NIA,
    ORGANIZATION,
    WORKSPACE,
    add_person,
    list_only,
    status_of_key,
)
from tests.lifecycle.test_two_installations import sign_in
from tests.people import GRID, NORTH, SOUTH, WES
from tests.running import Bellhop

NEXT = "E0NEXT0001"


def move_north(bellhop: Bellhop) -> str:
    """North joins another organization, which has installed Bellhop; return an API key."""
    bellhop.clock.advance(60)
    world, services = bellhop.slack.world, bellhop.services
    add_organization(bellhop, NEXT)
    move_workspace(bellhop, NORTH, NEXT)
    add_person(bellhop, NIA, "Nia")
    nia = world.users[NIA]
    nia.team_id, nia.team_ids, nia.enterprise_id, nia.is_org_admin = NORTH, (NORTH,), NEXT, True
    browser = bellhop.browser()
    to_slack = browser.get("/slack/install").location
    assert (
        browser.get(bellhop.slack.authorize(NIA, to_slack, whole_organization=True)).status == 303
    )
    bellhop.settle()
    spec = SubscriptionSpec("deploys", created_by=NIA)
    services.subscriptions.subscribe(NORTH, NIA, spec)
    bellhop.clock.advance(60)
    return services.api_keys.create(NORTH, "next")


def require_kept(bellhop: Bellhop, key: str) -> None:
    services = bellhop.services
    services.client.forget_workspace(None)
    assert services.client.find_workspace(NORTH).enterprise_id == NEXT
    assert status_of_key(bellhop, key) == 202
    assert len(services.subscriptions.of_address(NORTH, NIA)) == 1
    assert services.profiles.find(NORTH, NIA) is not None


def revoke_access(bellhop: Bellhop) -> None:
    left = EventOrigin("Ev0LEFT001", GRID, SOUTH, True, bellhop.clock())
    bellhop.services.lifecycle.installations.team_access_changed(left, [NORTH])


def uninstall(bellhop: Bellhop) -> None:
    bellhop.slack.tokens.uninstall(ORGANIZATION)
    gone = EventOrigin("Ev0GONE001", GRID, SOUTH, True, bellhop.clock())
    bellhop.services.lifecycle.installations.app_uninstalled(gone)


def list_again(bellhop: Bellhop) -> None:
    bellhop.services.lifecycle.installations.organization_installed(GRID)


@pytest.mark.parametrize("report", [revoke_access, uninstall, list_again])
def test_the_former_organization_erases_nothing_of_the_next_ones(
    bellhop: Bellhop, report: Callable[[Bellhop], None]
) -> None:
    sign_in(bellhop, None)
    bellhop.settle()
    list_only(bellhop, SOUTH)
    bellhop.slack.users[WES].team_id = SOUTH
    bellhop.slack.users[WES].team_ids = (SOUTH,)
    key = move_north(bellhop)

    report(bellhop)
    bellhop.settle()

    require_kept(bellhop, key)
    if report is uninstall:
        assert bellhop.services.profiles.find(NORTH, WES) is None


@pytest.mark.parametrize("is_late", [False, True])
def test_a_report_of_its_own_uninstall_that_names_the_former_one_erases_nothing(
    bellhop: Bellhop, is_late: bool
) -> None:
    services = bellhop.services
    sign_in(bellhop, NORTH)
    report = EventOrigin("Ev0GONE001", GRID, NORTH, False, bellhop.clock())
    if is_late:
        bellhop.slack.tokens.uninstall(WORKSPACE)
        services.store.delete_bot(enterprise_id=GRID, team_id=NORTH)
    key = move_north(bellhop)
    if not is_late:
        bellhop.slack.tokens.uninstall(InstallKey(NEXT, NORTH))

    services.lifecycle.installations.app_uninstalled(report)
    bellhop.settle()

    # The key of the workspace's own bot is revoked with it.
    key = key if is_late else services.api_keys.create(NORTH, "next")
    require_kept(bellhop, key)
