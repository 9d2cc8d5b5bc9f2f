"""Bellhop with a running worker, in real time, at a fast pace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from time import monotonic
from typing import Any

from bolt_app.clock import utc_now
from bolt_app.notifications.delivery.worker import DeliveryWorker
from bolt_app.worker import create_worker
from tests.people import ANN
from tests.running import Bellhop, running_bellhop

LONG_ENOUGH = 30


class RealClock:
    """The real time, as a clock for the app and the stand-in."""

    def __call__(self) -> datetime:
        return utc_now()

    def timestamp(self) -> float:
        """Return the time in Unix seconds."""
        return utc_now().timestamp()


def quick_bellhop(
    database_url: str, encryption_key: str, **changes: Any
) -> AbstractContextManager[Bellhop]:
    """Run Bellhop in real time; `changes` override settings."""
    quick = {
        "channel_per_minute": 60_000,
        "workspace_per_minute": 600_000,
        "worker_threads": 8,
        **changes,
    }
    return running_bellhop(database_url, encryption_key, RealClock(), **quick)


def install_without_limits(bellhop: Bellhop) -> None:
    """Let Ann install Bellhop in a Slack without rate limits."""
    bellhop.slack.limits.enabled = False
    bellhop.install(ANN)


@contextmanager
def delivering(bellhop: Bellhop) -> Iterator[DeliveryWorker]:
    """Run a worker beside the app."""
    worker = create_worker(bellhop.services)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


def wait_until(bellhop: Bellhop, happened: Callable[[], bool]) -> None:
    """Wait until `happened` is true, checked at changes of the stand-in and periodically."""
    version, ends = bellhop.slack.version, monotonic() + LONG_ENOUGH
    while not happened():
        assert monotonic() < ends, "it did not happen"
        version = bellhop.slack.wait_for_change(version, 0.05)
