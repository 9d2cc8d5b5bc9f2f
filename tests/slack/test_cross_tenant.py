"""Isolation between organizations that share a channel.

Slack names the other person's workspace in their requests, which the organization's bot must never
serve.
"""

from __future__ import annotations

import json

import pytest

from bolt_app.access.authorization import Role
from bolt_app.lifecycle.events import EventOrigin
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.slack import ids
from bolt_app.workspaces.client import NotInstalledError
from slack_sandbox.world import Message
from tests.lifecycle.test_deletion import traces
from tests.notifications.hand import Hand, accept, texts
from tests.people import ANN_AT_BETA, BEA, BETA, GRID, NORTH, SOUTH, WES
from tests.running import Bellhop
from tests.slack.interacting import deliver, payload, rows
from tests.slack.signing import post_signed
from tests.web.calling import request

pytestmark = pytest.mark.sqlite_only


def install_everywhere(bellhop: Bellhop) -> None:
    """Install Bellhop for all of Globex, as Wes."""
    bellhop.install(WES, whole_organization=True)


def shared_message(bellhop: Bellhop) -> Message:
    """Return a notification in a channel of Globex that Bea of Beta is a member of."""
    slack = bellhop.slack
    channel = slack.add_channel(NORTH, "shared", members=[WES])
    slack.invite_bot(WES, channel.id)
    slack.share_channel(channel.id, BEA)
    accept(bellhop, channel.id, title="Full", actions=["acknowledge"], team_id=NORTH)
    Hand(bellhop).deliver()
    return slack.messages(channel.id)[-1]


@pytest.fixture
def shared(bellhop: Bellhop) -> Message:
    install_everywhere(bellhop)
    return shared_message(bellhop)


def send_with(bellhop: Bellhop, key: str, to: str) -> int:
    body = json.dumps({"to": to, "text": "from Beta"}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return request("POST", f"{bellhop.url}/api/v1/notifications", body, headers).status


def test_their_workspace_is_not_served(bellhop: Bellhop, shared: Message) -> None:
    before = rows(bellhop)
    bellhop.slack.use_shortcut(BEA, shared, ids.LINK_TO_NOTIFICATION)
    bellhop.slack.click(BEA, shared, "incident.acknowledge")
    bellhop.slack.send_command(BEA, shared.channel_id, "/notify", "subscribe deploys")

    assert bellhop.slack.open_modal(BEA) is None
    assert rows(bellhop) == before
    with pytest.raises(NotInstalledError):
        bellhop.services.client.find_workspace(BETA)


def test_every_kind_of_interaction_is_refused(bellhop: Bellhop, shared: Message) -> None:
    before = rows(bellhop)
    organization = {"team": None, "enterprise": {"id": GRID}, "is_enterprise_install": True}
    for kind in ("message_action", "block_actions", "view_submission"):
        body = payload(kind, BEA, BETA, callback_id=ids.LINK_TO_NOTIFICATION, message_ts=shared.ts)
        body |= organization
        body["channel"] = {"id": shared.channel_id}
        body["view"] = {"id": "V1", "type": "modal", "callback_id": "x", "blocks": []}
        body["actions"] = [{"action_id": ids.HOME_TEST, "type": "button", "value": "x"}]
        assert deliver(bellhop, body).status == 200

    assert rows(bellhop) == before


@pytest.mark.parametrize("context", [{"context_team_id": None}, {}, {"context_team_id": BETA}])
def test_an_event_that_names_their_workspace_records_nothing(
    bellhop: Bellhop, shared: Message, context: dict[str, str | None]
) -> None:
    authorization = {"team_id": None, "enterprise_id": GRID, "is_enterprise_install": True}
    event = {"type": "member_joined_channel", "channel": shared.channel_id, "user": BEA}
    body = {
        "type": "event_callback",
        "team_id": BETA,
        "event_id": "Ev1",
        "event_time": 1,
        "authorizations": [{**authorization, "user_id": "U0S00000001"}],
        "event": event,
        **context,
    }
    assert post_signed(bellhop, json.dumps(body).encode()).status == 200

    assert BETA not in str(rows(bellhop)["teams"])


def test_their_linked_profile_gives_no_access(bellhop: Bellhop, shared: Message) -> None:
    """A profile linked in another workspace does not replace the check."""
    bellhop.install(BEA, query=f"?only=profile&team={BETA}")
    before = rows(bellhop)

    bellhop.slack.use_shortcut(BEA, shared, ids.LINK_TO_NOTIFICATION)

    assert bellhop.slack.open_modal(BEA) is None
    assert rows(bellhop) == before


def test_nobody_of_another_organization_has_a_role(bellhop: Bellhop, shared: Message) -> None:
    """Not even if their workspace is served by mistake."""
    bellhop.services.profiles.record_workspace(BETA, GRID, listed_at=bellhop.clock())

    assert bellhop.services.access.person(BETA, BEA).role is Role.EXTERNAL
    assert bellhop.services.access.person(NORTH, WES).role is Role.ADMIN


def test_an_old_key_of_theirs_stays_dead(bellhop: Bellhop) -> None:
    bellhop.install(BEA)
    key = bellhop.services.api_keys.create(BETA, "hers")
    bellhop.clock.advance(60)
    bellhop.slack.uninstall(BETA)
    bellhop.slack.deliver_due()
    install_everywhere(bellhop)
    message = shared_message(bellhop)
    board = bellhop.slack.add_channel(NORTH, "board", is_private=True, members=[WES])
    bellhop.slack.invite_bot(WES, board.id)

    bellhop.slack.use_shortcut(BEA, message, ids.LINK_TO_NOTIFICATION)

    assert send_with(bellhop, key, board.id) == 403
    Hand(bellhop).deliver()
    assert texts(bellhop, board.id) == []


def test_their_people_are_not_erased_with_the_organization(bellhop: Bellhop) -> None:
    bellhop.install(ANN_AT_BETA, query=f"?only=profile&team={BETA}")
    install_everywhere(bellhop)
    message = shared_message(bellhop)
    before = traces(bellhop, ANN_AT_BETA)
    bellhop.slack.use_shortcut(BEA, message, ids.LINK_TO_NOTIFICATION)
    bellhop.clock.advance(60)

    bellhop.slack.uninstall(NORTH)
    bellhop.slack.deliver_due()

    assert before
    assert traces(bellhop, ANN_AT_BETA) == before


class TestAnOwnInstallationBefore:
    """A workspace of the organization that had its own installation and uninstalled it."""

    def uninstalled(self, bellhop: Bellhop) -> tuple[str, str]:
        """Return an API key and a webhook of that installation."""
        bellhop.install(WES)
        services = bellhop.services
        key = services.api_keys.create(NORTH, "old")
        hook = services.webhooks.create(NORTH, "old", ["C0GLBX0001"])
        assert send_with(bellhop, key, "C0GLBX0001") == 202
        bellhop.clock.advance(60)
        bellhop.slack.uninstall(NORTH)
        bellhop.settle()
        bellhop.clock.advance(60)
        return key, hook

    def test_its_credentials_do_not_command_the_organizations_bot(self, bellhop: Bellhop) -> None:
        key, hook = self.uninstalled(bellhop)
        install_everywhere(bellhop)
        assert bellhop.services.client.find_workspace(NORTH).is_enterprise_install

        assert send_with(bellhop, key, "C0GLBX0001") == 401
        headers = {"Content-Type": "application/json"}
        assert request("POST", hook, b'{"text":"x"}', headers).status in (403, 404)
        assert send_with(bellhop, bellhop.services.api_keys.create(NORTH, "n"), "C0GLBX0001") == 202

    def test_they_work_again_once_the_workspace_installs_again(self, bellhop: Bellhop) -> None:
        key, _ = self.uninstalled(bellhop)

        bellhop.install(WES)

        assert send_with(bellhop, key, "C0GLBX0001") == 202

    def test_credentials_of_the_organizations_time_are_kept(self, bellhop: Bellhop) -> None:
        install_everywhere(bellhop)
        key = bellhop.services.api_keys.create(NORTH, "kept")

        bellhop.services.profiles.record_workspace(NORTH, GRID, listed_at=bellhop.clock())

        assert send_with(bellhop, key, "C0GLBX0001") == 202


def test_a_colleague_whose_first_workspace_is_another_gets_the_link(bellhop: Bellhop) -> None:
    install_everywhere(bellhop)
    message = shared_message(bellhop)
    bellhop.slack.users[WES].team_id = SOUTH

    bellhop.slack.use_shortcut(WES, message, ids.LINK_TO_NOTIFICATION)

    modal = bellhop.slack.open_modal(WES)
    assert modal is not None
    assert "/notifications/" in json.dumps(modal.blocks)


@pytest.mark.parametrize("named", [BETA, NORTH])
def test_a_change_of_an_external_user_changes_nothing(
    bellhop: Bellhop, shared: Message, named: str
) -> None:
    bellhop.install(ANN_AT_BETA)
    bellhop.services.subscriptions.subscribe(BETA, BEA, SubscriptionSpec("deploys", created_by=BEA))
    bellhop.clock.advance(3600)
    origin = EventOrigin("Ev0BEA", GRID, named, True, bellhop.clock())

    bellhop.services.lifecycle.profiles.user_changed(
        origin, {"id": BEA, "team_id": BETA, "deleted": True}
    )

    [found] = bellhop.services.subscriptions.of_address(BETA, BEA)
    assert found.paused is None
