"""Events that Slack sends to the installation of a whole organization."""

from __future__ import annotations

import pytest

from bolt_app.notifications.subscriptions import Wish
from bolt_app.oauth.calls import NotInstalledError
from bolt_app.slack import ids
from tests.people import NORTH, SOUTH, WES
from tests.running import Bellhop
from tests.test_deletion import tidied, traces

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

NORTH_GENERAL = "C0GLBX0001"


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    browser = bellhop.browser()
    to_slack = browser.get("/slack/install")
    browser.get(bellhop.slack.authorize(WES, to_slack.location, whole_organisation=True))
    return bellhop


def test_they_are_about_the_workspace_in_which_they_happened(installed: Bellhop) -> None:
    installed.services.subscriptions.subscribe(NORTH, NORTH_GENERAL, Wish("deploys"))

    installed.slack.archive_channel(NORTH_GENERAL)
    installed.slack.deliver_due()

    [found] = installed.services.subscriptions.of_address(NORTH, NORTH_GENERAL)
    assert found.paused == "archived"


def test_who_leaves_a_channel_is_not_believed_to_be_there(installed: Bellhop) -> None:
    access = installed.services.access
    assert NORTH_GENERAL in access.channels_of(NORTH, WES)

    installed.slack.channels[NORTH_GENERAL].members.remove(WES)
    event = {"type": "member_left_channel", "user": WES, "channel": NORTH_GENERAL}
    installed.slack.send_event(NORTH, event)

    assert NORTH_GENERAL not in access.channels_of(NORTH, WES)


def test_an_opened_home_is_forgotten_with_its_person(installed: Bellhop) -> None:
    installed.slack.open_home(WES, NORTH)
    installed.slack.deliver_due()
    assert "home_tabs" in traces(installed, WES)

    asked = installed.slack.send_command(WES, NORTH_GENERAL, "/profile", "unlink").message
    assert asked is not None
    installed.slack.click(WES, asked, ids.UNLINK_PROFILE, confirmed=True)
    tidied(installed)
    installed.services.background.shutdown()

    assert traces(installed, WES) == {}


def test_a_home_where_no_bot_serves_is_left_alone(installed: Bellhop) -> None:
    event = {"type": "app_home_opened", "user": WES, "tab": "home", "channel": "D0"}

    delivery = installed.slack.send_event(SOUTH, event)

    assert [attempt.status for attempt in delivery.attempts] == [200]
    assert "home_tabs" not in traces(installed, WES)


def test_after_an_uninstall_no_workspace_is_served(installed: Bellhop) -> None:
    assert installed.services.calls.find_place(NORTH).is_enterprise_install

    installed.slack.uninstall(NORTH)
    installed.slack.deliver_due()

    with pytest.raises(NotInstalledError):
        installed.services.calls.find_place(NORTH)
    assert traces(installed, WES) == {}


def test_no_installation_serves_a_workspace_without_a_name(installed: Bellhop) -> None:
    with pytest.raises(NotInstalledError):
        installed.services.calls.find_place("")
