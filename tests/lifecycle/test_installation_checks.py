"""Checks of installations: none keeps those of others waiting."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from bolt_app.db.models import InstallationCheck
from bolt_app.installations.checks import CheckKind, request_check
from bolt_app.lifecycle.installation_checks import InstallationChecks
from bolt_app.workspaces.client import BotWorkspace, WorkspaceClient
from slack_sandbox.tokens import InstallKey
from tests.lifecycle.test_separate_bots import (
    ORGANIZATION,
    serves_by_organization,
    status_of_key,
)
from tests.lifecycle.test_two_installations import sign_in
from tests.people import ACME, ANN, BEA, BETA, GRID, NORTH, SOUTH
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only

LIST = "auth.teams.list"


@pytest.mark.slow
def test_one_list_answers_all_reports_about_an_organization(bellhop: Bellhop) -> None:
    sign_in(bellhop, None)
    bellhop.settle()
    before = len(bellhop.slack.calls_to(LIST))
    opened = {"type": "team_access_granted", "team_ids": [f"T0MANY{n:04d}" for n in range(60)]}
    bellhop.slack.queue_event(SOUTH, opened, bellhop.slack.installations[ORGANIZATION])

    bellhop.settle()

    assert bellhop.services.lifecycle.installations.pending_checks() == []
    assert len(bellhop.slack.calls_to(LIST)) - before <= 4
    bellhop.slack.change_team_access(NORTH, is_granted=False)
    bellhop.settle()
    assert serves_by_organization(bellhop) is None


def test_an_unreadable_token_keeps_no_other_report_waiting(bellhop: Bellhop) -> None:
    sign_in(bellhop, None)
    bellhop.install(ANN)
    bellhop.settle()
    key = bellhop.services.api_keys.create(ACME, "ci")
    with bellhop.services.database.writing_connection() as connection:
        connection.exec_driver_sql(
            "UPDATE bots SET bot_token = 'unreadable' WHERE enterprise_id = ?", (GRID,)
        )
        connection.exec_driver_sql("UPDATE installation_revisions SET revision = revision + 1")
    bellhop.slack.change_team_access(NORTH, is_granted=False)
    bellhop.slack.uninstall(ACME)

    bellhop.settle()

    assert status_of_key(bellhop, key) == 403


class Waiting(Executor):
    """An executor that begins nothing by itself."""

    def __init__(self) -> None:
        self.begun: list[Any] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.begun.append(fn)
        return Future()


def test_reports_at_once_share_a_run(bellhop: Bellhop) -> None:
    executor, checks = Waiting(), bellhop.services.installation_checks

    futures = {checks.run_in_background(executor) for _ in range(6)}

    assert (len(futures), len(executor.begun)) == (1, 1)
    executor.begun[0]()
    checks.run_in_background(executor)
    assert len(executor.begun) == 2


def test_an_error_of_the_database_keeps_no_other_report_waiting(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bellhop.install(ANN)
    bellhop.install(BEA)
    services, lifecycle = bellhop.services, bellhop.services.lifecycle.installations
    apply = lifecycle.apply_tokens

    def fail_for_acme(check: InstallationCheck, *given: Any, **named: Any) -> None:
        if check.team_id == ACME:
            raise OperationalError("DELETE", {}, Exception("private words"))
        apply(check, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(lifecycle, "apply_tokens", fail_for_acme)
        bellhop.slack.uninstall(ACME)
        bellhop.slack.uninstall(BETA)
        bellhop.settle()

    assert services.installations.find_bot(BETA) is None
    assert services.installations.find_bot(ACME) is not None
    assert "a check of an installation is to be repeated" in caplog.text
    assert "private words" not in caplog.text
    services.installation_checks.run_periodically()
    assert services.installations.find_bot(ACME) is None


def test_an_error_of_a_run_in_the_background_is_logged(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody waits for the result."""
    services = bellhop.services

    def fail() -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(services.lifecycle.installations, "pending_checks", fail)
    running = services.installation_checks.run_in_background(services.background)

    assert isinstance(running.exception(timeout=30), OperationalError)
    assert "installations could not be checked" in caplog.text


class LateClient:
    """The client of a slow process: much happens between Slack's first answer and its effect."""

    def __init__(self, client: WorkspaceClient, meanwhile: Callable[[], object]) -> None:
        self._client = client
        self._meanwhile = iter([meanwhile])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def verify_bot(self, workspace: BotWorkspace) -> Any:
        answer = self._client.verify_bot(workspace)
        for happen in self._meanwhile:
            happen()
        return answer


@pytest.mark.both_databases
def test_a_report_that_arrives_while_another_is_settled_twice_takes_effect(
    bellhop: Bellhop,
) -> None:
    """Two processes verify one report; before the slower one settles it, another arrives."""
    bellhop.install(ANN)
    bellhop.install(BEA)
    services, lifecycle = bellhop.services, bellhop.services.lifecycle
    bellhop.clock.advance(60)
    for team_id in (ACME, BETA):
        # Without an event, which would be verified at once.
        bellhop.slack.tokens.uninstall(InstallKey(None, team_id))

    def report(team_id: str) -> None:
        with services.database.writing() as session:
            request_check(session, CheckKind.INSTALLATION, None, team_id, at=bellhop.clock())

    def process(client: Any) -> InstallationChecks:
        arguments = services.installations, client, lifecycle.installations, lifecycle.workspaces
        return InstallationChecks(*arguments, clock=bellhop.clock)

    def meanwhile() -> None:
        process(services.client).run()
        assert services.installations.find_bot(ACME) is None
        report(BETA)

    report(ACME)
    process(LateClient(services.client, meanwhile)).run()
    process(services.client).run()

    assert services.installations.find_bot(BETA) is None
