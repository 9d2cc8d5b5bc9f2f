"""Installs, uninstalls, moves and lists in any order, with the stand-in for Slack as the truth.

Reports are delivered, lost, delivered late, repeated, and may not name the installation. Once every
check has settled, Bellhop serves the same workspaces with the same installations as Slack, nothing
else works, and no workspace that was served all the time has lost data.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import select

from bolt_app.db.models import BotInstallation, Team
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.workspaces.client import NotInstalledError
from slack_sandbox.tokens import InstallKey, Token
from slack_sandbox.world import Channel, User, Workspace
from tests.lifecycle.organizations import add_organization, move_workspace
from tests.lifecycle.test_separate_bots import status_of_webhook
from tests.property import examples
from tests.running import Bellhop, Browser
from tests.slack.signing import post_signed
from tests.slack.test_late_events import can_see_profile, pending
from tests.web.calling import request

pytestmark = pytest.mark.sqlite_only

Fate: TypeAlias = Literal["reported", "unnamed", "late", "lost"]
fate = st.sampled_from(["reported", "unnamed", "reported", "unnamed", "late", "lost"])
# Of the reports about the bot, about people and about the whole uninstall.
fates = st.tuples(fate, fate, fate)
places = st.integers(0, 1)
mostly = st.sampled_from([True, True, True, False])
# The installation that serves a workspace: its organization's id, empty for its own one.
Server = str | None
numbers = itertools.count()


@dataclass
class Data:
    """What a workspace stored while it was served.

    Attributes:
        server: the installation that served it then.
        is_kept: whether it has been served all the time since.
        is_same: whether the same installation has served it all the time since.
    """

    server: Server
    key: str
    hook: str
    is_kept: bool = True
    is_same: bool = True


@dataclass
class Place:
    """A workspace that moves, with an admin, a channel, and a member who never links a profile."""

    team_id: str
    admin: str
    channel: str
    member: str
    data: list[Data] = field(default_factory=list)


class Installations(RuleBasedStateMachine):
    """Two workspaces, which may be in one of two organizations."""

    def __init__(self, bellhop: Bellhop) -> None:
        super().__init__()
        self.bellhop = bellhop
        number = next(numbers)
        self.organizations = [f"E0MOD{number:04d}{letter}" for letter in "XY"]
        self.admins = [f"W0MOD{number:04d}{letter}" for letter in "XY"]
        for enterprise_id, admin in zip(self.organizations, self.admins, strict=True):
            add_organization(bellhop, enterprise_id)
            home = f"T{enterprise_id[1:]}H"
            self.add_workspace(home, admin, enterprise_id)
        self.places = []
        for letter in "AB":
            stem = f"0MOD{number:04d}{letter}"
            place = Place(f"T{stem}", f"U{stem}", f"C{stem}", f"U{stem}M")
            self.add_workspace(place.team_id, place.admin, None)
            bellhop.slack.world.channels[place.channel] = Channel(
                place.channel, place.team_id, "general", members=[place.admin]
            )
            self.places.append(place)
        self.sessions: list[tuple[Browser, Token]] = []
        self.late: list[dict[str, Any]] = []

    def add_workspace(self, team_id: str, admin: str, enterprise_id: str | None) -> None:
        world, name = self.bellhop.slack.world, team_id.lower()
        world.workspaces[team_id] = Workspace(team_id, name, name, enterprise_id)
        world.users[admin] = User(
            admin,
            team_id,
            admin.lower(),
            admin,
            email=f"{admin.lower()}@model.example",
            is_admin=True,
            enterprise_id=enterprise_id,
            is_org_admin=enterprise_id is not None,
        )

    @initialize(
        organizations=st.tuples(*[st.sampled_from([0, 0, 1, None])] * 2),
        own=st.tuples(mostly, mostly),
        installed=st.tuples(mostly, mostly),
        is_organization_first=st.sampled_from([False, False, True]),
        is_workspace_ended=mostly,
        fates=fates,
    )
    def begin_installed(
        self,
        organizations: tuple[int | None, int | None],
        own: tuple[bool, bool],
        installed: tuple[bool, bool],
        is_organization_first: bool,
        is_workspace_ended: bool,
        fates: Sequence[Fate],
    ) -> None:
        """Install here and there, and end one installation: the rules follow in any order."""
        for place, organization in enumerate(organizations):
            self.move(place, organization)

        def install_workspaces() -> None:
            for place in (place for place in range(2) if own[place]):
                self.install_workspace(place)

        def install_organizations() -> None:
            for organization in (one for one in range(2) if installed[one]):
                self.install_organization(organization)

        steps = [install_workspaces, install_organizations]
        for install in reversed(steps) if is_organization_first else steps:
            install()
        for place in range(2):
            self.store(place)
        if is_workspace_ended:
            self.uninstall_workspace(0, fates)
        else:
            self.uninstall_organization(0, 0, fates)

    # Slack's state.

    def server_of(self, place: Place) -> Server:
        installed = self.bellhop.slack.installation_for(place.team_id)
        if installed is None:
            return None
        return (installed.key.enterprise_id or "") if installed.key.is_org else ""

    def own(self, place: Place) -> InstallKey:
        return self.bellhop.slack.key_for(place.team_id)

    def is_installed(self, key: InstallKey) -> bool:
        return key in self.bellhop.slack.tokens.installations

    # Actions.

    def begin(self) -> None:
        self.bellhop.clock.advance(60)

    def end(self) -> None:
        for place in self.places:
            server = self.server_of(place)
            for data in place.data:
                data.is_kept &= server is not None
                data.is_same &= server == data.server

    def install(self, key: InstallKey, user_id: str) -> None:
        browser = self.bellhop.browser()
        to_slack = browser.get("/slack/install").location
        where: dict[str, Any] = {"team_id": key.team_id}
        if key.is_org:
            where = {"whole_organization": True}
        callback = self.bellhop.slack.authorize(user_id, to_slack, **where)
        page = browser.get(callback)
        assert page.status == 303, page.text
        [token] = [
            one for one in self.bellhop.slack.tokens.live(key, "user") if one.user_id == user_id
        ]
        self.sessions.append((browser, token))

    @rule(place=places)
    def install_workspace(self, place: int) -> None:
        """Slack allows no own installation where the organization's serves the workspace."""
        here = self.places[place]
        organization = InstallKey(self.own(here).enterprise_id, None)
        served = self.bellhop.slack.tokens.installations.get(organization)
        if served is not None and here.team_id in served.team_ids:
            return
        self.begin()
        self.install(self.own(here), here.admin)
        self.end()

    @rule(organization=places)
    def install_organization(self, organization: int) -> None:
        self.begin()
        key = InstallKey(self.organizations[organization], None)
        self.install(key, self.admins[organization])
        self.end()

    @rule(place=places)
    def store(self, place: int) -> None:
        here, services = self.places[place], self.bellhop.services
        self.settle()
        server = self.server_of(here)
        if server is None:
            return
        key = services.api_keys.create(here.team_id, "model")
        hook = services.webhooks.create(here.team_id, "model", [here.channel])
        if not services.subscriptions.of_address(here.team_id, here.member):
            spec = SubscriptionSpec("deploys", created_by=here.member)
            services.subscriptions.subscribe(here.team_id, here.member, spec)
        here.data.append(Data(server, key, hook))

    @rule(place=places, fates=fates)
    def uninstall_workspace(self, place: int, fates: Sequence[Fate]) -> None:
        here = self.places[place]
        self.uninstall(self.own(here), here.team_id, fates)

    @rule(organization=places, place=places, fates=fates)
    def uninstall_organization(self, organization: int, place: int, fates: Sequence[Fate]) -> None:
        key = InstallKey(self.organizations[organization], None)
        here = self.places[place]
        is_there = self.own(here).enterprise_id == key.enterprise_id
        self.uninstall(key, here.team_id if is_there else f"T{str(key.enterprise_id)[1:]}H", fates)

    def uninstall(self, key: InstallKey, team_id: str, fates: Sequence[Fate]) -> None:
        if not self.is_installed(key):
            return
        self.begin()
        people = [token.user_id for token in self.bellhop.slack.tokens.live(key, "user")]
        bot = self.bellhop.slack.tokens.installations[key].bot_user_id
        self.bellhop.slack.tokens.uninstall(key)
        events: list[dict[str, Any]] = [
            {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [bot]}},
            {"type": "tokens_revoked", "tokens": {"oauth": people, "bot": []}},
            {"type": "app_uninstalled"},
        ]
        for event, fate in zip(events, fates, strict=True):
            self.report(event, key, team_id, fate)
        self.end()

    @rule(place=places, is_open=st.booleans(), fate=st.sampled_from(["reported", "late", "lost"]))
    def change_access(self, place: int, is_open: bool, fate: Fate) -> None:
        here = self.places[place]
        key = InstallKey(self.own(here).enterprise_id, None)
        installed = self.bellhop.slack.tokens.installations.get(key)
        if installed is None or key.enterprise_id is None:
            return
        self.begin()
        others = tuple(one for one in installed.team_ids if one != here.team_id)
        installed.team_ids = (*others, here.team_id) if is_open else others
        kind = "team_access_granted" if is_open else "team_access_revoked"
        self.report({"type": kind, "team_ids": [here.team_id]}, key, others[0], fate)
        self.end()

    @rule(place=places, organization=st.none() | places)
    def move(self, place: int, organization: int | None) -> None:
        """Slack sends no event; the next request from the workspace names the organization."""
        here = self.places[place]
        self.begin()
        to = None if organization is None else self.organizations[organization]
        move_workspace(self.bellhop, here.team_id, to)
        self.end()
        self.bellhop.slack.send_event(
            here.team_id, {"type": "channel_unarchive", "channel": here.channel, "user": here.admin}
        )

    def report(self, event: dict[str, Any], key: InstallKey, team_id: str, fate: Fate) -> None:
        """Report an event as Slack does, or as Slack documents it: without an installation."""
        now, number = int(self.bellhop.clock.timestamp()), next(numbers)
        body = {"type": "event_callback", "event_id": f"Ev0MOD{number}", "event_time": now}
        body |= {"team_id": team_id, "event": event}
        if fate != "unnamed":
            authorization = {
                "enterprise_id": key.enterprise_id,
                "team_id": key.team_id,
                "is_enterprise_install": key.is_org,
            }
            body |= {"authorizations": [authorization], "enterprise_id": key.enterprise_id}
        if fate in ("reported", "unnamed"):
            self.deliver(body)
        # Slack may repeat any of them.
        if fate != "lost":
            self.late.append(body)

    @rule(data=st.data())
    def deliver_late(self, data: st.DataObject) -> None:
        if self.late:
            self.begin()
            body = data.draw(st.sampled_from(self.late))
            self.deliver({**body, "event_id": f"Ev0MOD{next(numbers)}"})

    def deliver(self, body: dict[str, Any]) -> None:
        assert post_signed(self.bellhop, json.dumps(body).encode()).status == 200

    @rule()
    def settle(self) -> None:
        self.bellhop.settle()

    # The end.

    def teardown(self) -> None:
        """Settle: every bot is verified within a day, whatever was reported."""
        self.begin()
        self.settle()
        lifecycle = self.bellhop.services.lifecycle.installations
        for enterprise_id in self.organizations:
            lifecycle.organization_installed(enterprise_id)
        for place in self.places:
            lifecycle.organization_changed(place.team_id)
        self.settle()
        assert pending(self.bellhop) == []
        for place in self.places:
            self.check_server(place)
            self.check_data(place)
        for browser, token in self.sessions:
            assert token.is_live or not can_see_profile(browser)

    def check_server(self, place: Place) -> None:
        assert self.served_by(place) == self.server_of(place)
        truth = self.own(place).enterprise_id or ""
        with self.bellhop.services.database.reading() as session:
            team = session.get(Team, place.team_id)
            mine = BotInstallation.team_id == place.team_id
            bots = session.scalars(select(BotInstallation.enterprise_id).where(mine)).all()
        if self.server_of(place) is not None:
            assert team is not None
            assert {team.enterprise_id, *bots} == {truth}

    def served_by(self, place: Place) -> Server:
        try:
            found = self.bellhop.services.client.find_workspace(place.team_id)
        except NotInstalledError:
            return None
        return (found.enterprise_id or "") if found.is_enterprise_install else ""

    def check_data(self, place: Place) -> None:
        server = self.server_of(place)
        kept = self.bellhop.services.subscriptions.of_address(place.team_id, place.member)
        for data in place.data:
            status, of_hook = self.send(place, data.key), status_of_webhook(self.bellhop, data.hook)
            if data.is_kept:
                assert len(kept) == 1
            if data.is_same:
                assert (status, of_hook) == (202, 200)
            if server != data.server:
                assert status in (401, 403)
                assert of_hook in (403, 404)

    def send(self, place: Place, key: str) -> int:
        body = json.dumps({"to": place.channel, "text": "x"}).encode()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        return request("POST", f"{self.bellhop.url}/api/v1/notifications", body, headers).status


@pytest.fixture
def quiet(bellhop: Bellhop) -> Iterator[Bellhop]:
    yield bellhop
    bellhop.services.background.shutdown()


def test_bellhop_agrees_with_slack(quiet: Bellhop) -> None:
    machine: Any = partial(Installations, quiet)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples(5),
            stateful_step_count=8,
            deadline=None,
            phases=[Phase.generate],  # to shrink a long sequence of requests takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
