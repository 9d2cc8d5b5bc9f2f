"""Commands for notifications: list, show, retry, cancel."""

from __future__ import annotations

import pytest

from slack_sandbox import Fault
from tests.commands import assert_failed, run
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, BETA, GENERAL
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only

TEAM = ["--team", ACME]


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def failed(bellhop: Bellhop) -> str:
    bellhop.slack.faults.add(Fault("chat.postMessage", "api_error", error="restricted_action"))
    id_ = accept(bellhop, GENERAL, "A secret text", title="A secret title")
    Hand(bellhop).deliver()
    bellhop.slack.faults.clear()
    return id_


def states(bellhop: Bellhop, id_: str) -> list[str]:
    report = bellhop.services.history.find(ACME, id_)
    assert report is not None
    return [one.state for one in report.deliveries]


def test_the_latest_are_listed_by_their_state(installed: Bellhop) -> None:
    dead = failed(installed)
    installed.clock.advance(1)
    later = accept(installed, GENERAL, "x", delay=3600)
    installed.clock.advance(1)
    nobody = accept(installed, "topic:nobody", "x")

    every = run(installed, "notifications", "list", *TEAM).stdout
    dead_ones = run(installed, "notifications", "list", *TEAM, "--state", "failed").stdout
    waiting = run(installed, "notifications", "list", *TEAM, "--state", "waiting").stdout

    assert [line.split()[0] for line in every.splitlines()] == [nobody, later, dead]
    assert dead_ones.startswith(f"{dead}  ")
    assert dead_ones.endswith(f"{GENERAL}: dead (restricted_action)\n")
    assert waiting.startswith(f"{later}  ")
    assert waiting.count("\n") == dead_ones.count("\n") == 1
    unrouted = run(installed, "notifications", "list", *TEAM, "--state", "unrouted").stdout
    assert unrouted.startswith(f"{nobody}  ")
    assert unrouted.endswith("command  unrouted\n")
    limited = run(installed, "notifications", "list", *TEAM, "--limit", "1").stdout
    assert limited.count("\n") == 1
    assert run(installed, "notifications", "list", "--team", BETA).stdout == ""


def test_one_is_shown_with_its_reason_and_without_its_text(installed: Bellhop) -> None:
    id_ = failed(installed)

    shown = run(installed, "notifications", "show", *TEAM, id_).stdout

    assert f"/notifications/{id_}" in shown
    assert f"{GENERAL}: dead (restricted_action)  attempts: 1\n" in shown
    assert "A setting of the workspace does not allow posting there." in shown
    assert "secret" not in shown + run(installed, "notifications", "list", *TEAM).stdout


def test_failed_deliveries_are_retried(installed: Bellhop) -> None:
    id_ = failed(installed)

    done = run(installed, "notifications", "retry", *TEAM, id_)

    assert (done.exit_code, done.stdout) == (0, f"{id_}: retrying.\n")
    installed.clock.advance(2)
    Hand(installed).deliver()
    assert states(installed, id_) == ["sent"]
    again = run(installed, "notifications", "retry", *TEAM, id_)
    assert_failed(again, "Nothing to retry")


def test_waiting_deliveries_are_cancelled(installed: Bellhop) -> None:
    id_ = accept(installed, GENERAL, "x", delay=3600)

    done = run(installed, "notifications", "cancel", *TEAM, id_)

    assert (done.exit_code, done.stdout) == (0, f"{id_}: cancelled 1, kept 0.\n")
    assert states(installed, id_) == ["cancelled"]
    again = run(installed, "notifications", "cancel", *TEAM, id_)
    assert_failed(again, "no delivery can be cancelled now")


@pytest.mark.parametrize("command", ["show", "retry", "cancel"])
def test_another_workspaces_are_not_found(installed: Bellhop, command: str) -> None:
    id_ = failed(installed)

    for team_id, asked in ((BETA, id_), (ACME, "nothing")):
        done = run(installed, "notifications", command, "--team", team_id, asked)
        assert_failed(done, f"has no notification {asked}.")
    assert states(installed, id_) == ["dead"]
