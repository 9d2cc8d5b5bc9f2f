"""People of another organization in a channel shared with Slack Connect."""

from __future__ import annotations

import pytest

from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.signals import ChangeSignal
from bolt_app.slack import ids
from slack_sandbox import Fault
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, BEA, BEN, GENERAL, SOUTH, WES
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only

SENTENCE = "belongs to the other organization"
NORTH_GENERAL = "C0GLBX0001"


@pytest.fixture
def shared(bellhop: Bellhop) -> Bellhop:
    """Bea of Beta is in Acme's #general."""
    bellhop.install(ANN)
    bellhop.slack.share_channel(GENERAL, BEA)
    return bellhop


@pytest.mark.parametrize(
    "words", ["subscribe deploys", "unsubscribe deploys", "mute 2h", "unmute", "digest hourly"]
)
def test_change_no_subscription(shared: Bellhop, words: str) -> None:
    shared.services.subscriptions.subscribe(ACME, GENERAL, SubscriptionSpec("deploys"))
    before = shared.services.subscriptions.of_team(ACME)

    result = shared.slack.send_command(BEA, GENERAL, "/notify", words)

    assert result.message is not None
    assert SENTENCE in result.message.text
    assert result.message.ephemeral_to == BEA
    assert shared.services.subscriptions.of_team(ACME) == before


def test_have_no_home_while_slack_reports_no_role(shared: Bellhop) -> None:
    before = len(shared.slack.calls_to("users.info"))
    shared.slack.faults.add(Fault("users.info", "rate_limited", times=1))
    opened = {"type": "app_home_opened", "user": BEA, "channel": "D0BEA00001", "tab": "home"}
    shared.slack.send_event(ACME, opened)
    shared.clock.advance(61)
    shared.slack.deliver_due()

    assert len(shared.slack.calls_to("users.info")) == before + 2
    assert shared.slack.calls_to("views.publish") == []
    assert shared.services.home_tabs.of(ChangeSignal(ACME, BEA)) == []


def test_press_no_button_of_ours(shared: Bellhop) -> None:
    done = shared.slack.send_command(ANN, GENERAL, "/notify", "subscribe deploys").message
    assert done is not None

    result = shared.slack.click(BEA, done, ids.UNDO_SUBSCRIPTIONS)

    assert (result.status, result.error) == (200, None)
    shared.wait_for_ephemeral(BEA, SENTENCE)
    assert len(shared.services.subscriptions.of_address(ACME, GENERAL)) == 1
    assert "subscribed this channel" in done.text


def test_answer_no_notification(shared: Bellhop) -> None:
    accept(shared, GENERAL, title="Disk full", actions=["acknowledge"])
    Hand(shared).deliver()
    message = shared.slack.messages(GENERAL)[-1]

    shared.slack.click(BEA, message, "incident.acknowledge")

    shared.wait_for_ephemeral(BEA, SENTENCE)
    Hand(shared).deliver()
    assert "Acknowledged" not in str(shared.slack.messages(GENERAL)[-1].blocks)


def test_members_may_in_the_same_channel(shared: Bellhop) -> None:
    result = shared.slack.send_command(BEN, GENERAL, "/notify", "subscribe deploys")

    assert result.message is not None
    assert "subscribed this channel" in result.message.text


def test_people_of_another_workspace_of_the_organization_are_not_external(
    bellhop: Bellhop,
) -> None:
    bellhop.install(WES)
    done = bellhop.slack.send_command(WES, NORTH_GENERAL, "/notify", "subscribe deploys").message
    assert done is not None
    with bellhop.services.database.writing_connection() as connection:
        connection.exec_driver_sql("DELETE FROM users")
    bellhop.slack.users[WES].team_ids = (SOUTH,)
    bellhop.slack.users[WES].team_id = SOUTH

    bellhop.slack.click(WES, done, ids.UNDO_SUBSCRIPTIONS)

    assert f"<@{WES}> undid the change" in done.text
