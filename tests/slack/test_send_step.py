"""“Send a notification” in a workflow, over signed HTTP."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from bolt_app.notifications.history.search import HistoryQuery
from bolt_app.slack import ids
from bolt_app.slack.listeners.functions.send import MOST_A_MINUTE
from slack_sandbox import Fault
from slack_sandbox.core import StepRun
from tests.notifications.hand import Hand, texts
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop
from tests.slack.signing import post_signed

pytestmark = pytest.mark.sqlite_only


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def step(bellhop: Bellhop, **inputs: Any) -> StepRun:
    run = bellhop.slack.run_step(ACME, ids.SEND_STEP, {"text": "Build 42 is green", **inputs})
    bellhop.slack.deliver_due()
    return run


def report(bellhop: Bellhop, run: StepRun) -> Any:
    found = bellhop.services.history.find(ACME, run.outputs["notification_id"])
    assert found is not None
    return found


def test_a_step_sends_and_returns_the_notification(installed: Bellhop) -> None:
    run = step(installed, channel=GENERAL, title="Build", severity="Success")
    Hand(installed).deliver()

    assert run.state == "completed"
    found = report(installed, run)
    assert run.outputs["page_url"] == found.page_url
    assert found.source == "workflow"
    assert found.content == {
        "text": "Build 42 is green",
        "title": "Build",
        "severity": "success",
    }
    [text] = texts(installed, GENERAL)
    assert "Build" in text


@pytest.mark.parametrize("topic", ["deploys", "topic:deploys", " Deploys "])
def test_to_a_topic_and_a_channel(installed: Bellhop, topic: str) -> None:
    installed.slack.send_command(ANN, GENERAL, "/notify", "subscribe deploys")
    run = step(installed, channel="C0ACME0002", topic=topic)

    assert {one.to for one in report(installed, run).deliveries} == {GENERAL, "C0ACME0002"}


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "Choose a channel or a topic"),
        ({"channel": None, "topic": "  "}, "Choose a channel or a topic"),
        ({"channel": GENERAL, "severity": "bad"}, "severity"),
        ({"topic": "no such name!"}, "is not a topic"),
        ({"channel": GENERAL, "text": " "}, "text is empty"),
    ],
)
def test_errors_are_shown_to_the_author_of_the_workflow(
    installed: Bellhop, inputs: dict[str, Any], words: str
) -> None:
    run = step(installed, **inputs)

    assert run.state == "failed"
    assert run.error.startswith("The notification was not sent")
    assert words in run.error
    assert installed.services.history.search(ACME, HistoryQuery()).notifications == []


def test_one_execution_sends_once_however_often_slack_tells_of_it(installed: Bellhop) -> None:
    installed.slack.faults.add(Fault("functions.completeSuccess", "lost_answer", times=1))
    run = step(installed, channel=GENERAL)
    for _ in range(3):
        installed.clock.advance(400)
        installed.slack.deliver_due()
    [event] = [one for one in installed.slack.deliveries if one.name == "function_executed"]
    assert event.state == "delivered"
    installed.slack.send_event(ACME, event.payload["event"])

    assert run.state == "completed"
    assert len(installed.services.history.search(ACME, HistoryQuery()).notifications) == 1


def test_slack_in_trouble_is_answered_when_it_tells_again(installed: Bellhop) -> None:
    installed.slack.faults.add(Fault("functions.completeSuccess", "server_error", times=1))
    run = step(installed, channel=GENERAL)
    installed.clock.advance(61)
    installed.slack.deliver_due()

    assert run.state == "completed"
    assert len(installed.services.history.search(ACME, HistoryQuery()).notifications) == 1


def test_other_steps_of_other_apps_do_no_harm(installed: Bellhop) -> None:
    event = {
        "type": "function_executed",
        "function": {"callback_id": "another"},
        "inputs": {},
        "function_execution_id": "Fx1",
    }
    installed.slack.send_event(ACME, event)

    assert installed.slack.calls_to("functions.completeError") == []


@pytest.mark.parametrize(
    "channel", [ANN, "@ben@acme.example", "#leads", "topic:x", "D0ACME0001", [GENERAL], 7, {"a": 1}]
)
def test_nothing_but_a_channel_is_one(installed: Bellhop, channel: Any) -> None:
    run = step(installed, channel=channel, topic="deploys")

    assert run.state == "failed"
    assert "channel is not a channel id" in run.error
    assert installed.services.history.search(ACME, HistoryQuery()).notifications == []


@pytest.mark.slow
def test_a_flood_fails(installed: Bellhop) -> None:
    event: dict[str, Any] = {
        "type": "function_executed",
        "function": {"callback_id": ids.SEND_STEP},
        "inputs": {"topic": "deploys", "text": "x"},
    }
    for number in range(MOST_A_MINUTE + 1):
        installed.slack.send_event(ACME, {**event, "function_execution_id": f"Fx{number}"})

    search = installed.services.history.search
    assert len(search(ACME, HistoryQuery(), limit=500).notifications) == MOST_A_MINUTE

    installed.clock.advance(60)
    installed.slack.send_event(ACME, {**event, "function_execution_id": "Fx later"})
    assert "Fx later" not in str(installed.slack.calls_to("functions.completeError"))


EXECUTED = {
    "type": "function_executed",
    "function": {"callback_id": ids.SEND_STEP},
    "inputs": {"channel": GENERAL, "text": "x"},
    "function_execution_id": "Fx1",
    "bot_access_token": "xwfp-of-the-step",
}


def test_after_an_uninstall_a_step_fails_and_nothing_is_sent_later(installed: Bellhop) -> None:
    installed.slack.uninstall(ACME)
    installed.settle()

    installed.slack.send_event(ACME, EXECUTED)

    [failed] = installed.slack.calls_to("functions.completeError")
    assert failed.token == "xwfp-of-the-step"
    assert failed.arguments["function_execution_id"] == "Fx1"
    assert "uninstalled from this workspace" in failed.arguments["error"]
    assert installed.services.history.search(ACME, HistoryQuery()).notifications == []


@pytest.mark.parametrize("is_uninstalled", [True, False])
def test_a_repeated_step_from_before_an_uninstall_is_not_sent_by_the_next_installation(
    installed: Bellhop, is_uninstalled: bool
) -> None:
    body = {
        "type": "event_callback",
        "team_id": ACME,
        "event_id": "Ev1",
        "event_time": int(installed.clock.timestamp()),
        "event": EXECUTED,
    }
    if is_uninstalled:
        installed.slack.uninstall(ACME)
        installed.settle()
    installed.clock.advance(60)
    installed.install(ANN)

    assert post_signed(installed, json.dumps(body).encode()).status == 200

    failed = installed.slack.calls_to("functions.completeError")
    assert [one.token for one in failed] == ["xwfp-of-the-step"] * is_uninstalled
    sent = installed.services.history.search(ACME, HistoryQuery()).notifications
    assert len(sent) == 1 - is_uninstalled


def test_the_log_names_the_execution(installed: Bellhop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run = step(installed, channel=GENERAL)

    [line] = [vars(one) for one in caplog.records if "workflow sent" in one.message]
    assert line["notification"] == run.outputs["notification_id"]
    assert line["execution"].startswith("Wx")
