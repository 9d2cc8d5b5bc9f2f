"""Ambiguous attempts: Bellhop looks for the message before it posts again, even after a crash."""

from __future__ import annotations

import socket

import pytest
from sqlalchemy import select

from bolt_app.credentials.sources import Credential, SourceKind
from bolt_app.db.models import Delivery
from bolt_app.installations.rows import InstallationRows
from bolt_app.installations.tokens.invalid_tokens import InvalidTokens
from bolt_app.slack_api import SlackApi
from bolt_app.workspaces.client import WorkspaceClient
from bolt_app.workspaces.rate_limits import RateLimits
from slack_sandbox import Fault
from tests.notifications.hand import Hand, accept, deliveries, states, texts
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop
from tests.web.methods.calling import method_caller

SETTLED = 20
UNREADABLE = Fault("conversations.history", "api_error", error="missing_scope")


@pytest.fixture
def hand(bellhop: Bellhop) -> Hand:
    """A worker for a workspace that Ann has installed Bellhop in."""
    bellhop.install(ANN)
    return Hand(bellhop)


def test_a_lost_answer_is_found_in_the_channel(bellhop: Bellhop, hand: Hand) -> None:
    bellhop.services.channels.join(bellhop.services.client.find_workspace(ACME), GENERAL)
    bellhop.slack.faults.add(Fault("chat.postMessage", "lost_answer", times=1))
    id_ = accept(bellhop, GENERAL, "once")
    hand.deliver()
    assert states(bellhop, id_) == ["sending"]

    bellhop.clock.advance(SETTLED)
    hand.deliver()

    assert states(bellhop, id_) == ["sent"]
    assert texts(bellhop, GENERAL) == ["once"]
    [message] = bellhop.slack.messages(GENERAL)
    assert [one.ts for one in deliveries(bellhop, id_)] == [message.ts]


@pytest.mark.parametrize("kind", ["server_error", "reset"])
def test_a_message_that_is_not_found_is_sent_again(bellhop: Bellhop, hand: Hand, kind: str) -> None:
    bellhop.slack.faults.add(Fault("chat.postMessage", kind, times=1))  # type: ignore[arg-type]
    id_ = accept(bellhop, GENERAL, "once")
    hand.deliver()
    assert texts(bellhop, GENERAL) == []

    bellhop.clock.advance(SETTLED)
    hand.deliver()

    assert states(bellhop, id_) == ["sent"]
    assert texts(bellhop, GENERAL) == ["once"]


def test_a_request_that_certainly_failed_is_repeated_without_a_look(
    bellhop: Bellhop, hand: Hand
) -> None:
    services = bellhop.services
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    unreachable = WorkspaceClient(
        services.installations,
        InvalidTokens(services.database, InstallationRows(services.settings.slack_client_id)),
        services.grants,
        SlackApi(f"http://127.0.0.1:{port}/api/", services.http),
        RateLimits(services.database, clock=bellhop.clock),
    )
    id_ = accept(bellhop, GENERAL, "once")
    Hand(bellhop, client=unreachable).deliver()
    assert states(bellhop, id_) == ["waiting"]

    bellhop.clock.advance(SETTLED)
    Hand(bellhop).deliver()

    assert states(bellhop, id_) == ["sent"]
    assert texts(bellhop, GENERAL) == ["once"]
    assert bellhop.slack.calls_to("conversations.history") == []


def test_nothing_overtakes_a_delivery_in_doubt(bellhop: Bellhop, hand: Hand) -> None:
    bellhop.slack.faults.add(Fault("chat.postMessage", "server_error", times=1))
    accept(bellhop, GENERAL, "first")
    hand.deliver()
    accept(bellhop, GENERAL, "urgent", priority=9)
    hand.deliver()
    assert texts(bellhop, GENERAL) == []
    for _ in range(2):
        bellhop.clock.advance(SETTLED)
        hand.deliver()

    assert texts(bellhop, GENERAL) == ["first", "urgent"]


def test_an_unreadable_channel_leaves_it_unknown(bellhop: Bellhop, hand: Hand) -> None:
    bellhop.services.channels.join(bellhop.services.client.find_workspace(ACME), GENERAL)
    bellhop.slack.faults.add(Fault("chat.postMessage", "lost_answer", times=1))
    bellhop.slack.faults.add(UNREADABLE)
    id_ = accept(bellhop, GENERAL, "once?")
    after = accept(bellhop, GENERAL, "next")
    hand.deliver()
    bellhop.clock.advance(SETTLED)
    hand.deliver()

    assert states(bellhop, id_, after) == ["unknown", "sent"]
    assert [one.error for one in deliveries(bellhop, id_)] == ["missing_scope"]
    assert texts(bellhop, GENERAL) == ["once?", "next"]


def test_with_on_unknown_resend_it_is_sent_again(bellhop: Bellhop, hand: Hand) -> None:
    bellhop.services.channels.join(bellhop.services.client.find_workspace(ACME), GENERAL)
    bellhop.slack.faults.add(Fault("chat.postMessage", "lost_answer", times=1))
    bellhop.slack.faults.add(UNREADABLE)
    id_ = accept(bellhop, GENERAL, "at least once", on_unknown="resend")
    hand.deliver()
    bellhop.clock.advance(SETTLED)
    hand.deliver()

    assert states(bellhop, id_) == ["sent"]
    assert texts(bellhop, GENERAL) == ["at least once"] * 2


def test_nothing_is_sent_while_the_look_fails(bellhop: Bellhop, hand: Hand) -> None:
    bellhop.services.channels.join(bellhop.services.client.find_workspace(ACME), GENERAL)
    bellhop.slack.faults.add(Fault("chat.postMessage", "lost_answer", times=1))
    bellhop.slack.faults.add(Fault("conversations.history", "server_error", times=2))
    id_ = accept(bellhop, GENERAL, "once")
    for _ in range(4):
        hand.deliver()
        bellhop.clock.advance(SETTLED)

    assert states(bellhop, id_) == ["sent"]
    assert texts(bellhop, GENERAL) == ["once"]


def test_it_waits_while_the_app_is_uninstalled(bellhop: Bellhop, hand: Hand) -> None:
    bellhop.services.channels.join(bellhop.services.client.find_workspace(ACME), GENERAL)
    bellhop.slack.faults.add(Fault("chat.postMessage", "lost_answer", times=1))
    id_ = accept(bellhop, GENERAL, "once")
    hand.deliver()
    bellhop.slack.revoke_tokens(ACME, bot=True)
    bellhop.clock.advance(SETTLED)
    hand.deliver()
    assert states(bellhop, id_) == ["sending"]

    bellhop.install(ANN)
    bellhop.services.channels.join(bellhop.services.client.find_workspace(ACME), GENERAL)
    hand.deliver()

    assert states(bellhop, id_) == ["sent"]
    assert texts(bellhop, GENERAL) == ["once"]


def test_a_lost_answer_to_a_person_is_found_in_their_direct_message(
    bellhop: Bellhop, hand: Hand
) -> None:
    bellhop.slack.faults.add(Fault("chat.postMessage", "lost_answer", times=1))
    id_ = accept(bellhop, BEN, "psst")
    hand.deliver()
    bellhop.clock.advance(SETTLED)
    hand.deliver()

    assert states(bellhop, id_) == ["sent"]
    assert texts(bellhop, bellhop.slack.app_dm(ACME, BEN).id) == ["psst"]


def test_a_lost_answer_in_a_thread_is_found_there(bellhop: Bellhop, hand: Hand) -> None:
    accept(bellhop, GENERAL, "root", key="k", mode="thread")
    hand.deliver()
    bellhop.clock.advance(1)
    bellhop.slack.faults.add(Fault("chat.postMessage", "lost_answer", times=1))
    id_ = accept(bellhop, GENERAL, "reply", key="k", mode="thread")
    hand.deliver()
    bellhop.clock.advance(SETTLED)
    hand.deliver()

    assert states(bellhop, id_) == ["sent"]
    assert texts(bellhop, GENERAL) == ["root", "reply"]


def test_it_is_found_in_a_busy_channel(bellhop: Bellhop, hand: Hand) -> None:
    bellhop.services.channels.join(bellhop.services.client.find_workspace(ACME), GENERAL)
    bellhop.slack.faults.add(Fault("chat.postMessage", "lost_answer", times=1))
    id_ = accept(bellhop, GENERAL, "needle")
    hand.deliver()
    for number in range(450):
        bellhop.slack.post_as(ANN, GENERAL, f"hay {number}")
    bellhop.clock.advance(SETTLED)
    hand.deliver()

    assert states(bellhop, id_) == ["sent"]
    assert texts(bellhop, GENERAL).count("needle") == 1
    assert len(bellhop.slack.calls_to("conversations.history")) == 3


class TestDeath:
    """A worker dies: before it sent, after it sent, after it wrote that down."""

    @pytest.fixture(autouse=True)
    def two_messages(self, bellhop: Bellhop, hand: Hand) -> None:
        bellhop.services.channels.join(bellhop.services.client.find_workspace(ACME), GENERAL)
        accept(bellhop, GENERAL, "1")
        accept(bellhop, GENERAL, "2")

    def deliver_the_rest(self, bellhop: Bellhop) -> list[str]:
        other = Hand(bellhop)
        for _ in range(3):
            other.deliver()
            bellhop.clock.advance(SETTLED)
        return texts(bellhop, GENERAL)

    def test_before_it_sent(self, bellhop: Bellhop, hand: Hand) -> None:
        hand.die_before_request()
        assert hand.deliver() == 0

        assert self.deliver_the_rest(bellhop) == ["1", "2"]

    def test_after_it_sent(self, bellhop: Bellhop, hand: Hand) -> None:
        hand.die_after_request()
        assert hand.deliver() == 1

        assert self.deliver_the_rest(bellhop) == ["1", "2"]

    def test_after_it_stored_the_outcome(self, bellhop: Bellhop, hand: Hand) -> None:
        assert hand.deliver() == 1

        assert self.deliver_the_rest(bellhop) == ["1", "2"]

    def test_a_request_that_may_be_in_flight_is_not_looked_for_too_early(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        hand.die_before_request()
        hand.deliver()
        other = Hand(bellhop)

        other.deliver()
        bellhop.clock.advance(bellhop.settings.delays.in_flight - 1)
        other.deliver()

        assert texts(bellhop, GENERAL) == []
        assert bellhop.slack.calls_to("conversations.history") == []

    def test_a_worker_that_lost_the_workspace_sends_nothing(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        def lose() -> None:
            hand.ownership.is_lost = True

        hand.ownership.before_request = lose
        assert hand.deliver() == 0
        # The outcome counts from anyone, and is written a few milliseconds later.
        hand.run(hand.dispatcher._tasks.finish())

        assert self.deliver_the_rest(bellhop) == ["1", "2"]

    def test_a_worker_with_an_old_token_begins_nothing(self, bellhop: Bellhop, hand: Hand) -> None:
        other = Hand(bellhop)
        assert hand.deliver() == 0

        assert [one.attempts for one in all_deliveries(bellhop)] == [0, 0]
        other.deliver()
        assert texts(bellhop, GENERAL) == ["1"]


def test_a_cancelled_deletion_in_doubt_is_not_repeated(bellhop: Bellhop, hand: Hand) -> None:
    ci = method_caller(bellhop)
    ts = ci.ok("chat.postMessage", channel=GENERAL, text="stays")["ts"]
    hand.deliver()
    ci.ok("chat.delete", channel=GENERAL, ts=ts)
    bellhop.clock.advance(SETTLED)
    hand.die_before_request()
    hand.deliver()

    bellhop.services.history.cancel_all(Credential(SourceKind.API_KEY, 1))
    other = Hand(bellhop)
    for _ in range(3):
        other.deliver()
        bellhop.clock.advance(SETTLED)

    assert texts(bellhop, GENERAL) == ["stays"]
    assert [one.state for one in all_deliveries(bellhop)] == ["sent", "unknown"]


def all_deliveries(bellhop: Bellhop) -> list[Delivery]:
    with bellhop.services.database.reading() as session:
        return list(session.scalars(select(Delivery).order_by(Delivery.id)))
