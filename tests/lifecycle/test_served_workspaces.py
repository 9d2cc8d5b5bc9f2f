"""The workspaces that an organization's installation serves: only Slack's list records them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from bolt_app.lifecycle.events import EventOrigin
from bolt_app.lifecycle.installation_checks import InstallationChecks
from bolt_app.workspaces.client import NotInstalledError
from tests.lifecycle.test_separate_bots import (
    CHANNEL,
    NIA,
    ORGANIZATION,
    add_person,
    list_only,
    revoke_bot,
    serves_by_organization,
    status_of_key,
    status_of_webhook,
)
from tests.lifecycle.test_two_installations import sign_in
from tests.people import GRID, NORTH, SOUTH, WES
from tests.running import Bellhop, Browser

SOUTH_GENERAL = "C0GLBX1001"


def open_the_page(bellhop: Bellhop, browser: Browser) -> None:
    assert browser.get("/profile").status == 200


def open_a_notification(_bellhop: Bellhop, browser: Browser) -> None:
    browser.get("/notifications/1")


def open_home_in_another_workspace(bellhop: Bellhop, _browser: Browser) -> None:
    bellhop.slack.open_home(WES, SOUTH)
    bellhop.slack.deliver_due()


def refresh(bellhop: Bellhop, _browser: Browser) -> None:
    assert bellhop.slack.send_command(WES, SOUTH_GENERAL, "/profile", "refresh").error is None


def retry_pending(bellhop: Bellhop, _browser: Browser) -> None:
    stored = bellhop.services.installations.find(
        enterprise_id=GRID, team_id=None, user_id=WES, is_enterprise_install=True
    )
    assert stored is not None
    bellhop.services.profiles.record(stored)


LOOKUPS = [
    open_the_page,
    open_a_notification,
    open_home_in_another_workspace,
    refresh,
    retry_pending,
]


@pytest.mark.sqlite_only
@pytest.mark.parametrize("look", LOOKUPS)
def test_a_profile_lookup_serves_no_closed_workspace(
    bellhop: Bellhop, look: Callable[[Bellhop, Browser], None]
) -> None:
    browser = sign_in(bellhop, None)
    bellhop.settle()
    services = bellhop.services
    key = services.api_keys.create(NORTH, "north")
    hook = services.webhooks.create(NORTH, "north", [CHANNEL])
    assert status_of_key(bellhop, key) == 202
    bellhop.clock.advance(3600)
    bellhop.slack.change_team_access(NORTH, is_granted=False)
    bellhop.settle()

    look(bellhop, browser)
    bellhop.settle()

    assert serves_by_organization(bellhop) is None
    assert status_of_key(bellhop, key) == 403
    assert status_of_webhook(bellhop, hook) == 403


def test_a_sign_in_serves_no_workspace_that_slack_does_not_list(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The stand-in opens every workspace at each sign-in.
    monkeypatch.setattr(bellhop.services.client, "workspaces_of", lambda _: {SOUTH: "South"})
    sign_in(bellhop, NORTH)
    key = bellhop.services.api_keys.create(NORTH, "of the workspace's own bot")
    sign_in(bellhop, None)
    bellhop.settle()
    revoke_bot(bellhop)
    add_person(bellhop, NIA, "Nia")

    browser = bellhop.browser()
    to_slack = browser.get("/slack/install?only=profile").location
    browser.get(bellhop.slack.authorize(NIA, to_slack, whole_organization=True))
    bellhop.settle()

    assert serves_by_organization(bellhop) is None
    assert status_of_key(bellhop, key) == 403


@pytest.mark.sqlite_only
def test_the_first_page_after_a_sign_in_shows_the_workspace(bellhop: Bellhop) -> None:
    browser = sign_in(bellhop, None)

    page = browser.get("/profile")

    assert page.status == 200
    assert serves_by_organization(bellhop)


def is_served(bellhop: Bellhop, team_id: str) -> bool:
    bellhop.services.client.forget_workspace(None)
    with suppress(NotInstalledError):
        return bellhop.services.client.find_workspace(team_id).is_enterprise_install
    return False


def send_event_from(bellhop: Bellhop, team_id: str) -> None:
    event = {"type": "member_joined_channel", "channel": SOUTH_GENERAL, "user": WES}
    installed = bellhop.slack.installations[ORGANIZATION]
    bellhop.slack.queue_event(team_id, event, installed)
    bellhop.slack.deliver_due()


def test_a_late_event_serves_no_closed_workspace(bellhop: Bellhop) -> None:
    sign_in(bellhop, None)
    list_only(bellhop, NORTH)
    bellhop.services.lifecycle.installations.organization_installed(GRID)
    bellhop.settle()
    list_only(bellhop, NORTH, SOUTH)
    send_event_from(bellhop, SOUTH)
    assert is_served(bellhop, SOUTH)
    bellhop.clock.advance(10)
    bellhop.slack.change_team_access(SOUTH, is_granted=False)
    bellhop.settle()

    bellhop.clock.advance(10)
    send_event_from(bellhop, SOUTH)

    assert not is_served(bellhop, SOUTH)


def close_during_a_list(bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The organization closes South after Slack listed it, and before the list takes effect."""
    services = bellhop.services
    worker = InstallationChecks(
        services.installations,
        services.client,
        services.lifecycle.installations,
        services.lifecycle.workspaces,
        clock=bellhop.clock,
    )
    ask, events = services.client.workspaces_of, ["Ev0CLOSED1"]

    def ask_slowly(enterprise_id: str) -> dict[str, Any]:
        listed = ask(enterprise_id)
        if events:
            bellhop.clock.advance(1)
            list_only(bellhop, NORTH)
            event = EventOrigin(events.pop(), GRID, NORTH, True, bellhop.clock())
            services.lifecycle.installations.team_access_changed(event, [SOUTH])
            worker.run()
        return listed

    monkeypatch.setattr(services.client, "workspaces_of", ask_slowly)


def test_an_earlier_list_of_another_process_serves_no_closed_workspace(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(bellhop, None)
    bellhop.settle()
    close_during_a_list(bellhop, monkeypatch)

    bellhop.services.lifecycle.installations.organization_installed(GRID)
    bellhop.settle()

    assert not is_served(bellhop, SOUTH)


def test_a_check_with_an_outdated_list_is_verified_again(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(bellhop, None)
    bellhop.settle()
    services = bellhop.services
    ask = services.client.workspaces_of

    def ask_slowly(enterprise_id: str) -> dict[str, Any]:
        listed = ask(enterprise_id)
        bellhop.clock.advance(1)
        assert services.profiles.record_workspace(SOUTH, GRID, listed_at=bellhop.clock())
        return listed

    with monkeypatch.context() as patched:
        patched.setattr(services.client, "workspaces_of", ask_slowly)
        services.lifecycle.installations.organization_installed(GRID)
        bellhop.settle()
    assert len(services.lifecycle.installations.pending_checks()) == 1
    list_only(bellhop, NORTH)
    bellhop.clock.advance(1)

    bellhop.settle()

    assert not services.lifecycle.installations.pending_checks()


def test_an_earlier_list_of_a_request_serves_no_closed_workspace(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(bellhop, None)
    list_only(bellhop, NORTH)
    bellhop.services.lifecycle.installations.organization_installed(GRID)
    bellhop.settle()
    list_only(bellhop, NORTH, SOUTH)
    close_during_a_list(bellhop, monkeypatch)

    send_event_from(bellhop, SOUTH)

    assert not is_served(bellhop, SOUTH)
