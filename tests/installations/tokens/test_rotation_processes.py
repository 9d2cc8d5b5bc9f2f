"""Token rotation by two processes at the same time."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from threading import Event

import pytest

from tests.forking import forking
from tests.installations.conftest import Tokens
from tests.installations.fake_slack import FakeSlack, refreshed
from tests.installations.tokens.refreshing import refresh_bot

PATIENCE = 30  # timeout of a process, in seconds


@pytest.mark.slow
def test_one_process_calls_slack_and_both_go_on(
    database_url: str, encryption_key: str, tokens: Tokens, slack: FakeSlack
) -> None:
    tokens.install(lives=-1)
    other_waits = Event()

    def answer_when_the_other_waits() -> dict[str, object]:
        assert other_waits.wait(PATIENCE)
        return refreshed(2)

    def note_the_wait() -> dict[str, object]:
        other_waits.set()
        return {"ok": True}

    slack.answers("oauth.v2.access", answer_when_the_other_waits)
    slack.answers("test.waiting", note_the_wait)

    with ProcessPoolExecutor(2, mp_context=forking) as processes:
        running = [
            processes.submit(refresh_bot, database_url, encryption_key, slack.url) for _ in range(2)
        ]
        went_on_with = [process.result(PATIENCE) for process in running]

    assert went_on_with == ["xoxe.xoxb-1-2"] * 2
    assert tokens.refreshes() == 1
