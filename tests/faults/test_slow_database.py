"""A slow database: requests are acknowledged in time, and nothing is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import text

from bolt_app.delays import Delays
from bolt_app.slack import ids
from slack_sandbox import Fault
from slack_sandbox.world import View
from tests.conftest import FakeClock
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop, running_bellhop


@pytest.fixture
def bellhop(database_url: str, encryption_key: str, clock: FakeClock) -> Iterator[Bellhop]:
    """Run Bellhop with a limit of half a second before it acknowledges."""
    delays = replace(Delays(), acknowledgement=0.5)
    with running_bellhop(database_url, encryption_key, clock, delays=delays) as running:
        yield running


@contextmanager
def locked_tables(bellhop: Bellhop, mode: str = "ACCESS EXCLUSIVE") -> Iterator[None]:
    """Hold the lock that all writes wait for and, in a PostgreSQL lock mode, all reads."""
    database = bellhop.services.database
    with database.writing_connection() as connection:
        if not database.is_sqlite:
            connection.execute(text(f"LOCK TABLE users, event_receipts IN {mode} MODE"))
        yield


def test_a_command_is_answered_in_time_and_its_answer_follows(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    bellhop.slack.users[ANN].title = "Concierge"
    bellhop.slack.users[ANN].updated += 10

    with locked_tables(bellhop):
        result = bellhop.slack.send_command(ANN, GENERAL, "/profile", "refresh")
        assert (result.error, result.status) == (None, 200)
        assert result.elapsed < 3
        assert bellhop.slack.ephemerals(ANN) == []

    bellhop.wait_for_ephemeral(ANN, "Concierge")


def test_an_event_is_refused_and_takes_effect_once_when_repeated(bellhop: Bellhop) -> None:
    bellhop.install(ANN)

    with locked_tables(bellhop):
        delivery = bellhop.slack.send_event(ACME, {"type": "team_rename", "name": "Renamed"})
        assert [attempt.status for attempt in delivery.attempts] == [503]
        assert delivery.attempts[0].elapsed < 3
    bellhop.slack.deliver_due()

    assert delivery.attempts[-1].status == 200
    profile = bellhop.services.profiles.find(ACME, ANN)
    assert profile is not None
    assert profile.workspaces[0].name == "Renamed"


def test_a_slow_request_does_not_delay_others(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    refreshing = threading.Thread(
        target=bellhop.slack.send_command, args=(ANN, GENERAL, "/profile", "refresh")
    )

    # The rows that authorization reads stay readable.
    with locked_tables(bellhop, "EXCLUSIVE"):
        refreshing.start()
        help_answer = bellhop.slack.send_command(ANN, GENERAL, "/profile", "help")
        refreshing.join()

    assert help_answer.message is not None
    assert "*Commands*" in str(help_answer.message.blocks)
    assert help_answer.elapsed < 2


def home_of(bellhop: Bellhop) -> View:
    bellhop.slack.open_home(ANN, ACME)
    bellhop.slack.deliver_due()
    view = bellhop.slack.home_view(ACME, ANN)
    assert view is not None
    return view


def key_form(bellhop: Bellhop) -> str:
    """Open the form for an API key; return its id."""
    bellhop.slack.click(ANN, home_of(bellhop), ids.NEW_API_KEY)
    modal = bellhop.slack.open_modal(ANN)
    assert modal is not None
    return modal.id


def test_a_modal_is_acknowledged_in_time_and_shows_its_answer_later(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    form = key_form(bellhop)

    with locked_tables(bellhop):
        result = bellhop.slack.submit_view(ANN, form, {"name": {"value": "ci"}})
        assert (result.error, result.status) == (None, 200)
        assert result.elapsed < 3
        bellhop.wait_for_modal(ANN, "Keep this open")

    bellhop.wait_for_modal(ANN, "```bh_")
    assert [one.name for one in bellhop.services.api_keys.of_team(ACME)] == ["ci"]


def test_a_late_refusal_is_shown_in_the_modal(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    form = key_form(bellhop)
    bellhop.slack.users[ANN].is_admin = bellhop.slack.users[ANN].is_owner = False
    bellhop.slack.faults.add(Fault("users.info", "latency", times=1, seconds=3))

    result = bellhop.slack.submit_view(ANN, form, {"name": {"value": "ci"}})

    assert result.error is None
    assert result.elapsed < 3
    bellhop.wait_for_modal(ANN, "Only admins of this workspace can create")
    assert bellhop.services.api_keys.of_team(ACME) == []


def test_a_button_is_acknowledged_in_time_and_takes_effect_later(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    bellhop.services.api_keys.create(ACME, "ci")
    view = home_of(bellhop)

    with locked_tables(bellhop):
        result = bellhop.slack.click(ANN, view, ids.REVOKE_API_KEY, confirmed=True)
        assert (result.error, result.status) == (None, 200)
        assert result.elapsed < 3

    bellhop.wait_for_home(ACME, ANN, "revoked the API key")


def test_a_late_form_must_be_opened_again(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    view = home_of(bellhop)
    bellhop.slack.faults.add(Fault("views.open", "api_error", error="expired_trigger_id"))

    assert bellhop.slack.click(ANN, view, ids.NEW_API_KEY).error is None

    bellhop.wait_for_home(ACME, ANN, "Press the button again")
