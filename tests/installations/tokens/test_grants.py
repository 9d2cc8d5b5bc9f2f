"""Grants: tokens are refreshed before they expire, and invalid ones are not used."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from sqlalchemy import text

from bolt_app.db import Database
from bolt_app.installations.records import Grant
from bolt_app.installations.tokens.grants import TokenRequest
from bolt_app.slack_api import SlackCallError
from tests.conftest import FakeClock
from tests.installations.conftest import HOUR, Tokens
from tests.installations.fake_slack import FakeSlack, refreshed, refused

ACCESS = "oauth.v2.access"
ANN = TokenRequest(None, "T1", "U1")
NOBODY = TokenRequest(None, "T1")


def found(tokens: Tokens, asker: TokenRequest = ANN) -> Grant:
    grant = tokens.grants.find(asker)
    assert grant is not None
    return grant


def test_where_nothing_was_installed_there_is_no_grant(tokens: Tokens) -> None:
    assert tokens.grants.find(ANN) is None
    assert tokens.grants.revision(ANN) == 0


def test_tokens_that_never_expire_are_handed_on(tokens: Tokens, slack: FakeSlack) -> None:
    tokens.install()

    assert found(tokens) == tokens.grant()
    assert tokens.executor.waiting == []
    assert slack.requests == []


def test_without_a_person_there_is_the_bot_alone(tokens: Tokens) -> None:
    tokens.install()

    assert found(tokens, NOBODY).bot_token == "xoxb-1"
    assert found(tokens, NOBODY).user_token is None


class TestAboutToExpire:
    def test_the_token_is_used_and_refreshed_in_the_background(
        self, tokens: Tokens, slack: FakeSlack
    ) -> None:
        tokens.install(lives=HOUR, user_refresh_token=None, user_token_expires_at=None)
        slack.answers(ACCESS, refreshed(2))

        assert found(tokens).bot_token == "xoxb-1"
        assert slack.requests == []
        tokens.executor.run()

        assert found(tokens).bot_token == "xoxe.xoxb-1-2"
        assert tokens.executor.waiting == []

    def test_many_requests_refresh_it_once(self, tokens: Tokens, slack: FakeSlack) -> None:
        tokens.install(lives=HOUR)
        slack.answers(ACCESS, refreshed(2), refreshed(2, kind="user"))
        for _ in range(5):
            found(tokens)

        assert len(tokens.executor.waiting) == 2  # the bot's and the person's
        tokens.executor.run()
        assert tokens.refreshes() == 2

    def test_a_failure_in_the_background_is_logged_and_tried_again(
        self, tokens: Tokens, slack: FakeSlack, caplog: pytest.LogCaptureFixture
    ) -> None:
        tokens.install(lives=HOUR, user_refresh_token=None, user_token_expires_at=None)
        slack.answers(ACCESS, refused("internal_error"), refreshed(2))
        with caplog.at_level(logging.WARNING):
            found(tokens)
            tokens.executor.run()
        assert "could not be refreshed" in caplog.text

        assert found(tokens).bot_token == "xoxb-1"
        tokens.executor.run()

        assert found(tokens).bot_token == "xoxe.xoxb-1-2"

    def test_a_failing_database_in_the_background_is_logged(
        self, database: Database, tokens: Tokens, caplog: pytest.LogCaptureFixture
    ) -> None:
        tokens.install(lives=HOUR)
        found(tokens)
        with database.writing_connection() as connection:
            connection.execute(text("ALTER TABLE bots RENAME TO bots_gone"))
        try:
            tokens.executor.run()
        finally:
            with database.writing_connection() as connection:
                connection.execute(text("ALTER TABLE bots_gone RENAME TO bots"))

        assert "could not be refreshed" in caplog.text


class TestExpired:
    def test_both_are_refreshed_at_once(self, tokens: Tokens, slack: FakeSlack) -> None:
        tokens.install(lives=-1)
        slack.answers(ACCESS, refreshed(2), refreshed(3, kind="user"))

        grant = found(tokens)

        assert grant.bot_token == "xoxe.xoxb-1-2"
        assert grant.user_token == "xoxe.xoxp-1-3"
        assert grant.revision == tokens.grants.revision(ANN)

    def test_the_moment_of_expiry_is_too_late(
        self, tokens: Tokens, slack: FakeSlack, clock: FakeClock
    ) -> None:
        clock.now = clock.now.replace(microsecond=0)
        tokens.install(lives=60)
        slack.answers(ACCESS, refreshed(2), refreshed(3, kind="user"))
        clock.advance(60)

        assert found(tokens).bot_token == "xoxe.xoxb-1-2"

    def test_without_slack_there_is_no_bot(self, tokens: Tokens, slack: FakeSlack) -> None:
        tokens.install(lives=-1)
        slack.answers(ACCESS, refused("internal_error"))

        with pytest.raises(SlackCallError) as caught:
            tokens.grants.find(ANN)

        assert caught.value.code == "internal_error"

    def test_without_slack_a_person_uses_only_the_bot(
        self, tokens: Tokens, slack: FakeSlack
    ) -> None:
        tokens.install(lives=-1, bot_refresh_token=None, bot_token_expires_at=None)
        slack.answers(ACCESS, refused("internal_error"))

        grant = found(tokens)

        assert grant.bot_token == "xoxb-1"
        assert grant.user_token is None
        assert grant.user_invalid_reason is None

    def test_a_refused_refresh_leaves_the_reason(self, tokens: Tokens, slack: FakeSlack) -> None:
        tokens.install(lives=-1)
        slack.answers(ACCESS, refused("invalid_refresh_token"))

        grant = found(tokens)

        assert (grant.bot_token, grant.user_token) == (None, None)
        assert grant.bot_invalid_reason == grant.user_invalid_reason == "invalid_refresh_token"

    def test_one_that_slack_found_expired_is_refreshed(
        self, tokens: Tokens, slack: FakeSlack
    ) -> None:
        tokens.install(lives=8 * HOUR)
        slack.answers(ACCESS, refreshed(2))
        tokens.store.invalid_tokens.mark_bot(
            enterprise_id=None, team_id="T1", token="xoxb-1", reason="token_expired"
        )

        assert found(tokens, NOBODY).bot_token == "xoxe.xoxb-1-2"


def test_an_invalid_token_is_not_used(tokens: Tokens) -> None:
    tokens.install("U1")
    tokens.store.invalid_tokens.mark_user(
        enterprise_id=None, team_id="T1", user_id="U1", token="xoxp-U1", reason="token_revoked"
    )

    grant = found(tokens)

    assert grant.bot_token == "xoxb-1"
    assert grant.user_token is None
    assert grant == replace(tokens.grant(), user_token=None)
