"""Checks of installations: none keeps those of others waiting."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import Any

import pytest

from tests.lifecycle.test_separate_bots import (
    ORGANIZATION,
    serves_by_organization,
    status_of_key,
)
from tests.lifecycle.test_two_installations import sign_in
from tests.people import ACME, ANN, GRID, NORTH, SOUTH
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
