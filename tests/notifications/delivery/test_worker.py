"""The worker: it delivers in threads until it is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from threading import Event
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import make_url, text, update
from sqlalchemy.exc import OperationalError

from bolt_app.clock import utc_now
from bolt_app.db.models import Delivery
from bolt_app.delays import Delays
from bolt_app.notifications.content import fallbacks
from bolt_app.notifications.content.message import render
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.delivery.retry_schedule import MOST_INTERNAL_ERRORS
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.intake.service import Intake
from bolt_app.notifications.queue.wakeup import OnWake, Wakeup
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.workspaces.client import BotWorkspace
from slack_sandbox import Fault
from tests.delivering import delivering, install_without_limits, quick_bellhop, wait_until
from tests.notifications.hand import accept, deliveries, states, texts
from tests.people import ACME, BETA, GENERAL
from tests.running import Bellhop
from tests.statements import statements_of

APPLICATION_NAME = "bellhop-worker-tests"
BREAK_OFF = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND application_name = :name"
)


@pytest.fixture
def running(database_url: str, encryption_key: str) -> Iterator[Bellhop]:
    """Run Bellhop in real time, at a fast pace."""
    url = make_url(database_url)
    if url.get_backend_name() == "postgresql":
        url = url.update_query_dict({"application_name": APPLICATION_NAME})
    address = url.render_as_string(hide_password=False)
    with quick_bellhop(address, encryption_key) as bellhop:
        install_without_limits(bellhop)
        yield bellhop


def running_later(bellhop: Bellhop, days: int) -> Bellhop:
    """Return the same app, in the future."""
    services = replace(bellhop.services, clock=lambda: utc_now() + timedelta(days=days))
    app = Flask("later")
    app.extensions["bellhop"] = services
    return replace(bellhop, app=app)


def has_sent(bellhop: Bellhop, ids: list[str], number: int) -> bool:
    return states(bellhop, *ids).count("sent") > number


def test_held_deliveries_go_out_within_seconds_of_their_time(running: Bellhop) -> None:
    wish = SubscriptionSpec("deploys", digest=Schedule())
    running.services.subscriptions.subscribe(ACME, GENERAL, wish)
    ids = [accept(running, "topic:deploys", title=title) for title in ("One", "Two")]
    due_at = utc_now() + timedelta(seconds=1)
    with running.services.database.writing() as session:
        session.execute(update(Delivery).values(send_at=due_at))
    with delivering(running):
        wait_until(running, lambda: states(running, *ids) == ["digested"] * 2)
        wait_until(running, lambda: bool(texts(running, GENERAL)))

    [digest] = running.slack.messages(GENERAL)
    assert "Digest: 2 notifications" in digest.text
    assert 0 <= float(digest.ts) - due_at.timestamp() < 5


def test_it_delivers_notifications_accepted_while_it_runs(running: Bellhop) -> None:
    with delivering(running):
        ids = [accept(running, GENERAL, str(number)) for number in range(20)]
        wait_until(running, lambda: set(states(running, *ids)) == {"sent"})

    assert texts(running, GENERAL) == [str(number) for number in range(20)]


def test_it_delivers_notifications_accepted_before_it_started(running: Bellhop) -> None:
    id_ = accept(running, GENERAL, "early")

    with delivering(running):
        wait_until(running, lambda: states(running, id_) == ["sent"])


class NoWakeup(Wakeup):
    """Loses every wakeup."""

    def notify(self, team_id: str | None = None) -> None:
        pass

    def watch(self, on_wake: OnWake, stopped: Event) -> None:
        stopped.wait()

    def close(self) -> None:
        pass


def test_a_scheduled_delivery_is_sent_in_time_if_its_wakeup_is_lost(running: Bellhop) -> None:
    due_at = utc_now() + timedelta(seconds=3)
    request = NotificationRequest.model_validate({"to": GENERAL, "text": "2", "send_at": due_at})
    intake = Intake(running.services.database, NoWakeup())
    with delivering(running):
        first = accept(running, GENERAL, "1")
        wait_until(running, lambda: states(running, first) == ["sent"])
        intake.submit(Sender(ACME, "command"), [request])
        wait_until(running, lambda: texts(running, GENERAL) == ["1", "2"])

    [_, sent] = running.slack.messages(GENERAL)
    assert 0 <= float(sent.ts) - due_at.timestamp() < 5


# On PostgreSQL, tests in other processes wake this worker too: a wakeup reaches the whole database.
@pytest.mark.sqlite_only
def test_an_idle_worker_looks_for_due_deliveries_only_after_changes(running: Bellhop) -> None:
    with delivering(running):
        first = accept(running, GENERAL, "1")
        wait_until(running, lambda: states(running, first) == ["sent"])
        with statements_of(running.services.database) as seen:
            wait_until(running, lambda: sum("sum(" in one for one in seen) >= 4)

    # Both reads of one promotion.
    assert sum("ORDER BY deliveries.send_at" in one for one in seen) <= 2


class TestInternalErrors:
    """Internal errors end one delivery, and delay no other."""

    @pytest.fixture
    def quick(self, database_url: str, encryption_key: str) -> Iterator[Bellhop]:
        delays = Delays(first_retry=0.01, longest_retry=0.05)
        with quick_bellhop(database_url, encryption_key, delays=delays) as bellhop:
            install_without_limits(bellhop)
            yield bellhop

    def test_a_message_that_cannot_be_rendered_is_given_up(
        self, quick: Bellhop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rendered = []

        def render_all_but_one(content: Any, **options: Any) -> dict[str, Any]:
            rendered.append(content["text"])
            if content["text"] == "poison":
                raise LookupError("a mistake")
            return render(content, **options)

        monkeypatch.setattr(fallbacks, "render", render_all_but_one)
        bad, good = accept(quick, GENERAL, "poison"), accept(quick, GENERAL, "fine")
        with delivering(quick):
            wait_until(quick, lambda: states(quick, bad, good) == ["dead", "sent"])

        assert [one.error for one in deliveries(quick, bad)] == ["internal_error"]
        assert rendered.count("poison") == MOST_INTERNAL_ERRORS

    def test_a_name_that_cannot_be_looked_up_is_given_up(
        self, quick: Bellhop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_args: object) -> None:
            raise LookupError("a mistake")

        monkeypatch.setattr(quick.services.channels, "find_listed", fail)
        bad, good = accept(quick, "#random", "x"), accept(quick, GENERAL, "fine")
        with delivering(quick):
            wait_until(quick, lambda: states(quick, bad, good) == ["dead", "sent"])

        assert [one.error for one in deliveries(quick, bad)] == ["internal_error"]

    def test_a_database_outage_ends_no_delivery(
        self, quick: Bellhop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        find_workspace, failures = (
            quick.services.client.find_workspace,
            iter(range(2 * MOST_INTERNAL_ERRORS)),
        )

        def find_later(team_id: str) -> BotWorkspace:
            if next(failures, None) is not None:
                raise OperationalError("SELECT", {}, Exception())
            return find_workspace(team_id)

        monkeypatch.setattr(quick.services.client, "find_workspace", find_later)
        id_ = accept(quick, GENERAL, "x")
        with delivering(quick):
            wait_until(quick, lambda: states(quick, id_) == ["sent"])


def test_stopping_finishes_begun_work_and_leaves_no_threads(running: Bellhop) -> None:
    running.services.channels.join(running.services.client.find_workspace(ACME), GENERAL)
    running.slack.faults.add(Fault("chat.postMessage", "latency", seconds=0.5))
    with delivering(running):
        id_ = accept(running, GENERAL, "on its way")
        wait_until(running, lambda: running.slack.faults.taken("chat.postMessage") > 0)

    assert states(running, id_) == ["sent"]


def test_one_slow_workspace_does_not_delay_the_others(running: Bellhop) -> None:
    running.install("U0ANN00002")
    hanging = [running.slack.add_channel(ACME, f"hanging-{number}").id for number in range(20)]
    there = running.slack.add_channel(BETA, "there").id
    most = running.settings.workspace_requests
    running.slack.faults.add(Fault("chat.postMessage", "timeout", times=most, seconds=20))
    with delivering(running):
        for one in hanging:
            accept(running, one, "x")
        wait_until(running, lambda: running.slack.faults.taken("chat.postMessage") == most)
        id_ = accept(running, there, "through", team_id=BETA)
        wait_until(running, lambda: states(running, id_) == ["sent"])
        running.slack.faults.clear()


@pytest.mark.postgresql
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_broken_database_connection_loses_nothing(running: Bellhop) -> None:
    running.slack.faults.add(Fault("chat.postMessage", "latency", seconds=0.05))
    channels = [running.slack.add_channel(ACME, f"c{number}").id for number in range(5)]
    with delivering(running):
        ids = [accept(running, one, str(n)) for n in range(20) for one in channels]
        for number in (5, 20, 40, 60):
            wait_until(running, partial(has_sent, running, ids, number))
            with running.services.database.engine.connect() as connection:
                connection.execute(BREAK_OFF, {"name": APPLICATION_NAME})
        wait_until(running, lambda: set(states(running, *ids)) == {"sent"})

    for one in channels:
        assert texts(running, one) == [str(number) for number in range(20)]


def test_expired_rows_are_deleted_at_the_start(running: Bellhop) -> None:
    old = accept(running, GENERAL, "old")
    with delivering(running):
        wait_until(running, lambda: states(running, old) == ["sent"])
    still_waiting = accept(running, GENERAL, "later", delay=86_400 * 100)
    later = running_later(running, days=31)

    with delivering(later):
        wait_until(running, lambda: states(running, old) == [])

    assert states(running, still_waiting) == ["waiting"]
