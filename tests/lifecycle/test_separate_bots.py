"""A workspace with a separate bot in an organization that has installed Bellhop as well."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from slack_sdk.oauth.installation_store import Bot
from sqlalchemy import update

from bolt_app.db.models import BotInstallation, InstallationRevision, Team, UserInstallation
from bolt_app.lifecycle.events import EventOrigin
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.slack import ids
from bolt_app.slack_api import SlackCallError
from bolt_app.workspaces.client import NotInstalledError
from slack_sandbox.tokens import InstallKey
from tests.lifecycle.organizations import move_workspace
from tests.lifecycle.test_deletion import tidied, traces
from tests.lifecycle.test_two_installations import settled, sign_in
from tests.people import GRID, NORTH, SOUTH, WES
from tests.running import Bellhop
from tests.web.calling import request

WORKSPACE, ORGANIZATION = InstallKey(GRID, NORTH), InstallKey(GRID, None)
CHANNEL = "C0GLBX0001"
NIA, OLA = "W0NIA00001", "W0OLA00001"
ABOUT_WES = (WES, "wes@globex.example", "Wes Wide")


def status_of_key(bellhop: Bellhop, key: str) -> int:
    body = json.dumps({"to": CHANNEL, "text": "x"}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return request("POST", f"{bellhop.url}/api/v1/notifications", body, headers).status


def status_of_webhook(bellhop: Bellhop, url: str) -> int:
    headers = {"Content-Type": "application/json"}
    return request("POST", url, b'{"text": "x"}', headers).status


def serves_by_organization(bellhop: Bellhop) -> bool | None:
    """Whether the organization's bot serves North; None if no bot does."""
    try:
        return bellhop.services.client.find_workspace(NORTH).is_enterprise_install
    except NotInstalledError:
        return None


def report_revoked_bot(bellhop: Bellhop) -> None:
    """Report a revoked bot token; the checks have taken effect when this returns."""
    event = EventOrigin(f"Ev{uuid.uuid4().hex}", GRID, NORTH, is_enterprise_install=False)
    services = bellhop.services
    services.lifecycle.installations.tokens_revoked(event, user_ids=[], bot_ids=["U0BOT"])
    services.installation_checks.run()
    services.client.forget_workspace(None)


def revoke_bot(bellhop: Bellhop) -> None:
    """Slack revokes the token of North's separate bot, without an uninstall."""
    bot_user_id = bellhop.slack.installations[WORKSPACE].bot_user_id
    assert bot_user_id is not None
    assert bellhop.slack.tokens.revoke(WORKSPACE, "bot", bot_user_id)
    report_revoked_bot(bellhop)


def list_only(bellhop: Bellhop, *team_ids: str) -> None:
    bellhop.slack.installations[ORGANIZATION].team_ids = team_ids


class TestRevokedBot:
    """Its token is revoked, and the workspace does not uninstall."""

    @pytest.mark.parametrize("is_organization_first", [True, False])
    def test_its_credentials_do_not_command_the_organizations(
        self, bellhop: Bellhop, is_organization_first: bool
    ) -> None:
        services = bellhop.services
        sign_in(bellhop, NORTH)
        key = services.api_keys.create(NORTH, "old")
        hook = services.webhooks.create(NORTH, "old", [CHANNEL])
        assert status_of_key(bellhop, key) == 202
        if is_organization_first:
            sign_in(bellhop, None)
            bellhop.settle()

        revoke_bot(bellhop)
        if not is_organization_first:
            assert serves_by_organization(bellhop) is None
            sign_in(bellhop, None)
            bellhop.settle()

        assert serves_by_organization(bellhop)
        assert status_of_key(bellhop, key) == 401
        assert status_of_webhook(bellhop, hook) in (403, 404)
        assert status_of_key(bellhop, services.api_keys.create(NORTH, "new")) == 202

    def test_an_organization_that_does_not_serve_the_workspace_does_not_take_over(
        self, bellhop: Bellhop
    ) -> None:
        sign_in(bellhop, NORTH)
        key = bellhop.services.api_keys.create(NORTH, "old")
        sign_in(bellhop, None)
        list_only(bellhop, SOUTH)
        bellhop.settle()

        revoke_bot(bellhop)

        assert serves_by_organization(bellhop) is None
        assert status_of_key(bellhop, key) == 403
        with bellhop.services.database.reading() as session:
            assert session.get(Team, NORTH) is None

    def test_a_link_records_no_organization(self, bellhop: Bellhop) -> None:
        """A person links in a workspace that no bot serves."""
        sign_in(bellhop, NORTH)
        sign_in(bellhop, None)
        list_only(bellhop, SOUTH)
        bellhop.settle()
        revoke_bot(bellhop)
        add_person(bellhop, NIA, "Nia")

        bellhop.install(NIA, query=f"?only=profile&team={NORTH}")

        assert bellhop.services.profiles.find(NORTH, NIA) is not None
        assert serves_by_organization(bellhop) is None

    def test_a_lookup_in_progress_records_no_organization(
        self, bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sign_in(bellhop, NORTH)
        profiles = bellhop.services.profiles
        stored = bellhop.services.installations.find(enterprise_id=GRID, team_id=NORTH, user_id=WES)
        assert stored is not None
        fetch = profiles._fetch_team

        def fetch_while_revoked(*given: Any) -> Any:
            facts = fetch(*given)
            revoke_bot(bellhop)
            return facts

        monkeypatch.setattr(profiles, "_fetch_team", fetch_while_revoked)
        profiles.record(stored)

        with bellhop.services.database.reading() as session:
            team = session.get(Team, NORTH)
        assert team is not None
        assert team.enterprise_id == ""

    def test_the_credentials_work_again_once_the_workspace_installs_again(
        self, bellhop: Bellhop
    ) -> None:
        sign_in(bellhop, NORTH)
        key = bellhop.services.api_keys.create(NORTH, "kept")
        revoke_bot(bellhop)
        assert status_of_key(bellhop, key) == 403

        sign_in(bellhop, NORTH)
        bellhop.settle()

        assert status_of_key(bellhop, key) == 202
        with bellhop.services.database.reading() as session:
            team = session.get(Team, NORTH)
        assert team is not None
        assert team.enterprise_id == GRID

    def test_a_repeated_report_ends_no_credentials_of_the_organizations_time(
        self, bellhop: Bellhop
    ) -> None:
        sign_in(bellhop, NORTH)
        sign_in(bellhop, None)
        bellhop.settle()
        revoke_bot(bellhop)
        key = bellhop.services.api_keys.create(NORTH, "new")

        report_revoked_bot(bellhop)

        assert serves_by_organization(bellhop)
        assert status_of_key(bellhop, key) == 202


def bot_of(bellhop: Bellhop, enterprise_id: str, team_id: str | None) -> Bot:
    return Bot(
        bot_token="xoxb-unknown",
        bot_id="B0TESTS001",
        bot_user_id="U0TESTS001",
        enterprise_id=enterprise_id,
        team_id=team_id,
        is_enterprise_install=team_id is None,
        installed_at=bellhop.clock.timestamp(),
    )


class TestAnotherApp:
    """The operator replaces the Slack app, whose installations remain in the database."""

    @pytest.fixture
    def replaced(self, bellhop: Bellhop) -> Bellhop:
        """North has a separate bot of the earlier app, the organization none of either."""
        sign_in(bellhop, NORTH)
        with bellhop.services.database.writing() as session:
            for model in (BotInstallation, UserInstallation, InstallationRevision):
                session.execute(update(model).values(client_id="999.999"))
        bellhop.services.client.forget_workspace(None)
        return bellhop

    def test_earlier_credentials_do_not_command_the_bot_of_the_later_app(
        self, replaced: Bellhop
    ) -> None:
        services = replaced.services
        key = services.api_keys.create(NORTH, "old")
        hook = services.webhooks.create(NORTH, "old", [CHANNEL])

        sign_in(replaced, None)
        replaced.settle()

        assert serves_by_organization(replaced)
        assert status_of_key(replaced, key) == 401
        assert status_of_webhook(replaced, hook) in (403, 404)
        assert status_of_key(replaced, services.api_keys.create(NORTH, "new")) == 202

    def test_the_later_app_serves_no_workspace_before_slack_lists_it(
        self, replaced: Bellhop
    ) -> None:
        replaced.services.store.save_bot(bot_of(replaced, GRID, None))

        assert serves_by_organization(replaced) is None

    def test_a_second_installation_of_the_later_app_forgets_nothing(
        self, replaced: Bellhop
    ) -> None:
        sign_in(replaced, None)
        replaced.settle()

        sign_in(replaced, None)

        assert serves_by_organization(replaced)


def add_person(bellhop: Bellhop, user_id: str, name: str) -> None:
    person = copy.deepcopy(bellhop.slack.users[WES])
    person.id, person.name, person.real_name = user_id, name.lower(), f"{name} North"
    person.email = f"{name.lower()}@globex.example"
    bellhop.slack.world.users[user_id] = person
    bellhop.slack.channels[CHANNEL].members.append(user_id)


def link_separately(bellhop: Bellhop, user_id: str) -> None:
    assert bellhop.install(user_id, team_id=NORTH)[1].status == 303


def uninstall_organization(bellhop: Bellhop, people: Sequence[str], first: str) -> None:
    uninstall(bellhop, ORGANIZATION, people, first)


def uninstall(bellhop: Bellhop, key: InstallKey, people: Sequence[str], first: str) -> None:
    """Uninstall an installation; Slack sends its two events in any order."""
    installed = bellhop.slack.installations[key]
    bellhop.slack.tokens.uninstall(key)
    revoked = {"oauth": list(people), "bot": [installed.bot_user_id]}
    events: list[dict[str, Any]] = [
        {"type": "app_uninstalled"},
        {"type": "tokens_revoked", "tokens": revoked},
    ]
    for event in sorted(events, key=lambda one: one["type"] != first):
        bellhop.slack.queue_event(NORTH, event, installed)
        bellhop.settle()
    settled(bellhop)


@pytest.fixture
def both(bellhop: Bellhop) -> Bellhop:
    """Nia is linked with North's installation; Wes with the organization's, and uses North."""
    bellhop.begin(link_both)
    return bellhop


def link_both(bellhop: Bellhop) -> None:
    add_person(bellhop, NIA, "Nia")
    link_separately(bellhop, NIA)
    sign_in(bellhop, None)
    bellhop.settle()
    for user_id in (WES, NIA):
        bellhop.slack.open_home(user_id, NORTH)
        bellhop.slack.deliver_due()
        answer = bellhop.slack.send_command(user_id, CHANNEL, "/notify", "quiet 22:00-07:00")
        assert answer.error is None
        bellhop.services.subscriptions.subscribe(
            NORTH, user_id, SubscriptionSpec("deploys", created_by=user_id)
        )
    assert {"users", "preferences", "subscriptions", "home_tabs"} <= traces(bellhop, WES).keys()


EVENTS = ["app_uninstalled", "tokens_revoked"]


@pytest.mark.parametrize("first", EVENTS)
def test_the_organizations_uninstall_erases_its_people_where_another_bot_stays(
    both: Bellhop, first: str
) -> None:
    about_nia = traces(both, NIA, "nia@globex.example")

    uninstall_organization(both, [WES], first)
    both.services.background.shutdown()

    assert traces(both, *ABOUT_WES) == {}
    assert serves_by_organization(both) is False
    assert traces(both, NIA, "nia@globex.example") == about_nia


@pytest.mark.slow
@pytest.mark.parametrize("first", EVENTS)
def test_every_one_of_its_many_people_is_erased(both: Bellhop, first: str) -> None:
    add_person(both, OLA, "Ola")
    both.install(OLA, whole_organization=True)
    both.settle()
    assert "users" in traces(both, "ola@globex.example")

    uninstall_organization(both, [WES, OLA], first)
    both.services.background.shutdown()

    assert traces(both, *ABOUT_WES, OLA, "ola@globex.example") == {}


def test_a_person_linked_in_both_stays_in_the_workspace(bellhop: Bellhop) -> None:
    sign_in(bellhop, NORTH)
    sign_in(bellhop, None)
    bellhop.settle()

    uninstall_organization(bellhop, [], "app_uninstalled")

    assert bellhop.services.profiles.find(NORTH, WES) is not None


def test_a_person_unlinks_where_the_separate_bot_answers(both: Bellhop) -> None:
    asked = both.slack.send_command(WES, CHANNEL, "/profile", "unlink").message
    assert asked is not None
    both.slack.click(WES, asked, ids.UNLINK_PROFILE, confirmed=True)
    settled(both)
    tidied(both)
    both.services.background.shutdown()

    assert traces(both, *ABOUT_WES) == {}
    assert both.slack.tokens.live(ORGANIZATION, "user") == []
    assert both.services.profiles.find(NORTH, NIA) is not None


def test_nobody_unlinks_another_persons_profile(both: Bellhop) -> None:
    """Ola is not linked, while Wes is in the same organization."""
    add_person(both, OLA, "Ola")

    answer = both.slack.send_command(OLA, CHANNEL, "/profile", "unlink").message

    assert answer is not None
    assert "You have not linked your profile yet" in answer.text


class TestCredentialsOfAnotherInstallation:
    """Keys and webhooks command only the installation under which they were created."""

    def create(self, bellhop: Bellhop) -> tuple[str, str]:
        services = bellhop.services
        key = services.api_keys.create(NORTH, "old")
        hook = services.webhooks.create(NORTH, "old", [CHANNEL])
        assert status_of_key(bellhop, key) == 202
        return key, hook

    def require_revoked(self, bellhop: Bellhop, key: str, hook: str) -> None:
        assert status_of_key(bellhop, key) == 401
        assert status_of_webhook(bellhop, hook) in (403, 404)
        assert status_of_key(bellhop, bellhop.services.api_keys.create(NORTH, "new")) == 202
        revoked = {
            event.credential
            for action in ("api_key_revoked", "webhook_revoked")
            for event in bellhop.services.audit.find(team_id=NORTH, action=action)
        }
        assert revoked == {"api_key:1", "webhook:1"}

    @pytest.mark.parametrize("how", ["still served", "closed", "uninstalled", "bot revoked"])
    def test_the_organizations_do_not_command_the_workspaces_own(
        self, bellhop: Bellhop, how: str
    ) -> None:
        sign_in(bellhop, None)
        bellhop.settle()
        key, hook = self.create(bellhop)
        bellhop.clock.advance(60)
        leave_organization(bellhop, how)

        # The stand-in installs no separate bot where the organization's is installed.
        bellhop.services.store.save_bot(bot_of(bellhop, GRID, NORTH))
        bellhop.settle()

        assert serves_by_organization(bellhop) is False
        self.require_revoked(bellhop, key, hook)

    def test_a_former_organizations_do_not_command_the_next_ones(self, bellhop: Bellhop) -> None:
        services = bellhop.services
        services.store.save_bot(bot_of(bellhop, "E0FORMER01", None))
        now = bellhop.clock()
        assert services.profiles.record_workspace(NORTH, "E0FORMER01", listed_at=now)
        key, hook = self.create(bellhop)
        bellhop.clock.advance(60)

        sign_in(bellhop, None)
        bellhop.settle()

        assert services.client.find_workspace(NORTH).enterprise_id == GRID
        self.require_revoked(bellhop, key, hook)

    @pytest.mark.parametrize("how", ["still served", "closed", "uninstalled", "bot revoked"])
    def test_an_organization_that_installs_again_keeps_them(
        self, bellhop: Bellhop, how: str
    ) -> None:
        sign_in(bellhop, None)
        bellhop.settle()
        key, hook = self.create(bellhop)
        bellhop.clock.advance(60)
        leave_organization(bellhop, how)
        bellhop.clock.advance(60)

        sign_in(bellhop, None)
        bellhop.settle()

        assert status_of_key(bellhop, key) == 202
        assert status_of_webhook(bellhop, hook) == 200

    def test_a_workspace_keeps_its_own_while_the_organization_installs(
        self, bellhop: Bellhop
    ) -> None:
        sign_in(bellhop, NORTH)
        key, hook = self.create(bellhop)

        sign_in(bellhop, None)
        bellhop.settle()

        assert status_of_key(bellhop, key) == 202
        assert status_of_webhook(bellhop, hook) == 200


def leave_organization(bellhop: Bellhop, how: str) -> None:
    """End what the organization's installation does for North, as Slack reports it."""
    installed = bellhop.slack.installations[ORGANIZATION]
    if how == "closed":
        bellhop.slack.change_team_access(NORTH, is_granted=False)
    elif how == "uninstalled":
        bellhop.slack.tokens.uninstall(ORGANIZATION)
        bellhop.slack.queue_event(NORTH, {"type": "app_uninstalled"}, installed)
    elif how == "bot revoked":
        assert installed.bot_user_id is not None
        assert bellhop.slack.tokens.revoke(ORGANIZATION, "bot", installed.bot_user_id)
        tokens = {"oauth": [], "bot": [installed.bot_user_id]}
        bellhop.slack.queue_event(NORTH, {"type": "tokens_revoked", "tokens": tokens}, installed)
    bellhop.settle()


class TestUninstalledWorkspace:
    """A workspace uninstalls its own installation while the organization has one."""

    @pytest.mark.parametrize("first", EVENTS)
    def test_the_organization_serves_it_and_its_people_stay(
        self, both: Bellhop, first: str
    ) -> None:
        about_wes = traces(both, *ABOUT_WES)
        key = both.services.api_keys.create(NORTH, "of the workspace's own")

        uninstall(both, WORKSPACE, [NIA], first)
        both.services.background.shutdown()

        assert serves_by_organization(both)
        assert status_of_key(both, key) == 401
        # An App Home of the removed bot may be published meanwhile, and is then forgotten.
        about_wes.pop("home_tabs")
        left = traces(both, *ABOUT_WES)
        assert {table: left.get(table) for table in about_wes} == about_wes
        assert traces(both, NIA, "nia@globex.example") == {}

    @pytest.mark.parametrize("first", EVENTS)
    @pytest.mark.parametrize("is_removed", [False, True])
    def test_it_is_erased_where_the_organization_does_not_serve_it(
        self, both: Bellhop, first: str, is_removed: bool
    ) -> None:
        """Slack does not list it, or rejects the organization's token without a report."""
        if is_removed:
            both.slack.tokens.uninstall(ORGANIZATION)
        else:
            list_only(both, SOUTH)

        uninstall(both, WORKSPACE, [NIA], first)
        both.services.background.shutdown()

        assert serves_by_organization(both) is None
        with both.services.database.reading() as session:
            assert session.get(Team, NORTH) is None
        assert both.services.subscriptions.of_address(NORTH, WES) == []
        assert traces(both, NIA, "nia@globex.example") == {}

    def test_a_late_report_erases_nothing_of_the_organizations_time(self, bellhop: Bellhop) -> None:
        sign_in(bellhop, NORTH)
        services, happened_at = bellhop.services, bellhop.clock()
        bellhop.clock.advance(60)
        revoke_bot(bellhop)
        bellhop.clock.advance(60)
        sign_in(bellhop, None)
        bellhop.settle()
        bellhop.slack.tokens.uninstall(WORKSPACE)
        key = services.api_keys.create(NORTH, "new")
        services.subscriptions.subscribe(NORTH, WES, SubscriptionSpec("deploys", created_by=WES))

        late = EventOrigin("Ev0LATE001", GRID, NORTH, is_enterprise_install=False, at=happened_at)
        services.lifecycle.installations.app_uninstalled(late)
        bellhop.settle()

        assert serves_by_organization(bellhop)
        assert status_of_key(bellhop, key) == 202
        assert services.profiles.find(NORTH, WES) is not None
        assert len(services.subscriptions.of_address(NORTH, WES)) == 1

    @pytest.mark.parametrize("first", EVENTS)
    def test_the_organization_that_it_joined_later_serves_it(
        self, bellhop: Bellhop, first: str
    ) -> None:
        """Its own installation is from before, and Slack's report names no organization."""
        services = bellhop.services
        move_workspace(bellhop, NORTH, None)
        sign_in(bellhop, NORTH)
        bellhop.clock.advance(60)
        move_workspace(bellhop, NORTH, GRID)
        sign_in(bellhop, None)
        bellhop.settle()
        assert serves_by_organization(bellhop) is False
        bellhop.slack.tokens.uninstall(WORKSPACE)

        report = EventOrigin("Ev0LATE001", None, NORTH, is_enterprise_install=False)
        if first == "app_uninstalled":
            services.lifecycle.installations.app_uninstalled(report)
        else:
            services.lifecycle.installations.tokens_revoked(report, user_ids=[], bot_ids=["U0BOT"])
        bellhop.settle()

        assert serves_by_organization(bellhop)
        assert services.profiles.find(NORTH, WES) is not None

    @pytest.mark.parametrize("first", EVENTS)
    @pytest.mark.parametrize("named", [GRID, None])
    def test_reports_that_arrive_together_erase_nothing_of_the_organizations(
        self, both: Bellhop, first: str, named: str | None
    ) -> None:
        """One run verifies them; the later one need not name the organization."""
        both.slack.tokens.uninstall(WORKSPACE)
        reports = both.services.lifecycle.installations
        origins = [
            EventOrigin(f"Ev0GONE00{n}", one, NORTH, False) for n, one in enumerate((named, None))
        ]

        if first == "tokens_revoked":
            reports.tokens_revoked(origins[0], user_ids=[NIA], bot_ids=["U0BOT"])
        else:
            reports.app_uninstalled(origins[0])
        reports.app_uninstalled(origins[1])
        both.settle()

        assert serves_by_organization(both)
        assert both.services.profiles.find(NORTH, WES) is not None
        assert len(both.services.subscriptions.of_address(NORTH, WES)) == 1

    def test_nothing_is_erased_while_slack_does_not_answer(
        self, both: Bellhop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        services = both.services

        def fail(_enterprise_id: str) -> None:
            raise SlackCallError("auth.teams.list", "unavailable")

        with monkeypatch.context() as patched:
            patched.setattr(services.client, "workspaces_of", fail)
            uninstall(both, WORKSPACE, [NIA], "app_uninstalled")
            assert serves_by_organization(both) is None
            assert len(services.subscriptions.of_address(NORTH, WES)) == 1

        both.settle()

        assert serves_by_organization(both)
        assert len(services.subscriptions.of_address(NORTH, WES)) == 1
