"""Deliveries: destinations, order, pace, errors, keys and threads."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bolt_app.credentials.sources import Credential, SourceKind
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.delivery import transitions, writer
from bolt_app.notifications.delivery.store import MOST_INHERITING
from bolt_app.notifications.intake.sender import Sender
from slack_sandbox import Fault
from tests.conftest import FakeClock
from tests.notifications.hand import Hand, accept, deliveries, states, texts
from tests.people import ACME, ANN, BEN, BETA, GENERAL, PLAIN
from tests.running import Bellhop, running_bellhop

pytestmark = pytest.mark.sqlite_only

MINUTE, DAY = 60, 86_400
CI = Credential(SourceKind.API_KEY, 1)


@pytest.fixture
def hand(bellhop: Bellhop) -> Hand:
    """Return a worker for a workspace in which Ann has installed Bellhop."""
    bellhop.install(ANN)
    return Hand(bellhop)


def channel(bellhop: Bellhop, name: str, team_id: str = ACME) -> str:
    """Create a channel and return its id."""
    return bellhop.slack.add_channel(team_id, name).id


def accept_from(bellhop: Bellhop, credential: Credential, text: str, **given: Any) -> str:
    """Accept a notification from a credential and return its id."""
    wanted = NotificationRequest.model_validate({"to": GENERAL, "text": text, **given})
    sender = Sender(ACME, credential.name)
    return bellhop.services.intake.submit(sender, [wanted]).notifications[0].id


def cancel(bellhop: Bellhop, notification_id: str, cancels_all: bool) -> None:
    """Cancel a notification, or everything of its credential."""
    if cancels_all:
        bellhop.services.history.cancel_all(CI)
    else:
        bellhop.services.history.cancel(ACME, notification_id)


class TestDestinations:
    def test_a_channel_by_id_or_by_name(self, bellhop: Bellhop, hand: Hand) -> None:
        by_id, by_name = accept(bellhop, GENERAL, "id"), accept(bellhop, "#General", "name")

        hand.deliver()
        bellhop.clock.advance(1)
        hand.deliver()

        assert states(bellhop, by_id, by_name) == ["sent", "sent"]
        assert texts(bellhop, GENERAL) == ["id", "name"]

    def test_its_message_and_time_are_stored(self, bellhop: Bellhop, hand: Hand) -> None:
        id_ = accept(bellhop, "#general", "hello")

        hand.deliver()

        [delivery] = deliveries(bellhop, id_)
        [message] = bellhop.slack.messages(GENERAL)
        assert (delivery.channel_id, delivery.ts) == (GENERAL, message.ts)
        assert (delivery.attempts, delivery.error) == (1, None)
        assert delivery.finished_at == bellhop.clock()

    @pytest.mark.parametrize("address", [BEN, "@ben@acme.example"])
    def test_a_person(self, bellhop: Bellhop, hand: Hand, address: str) -> None:
        id_ = accept(bellhop, address, "psst")

        hand.deliver()

        dm = bellhop.slack.app_dm(ACME, BEN)
        assert states(bellhop, id_) == ["sent"]
        assert texts(bellhop, dm.id) == ["psst"]

    def test_a_linked_person_needs_no_lookup(self, bellhop: Bellhop, hand: Hand) -> None:
        accept(bellhop, "@ann@acme.example", "psst")

        hand.deliver()

        assert texts(bellhop, bellhop.slack.app_dm(ACME, ANN).id)[1:] == ["psst"]
        assert bellhop.slack.calls_to("users.lookupByEmail") == []

    def test_the_bot_joins_a_public_channel(self, bellhop: Bellhop, hand: Hand) -> None:
        deploys = channel(bellhop, "deploys-2")
        accept(bellhop, "#deploys-2", "out")

        hand.deliver()

        assert texts(bellhop, deploys) == ["out"]
        assert len(bellhop.slack.calls_to("conversations.join")) == 1

    def test_deliveries_that_wait_for_a_name_move_in_order(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        for number in range(3):
            accept(bellhop, "#general", str(number))
        accept(bellhop, "#general", "first", priority=1)
        for _ in range(4):
            hand.deliver()
            bellhop.clock.advance(1)

        assert texts(bellhop, GENERAL) == ["first", "0", "1", "2"]

    def test_deliveries_accepted_during_a_lookup_keep_their_order(
        self, bellhop: Bellhop, hand: Hand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        accept(bellhop, "#general", "1")
        resolver = hand.dispatcher._resolver
        resolve = resolver.resolve

        def accept_meanwhile(*given: Any) -> Any:
            found = resolve(*given)
            accept(bellhop, "#general", "2")
            return found

        monkeypatch.setattr(resolver, "resolve", accept_meanwhile)
        hand.deliver()
        accept(bellhop, "#general", "3")
        for _ in range(3):
            hand.deliver()
            bellhop.clock.advance(1)

        assert texts(bellhop, GENERAL) == ["1", "2", "3"]

    @pytest.mark.parametrize("address", ["#nowhere", "@nobody@acme.example"])
    def test_many_to_an_unknown_address_end_in_short_transactions(
        self, bellhop: Bellhop, hand: Hand, monkeypatch: pytest.MonkeyPatch, address: str
    ) -> None:
        monkeypatch.setattr(transitions, "CHANGED_AT_ONCE", 2)
        ids = [accept(bellhop, address, f"{number}") for number in range(5)]

        hand.deliver()

        ended = [one for id_ in ids for one in deliveries(bellhop, id_)]
        assert {one.state for one in ended} == {"dead"}
        assert set(Counter(one.seq for one in ended).values()) <= {1, 2}

    @pytest.mark.parametrize(
        ("address", "code"),
        [
            ("#nowhere", "channel_not_found"),
            ("C0NOWHERE1", "channel_not_found"),
            ("@nobody@acme.example", "users_not_found"),
            ("U0NOBODY01", "recipient_denied"),
        ],
    )
    def test_an_unknown_address(
        self, bellhop: Bellhop, hand: Hand, address: str, code: str
    ) -> None:
        id_ = accept(bellhop, address, "anybody?")

        hand.deliver()

        [delivery] = deliveries(bellhop, id_)
        assert (delivery.state, delivery.error) == ("dead", code)

    def test_two_names_of_one_channel_are_one_delivery(self, bellhop: Bellhop, hand: Hand) -> None:
        accept(bellhop, "#general", "so that the name is known")
        hand.deliver()
        id_ = accept(bellhop, [GENERAL, "#general"], "once")

        assert len(deliveries(bellhop, id_)) == 1


class TestPace:
    def test_one_message_a_second_in_the_order_of_acceptance(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        for number in range(3):
            accept(bellhop, GENERAL, str(number))
        seen = []
        for _ in range(3):
            hand.deliver()
            seen.append(texts(bellhop, GENERAL))
            bellhop.clock.advance(0.99)
            assert hand.deliver() == 0
            bellhop.clock.advance(0.01)

        assert seen == [["0"], ["0", "1"], ["0", "1", "2"]]

    @pytest.mark.both_databases
    def test_a_burst_and_then_one_message_a_second(
        self, database_url: str, encryption_key: str, clock: FakeClock
    ) -> None:
        with running_bellhop(database_url, encryption_key, clock, channel_burst=3) as bellhop:
            bellhop.install(ANN)
            hand = Hand(bellhop)
            for number in range(6):
                accept(bellhop, GENERAL, str(number))
            seen = []
            for _ in range(3):
                hand.deliver()
                seen.append(len(texts(bellhop, GENERAL)))
                clock.advance(1)

        assert seen == [3, 4, 5]

    def test_priority_comes_before_acceptance(self, bellhop: Bellhop, hand: Hand) -> None:
        for text, priority in (("low", -1), ("normal", 0), ("high", 5), ("also high", 5)):
            accept(bellhop, GENERAL, text, priority=priority)
        for _ in range(4):
            hand.deliver()
            bellhop.clock.advance(1)

        assert texts(bellhop, GENERAL) == ["high", "also high", "normal", "low"]

    def test_a_busy_channel_does_not_delay_another(self, bellhop: Bellhop, hand: Hand) -> None:
        quiet = channel(bellhop, "quiet")
        for number in range(20):
            accept(bellhop, GENERAL, str(number))
        hand.deliver()
        accept(bellhop, quiet, "now")

        hand.deliver()

        assert texts(bellhop, quiet) == ["now"]

    @pytest.mark.both_databases
    def test_each_workspace_has_its_own_pace(self, bellhop: Bellhop, hand: Hand) -> None:
        channels = [channel(bellhop, f"many-{number}") for number in range(120)]
        for one in channels:
            bellhop.slack.join_as(ANN, one)
            bellhop.slack.invite_bot(ANN, one)
            accept(bellhop, one, "x")

        hand.deliver()
        at_once = sum(len(texts(bellhop, one)) for one in channels)
        bellhop.clock.advance(2)
        hand.deliver()
        after_two_seconds = sum(len(texts(bellhop, one)) for one in channels)

        # A burst of 75 messages, and then five a second.
        assert (at_once, after_two_seconds) == (75, 85)

    def test_a_flood_does_not_starve_another_workspace(self, bellhop: Bellhop, hand: Hand) -> None:
        bellhop.install("U0ANN00002")
        flooded = [channel(bellhop, f"flood-{number}") for number in range(120)]
        for one in flooded:
            accept(bellhop, one, "x")
        here = channel(bellhop, "calm", BETA)
        accept(bellhop, here, "calm", team_id=BETA)

        hand.deliver()

        posts = bellhop.slack.calls_to("chat.postMessage")
        turn = [one.arguments["channel"] for one in posts].index(here)
        assert turn <= 2 * bellhop.settings.workspace_requests

    def test_within_a_workspace_the_most_urgent_goes_first(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        channels = [channel(bellhop, f"many-{number}") for number in range(90)]
        for one in channels:
            accept(bellhop, one, "x")
        accept(bellhop, GENERAL, "fire", severity="critical")

        hand.deliver()

        posts = bellhop.slack.calls_to("chat.postMessage")
        turn = [one.arguments["channel"] for one in posts].index(GENERAL)
        assert turn <= 2 * bellhop.settings.workspace_requests


class TestTimes:
    def test_it_is_not_sent_before_send_at(self, bellhop: Bellhop, hand: Hand) -> None:
        later = bellhop.clock() + timedelta(minutes=5)
        accept(bellhop, GENERAL, "later", send_at=later)
        accept(bellhop, GENERAL, "delayed", delay=400)
        accept(bellhop, GENERAL, "now")

        hand.deliver()
        assert texts(bellhop, GENERAL) == ["now"]
        bellhop.clock.advance(5 * MINUTE)
        hand.deliver()
        assert texts(bellhop, GENERAL) == ["now", "later"]
        bellhop.clock.advance(100)
        hand.deliver()
        assert texts(bellhop, GENERAL) == ["now", "later", "delayed"]

    @pytest.mark.both_databases
    def test_it_is_not_sent_after_expires_at(self, bellhop: Bellhop, hand: Hand) -> None:
        stale = accept(bellhop, GENERAL, "stale", expires_at=bellhop.clock() + timedelta(minutes=1))
        good = accept(bellhop, GENERAL, "good")
        bellhop.clock.advance(MINUTE)

        hand.deliver()

        assert states(bellhop, stale, good) == ["expired", "sent"]
        assert texts(bellhop, GENERAL) == ["good"]

    def test_a_cycle_returns_when_the_next_delivery_is_due(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        def wait() -> float:
            hand.deliver()
            return hand.run(hand.dispatcher.cycle())

        poll = bellhop.settings.delays.poll
        assert wait() == pytest.approx(poll, abs=0.01)
        accept(bellhop, GENERAL, "later", delay=300)
        assert wait() == pytest.approx(poll, abs=0.01)
        accept(bellhop, GENERAL, "soon", delay=poll / 2)
        assert wait() == pytest.approx(poll / 2, abs=0.01)


class TestRejections:
    def test_a_permanent_error_ends_a_delivery_and_the_next_goes_on(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        bellhop.slack.faults.add(
            Fault("chat.postMessage", "api_error", error="restricted_action", times=1)
        )
        refused, good = accept(bellhop, GENERAL, "refused"), accept(bellhop, GENERAL, "good")

        hand.deliver()

        [dead], [sent] = deliveries(bellhop, refused), deliveries(bellhop, good)
        assert (dead.state, dead.error, dead.attempts) == ("dead", "restricted_action", 1)
        assert sent.state == "sent"

    def test_an_archived_channel(self, bellhop: Bellhop, hand: Hand) -> None:
        bellhop.slack.archive_channel(GENERAL)
        id_ = accept(bellhop, GENERAL, "echo")

        hand.deliver()

        assert [one.error for one in deliveries(bellhop, id_)] == ["is_archived"]

    def test_a_private_channel_is_not_joined(self, bellhop: Bellhop, hand: Hand) -> None:
        private = bellhop.slack.add_channel(ACME, "secret", members=[ANN], is_private=True)
        id_ = accept(bellhop, private.id, "psst")

        hand.deliver()

        assert [one.error for one in deliveries(bellhop, id_)] == ["channel_not_found"]

    @pytest.mark.parametrize(
        ("address", "now"),
        [("#launch", "#launch"), ("#launch", "#other"), ("@new@acme.example", "@new@acme.example")],
    )
    def test_a_delivery_for_later_is_not_ended_by_others(
        self, bellhop: Bellhop, hand: Hand, address: str, now: str
    ) -> None:
        """Its channel or person may exist when it is due."""
        later = accept(bellhop, address, "for later", delay=7 * 24 * 3600)
        bellhop.clock.advance(70)
        at_once = accept(bellhop, now, "for nobody")
        hand.deliver()
        assert states(bellhop, later, at_once) == ["waiting", "dead"]
        channel_id = bellhop.slack.add_channel(ACME, "launch").id
        bellhop.slack.users[BEN].email = "new@acme.example"
        bellhop.clock.advance(7 * 24 * 3600)

        hand.deliver()

        there = bellhop.slack.app_dm(ACME, BEN).id if address[0] == "@" else channel_id
        assert texts(bellhop, there) == ["for later"]

    @pytest.mark.parametrize(
        ("status", "state", "error"), [(413, "dead", "http_413"), (403, "sending", "unavailable")]
    )
    def test_a_request_rejected_by_a_proxy(
        self, bellhop: Bellhop, hand: Hand, status: int, state: str, error: str
    ) -> None:
        fault = Fault("chat.postMessage", "server_error", status=status, times=1)
        bellhop.slack.faults.add(fault)
        id_ = accept(bellhop, GENERAL, "x")

        hand.deliver()

        # Only an error of this request itself is final.
        [delivery] = deliveries(bellhop, id_)
        assert (delivery.state, delivery.error) == (state, error)

    def test_a_temporary_error_is_retried_with_backoff(self, bellhop: Bellhop, hand: Hand) -> None:
        bellhop.slack.faults.add(
            Fault("chat.postMessage", "api_error", error="service_unavailable")
        )
        id_ = accept(bellhop, GENERAL, "patience")
        waits = []
        for _ in range(8):
            hand.deliver()
            [delivery] = deliveries(bellhop, id_)
            assert delivery.retry_at is not None
            waits.append((delivery.retry_at - bellhop.clock()).total_seconds())
            bellhop.clock.advance(waits[-1] + 0.001)
        bellhop.slack.faults.clear()
        hand.deliver()

        [delivery] = deliveries(bellhop, id_)
        assert (delivery.state, delivery.attempts, delivery.error) == ("sent", 9, None)
        assert texts(bellhop, GENERAL) == ["patience"]
        for number, wait in enumerate(waits):
            assert 0.8 <= wait / min(2 * 2**number, 600) <= 1.2

    def test_after_a_day_it_is_dead_with_those_that_waited_behind_it(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        bellhop.slack.faults.add(
            Fault("chat.postMessage", "api_error", error="service_unavailable")
        )
        first, second = accept(bellhop, GENERAL, "1"), accept(bellhop, GENERAL, "2")
        hand.deliver()
        bellhop.clock.advance(DAY - 1)
        late = accept(bellhop, GENERAL, "3")
        hand.deliver()
        assert states(bellhop, first, second, late) == ["waiting"] * 3
        bellhop.clock.advance(601)
        hand.deliver()

        assert states(bellhop, first, second, late) == ["dead", "dead", "waiting"]
        bellhop.slack.faults.clear()
        bellhop.clock.advance(800)
        hand.deliver()
        assert texts(bellhop, GENERAL) == ["3"]

    @pytest.mark.both_databases
    @pytest.mark.parametrize("cancels_all", [False, True])
    @pytest.mark.parametrize("fault", ["api_error", "reset", "server_error"])
    def test_an_attempt_that_fails_after_a_cancellation_is_not_repeated(
        self, bellhop: Bellhop, hand: Hand, fault: Any, cancels_all: bool
    ) -> None:
        """Neither if it certainly failed, nor after a look for a message that may be there."""
        id_ = accept_from(bellhop, CI, "withdrawn")
        bellhop.slack.faults.add(
            Fault("chat.postMessage", fault, error="service_unavailable", times=1)
        )
        hand.ownership.before_request = lambda: cancel(bellhop, id_, cancels_all)
        hand.deliver()
        hand.ownership.before_request = lambda: None

        for _ in range(5):
            bellhop.clock.advance(20)
            hand.deliver()

        assert (texts(bellhop, GENERAL), states(bellhop, id_)) == ([], ["cancelled"])
        report = bellhop.services.history.find(ACME, id_)
        assert report is not None
        assert [one.expires_at for one in report.deliveries] == [None]

    @pytest.mark.both_databases
    def test_an_attempt_in_doubt_is_not_repeated_after_its_expiry(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        at = bellhop.clock() + timedelta(seconds=MINUTE)
        id_ = accept(bellhop, GENERAL, "late", expires_at=at)
        bellhop.slack.faults.add(Fault("chat.postMessage", "server_error", times=1))
        hand.deliver()

        bellhop.clock.advance(MINUTE)
        hand.deliver()

        assert (texts(bellhop, GENERAL), states(bellhop, id_)) == ([], ["expired"])

    def test_a_cancelled_attempt_that_nobody_can_look_for_stays_unknown(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        id_ = accept_from(bellhop, CI, "withdrawn", on_unknown="resend")
        bellhop.slack.faults.add(Fault("chat.postMessage", "server_error", times=1))
        bellhop.slack.faults.add(Fault("conversations.history", "api_error", error="missing_scope"))
        hand.ownership.before_request = lambda: cancel(bellhop, id_, cancels_all=False)
        hand.deliver()

        bellhop.clock.advance(MINUTE)
        hand.deliver()

        assert (texts(bellhop, GENERAL), states(bellhop, id_)) == ([], ["unknown"])

    @pytest.mark.both_databases
    def test_cancelling_everything_of_a_key_ends_while_time_goes_on(
        self, bellhop: Bellhop, hand: Hand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failed = accept_from(bellhop, CI, "failed")
        bellhop.slack.faults.add(
            Fault("chat.postMessage", "api_error", error="restricted_action", times=1)
        )
        hand.deliver()
        waiting = accept_from(bellhop, CI, "waiting")
        # Each reading of the clock is later; there are no more than these.
        times = (bellhop.clock() + timedelta(seconds=number) for number in range(20))
        monkeypatch.setattr(bellhop.services.history, "_clock", lambda: next(times))

        assert [bellhop.services.history.cancel_all(CI) for _ in range(2)] == [1, 0]

        assert states(bellhop, failed, waiting) == ["dead", "cancelled"]

    def test_a_broken_channel_does_not_delay_another(self, bellhop: Bellhop, hand: Hand) -> None:
        broken = channel(bellhop, "broken")
        bellhop.slack.faults.add(
            Fault("chat.postMessage", "api_error", error="internal_error", times=1)
        )
        accept(bellhop, broken, "x")
        hand.deliver()
        accept(bellhop, GENERAL, "fine")

        hand.deliver()

        assert texts(bellhop, GENERAL) == ["fine"]


class TestRateLimits:
    def test_retry_after_applies_to_the_whole_workspace_and_no_other(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        bellhop.install("U0ANN00002")
        other, there = channel(bellhop, "other"), channel(bellhop, "there", BETA)
        bellhop.slack.faults.add(Fault("chat.postMessage", "rate_limited", retry_after=17, times=1))
        accept(bellhop, GENERAL, "a")
        hand.deliver()
        accept(bellhop, other, "b")
        accept(bellhop, there, "c", team_id=BETA)
        hand.deliver()
        assert (texts(bellhop, GENERAL), texts(bellhop, other)) == ([], [])
        assert texts(bellhop, there) == ["c"]

        bellhop.clock.advance(16.9)
        next_owner = Hand(bellhop)
        assert next_owner.deliver() == 0
        bellhop.clock.advance(0.1)
        next_owner.deliver()

        assert (texts(bellhop, GENERAL), texts(bellhop, other)) == (["a"], ["b"])

    def test_later_ones_of_its_key_wait_for_a_limited_update(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        for text in ("down", "up", "down again"):
            if text == "up":
                fault = Fault("chat.update", "rate_limited", retry_after=30, times=1)
                bellhop.slack.faults.add(fault)
            accept(bellhop, GENERAL, text, key="db", mode="new" if "again" in text else "update")
            hand.deliver()
            bellhop.clock.advance(2)
        assert texts(bellhop, GENERAL) == ["down"]
        bellhop.clock.advance(30)
        for _ in range(2):
            hand.deliver()
            bellhop.clock.advance(1)

        assert texts(bellhop, GENERAL) == ["up", "down again"]

    def test_the_limit_of_another_method_does_not_stop_posting(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        bellhop.slack.faults.add(
            Fault("conversations.list", "rate_limited", retry_after=40, times=1)
        )
        accept(bellhop, "#general", "by name")
        hand.deliver()
        accept(bellhop, "#random", "another name")
        accept(bellhop, GENERAL, "by id")
        hand.deliver()
        assert texts(bellhop, GENERAL) == ["by id"]
        assert len(bellhop.slack.calls_to("conversations.list")) == 1

        bellhop.clock.advance(40 + 60)
        hand.deliver()

        assert texts(bellhop, GENERAL) == ["by id", "by name"]


class TestDeadInstallations:
    @pytest.mark.both_databases
    def test_lanes_wait_for_a_re_install(self, bellhop: Bellhop, hand: Hand) -> None:
        bellhop.slack.revoke_tokens(ACME, bot=True)
        ids = [accept(bellhop, GENERAL, str(number)) for number in range(2)]
        hand.deliver()
        assert states(bellhop, *ids) == ["waiting", "waiting"]
        calls = len(bellhop.slack.calls_to("chat.postMessage"))
        bellhop.clock.advance(MINUTE)
        hand.deliver()
        assert len(bellhop.slack.calls_to("chat.postMessage")) == calls

        bellhop.install(ANN)
        hand.deliver()
        bellhop.clock.advance(1)
        hand.deliver()

        assert texts(bellhop, GENERAL) == ["0", "1"]

    @pytest.mark.both_databases
    def test_without_an_installation_deliveries_are_dead_after_a_day(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        id_ = accept(bellhop, GENERAL, "anybody?")
        bellhop.slack.uninstall(ACME)
        bellhop.settle()
        hand.deliver()
        assert states(bellhop, id_) == ["waiting"]

        bellhop.clock.advance(DAY + 300)
        hand.deliver()

        [delivery] = deliveries(bellhop, id_)
        assert (delivery.state, delivery.error) == ("dead", "not_installed")

    def test_waiting_deliveries_report_the_missing_installation(
        self, bellhop: Bellhop, hand: Hand, caplog: pytest.LogCaptureFixture
    ) -> None:
        ids = [accept(bellhop, GENERAL, text) for text in ("first", "never tried")]
        bellhop.slack.uninstall(ACME)
        bellhop.settle()
        hand.deliver()

        for id_ in ids:
            report = bellhop.services.history.find(ACME, id_)
            assert report is not None
            [one] = report.deliveries
            assert one.state == "waiting"
            assert one.error is not None
            assert one.error.code == "not_installed"
            assert "Install it" in one.error.sentence
        [warning] = [one for one in caplog.records if "installed again" in one.message]
        assert (vars(warning)["team_id"], vars(warning)["error"]) == (ACME, "not_installed")

    def test_another_workspace_goes_on(self, bellhop: Bellhop, hand: Hand) -> None:
        bellhop.install("U0ANN00002")
        bellhop.slack.revoke_tokens(ACME, bot=True)
        there = channel(bellhop, "there", BETA)
        accept(bellhop, GENERAL, "x")
        accept(bellhop, there, "y", team_id=BETA)

        hand.deliver()

        assert texts(bellhop, there) == ["y"]


class TestKeys:
    def test_an_update_changes_the_earlier_message(self, bellhop: Bellhop, hand: Hand) -> None:
        accept(bellhop, GENERAL, "down", key="db", severity="critical", title="Database")
        hand.deliver()
        bellhop.clock.advance(1)
        id_ = accept(bellhop, GENERAL, "up", key="db", severity="success", title="Database")
        hand.deliver()

        [message] = bellhop.slack.messages(GENERAL)
        assert "up" in str(message.attachments)
        assert "down" not in str(message.attachments)
        assert [one.ts for one in deliveries(bellhop, id_)] == [message.ts]

    def test_thread_replies_to_the_earlier_message(self, bellhop: Bellhop, hand: Hand) -> None:
        for text in ("down", "still down", "up"):
            accept(bellhop, GENERAL, text, key="db", mode="thread")
            hand.deliver()
            bellhop.clock.advance(1)

        first, *rest = bellhop.slack.messages(GENERAL)
        assert [one.thread_ts for one in rest] == [first.ts, first.ts]

    def test_new_posts_another_message(self, bellhop: Bellhop, hand: Hand) -> None:
        for text in ("down", "up"):
            accept(bellhop, GENERAL, text, key="db", mode="new")
            hand.deliver()
            bellhop.clock.advance(1)

        assert texts(bellhop, GENERAL) == ["down", "up"]

    @pytest.mark.parametrize("mode", ["update", "thread"])
    def test_in_a_direct_message_too(self, bellhop: Bellhop, hand: Hand, mode: str) -> None:
        for text in ("down", "up"):
            accept(bellhop, "@ben@acme.example", text, key="db", mode=mode)
            hand.deliver()
            bellhop.clock.advance(1)

        messages = bellhop.slack.messages(bellhop.slack.app_dm(ACME, BEN).id)
        assert [one.text for one in messages][-1] == "up"
        assert len(messages) == (1 if mode == "update" else 2)

    @pytest.mark.both_databases
    def test_earlier_ones_go_first_and_are_as_urgent(self, bellhop: Bellhop, hand: Hand) -> None:
        """Also if there are more than the owner has in memory, or than inherit at once."""
        number = MOST_INHERITING * 2 + 1
        for text in ("other", "another"):
            accept(bellhop, GENERAL, text)
        for _ in range(number):
            accept(bellhop, GENERAL, "first", key="db", mode="new")
        accept(bellhop, GENERAL, "fire", key="db", mode="new", priority=5)
        for _ in range(number + 3):
            hand.deliver()
            bellhop.clock.advance(1)

        expected = [*["first"] * number, "fire", "other", "another"]
        assert texts(bellhop, GENERAL) == expected

    def test_keys_of_different_channels_are_different(self, bellhop: Bellhop, hand: Hand) -> None:
        other = channel(bellhop, "other")
        for to in (GENERAL, other):
            accept(bellhop, to, "down", key="db")
        hand.deliver()

        assert (texts(bellhop, GENERAL), texts(bellhop, other)) == (["down"], ["down"])

    def test_a_message_that_cannot_be_updated_is_posted_again(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        accept(bellhop, GENERAL, "down", key="db")
        hand.deliver()
        bellhop.slack.faults.add(
            Fault("chat.update", "api_error", error="message_not_found", times=1)
        )
        bellhop.clock.advance(1)
        accept(bellhop, GENERAL, "up", key="db")
        hand.deliver()

        assert texts(bellhop, GENERAL) == ["down", "up"]
        bellhop.clock.advance(1)
        accept(bellhop, GENERAL, "down again", key="db")
        hand.deliver()
        assert texts(bellhop, GENERAL) == ["down", "down again"]


def test_a_custom_name_is_kept_with_the_scope(bellhop: Bellhop, hand: Hand) -> None:
    accept(bellhop, GENERAL, "firing", username="Alertmanager", icon_emoji=":fire:")

    hand.deliver()

    [message] = bellhop.slack.messages(GENERAL)
    assert (message.username, message.icons) == ("Alertmanager", {"emoji": ":fire:"})


def test_an_incident_of_a_person_without_an_image_is_shown(bellhop: Bellhop, hand: Hand) -> None:
    id_ = accept(bellhop, PLAIN, "hello")

    hand.deliver()

    assert states(bellhop, id_) == ["sent"]


IMAGE = {"type": "image", "image_url": "http://grafana.internal/render.png", "alt_text": "db"}


class TestUnfetchableImages:
    """The message is posted with links instead of them."""

    @pytest.fixture(autouse=True)
    def unreachable(self, bellhop: Bellhop) -> None:
        bellhop.slack.unreachable_hosts = {"grafana.internal"}

    @pytest.mark.parametrize(
        "given",
        [
            {"text": "slow", "title": "db-3", "image_url": IMAGE["image_url"]},
            {"text": "slow", "severity": "error", "image_url": IMAGE["image_url"]},
            {"text": "slow", "blocks": [IMAGE]},
            {"text": "slow", "severity": "error", "blocks": [IMAGE]},
            {"text": "slow", "attachments": [{"blocks": [IMAGE]}]},
        ],
    )
    def test_a_link_is_shown(self, bellhop: Bellhop, hand: Hand, given: dict[str, Any]) -> None:
        id_ = accept(bellhop, GENERAL, **given)

        hand.deliver()

        [message] = bellhop.slack.messages(GENERAL)
        assert states(bellhop, id_) == ["sent"]
        shown = json.dumps([message.blocks, message.attachments])
        assert '"image"' not in shown
        assert f"<{IMAGE['image_url']}|" in shown

    def test_small_ones_are_left_out(self, bellhop: Bellhop, hand: Hand) -> None:
        words = {"type": "mrkdwn", "text": "slow"}
        section = {"type": "section", "text": words, "accessory": IMAGE}
        blocks = [section, {"type": "context", "elements": [IMAGE, words]}]
        blocks.append({"type": "context", "elements": [IMAGE]})
        accept(bellhop, GENERAL, blocks=blocks)

        hand.deliver()

        [message] = bellhop.slack.messages(GENERAL)
        assert [one["type"] for one in message.blocks] == ["section", "context", "context"]
        assert "image" not in json.dumps(message.blocks)

    def test_among_other_bad_blocks_a_link_is_shown(self, bellhop: Bellhop, hand: Hand) -> None:
        id_ = accept(bellhop, GENERAL, blocks=[IMAGE, {"type": "marquee"}])

        hand.deliver()

        assert states(bellhop, id_) == ["sent"]
        [message] = bellhop.slack.messages(GENERAL)
        assert f"<{IMAGE['image_url']}|" in message.text


class TestDeletedThreads:
    """Slack posts a reply in the channel itself if the parent was deleted."""

    def gone(self, bellhop: Bellhop, hand: Hand) -> None:
        accept(bellhop, GENERAL, "first", key="db", mode="thread")
        hand.deliver()
        [first] = bellhop.slack.messages(GENERAL)
        with bellhop.slack.edit():
            first.deleted = True
        bellhop.clock.advance(5)

    def test_the_reply_is_stored_as_a_message_of_the_channel(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        self.gone(bellhop, hand)
        second = accept(bellhop, GENERAL, "second", key="db", mode="thread")
        hand.deliver()
        bellhop.clock.advance(5)
        third = accept(bellhop, GENERAL, "third", key="db", mode="thread")
        hand.deliver()

        root, reply = bellhop.slack.messages(GENERAL)
        assert [one.thread_ts for one in deliveries(bellhop, second)] == [None]
        assert [one.thread_ts for one in deliveries(bellhop, third)] == [root.ts]
        assert (root.text, reply.text, reply.thread_ts) == ("second", "third", root.ts)

    @pytest.mark.both_databases
    def test_it_is_found_again_and_not_posted_twice(self, bellhop: Bellhop, hand: Hand) -> None:
        self.gone(bellhop, hand)
        bellhop.slack.faults.add(Fault("chat.postMessage", "lost_answer", times=1))
        second = accept(bellhop, GENERAL, "second", key="db", mode="thread")
        hand.deliver()
        bellhop.clock.advance(20)
        hand.deliver()

        [root] = bellhop.slack.messages(GENERAL)
        [delivery] = deliveries(bellhop, second)
        assert (delivery.state, delivery.ts, delivery.thread_ts) == ("sent", root.ts, None)


def test_a_workspace_noticed_before_its_first_delivery(
    bellhop: Bellhop,
) -> None:
    """Installing Bellhop wakes the worker, too."""
    bellhop.install(ANN)
    hand = Hand(bellhop)
    hand.deliver()
    hand.dispatcher.notice(ACME)
    hand.deliver()

    id_ = accept(bellhop, GENERAL, "first")
    hand.deliver()

    assert states(bellhop, id_) == ["sent"]


@pytest.mark.parametrize("read", ["queues", "snapshot", "changes", "pages"])
def test_an_error_while_reading_does_not_stop_other_workspaces(bellhop: Bellhop, read: str) -> None:
    bellhop.install(ANN)
    before = accept(bellhop, GENERAL, "0")
    hand = Hand(bellhop)
    store = hand.dispatcher._store
    works: Callable[..., Any] = getattr(store, read)
    calls: list[object] = []

    def fail_once(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 1:
            raise RuntimeError("a defect of ours")
        return works(*given)

    setattr(store, read, fail_once)
    hand.deliver()
    # More than a page of the lane.
    ids = [before, *(accept(bellhop, GENERAL, str(number)) for number in range(1, 12))]
    for _ in ids:
        hand.deliver()
        bellhop.clock.advance(2)

    assert len(calls) > 1
    assert texts(bellhop, GENERAL) == [str(number) for number in range(12)]
    assert states(bellhop, *ids) == ["sent"] * 12


def test_outcomes_are_written_as_soon_as_no_attempt_is_being_made(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the pause between two transactions is: nothing else can begin meanwhile."""
    monkeypatch.setattr(writer, "GATHER_SECONDS", 3600.0)
    bellhop.install(ANN)
    ids = [accept(bellhop, to, "now") for to in (GENERAL, ANN, BEN)]

    Hand(bellhop).deliver()

    assert states(bellhop, *ids) == ["sent"] * 3


def test_markdown_is_not_rendered_on_the_loop_that_makes_all_requests(
    bellhop: Bellhop, hand: Hand
) -> None:
    async def loop_seconds() -> float:
        return time.thread_time()

    def seconds_for(channel_id: str, text: str, **given: str) -> float:
        before = hand.run(loop_seconds())
        for _ in range(3):
            accept(bellhop, channel_id, text, **given)
            hand.deliver()
            bellhop.clock.advance(2)
        return hand.run(loop_seconds()) - before

    markdown = "*a " * 4000
    seconds_for(GENERAL, markdown)

    as_text = seconds_for(GENERAL, markdown)
    assert seconds_for(GENERAL, markdown, format="markdown") < 3 * as_text
    assert len(texts(bellhop, GENERAL)) == 9
