"""Token rotation: expiring tokens are refreshed once, by one process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event

import pytest

from bolt_app.db import Database
from bolt_app.installations.tokens.rotation import LEASE, REFRESH_BEFORE
from bolt_app.slack_api import SlackCallError
from tests.conftest import FakeClock
from tests.installations.conftest import BOT, CLIENT_SECRET, HOUR, PERSON, Tokens
from tests.installations.fake_slack import FakeSlack, refreshed, refused
from tests.installations.installing import CLIENT_ID

ACCESS = "oauth.v2.access"
PATIENCE = 10  # timeout of a thread, in seconds


def test_a_bot_token_that_is_due_is_refreshed(
    tokens: Tokens, slack: FakeSlack, clock: FakeClock
) -> None:
    tokens.install(lives=HOUR)
    slack.answers(ACCESS, refreshed(2))
    before = tokens.grant()

    tokens.rotator.refresh(BOT)

    (request,) = slack.requests
    assert request.token is None
    assert request.arguments == {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "grant_type": "refresh_token",
        "refresh_token": "xoxe-1-bot-1",
    }
    after = tokens.grant()
    assert after.bot_token == "xoxe.xoxb-1-2"
    assert after.bot_token_expires_at == clock() + timedelta(hours=12)
    assert after.bot_scopes == before.bot_scopes
    assert after.revision > before.revision
    assert after.user_token == before.user_token


def test_the_next_refresh_uses_the_new_refresh_token(
    tokens: Tokens, slack: FakeSlack, clock: FakeClock
) -> None:
    tokens.install(lives=HOUR)
    slack.answers(ACCESS, refreshed(2), refreshed(3))
    tokens.rotator.refresh(BOT)
    clock.advance(11 * HOUR)
    tokens.rotator.refresh(BOT)

    used = [request.arguments["refresh_token"] for request in slack.requests]
    assert used == ["xoxe-1-bot-1", "xoxe-1-bot-2"]
    assert tokens.grant().bot_token == "xoxe.xoxb-1-3"


def test_a_persons_token_is_refreshed_for_that_person(tokens: Tokens, slack: FakeSlack) -> None:
    tokens.install("U1", lives=HOUR)
    tokens.install("U2", lives=HOUR)
    slack.answers(ACCESS, refreshed(2, kind="user"))

    tokens.rotator.refresh(PERSON)

    assert slack.requests[0].arguments["refresh_token"] == "xoxe-1-U1-1"
    assert tokens.grant("U1").user_token == "xoxe.xoxp-1-2"
    assert tokens.grant("U2").user_token == "xoxp-U2"
    assert tokens.grant("U1").bot_token == "xoxb-1"


@pytest.mark.parametrize("lives", [None, REFRESH_BEFORE.total_seconds() + 60])
def test_a_token_that_is_not_due_is_left_alone(
    tokens: Tokens, slack: FakeSlack, lives: float | None
) -> None:
    tokens.install(lives=lives)

    tokens.rotator.refresh(BOT)
    tokens.rotator.refresh(PERSON)

    assert slack.requests == []


def test_where_nothing_is_installed_nothing_is_refreshed(tokens: Tokens, slack: FakeSlack) -> None:
    tokens.rotator.refresh(BOT)

    assert slack.requests == []


def test_an_invalid_token_is_not_refreshed(tokens: Tokens, slack: FakeSlack) -> None:
    tokens.install(lives=HOUR)
    tokens.store.invalid_tokens.mark_bot(
        enterprise_id=None, team_id="T1", token="xoxb-1", reason="account_inactive"
    )
    tokens.rotator.refresh(BOT)

    assert slack.requests == []


class TestTwoAtOnce:
    def test_the_second_process_uses_a_still_valid_token(
        self, tokens: Tokens, slack: FakeSlack
    ) -> None:
        tokens.install(lives=HOUR)
        second: list[str | None] = []

        def meanwhile() -> dict[str, object]:
            tokens.rotator.refresh(BOT)
            second.append(tokens.grant().bot_token)
            return refreshed(2)

        slack.answers(ACCESS, meanwhile)
        tokens.rotator.refresh(BOT)

        assert second == ["xoxb-1"]
        assert tokens.waits == []
        assert tokens.refreshes() == 1
        assert tokens.grant().bot_token == "xoxe.xoxb-1-2"

    def test_the_second_process_waits_if_the_token_has_expired(
        self, database: Database, tokens: Tokens, slack: FakeSlack, clock: FakeClock
    ) -> None:
        tokens.install(lives=-1)
        called, waiting = Event(), Event()
        second = Tokens(database, slack, clock, tokens.http, on_wait=waiting.set)

        def answer() -> dict[str, object]:
            called.set()
            assert waiting.wait(PATIENCE)
            return refreshed(2)

        slack.answers(ACCESS, answer)
        with ThreadPoolExecutor(2) as threads:
            winner = threads.submit(tokens.rotator.refresh, BOT)
            assert called.wait(PATIENCE)
            loser = threads.submit(second.rotator.refresh, BOT)
            winner.result(PATIENCE)
            loser.result(PATIENCE)

        assert second.waits
        assert tokens.refreshes() == 1
        assert second.grant().bot_token == "xoxe.xoxb-1-2"

    def test_many_threads_make_one_call(self, tokens: Tokens, slack: FakeSlack) -> None:
        tokens.install(lives=-1)
        slack.answers(ACCESS, refreshed(2))

        with ThreadPoolExecutor(12) as threads:
            list(threads.map(lambda _: tokens.rotator.refresh(BOT), range(12)))

        assert tokens.refreshes() == 1
        assert tokens.grant().bot_token == "xoxe.xoxb-1-2"

    def test_a_bot_and_a_person_refresh_independently(
        self, tokens: Tokens, slack: FakeSlack
    ) -> None:
        tokens.install(lives=-1)

        def meanwhile() -> dict[str, object]:
            slack.answers(ACCESS, refreshed(3, kind="user"))
            tokens.rotator.refresh(PERSON)
            return refreshed(2)

        slack.answers(ACCESS, meanwhile)
        tokens.rotator.refresh(BOT)

        assert tokens.waits == []
        assert tokens.grant().bot_token == "xoxe.xoxb-1-2"
        assert tokens.grant().user_token == "xoxe.xoxp-1-3"


class TestAHolderThatDied:
    @pytest.fixture(autouse=True)
    def abandoned_lease(self, tokens: Tokens, clock: FakeClock) -> None:
        tokens.install(lives=-1)
        token = tokens.leases.find(BOT)
        assert token is not None
        assert tokens.leases.take(BOT, token, until=clock() + LEASE)

    def test_another_process_takes_over_after_thirty_seconds(
        self, tokens: Tokens, slack: FakeSlack, clock: FakeClock
    ) -> None:
        slack.answers(ACCESS, refreshed(2))
        began = clock()
        tokens.on_wait = lambda: clock.advance(tokens.waits[-1])

        tokens.rotator.refresh(BOT)

        assert tokens.refreshes() == 1
        assert timedelta(seconds=30) <= clock() - began < timedelta(seconds=31)
        assert tokens.grant().bot_token == "xoxe.xoxb-1-2"

    def test_waiting_is_limited(self, tokens: Tokens, slack: FakeSlack) -> None:
        with pytest.raises(SlackCallError) as caught:  # the clock stands still
            tokens.rotator.refresh(BOT)

        assert not caught.value.is_permanent
        assert LEASE.total_seconds() <= sum(tokens.waits) < 2 * LEASE.total_seconds()
        assert slack.requests == []

    def test_a_reinstall_ends_the_wait(self, tokens: Tokens, slack: FakeSlack) -> None:
        tokens.on_wait = lambda: tokens.install(lives=12 * HOUR, bot_token="xoxb-reinstalled")

        tokens.rotator.refresh(BOT)

        assert len(tokens.waits) == 1
        assert slack.requests == []

    def test_an_uninstall_ends_the_wait(self, tokens: Tokens, slack: FakeSlack) -> None:
        tokens.on_wait = lambda: tokens.store.delete_all(enterprise_id=None, team_id="T1")

        tokens.rotator.refresh(BOT)

        assert len(tokens.waits) == 1
        assert slack.requests == []


class TestFailures:
    @pytest.mark.parametrize("code", ["internal_error", "ratelimited", "bad_client_secret"])
    def test_one_that_is_no_fault_of_the_token_leaves_it_refreshable(
        self, tokens: Tokens, slack: FakeSlack, code: str
    ) -> None:
        tokens.install(lives=-1)
        slack.answers(ACCESS, refused(code), refreshed(2))

        with pytest.raises(SlackCallError) as caught:
            tokens.rotator.refresh(BOT)
        tokens.rotator.refresh(BOT)

        assert caught.value.code == code
        assert tokens.waits == []
        assert tokens.grant().bot_invalid_reason is None
        assert tokens.grant().bot_token == "xoxe.xoxb-1-2"

    def test_a_failed_refresh_of_a_valid_token_is_not_an_error(
        self, tokens: Tokens, slack: FakeSlack
    ) -> None:
        tokens.install(lives=HOUR)
        slack.answers(ACCESS, refused("internal_error"))

        tokens.rotator.refresh(BOT)

        assert tokens.grant().bot_token == "xoxb-1"

    @pytest.mark.parametrize("code", ["invalid_refresh_token", "token_revoked", "invalid_auth"])
    def test_an_invalid_refresh_token_is_marked_and_not_retried(
        self, tokens: Tokens, slack: FakeSlack, code: str
    ) -> None:
        tokens.install(lives=-1)
        slack.answers(ACCESS, refused(code))
        before = tokens.grant().revision

        tokens.rotator.refresh(BOT)
        tokens.rotator.refresh(BOT)

        assert tokens.refreshes() == 1
        assert tokens.grant().bot_invalid_reason == code
        assert tokens.grant().user_invalid_reason is None
        assert tokens.grant().revision > before

    def test_a_reinstall_heals_it(self, tokens: Tokens, slack: FakeSlack) -> None:
        tokens.install(lives=-1)
        slack.answers(ACCESS, refused("invalid_refresh_token"), refreshed(3))
        tokens.rotator.refresh(BOT)
        tokens.install(lives=-1, bot_token="xoxb-2", bot_refresh_token="xoxe-1-bot-2")

        tokens.rotator.refresh(BOT)

        assert slack.requests[-1].arguments["refresh_token"] == "xoxe-1-bot-2"
        assert tokens.grant().bot_token == "xoxe.xoxb-1-3"
        assert tokens.grant().bot_invalid_reason is None


class TestChangesMeanwhile:
    def meanwhile(
        self, tokens: Tokens, slack: FakeSlack, change: Callable[[], object], answer: object
    ) -> None:
        """Run `change` during the call to Slack."""

        def change_then_answer() -> dict[str, object]:
            slack.answers(ACCESS, refused("invalid_refresh_token"))
            change()
            assert isinstance(answer, dict)
            return answer

        slack.answers(ACCESS, change_then_answer)
        tokens.rotator.refresh(BOT)

    def test_a_reinstalls_tokens_win(self, tokens: Tokens, slack: FakeSlack) -> None:
        tokens.install(lives=-1)

        self.meanwhile(
            tokens,
            slack,
            lambda: tokens.install(
                lives=-1, bot_token="xoxb-reinstalled", bot_refresh_token="xoxe-1-reinstalled"
            ),
            refreshed(2),
        )

        assert tokens.grant().bot_token == "xoxb-reinstalled"

    def test_a_refusal_does_not_mark_a_reinstalls_tokens(
        self, tokens: Tokens, slack: FakeSlack
    ) -> None:
        tokens.install(lives=-1)

        self.meanwhile(
            tokens,
            slack,
            lambda: tokens.install(lives=-1, bot_refresh_token="xoxe-1-reinstalled"),
            refused("invalid_refresh_token"),
        )

        assert tokens.grant().bot_invalid_reason is None

    def test_an_uninstall_stays_one(self, tokens: Tokens, slack: FakeSlack) -> None:
        tokens.install(lives=-1)

        self.meanwhile(
            tokens,
            slack,
            lambda: tokens.store.delete_all(enterprise_id=None, team_id="T1"),
            refreshed(2),
        )

        assert tokens.grant().bot_token is None

    def test_the_old_token_found_expired_does_not_lose_the_new_one(
        self, tokens: Tokens, slack: FakeSlack
    ) -> None:
        tokens.install(lives=HOUR)

        self.meanwhile(
            tokens,
            slack,
            lambda: tokens.store.invalid_tokens.mark_bot(
                enterprise_id=None, team_id="T1", token="xoxb-1", reason="token_expired"
            ),
            refreshed(2),
        )

        assert tokens.grant().bot_token == "xoxe.xoxb-1-2"

    def test_an_answer_after_the_lease_still_counts(
        self, tokens: Tokens, slack: FakeSlack, clock: FakeClock
    ) -> None:
        # Another process took over the lease, and Slack rejected the used refresh token.
        tokens.install(lives=-1)

        def take_over() -> None:
            clock.advance(LEASE.total_seconds())
            tokens.rotator.refresh(BOT)
            assert tokens.grant().bot_invalid_reason == "invalid_refresh_token"

        self.meanwhile(tokens, slack, take_over, refreshed(2))

        assert tokens.grant().bot_token == "xoxe.xoxb-1-2"
        assert tokens.grant().bot_invalid_reason is None

    def test_a_late_failure_does_not_end_anothers_lease(
        self, tokens: Tokens, slack: FakeSlack, clock: FakeClock
    ) -> None:
        tokens.install(lives=HOUR)
        token = tokens.leases.find(BOT)
        assert token is not None

        def take_over() -> None:
            clock.advance(LEASE.total_seconds())
            assert tokens.leases.take(BOT, token, until=clock() + LEASE)

        self.meanwhile(tokens, slack, take_over, refused("internal_error"))

        assert not tokens.leases.take(BOT, token, until=clock() + LEASE)


def test_no_token_is_logged(
    tokens: Tokens, slack: FakeSlack, caplog: pytest.LogCaptureFixture
) -> None:
    tokens.install(lives=HOUR)
    slack.answers(ACCESS, refused("internal_error"), refreshed(2))
    with caplog.at_level(logging.DEBUG):
        tokens.rotator.refresh(BOT)
        tokens.rotator.refresh(BOT)

    assert caplog.records
    for record in caplog.records:
        if record.name.startswith("bolt_app"):
            assert "xox" not in repr(vars(record))
    assert "xox" not in repr(tokens.leases.find(BOT))
