"""Errors between a commit and the update of memory: the workspace is read again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from threading import Event
from typing import Any

import pytest

from bolt_app.delays import Delays
from bolt_app.notifications.delivery import reader
from bolt_app.notifications.delivery.dispatcher import Dispatcher
from bolt_app.notifications.delivery.reader import WorkspaceReader
from bolt_app.notifications.delivery.scheduler import Scheduler
from bolt_app.notifications.delivery.store import Store
from bolt_app.notifications.delivery.work import WantedPage
from tests.delivering import delivering, install_without_limits, quick_bellhop, wait_until
from tests.notifications.hand import Hand, accept, lane_of, states, texts
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop

BENS = "@ben@acme.example"


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


@pytest.mark.sqlite_only
def test_a_message_to_a_name_that_cannot_be_read_at_first(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is accepted while a workspace with many waiting rows is loaded."""
    monkeypatch.setattr(reader, "BATCH", 1)
    bellhop.install(ANN)
    accept(bellhop, GENERAL, "first")
    hand, has_failed = Hand(bellhop), Event()
    more_urgent, pages = Store.more_urgent, Store.pages
    ids: list[str] = []

    async def notice() -> None:
        hand.dispatcher.notice(ACME)

    def more_after_a_change(*given: Any) -> Any:
        if not ids:
            ids.append(accept(bellhop, BENS, "psst"))
            bellhop.services.http.run(notice(), 5)
            assert has_failed.wait(5)
        return more_urgent(*given)

    def failing_once(store: Store, wanted: Collection[WantedPage], most: int) -> Any:
        lanes = {page.lane_id for page in wanted}
        if ids and not has_failed.is_set() and lane_of(bellhop, BENS).id in lanes:
            has_failed.set()
            raise KeyError("an error of ours")
        return pages(store, wanted, most)

    monkeypatch.setattr(Store, "more_urgent", more_after_a_change)
    monkeypatch.setattr(Store, "pages", failing_once)
    for _ in range(3):
        hand.deliver()
        bellhop.clock.advance(2)

    assert (has_failed.is_set(), states(bellhop, *ids)) == (True, ["sent"])
    assert texts(bellhop, bellhop.slack.app_dm(ACME, BEN).id) == ["psst"]
