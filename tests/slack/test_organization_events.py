"""Events that Slack sends to the installation of a whole organization."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from sqlalchemy import update

from bolt_app.db.models import Team
from bolt_app.lifecycle.events import EventOrigin
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.profiles.store import register_team
from bolt_app.slack import ids
from bolt_app.workspaces.client import NotInstalledError
from slack_sandbox.tokens import InstallKey
from tests.lifecycle.test_deletion import tidied, traces
from tests.notifications.hand import accept, deliveries
from tests.people import GRID, NORTH, SOUTH, WES
from tests.running import Bellhop

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

MOVED = "T0MOVED001"
NORTH_GENERAL, SOUTH_GENERAL = "C0GLBX0001", "C0GLBX1001"


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    install_for_organization(bellhop)
    return bellhop


def install_for_organization(bellhop: Bellhop) -> None:
    bellhop.install(WES, whole_organization=True)


def test_they_are_about_the_workspace_in_which_they_happened(installed: Bellhop) -> None:
    installed.services.subscriptions.subscribe(NORTH, NORTH_GENERAL, SubscriptionSpec("deploys"))

    installed.slack.archive_channel(NORTH_GENERAL)
    installed.slack.deliver_due()

    [found] = installed.services.subscriptions.of_address(NORTH, NORTH_GENERAL)
    assert found.paused == "archived"


def test_a_person_who_leaves_a_channel_is_not_a_member(installed: Bellhop) -> None:
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

    unlink(installed)
    # Slack reports the revoked token, and the report names the person until it is verified.
    installed.services.revocations.revoke_pending()
    installed.settle()
    tidied(installed)
    installed.services.background.shutdown()

    assert traces(installed, WES) == {}


def use_where_nobody_is_linked(bellhop: Bellhop) -> None:
    """Store data of Wes in a workspace where he has not linked his profile."""
    bellhop.slack.users[WES].team_id = SOUTH
    for text in ("quiet 22:00-07:00", "subscribe deploys"):
        answer = bellhop.slack.send_command(WES, SOUTH_GENERAL, "/notify", text)
        assert answer.error is None
    bellhop.services.subscriptions.subscribe(
        SOUTH, WES, SubscriptionSpec("deploys", created_by=WES)
    )
    bellhop.slack.open_home(WES, SOUTH)
    bellhop.slack.deliver_due()


def test_it_serves_workspaces_where_nobody_is_linked(installed: Bellhop) -> None:
    use_where_nobody_is_linked(installed)

    assert installed.services.client.find_workspace(SOUTH).is_enterprise_install
    assert installed.services.preferences.find(SOUTH, WES).quiet is not None
    assert "home_tabs" in traces(installed, SOUTH)


def test_an_uninstall_erases_people_where_nobody_is_linked(installed: Bellhop) -> None:
    use_where_nobody_is_linked(installed)
    assert {"preferences", "subscriptions", "home_tabs"} <= traces(installed, SOUTH).keys()

    installed.slack.uninstall(NORTH)
    installed.settle()
    tidied(installed)
    installed.services.background.shutdown()

    assert traces(installed, WES) == {}


def test_a_deactivation_erases_in_every_workspace(installed: Bellhop) -> None:
    unlink(installed)
    use_where_nobody_is_linked(installed)
    installed.clock.advance(60)

    installed.slack.update_user(WES, deleted=True)
    installed.slack.deliver_due()
    tidied(installed)
    installed.services.background.shutdown()

    assert traces(installed, WES) == {}


def unlink(bellhop: Bellhop) -> None:
    asked = bellhop.slack.send_command(WES, NORTH_GENERAL, "/profile", "unlink").message
    assert asked is not None
    bellhop.slack.click(WES, asked, ids.UNLINK_PROFILE, confirmed=True)


def test_after_an_uninstall_no_workspace_is_served(installed: Bellhop) -> None:
    assert installed.services.client.find_workspace(NORTH).is_enterprise_install

    installed.slack.uninstall(NORTH)
    installed.settle()

    with pytest.raises(NotInstalledError):
        installed.services.client.find_workspace(NORTH)
    assert traces(installed, WES) == {}


def test_no_installation_serves_a_workspace_without_a_name(installed: Bellhop) -> None:
    with pytest.raises(NotInstalledError):
        installed.services.client.find_workspace("")


def team_of(bellhop: Bellhop, team_id: str) -> Team | None:
    with bellhop.services.database.reading() as session:
        return session.get(Team, team_id)


def test_every_workspace_is_served_from_the_installation_on(installed: Bellhop) -> None:
    installed.settle()

    assert installed.services.client.find_workspace(SOUTH).is_enterprise_install
    team = team_of(installed, SOUTH)
    assert team is not None
    assert team.name == installed.slack.workspaces[SOUTH].name


def test_a_workspace_that_is_opened_later_is_served(bellhop: Bellhop) -> None:
    install_for_organization(bellhop)
    bellhop.slack.change_team_access(SOUTH, is_granted=False)
    bellhop.settle()
    with pytest.raises(NotInstalledError):
        bellhop.services.client.find_workspace(SOUTH)

    bellhop.slack.change_team_access(SOUTH, is_granted=True)
    bellhop.settle()

    assert bellhop.services.client.find_workspace(SOUTH).is_enterprise_install


def test_a_workspace_that_is_closed_is_erased(installed: Bellhop) -> None:
    use_where_nobody_is_linked(installed)
    assert {"preferences", "subscriptions", "home_tabs"} <= traces(installed, SOUTH).keys()

    installed.slack.change_team_access(SOUTH, is_granted=False)
    installed.settle()
    tidied(installed)
    installed.services.background.shutdown()

    assert team_of(installed, SOUTH) is None
    assert not {"preferences", "home_tabs"} & traces(installed, SOUTH).keys()
    assert installed.services.client.find_workspace(NORTH).is_enterprise_install


def test_a_late_report_closes_no_workspace(installed: Bellhop) -> None:
    installed.settle()

    installed.slack.send_event(NORTH, {"type": "team_access_revoked", "team_ids": [SOUTH]})
    installed.settle()

    assert installed.services.client.find_workspace(SOUTH).is_enterprise_install


def list_only(bellhop: Bellhop, *team_ids: str) -> None:
    """Slack lists other workspaces, but the events about them were lost; the next install asks."""
    bellhop.slack.installations[InstallKey(GRID, None)].team_ids = team_ids
    bellhop.services.lifecycle.installations.organization_installed(GRID)
    bellhop.settle()
    tidied(bellhop)


def test_a_workspace_that_slack_does_not_list_is_no_longer_the_organizations(
    installed: Bellhop,
) -> None:
    installed.settle()
    before = {"enterprise_id": GRID, "name": "Moved away"}
    with installed.services.database.writing() as session:
        register_team(session, MOVED, before, installed.clock())
    assert installed.services.client.find_workspace(MOVED).is_enterprise_install

    list_only(installed, NORTH, SOUTH)

    assert team_of(installed, MOVED) is None
    with pytest.raises(NotInstalledError):
        installed.services.client.find_workspace(MOVED)
    assert installed.services.client.find_workspace(SOUTH).is_enterprise_install
    [entry] = installed.services.audit.find(action="uninstalled")
    assert (entry.enterprise_id, entry.team_id) == (GRID, MOVED)


def test_a_workspace_that_slack_does_not_list_is_erased(installed: Bellhop) -> None:
    use_where_nobody_is_linked(installed)
    installed.settle()
    used = {"preferences", "subscriptions", "home_tabs"}
    assert used <= traces(installed, WES).keys()

    list_only(installed, NORTH)

    assert not used & traces(installed, WES).keys()
    assert team_of(installed, SOUTH) is None
    assert installed.services.profiles.find(NORTH, WES, GRID) is not None


def test_a_workspace_recorded_since_the_request_is_kept(installed: Bellhop) -> None:
    installed.settle()
    installed.services.lifecycle.installations.organization_installed(GRID)
    installed.clock.advance(60)
    with installed.services.database.writing() as session:
        register_team(session, MOVED, {"enterprise_id": GRID}, installed.clock())

    installed.settle()

    assert team_of(installed, MOVED) is not None


def separated_before(bellhop: Bellhop) -> None:
    """Wes is linked in a workspace that an earlier version separated without erasing it."""
    bellhop.slack.users[WES].team_id = SOUTH
    install_for_organization(bellhop)
    bellhop.settle()
    bellhop.slack.installations[InstallKey(GRID, None)].team_ids = (NORTH,)
    with bellhop.services.database.writing() as session:
        session.execute(update(Team).where(Team.team_id == SOUTH).values(enterprise_id=""))
    assert traces(bellhop, "Wes Wide") == {"users": {"real_name"}}


def unlink_on_the_page(bellhop: Bellhop) -> None:
    stored = bellhop.services.installations.find(
        enterprise_id=GRID, team_id=None, user_id=WES, is_enterprise_install=True
    )
    assert stored is not None
    bellhop.services.lifecycle.profiles.unlink(stored)


def uninstall(bellhop: Bellhop) -> None:
    bellhop.slack.uninstall(NORTH)


def revoke(bellhop: Bellhop) -> None:
    bellhop.slack.revoke_tokens(NORTH, users=[WES])


def list_again(bellhop: Bellhop) -> None:
    list_only(bellhop, NORTH)


@pytest.mark.parametrize("leave", [unlink_on_the_page, uninstall, revoke, list_again])
def test_a_workspace_that_was_separated_before_is_erased(
    bellhop: Bellhop, leave: Callable[[Bellhop], None]
) -> None:
    separated_before(bellhop)

    leave(bellhop)
    bellhop.services.revocations.revoke_pending()
    bellhop.settle()
    tidied(bellhop)

    assert traces(bellhop, "Wes Wide", "wes@globex.example") == {}


def test_a_workspace_with_an_installation_of_its_own_outlives_the_organizations(
    bellhop: Bellhop,
) -> None:
    browser, _ = bellhop.install(WES)
    install_for_organization(bellhop)
    bellhop.settle()
    bellhop.services.subscriptions.subscribe(NORTH, NORTH_GENERAL, SubscriptionSpec("deploys"))

    bellhop.slack.tokens.uninstall(InstallKey(GRID, None))
    event = EventOrigin("Ev0GONE", GRID, NORTH, is_enterprise_install=True)
    bellhop.services.lifecycle.installations.app_uninstalled(event)
    bellhop.settle()

    assert team_of(bellhop, SOUTH) is None
    assert not bellhop.services.client.find_workspace(NORTH).is_enterprise_install
    assert len(bellhop.services.subscriptions.of_address(NORTH, NORTH_GENERAL)) == 1
    assert bellhop.services.profiles.find(NORTH, WES, GRID) is not None
    assert browser.get("/profile").status == 200


def test_an_event_of_the_organization_alone_names_no_workspace(installed: Bellhop) -> None:
    """As Slack documents it: `team_id` is null, and the organization is named."""
    installed.settle()
    installed.slack.installations[InstallKey(GRID, None)].team_ids = (NORTH,)
    event = {"type": "team_access_revoked", "team_ids": [SOUTH]}
    delivery = installed.slack.queue_event(NORTH, event, installed.slack.installation_for(NORTH))
    wrapper = delivery.payload | {"team_id": None, "enterprise_id": GRID}
    delivery.body = json.dumps(wrapper).encode()

    installed.settle()

    assert [attempt.status for attempt in delivery.attempts] == [200]
    assert team_of(installed, SOUTH) is None


def subscribe_everywhere(bellhop: Bellhop) -> None:
    for team_id in (NORTH, SOUTH):
        bellhop.services.subscriptions.subscribe(
            team_id, WES, SubscriptionSpec("deploys", created_by=WES)
        )


def paused(bellhop: Bellhop) -> list[str | None]:
    of_address = bellhop.services.subscriptions.of_address
    return [one.paused for team_id in (NORTH, SOUTH) for one in of_address(team_id, WES)]


def change_wes(bellhop: Bellhop, team_ids: tuple[str, ...], **changes: bool) -> None:
    bellhop.clock.advance(1)
    bellhop.slack.users[WES].team_ids = team_ids
    bellhop.slack.update_user(WES, **changes)
    bellhop.slack.deliver_due()


def test_a_guest_gets_nothing_by_own_subscriptions_in_any_workspace(installed: Bellhop) -> None:
    subscribe_everywhere(installed)

    change_wes(installed, (NORTH, SOUTH), is_restricted=True)
    assert paused(installed) == ["guest", "guest"]
    assert deliveries(installed, accept(installed, "topic:deploys", "x", team_id=SOUTH)) == []

    change_wes(installed, (NORTH, SOUTH), is_restricted=False)
    assert paused(installed) == [None, None]


def test_a_person_removed_from_a_workspace_receives_nothing_there(installed: Bellhop) -> None:
    subscribe_everywhere(installed)

    change_wes(installed, (NORTH,), is_org_admin=False)
    assert paused(installed) == [None, "guest"]
    assert deliveries(installed, accept(installed, "topic:deploys", "x", team_id=SOUTH)) == []

    change_wes(installed, (NORTH, SOUTH))
    assert paused(installed) == [None, None]
