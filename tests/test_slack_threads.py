"""Threads for calls that wait for Slack: each workspace uses a few."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from threading import Event, current_thread

import pytest

from bolt_app.slack_threads import SlackThreads
from tests.people import ACME, BETA
from tests.running import PATIENCE_SECONDS


@pytest.fixture
def threads() -> Iterator[SlackThreads]:
    threads = SlackThreads(2, most_of_one=1, name="lookups")
    yield threads
    threads.close()


def test_a_slow_workspace_leaves_threads_to_others(threads: SlackThreads) -> None:
    has_begun, is_over = Event(), Event()

    def wait() -> bool:
        has_begun.set()
        return is_over.wait(PATIENCE_SECONDS)

    async def run() -> None:
        slow = asyncio.create_task(threads.run(ACME, wait))
        next_one = asyncio.create_task(threads.run(ACME, is_over.is_set))
        assert await asyncio.to_thread(has_begun.wait, PATIENCE_SECONDS)

        other = await threads.run(BETA, current_thread)

        assert other.name.startswith("lookups")
        assert not next_one.done()
        is_over.set()
        assert await slow
        assert await next_one

    asyncio.run(run())


def test_an_error_gives_the_thread_back(threads: SlackThreads) -> None:
    async def run() -> None:
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await threads.run(ACME, divmod, 1, 0)

    asyncio.run(run())
