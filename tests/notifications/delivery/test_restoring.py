"""An internal error between a commit and the update of memory: the workspace is reloaded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bolt_app.delays import Delays
from bolt_app.notifications.delivery.dispatcher import Dispatcher
from bolt_app.notifications.delivery.reader import WorkspaceReader
from bolt_app.notifications.delivery.scheduler import Scheduler
from tests.delivering import delivering, install_without_limits, quick_bellhop, wait_until
from tests.notifications.hand import accept, states, texts
from tests.people import ACME, GENERAL
from tests.running import Bellhop


@pytest.fixture
def running(database_url: str, encryption_key: str) -> Iterator[Bellhop]:
    """Run Bellhop in real time, with short waits."""
    delays = Delays().scaled(0.1)
    with quick_bellhop(database_url, encryption_key, delays=delays) as bellhop:
        install_without_limits(bellhop)
        yield bellhop


def fail_at(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, time: int
) -> Callable[[], int]:
    """Let the n-th call of a method fail; return the number of calls so far."""
    calls = 0
    method = getattr(owner, name)

    def failing(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == time:
            raise KeyError("an error of ours")
        return method(*given, **named)

    monkeypatch.setattr(owner, name, failing)
    return lambda: calls


@pytest.mark.slow
@pytest.mark.parametrize(
    ("owner", "name", "time"),
    [
        (Scheduler, "finish", 3),
        (Scheduler, "load", 2),
        (Dispatcher, "_scheduled_next", 3),
        (Dispatcher, "_finish", 3),
        (WorkspaceReader, "apply", 1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_everything_is_delivered_once_and_in_order(
    running: Bellhop,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: type,
    name: str,
    time: int,
) -> None:
    [other] = running.slack.add_channels(ACME, 1)
    channels = (GENERAL, other.id)
    calls = fail_at(monkeypatch, owner, name, time)
    ids: list[str] = []

    def send(numbers: range) -> None:
        for number in numbers:
            ids.extend(accept(running, one, f"{number}") for one in channels)
        wait_until(running, lambda: states(running, *ids) == ["sent"] * len(ids))

    with delivering(running), caplog.at_level(logging.ERROR):
        send(range(1))
        # Changes of a workspace that is loaded.
        send(range(1, 12))

    assert calls() >= time
    for channel in channels:
        assert texts(running, channel) == [str(number) for number in range(12)]
    assert "delivery in a workspace failed" in caplog.text
