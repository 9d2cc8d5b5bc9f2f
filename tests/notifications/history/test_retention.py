"""Retention: notifications are kept after delivery, and incidents with their notifications."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from bolt_app.db.models import Incident
from bolt_app.notifications.history import retention as retention_module
from bolt_app.notifications.history.retention import Retention
from bolt_app.notifications.incidents.blocks import IncidentAnswer
from slack_sandbox import Fault
from tests.notifications.hand import Hand, accept, states, texts
from tests.people import ACME, ANN, BEA, BETA, GENERAL
from tests.running import Bellhop

KEEP = timedelta(days=30)
DAY = 86_400
AHEAD = 45 * DAY
RANDOM = "C0ACME0002"


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def pass_time(bellhop: Bellhop, seconds: float) -> int:
    """Let time pass, and delete what has expired; return the number of notifications."""
    bellhop.clock.advance(seconds)
    retention = Retention(bellhop.services.database, keep_for=KEEP, clock=bellhop.clock)
    return retention.delete_expired()


def pass_days(bellhop: Bellhop, days: int) -> None:
    for _ in range(days):
        pass_time(bellhop, DAY)


def deliver(bellhop: Bellhop) -> None:
    """Deliver what is due, past the pace of a channel."""
    hand = Hand(bellhop)
    for _ in range(3):
        hand.deliver()
        bellhop.clock.advance(5)


def incidents(bellhop: Bellhop) -> list[tuple[str, str]]:
    with bellhop.services.database.reading() as session:
        found = select(Incident.team_id, Incident.key).order_by(Incident.team_id, Incident.key)
        return [(team_id, key) for team_id, key in session.execute(found)]


def raised(bellhop: Bellhop, **given: Any) -> str:
    """Post an incident of a daily check, which escalates."""
    escalate = {"after": 600, "to": RANDOM}
    actions = ["acknowledge", "mute", "resolve"]
    return accept(bellhop, GENERAL, "x", actions=actions, escalate=escalate, **given)


@pytest.mark.parametrize("error", [None, "is_archived"])
def test_time_counts_from_the_end_of_the_delivery(installed: Bellhop, error: str | None) -> None:
    if error is not None:
        installed.slack.faults.add(Fault("chat.postMessage", "api_error", error=error))
    id_ = accept(installed, GENERAL, "later", delay=AHEAD)
    installed.clock.advance(AHEAD + 1)
    deliver(installed)
    assert states(installed, id_) == ["sent" if error is None else "dead"]

    assert pass_time(installed, KEEP.total_seconds() - 60) == 0
    assert pass_time(installed, 120) == 1
    assert installed.services.history.find(ACME, id_) is None


def test_time_counts_from_the_acceptance_without_deliveries(installed: Bellhop) -> None:
    accept(installed, "topic:nobody", "x")

    assert pass_time(installed, KEEP.total_seconds() - 60) == 0
    assert pass_time(installed, 120) == 1


def test_kept_notifications_hide_no_later_ones(
    installed: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_module, "BATCH_SIZE", 2)
    kept = [accept(installed, GENERAL, "kept", delay=AHEAD) for _ in range(3)]
    expired = [accept(installed, "topic:nobody", "x") for _ in range(5)]

    assert pass_time(installed, KEEP.total_seconds() + 60) == len(expired)
    assert states(installed, *kept) == ["waiting"] * 3


@pytest.mark.parametrize("answer", [IncidentAnswer.MUTE, IncidentAnswer.ACKNOWLEDGE])
def test_an_answer_lasts_while_the_sender_repeats_itself(
    installed: Bellhop, answer: IncidentAnswer
) -> None:
    first = raised(installed, key="disk", mode="new")
    deliver(installed)
    assert installed.services.incidents.answer(ACME, first, ANN, answer)

    for _ in range(33):
        pass_time(installed, DAY)
        latest = raised(installed, key="disk", mode="new")
        deliver(installed)
    installed.clock.advance(601)
    deliver(installed)

    assert states(installed, first) == []
    assert states(installed, latest) == ["muted" if answer == IncidentAnswer.MUTE else "sent"]
    assert texts(installed, RANDOM) == []
    pass_days(installed, 33)
    assert incidents(installed) == []


@pytest.mark.parametrize("key", [None, "disk"])
def test_a_scheduled_incident_has_its_buttons_and_its_escalation(
    installed: Bellhop, key: str | None
) -> None:
    id_ = raised(installed, key=key, delay=AHEAD)
    pass_days(installed, 45)
    deliver(installed)

    [message] = installed.slack.messages(GENERAL)
    assert installed.slack.click(ANN, message, "incident.acknowledge").error is None
    assert states(installed, id_)[:2] == ["sent", "cancelled"]


@pytest.mark.parametrize("to", [GENERAL, "topic:nobody"])
def test_an_incident_is_deleted_with_its_last_notification(installed: Bellhop, to: str) -> None:
    installed.install(BEA)
    accept(installed, to, "x", key="disk", actions=["resolve"])
    # The same key of another workspace is another incident.
    accept(installed, "C0BETA0001", "x", key="disk", actions=["resolve"], team_id=BETA, delay=AHEAD)
    deliver(installed)

    pass_days(installed, 32)

    assert [team_id for team_id, _ in incidents(installed)] == [BETA]


def test_a_notification_that_is_accepted_meanwhile_keeps_its_incident(
    installed: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeat = partial(accept, installed, GENERAL, "x", key="disk", actions=["mute"])
    find = retention_module._forgotten_incidents

    def find_before_it_is_repeated(*given: Any) -> Any:
        found = find(*given)
        if found:
            repeat()
        return found

    monkeypatch.setattr(retention_module, "_forgotten_incidents", find_before_it_is_repeated)
    repeat()
    deliver(installed)

    assert pass_time(installed, 32 * DAY) == 1
    assert len(incidents(installed)) == 1
