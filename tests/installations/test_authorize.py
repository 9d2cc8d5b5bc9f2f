"""Authorization of requests: one read, no call to Slack, never another person's token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from slack_bolt import BoltContext
from slack_bolt.authorization import AuthorizeResult
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from bolt_app.db import Database
from bolt_app.installations.authorize import InstallationAuthorize
from bolt_app.installations.tokens import cache as remembered_grants
from bolt_app.installations.tokens.cache import GrantCache
from bolt_app.profiles.store import register_membership, register_team, register_user
from bolt_app.slack_api import SlackCallError
from tests.conftest import FakeClock
from tests.installations.conftest import HOUR, Tokens
from tests.installations.fake_slack import FakeSlack, refreshed, refused
from tests.installations.installing import an_installation, an_organization_installation
from tests.statements import statements_of

ACCESS = "oauth.v2.access"


class FakeMonotonic:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Requests:
    """Requests from Slack that reach one process."""

    def __init__(self, tokens: Tokens) -> None:
        self.monotonic = FakeMonotonic()
        self.authorize = InstallationAuthorize(GrantCache(tokens.grants, monotonic=self.monotonic))

    def ask(
        self,
        user_id: str | None = "U1",
        *,
        team_id: str | None = "T1",
        enterprise_id: str | None = None,
        org: bool = False,
    ) -> tuple[AuthorizeResult, BoltContext]:
        """Authorize a request; return the result and its context."""
        context = BoltContext({"is_enterprise_install": org})
        result = self.authorize(
            context=context, enterprise_id=enterprise_id, team_id=team_id, user_id=user_id
        )
        return result, context

    def token_pair(self, user_id: str | None = "U1") -> tuple[str | None, str | None]:
        """Authorize a request and return its bot token and its user token."""
        result, _ = self.ask(user_id)
        return result.bot_token, result.user_token


@pytest.fixture
def requests(tokens: Tokens) -> Requests:
    return Requests(tokens)


@pytest.fixture
def elsewhere(database_url: str, encryption_key: str, tokens: Tokens) -> Iterator[Tokens]:
    """Another process on the same database."""
    database = Database(database_url, [encryption_key])
    yield Tokens(database, tokens.slack, tokens.clock, tokens.http)
    database.close()


def test_a_request_gets_the_bot_and_the_persons_own_token(
    tokens: Tokens, requests: Requests
) -> None:
    tokens.install()
    result, context = requests.ask()

    assert result.team_id == "T1"
    assert result.user_id == "U1"
    assert result.bot_token == "xoxb-1"
    assert result.bot_id == "B1"
    assert result.bot_user_id == "UBOT"
    assert list(result.bot_scopes or []) == ["chat:write", "commands"]
    assert result.user_token == "xoxp-U1"
    assert list(result.user_scopes or []) == ["users:read"]
    assert context["grant"] == tokens.grant()
    assert "installation_problem" not in context


def test_three_people_each_get_their_own_token_or_none(tokens: Tokens, requests: Requests) -> None:
    tokens.install("U1")
    tokens.install("U2")
    expected = {"U1": "xoxp-U1", "U2": "xoxp-U2", "U3": None}

    for user_id in ["U1", "U2", "U3", "U3", "U2", "U1", "U3", "U1", "U2"]:
        assert requests.token_pair(user_id) == ("xoxb-1", expected[user_id])


def test_a_request_without_a_person_gets_only_the_bot(tokens: Tokens, requests: Requests) -> None:
    tokens.install("U1")
    requests.ask("U1")

    assert requests.token_pair(None) == ("xoxb-1", None)


def test_one_person_in_two_workspaces(tokens: Tokens, requests: Requests) -> None:
    tokens.install()
    tokens.store.save(an_installation(team_id="T2", bot_token="xoxb-2", user_token="xoxp-2"))

    for team_id, expected in [("T1", "xoxp-U1"), ("T2", "xoxp-2"), ("T1", "xoxp-U1")]:
        result, _ = requests.ask(team_id=team_id)
        assert result.user_token == expected


class TestOrganizations:
    def test_its_installation_serves_every_workspace(
        self, tokens: Tokens, requests: Requests
    ) -> None:
        tokens.store.save(an_organization_installation(bot_token="xoxb-org"))

        for team_id in ("T1", "T2", None):
            result, _ = requests.ask(team_id=team_id, enterprise_id="E1", org=True)
            assert result.bot_token == "xoxb-org"
            assert result.user_token == "xoxp-U1"
            assert result.team_id == team_id

    def test_it_is_not_taken_for_a_workspaces_own(self, tokens: Tokens, requests: Requests) -> None:
        tokens.store.save(an_organization_installation(bot_token="xoxb-org"))
        tokens.store.save(an_installation(enterprise_id="E1", bot_token="xoxb-team"))

        own, _ = requests.ask(enterprise_id="E1")
        organizations, _ = requests.ask(enterprise_id="E1", org=True)

        assert own.bot_token == "xoxb-team"
        assert organizations.bot_token == "xoxb-org"


class TestProblems:
    def test_a_missing_installation_is_reported(self, requests: Requests) -> None:
        result, context = requests.ask()

        assert (result.bot_token, result.user_token) == (None, None)
        assert context["installation_problem"] == "not_installed"
        assert context["grant"].installation_id is None

    def test_an_uninstall_is_reported(self, tokens: Tokens, requests: Requests) -> None:
        tokens.install()
        tokens.store.delete_all(enterprise_id=None, team_id="T1")

        _, context = requests.ask()

        assert context["installation_problem"] == "not_installed"

    def test_an_invalid_bot_token_is_reported_with_slacks_reason(
        self, tokens: Tokens, requests: Requests
    ) -> None:
        tokens.install(user_token=None)
        requests.ask()
        tokens.store.invalid_tokens.mark_bot(
            enterprise_id=None, team_id="T1", token="xoxb-1", reason="account_inactive"
        )

        result, context = requests.ask()

        assert result.bot_token is None
        assert context["installation_problem"] == "account_inactive"

    def test_an_invalid_user_token_is_not_used(self, tokens: Tokens, requests: Requests) -> None:
        tokens.install()
        requests.ask()
        tokens.store.invalid_tokens.mark_user(
            enterprise_id=None, team_id="T1", user_id="U1", token="xoxp-U1", reason="token_revoked"
        )

        result, context = requests.ask()

        assert result.bot_token == "xoxb-1"
        assert result.user_token is None
        assert "installation_problem" not in context
        assert context["grant"].user_invalid_reason == "token_revoked"

    def test_a_failing_database_is_an_error(self, database: Database, requests: Requests) -> None:
        with database.writing_connection() as connection:
            connection.execute(text("ALTER TABLE bots RENAME TO bots_gone"))
        try:
            with pytest.raises(SQLAlchemyError):
                requests.ask()
        finally:
            with database.writing_connection() as connection:
                connection.execute(text("ALTER TABLE bots_gone RENAME TO bots"))

    def test_an_expired_bot_that_slack_cannot_refresh_now_is_an_error(
        self, tokens: Tokens, requests: Requests, slack: FakeSlack
    ) -> None:
        tokens.install(lives=-1)
        slack.answers(ACCESS, refused("internal_error"))

        with pytest.raises(SlackCallError):
            requests.ask()


class TestCost:
    def test_slack_is_never_asked(
        self, tokens: Tokens, requests: Requests, slack: FakeSlack
    ) -> None:
        tokens.install()
        for user_id in ("U1", "U2", None):
            requests.ask(user_id)

        assert slack.requests == []

    def test_the_next_request_is_one_indexed_read(
        self, database: Database, tokens: Tokens, requests: Requests
    ) -> None:
        tokens.install()
        with statements_of(database) as first:
            requests.ask()
        with statements_of(database) as second:
            requests.ask()

        assert [("JOIN" in item) for item in first] == [False, True]
        assert [("JOIN" in item) for item in second] == [False]
        assert "installation_revisions" in second[0]

    def test_the_cache_is_bounded(
        self,
        database: Database,
        tokens: Tokens,
        requests: Requests,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(remembered_grants, "CACHE_SIZE", 2)
        tokens.install()
        for user_id in ("U1", "U2", "U3"):
            requests.ask(user_id)

        with statements_of(database) as remembered:
            requests.ask("U3")
        with statements_of(database) as forgotten:
            requests.ask("U1")

        assert [("JOIN" in item) for item in remembered] == [False]
        assert [("JOIN" in item) for item in forgotten] == [False, True]

    def test_a_grant_is_read_again_after_a_minute(
        self, database: Database, tokens: Tokens, requests: Requests
    ) -> None:
        tokens.install()
        requests.ask()
        requests.monotonic.seconds += 59.9
        with statements_of(database) as before:
            requests.ask()
        requests.monotonic.seconds += 0.1
        with statements_of(database) as after:
            requests.ask()

        assert [("JOIN" in item) for item in before] == [False]
        assert [("JOIN" in item) for item in after] == [False, True]


class TestChangesElsewhere:
    """The next request sees a change by another process."""

    @pytest.fixture(autouse=True)
    def remembered(self, tokens: Tokens, requests: Requests) -> None:
        tokens.install("U1")
        tokens.install("U2")
        for user_id in ("U1", "U2"):
            assert requests.token_pair(user_id) == ("xoxb-1", f"xoxp-{user_id}")

    @pytest.mark.parametrize(
        ("change", "first", "second"),
        [
            (
                lambda store: store.delete_all(enterprise_id=None, team_id="T1"),
                (None, None),
                (None, None),
            ),
            (
                lambda store: store.delete_bot(enterprise_id=None, team_id="T1"),
                (None, "xoxp-U1"),
                (None, "xoxp-U2"),
            ),
            (
                lambda store: store.delete_installation(
                    enterprise_id=None, team_id="T1", user_id="U1"
                ),
                ("xoxb-1", None),
                ("xoxb-1", "xoxp-U2"),
            ),
            (
                lambda store: store.save(an_installation(bot_token="xoxb-2", user_token="xoxp-2")),
                ("xoxb-2", "xoxp-2"),
                ("xoxb-2", "xoxp-U2"),
            ),
            (
                lambda store: store.invalid_tokens.mark_bot(
                    enterprise_id=None, team_id="T1", token="xoxb-1", reason="token_revoked"
                ),
                (None, "xoxp-U1"),
                (None, "xoxp-U2"),
            ),
            (
                lambda store: store.invalid_tokens.mark_user(
                    enterprise_id=None,
                    team_id="T1",
                    user_id="U1",
                    token="xoxp-U1",
                    reason="token_revoked",
                ),
                ("xoxb-1", None),
                ("xoxb-1", "xoxp-U2"),
            ),
        ],
        ids=["uninstall", "bot revoked", "user revoked", "reinstall", "dead bot", "dead user"],
    )
    def test_it_is_seen_at_once(
        self,
        requests: Requests,
        elsewhere: Tokens,
        change: Callable[[Any], None],
        first: tuple[str | None, str | None],
        second: tuple[str | None, str | None],
    ) -> None:
        change(elsewhere.store)

        assert requests.token_pair("U1") == first
        assert requests.token_pair("U2") == second

    def test_a_deactivation_is_seen_at_once(
        self, requests: Requests, elsewhere: Tokens, clock: FakeClock
    ) -> None:
        assert requests.ask()[1]["is_deactivated"] is None

        for is_deleted in (False, True, False):
            with elsewhere.database.writing() as session:
                facts = {"id": "U1", "deleted": is_deleted}
                register_team(session, "T1", {}, clock())
                row_id = register_user(session, "T1", facts, clock())
                register_membership(session, row_id, "T1", facts, clock())

            assert requests.ask("U1")[1]["is_deactivated"] is is_deleted
            assert requests.ask("U2")[1]["is_deactivated"] is None

    def test_an_install_after_an_uninstall_is_seen_at_once(
        self, requests: Requests, elsewhere: Tokens
    ) -> None:
        elsewhere.store.delete_all(enterprise_id=None, team_id="T1")
        assert requests.token_pair() == (None, None)
        elsewhere.install(bot_token="xoxb-2", user_token="xoxp-2")

        assert requests.token_pair() == ("xoxb-2", "xoxp-2")

    def test_a_change_in_another_workspace_costs_nothing(
        self, database: Database, requests: Requests, elsewhere: Tokens
    ) -> None:
        elsewhere.store.save(an_installation(team_id="T2"))

        with statements_of(database) as statements:
            requests.ask()

        assert [("JOIN" in statement) for statement in statements] == [False]


class TestRotation:
    def test_a_token_about_to_expire_is_used_and_refreshed_for_later(
        self, tokens: Tokens, requests: Requests, slack: FakeSlack
    ) -> None:
        tokens.install(lives=HOUR, user_refresh_token=None, user_token_expires_at=None)
        slack.answers(ACCESS, refreshed(2))

        assert requests.token_pair() == ("xoxb-1", "xoxp-U1")
        tokens.executor.run()
        assert requests.token_pair() == ("xoxe.xoxb-1-2", "xoxp-U1")

    def test_a_rotation_elsewhere_is_seen_at_once(
        self, tokens: Tokens, requests: Requests, slack: FakeSlack, elsewhere: Tokens
    ) -> None:
        tokens.install(lives=HOUR, user_refresh_token=None, user_token_expires_at=None)
        slack.answers(ACCESS, refreshed(2))
        requests.ask()
        Requests(elsewhere).ask()
        elsewhere.executor.run()

        assert requests.token_pair() == ("xoxe.xoxb-1-2", "xoxp-U1")

    def test_one_that_expires_while_remembered_is_not_used(
        self, tokens: Tokens, requests: Requests, slack: FakeSlack, clock: FakeClock
    ) -> None:
        tokens.install(lives=30, user_refresh_token=None, user_token_expires_at=None)
        slack.answers(ACCESS, refused("internal_error"), refreshed(2))
        assert requests.token_pair() == ("xoxb-1", "xoxp-U1")
        tokens.executor.run()
        clock.advance(31)

        assert requests.token_pair() == ("xoxe.xoxb-1-2", "xoxp-U1")
