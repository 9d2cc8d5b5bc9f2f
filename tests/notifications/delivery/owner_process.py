"""A process that only owns shards; tests suspend and kill it.

It is asked and told things through a pipe, which its one asyncio loop reads beside its steps.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

from bolt_app.config import Settings
from bolt_app.db import Database
from bolt_app.notifications.delivery.ownership import Ownership
from bolt_app.notifications.queue.shards import OwnedShard
from bolt_app.worker import create_ownership
from tests.forking import forking

ANSWER_SECONDS = 20


class OwnerProcess:
    """The process, seen from the test."""

    def __init__(self, settings: Settings) -> None:
        self._pipe, theirs = forking.Pipe()
        self._process: ForkServerProcess = forking.Process(
            target=_own, args=(settings, theirs), daemon=True
        )
        self._process.start()

    def owned(self) -> set[int]:
        """Return the shards that it believes to own."""
        return set(self.ask("owned"))

    def ask(self, what: str, *values: Any) -> Any:
        """Send it a command, and return its answer."""
        self._pipe.send((what, *values))
        return self.answer()

    def tell(self, what: str, *values: Any) -> None:
        """Send it a command; `answer` returns the answer."""
        self._pipe.send((what, *values))

    def answer(self) -> Any:
        """Wait for the next answer."""
        assert self._pipe.poll(ANSWER_SECONDS), "no answer"
        return self._pipe.recv()

    def wait_for(self, count: int, seconds: float) -> float:
        """Wait until it owns a number of shards; return how long that took."""
        began = time.monotonic()
        while len(owned := self.owned()) != count:
            waited = time.monotonic() - began
            assert waited < seconds, f"{len(owned)} shards after {waited:.1f} s"
            time.sleep(0.01)
        return time.monotonic() - began

    def suspend(self) -> None:
        """Suspend it until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it continue."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it before it can release anything, and wait for its end."""
        self._signal(signal.SIGKILL)
        self._process.join()

    def end(self) -> None:
        """Kill it if it still runs, and wait for its end."""
        self.kill()
        self._pipe.close()

    def _signal(self, number: int) -> None:
        if self._process.is_alive():
            os.kill(int(self._process.pid or 0), number)


@contextmanager
def owners(settings: Settings, count: int = 1) -> Iterator[list[OwnerProcess]]:
    """Run a number of owners."""
    processes = [OwnerProcess(settings) for _ in range(count)]
    try:
        yield processes
    finally:
        for one in processes:
            one.end()


def _own(settings: Settings, pipe: Connection) -> None:
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_Owner(settings, pipe).run())


class _Owner:
    """The loop of the process."""

    def __init__(self, settings: Settings, pipe: Connection) -> None:
        self._database = Database(settings.database_url, settings.encryption_keys)
        self._ownership: Ownership = create_ownership(settings, self._database)
        self._pipe = pipe
        # The shards as they were owned last, which `confirm` is asked for.
        self._known: dict[int, OwnedShard] = {}
        self._is_stepping = True
        self._step = asyncio.Lock()

    async def run(self) -> None:
        asked: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        asyncio.get_running_loop().add_reader(
            self._pipe.fileno(), lambda: asked.put_nowait(self._pipe.recv())
        )
        answering = asyncio.create_task(self._answer(asked))
        while not answering.done():
            async with self._step:
                if self._is_stepping:
                    changes = await self._ownership.step(time.monotonic())
                    self._known.update((one.number, one) for one in changes.gained)
            await asyncio.sleep(0.01)

    async def _answer(self, asked: asyncio.Queue[tuple[Any, ...]]) -> None:
        while True:
            match await asked.get():
                case ("owned",):
                    self._pipe.send(list(self._ownership.owned))
                case ("confirm", number):
                    self._pipe.send(await self._ownership.confirm(self._known[number]))
                case ("confirm_and_step", number):
                    confirmed = await self._ownership.confirm(self._known[number])
                    changes = await self._ownership.step(time.monotonic())
                    self._pipe.send((confirmed, len(changes.lost)))
                case ("token", number):
                    self._pipe.send(self._known[number].token)
                case ("unowned_seconds",):
                    self._pipe.send(self._ownership.unowned_seconds(time.monotonic()))
                case ("stop_stepping",):
                    await self._stop_stepping()
                    self._pipe.send(None)
                case ("leave",):
                    await self._stop_stepping()
                    await self._ownership.leave()
                    self._pipe.send(None)

    async def _stop_stepping(self) -> None:
        # No step is left half-way.
        async with self._step:
            self._is_stepping = False
