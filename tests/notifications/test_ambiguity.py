"""What may have been posted is looked for before it is sent again; a worker may die at any step."""

from __future__ import annotations

import socket

import pytest

from bolt_app.http_loop import HttpLoop
from bolt_app.notifications.jobs import Done, Job, untouched
from bolt_app.oauth.calls import InstallationCalls
from bolt_app.oauth.rate_limits import RateLimits
from bolt_app.sandbox import Fault
from bolt_app.slack_api import SlackApi
from tests.notifications.hand import Hand, accept, deliveries, states, texts
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop

SETTLED = 20
UNREADABLE = Fault("conversations.history", "api_error", error="missing_scope")


@pytest.fixture
def hand(bellhop: Bellhop) -> Hand:
    """A worker for a workspace that Ann has installed Bellhop in."""
    bellhop.install(ANN)
    return Hand(bellhop)


def test_a_lost_answer_is_found_in_the_channel(bellhop: Bellhop, hand: Hand) -> None:
    bellhop.services.channels.join(bellhop.services.calls.find_place(ACME), GENERAL)
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
def test_what_is_not_found_is_sent_again(bellhop: Bellhop, hand: Hand, kind: str) -> None:
    bellhop.slack.faults.add(Fault("chat.postMessage", kind, times=1))  # type: ignore[arg-type]
    id_ = accept(bellhop, GENERAL, "once")
    hand.deliver()
    assert texts(bellhop, GENERAL) == []

    bellhop.clock.advance(SETTLED)
    hand.deliver()

    assert states(bellhop, id_) == ["sent"]
    assert texts(bellhop, GENERAL) == ["once"]


def test_what_certainly_was_not_sent_is_sent_again_without_looking(
    bellhop: Bellhop, hand: Hand, http: HttpLoop
) -> None:
    services = bellhop.services
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    unreachable = InstallationCalls(
        services.store,
        services.grants,
        SlackApi(f"http://127.0.0.1:{port}/api/", http),
        RateLimits(services.database, clock=bellhop.clock),
    )
    id_ = accept(bellhop, GENERAL, "once")
    Hand(bellhop, calls=unreachable).deliver()
    assert states(bellhop, id_) == ["waiting"]

    bellhop.clock.advance(SETTLED)
    hand.deliver()

    assert states(bellhop, id_) == ["sent"]
    assert texts(bellhop, GENERAL) == ["once"]
    assert bellhop.slack.calls_to("conversations.history") == []


def test_until_it_is_known_nothing_overtakes_it(bellhop: Bellhop, hand: Hand) -> None:
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


def test_where_nobody_can_know_it_is_left_for_a_person(bellhop: Bellhop, hand: Hand) -> None:
    bellhop.services.channels.join(bellhop.services.calls.find_place(ACME), GENERAL)
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


def test_or_sent_again_where_the_sender_said_so(bellhop: Bellhop, hand: Hand) -> None:
    bellhop.services.channels.join(bellhop.services.calls.find_place(ACME), GENERAL)
    bellhop.slack.faults.add(Fault("chat.postMessage", "lost_answer", times=1))
    bellhop.slack.faults.add(UNREADABLE)
    id_ = accept(bellhop, GENERAL, "at least once", on_unknown="resend")
    hand.deliver()
    bellhop.clock.advance(SETTLED)
    hand.deliver()

    assert states(bellhop, id_) == ["sent"]
    assert texts(bellhop, GENERAL) == ["at least once"] * 2


def test_while_slack_cannot_be_asked_it_is_not_sent(bellhop: Bellhop, hand: Hand) -> None:
    bellhop.services.channels.join(bellhop.services.calls.find_place(ACME), GENERAL)
    bellhop.slack.faults.add(Fault("chat.postMessage", "lost_answer", times=1))
    bellhop.slack.faults.add(Fault("conversations.history", "server_error", times=2))
    id_ = accept(bellhop, GENERAL, "once")
    for _ in range(4):
        hand.deliver()
        bellhop.clock.advance(SETTLED)

    assert states(bellhop, id_) == ["sent"]
    assert texts(bellhop, GENERAL) == ["once"]


def test_an_uninstall_in_between_is_waited_out(bellhop: Bellhop, hand: Hand) -> None:
    bellhop.services.channels.join(bellhop.services.calls.find_place(ACME), GENERAL)
    bellhop.slack.faults.add(Fault("chat.postMessage", "lost_answer", times=1))
    id_ = accept(bellhop, GENERAL, "once")
    hand.deliver()
    bellhop.slack.revoke_tokens(ACME, bot=True)
    bellhop.clock.advance(SETTLED)
    hand.deliver()
    assert states(bellhop, id_) == ["sending"]

    bellhop.install(ANN)
    bellhop.services.channels.join(bellhop.services.calls.find_place(ACME), GENERAL)
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
    bellhop.services.channels.join(bellhop.services.calls.find_place(ACME), GENERAL)
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
    """A worker dies: before it sent, after it sent, before and after it wrote that down."""

    @pytest.fixture
    def job(self, bellhop: Bellhop, hand: Hand) -> Job:
        """A message about to be sent by a worker that will not live to write down the outcome."""
        bellhop.services.channels.join(bellhop.services.calls.find_place(ACME), GENERAL)
        accept(bellhop, GENERAL, "1")
        accept(bellhop, GENERAL, "2")
        [job] = hand.begin()
        return job

    def deliver_the_rest(self, bellhop: Bellhop, hand: Hand) -> list[str]:
        hand.die()
        other = Hand(bellhop, "other")
        for _ in range(3):
            other.deliver()
            bellhop.clock.advance(SETTLED)
        return texts(bellhop, GENERAL)

    def test_while_it_lives_nobody_else_runs_its_lane(
        self, bellhop: Bellhop, hand: Hand, job: Job
    ) -> None:
        bellhop.clock.advance(3600)

        assert Hand(bellhop, "other").begin() == []

    def test_before_it_sent(self, bellhop: Bellhop, hand: Hand, job: Job) -> None:
        assert self.deliver_the_rest(bellhop, hand) == ["1", "2"]

    def test_after_it_sent(self, bellhop: Bellhop, hand: Hand, job: Job) -> None:
        hand.carry_out(job)

        assert self.deliver_the_rest(bellhop, hand) == ["1", "2"]

    def test_after_it_wrote_down_what_came_of_it(
        self, bellhop: Bellhop, hand: Hand, job: Job
    ) -> None:
        hand.write([hand.carry_out(job)])

        assert self.deliver_the_rest(bellhop, hand) == ["1", "2"]

    def test_what_it_writes_after_its_death_is_not_believed(
        self, bellhop: Bellhop, hand: Hand, job: Job
    ) -> None:
        done = hand.carry_out(job)
        hand.die()
        other = Hand(bellhop, "other")
        [taken_over] = other.begin()
        hand.write([done])
        assert Hand(bellhop, "third").begin() == []

        other.write([other.carry_out(taken_over)])
        bellhop.clock.advance(1)
        other.deliver()

        assert texts(bellhop, GENERAL) == ["1", "2"]

    def test_nor_together_with_what_it_does_in_the_same_lane_later(
        self, bellhop: Bellhop, hand: Hand, job: Job
    ) -> None:
        """It slept before it sent, and leased the lane again before it wrote that down."""
        assert job.attempt is not None
        abandoned = Done(job, untouched(job.attempt), bellhop.clock())
        hand.die()
        Hand(bellhop, "other").deliver()
        bellhop.clock.advance(SETTLED)
        awake = Hand(bellhop, "awake")
        [later] = awake.begin()

        awake.write([abandoned, awake.carry_out(later)])
        bellhop.clock.advance(SETTLED)
        awake.deliver()

        assert texts(bellhop, GENERAL) == ["1", "2"]
