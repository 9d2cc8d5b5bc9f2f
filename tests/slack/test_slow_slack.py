"""Requests from Slack, while Slack itself does not answer calls."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest

from bolt_app.access.authorization import UNANSWERED_FOR
from bolt_app.slack import ids
from slack_sandbox import Fault
from tests.conftest import FakeClock
from tests.people import ACME, ANN, BEA, BEN, GENERAL
from tests.running import Bellhop, running_bellhop

pytestmark = pytest.mark.sqlite_only

INFO = "users.info"
SLOW = "Slack is answering slowly"
RENAMED = {"type": "channel_rename", "channel": {"id": GENERAL, "name": "lobby"}}


@pytest.fixture
def small(database_url: str, encryption_key: str, clock: FakeClock) -> Iterator[Bellhop]:
    """Bellhop with four web threads, of which one may look something up in Slack.

    Ann is linked, and nobody's role is known.
    """
    with running_bellhop(database_url, encryption_key, clock, web_threads=4) as bellhop:
        bellhop.install(ANN)
        bellhop.slack.open_home(ANN, ACME)
        bellhop.slack.deliver_due()
        clock.advance(61)
        yield bellhop


def ask(bellhop: Bellhop, user_id: str, command: str, words: str = "") -> str:
    result = bellhop.slack.send_command(user_id, GENERAL, command, words)
    assert result.message is not None
    return result.message.text


def test_an_external_user_leaves_threads_to_others(small: Bellhop) -> None:
    small.slack.share_channel(GENERAL, BEA)
    small.slack.faults.add(Fault(INFO, "timeout"))
    with ThreadPoolExecutor(8) as threads:
        sent = [threads.submit(ask, small, BEA, "/notify", "list") for _ in range(8)]
        done = as_completed(sent)

        refused = [next(done).result() for _ in sent[1:]]

        assert "Ann Archer" in ask(small, ANN, "/profile")
        event = small.slack.send_event(ACME, RENAMED)
        assert [attempt.status for attempt in event.attempts] == [200]
        small.slack.faults.clear()
    assert all(SLOW in text for text in refused)


def test_an_event_that_needs_slack_is_retried(small: Bellhop) -> None:
    before = len(small.slack.calls_to("views.publish"))
    opened = {"type": "app_home_opened", "user": ANN, "tab": "home", "channel": "D0ANN00001"}
    with small.services.slack_waits.enter():
        event = small.slack.send_event(ACME, opened)
        assert [attempt.status for attempt in event.attempts] == [503]
        assert len(small.slack.calls_to("views.publish")) == before

    small.clock.advance(61)
    small.slack.deliver_due()

    assert [attempt.status for attempt in event.attempts] == [503, 200]
    assert len(small.slack.calls_to("views.publish")) == before + 1


def test_a_modal_opens_for_a_linked_person(small: Bellhop) -> None:
    view = small.slack.home_view(ACME, ANN)
    assert view is not None
    with small.services.slack_waits.enter():
        result = small.slack.click(ANN, view, ids.HOME_PREFERENCES)

    assert result.error is None
    assert small.slack.open_modal(ANN) is not None


def test_a_message_is_updated_for_a_linked_person(small: Bellhop) -> None:
    question = small.slack.send_command(ANN, GENERAL, "/profile", "unlink").message
    assert question is not None
    with small.services.slack_waits.enter():
        small.slack.click(ANN, question, ids.UNLINK_PROFILE, confirmed=True)

        assert "is unlinked" in small.slack.ephemerals(ANN)[-1].text


def test_slack_is_not_asked_at_once_again_about_a_person(small: Bellhop) -> None:
    small.slack.faults.add(Fault(INFO, "server_error"))
    before = len(small.slack.calls_to(INFO))

    for _ in range(3):
        assert "Slack is not answering" in ask(small, BEN, "/notify", "list")

    assert small.slack.faults.taken(INFO) == 1
    small.slack.faults.clear()
    small.clock.advance(UNANSWERED_FOR.total_seconds())
    assert "not answering" not in ask(small, BEN, "/notify", "list")
    assert len(small.slack.calls_to(INFO)) > before


def test_a_request_that_was_not_made_is_no_failure_of_slack(small: Bellhop) -> None:
    with small.services.slack_waits.enter():
        assert SLOW in ask(small, BEN, "/notify", "list")

    assert SLOW not in ask(small, BEN, "/notify", "list")
