"""The time without an owner of shards when a worker ends, hangs or is disconnected.

    python -m benchmarks.takeover [--postgres URL] [--runs 10]

Two workers only own shards, with production's delays. Each case prints the time from its event
until the other worker, or any worker after a lost connection, owns all shards. On PostgreSQL it
also prints the cost of the check before each request and of reading the locks.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cryptography.fernet import Fernet
from sqlalchemy import make_url, text

from bolt_app.config import Settings
from bolt_app.db import Database, schema
from bolt_app.db.models import SHARD_COUNT
from bolt_app.notifications.delivery.unowned import count_unowned
from bolt_app.worker import create_ownership
from tests.conftest import fresh_schema
from tests.faults.tcp_proxy import TcpProxy
from tests.notifications.delivery.owner_process import OwnerProcess, owners
from tests.running import settings_for

Case = Callable[[Settings], float]
START_SECONDS, MOST_SECONDS = 60.0, 40.0
REPEATS, TOGETHER = 200, 1000
ADDRESS = "http://127.0.0.1:9"
BREAK_OFF = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE application_name = 'bellhop-ownership' AND usename = current_user"
)


@contextmanager
def owner_and_other(
    settings: Settings, others: Settings | None = None
) -> Iterator[tuple[OwnerProcess, OwnerProcess]]:
    """Run a worker that owns all shards, and a second worker."""
    with owners(settings) as [owner]:
        owner.wait_for(SHARD_COUNT, START_SECONDS)
        with owners(others or settings) as [other]:
            other.owned()
            # At any time between two checks of the other worker.
            time.sleep(1 + secrets.SystemRandom().random())
            yield owner, other


def killed(settings: Settings) -> float:
    with owner_and_other(settings) as (owner, other):
        owner.kill()
        return other.wait_for(SHARD_COUNT, MOST_SECONDS)


def leaving(settings: Settings) -> float:
    with owner_and_other(settings) as (owner, other):
        owner.ask("leave")
        return other.wait_for(SHARD_COUNT, MOST_SECONDS)


def restarted(settings: Settings) -> float:
    with owners(settings) as [owner]:
        owner.wait_for(SHARD_COUNT, START_SECONDS)
        owner.ask("leave")
    with owners(settings) as [new]:
        new.owned()  # it has been started
        return new.wait_for(SHARD_COUNT, MOST_SECONDS)


def suspended(settings: Settings) -> float:
    with owner_and_other(settings) as (owner, other):
        owner.suspend()
        return other.wait_for(SHARD_COUNT, MOST_SECONDS)


def cut_off(settings: Settings) -> float:
    """Break the connection: the database ends the session at once."""
    with through_proxy(settings) as (proxy, proxied), owner_and_other(proxied, settings) as pair:
        _, other = pair
        with proxy.outage():
            return other.wait_for(SHARD_COUNT, MOST_SECONDS)


def unreachable(settings: Settings) -> float:
    """Drop all packets, without an end of the connection."""
    with through_proxy(settings) as (proxy, proxied), owner_and_other(proxied, settings) as pair:
        _, other = pair
        with proxy.stalled():
            return other.wait_for(SHARD_COUNT, MOST_SECONDS)


def sessions_ended(settings: Settings) -> float:
    """End every lock session at once, as a restart or failover of the server does."""
    database = Database(settings.database_url, settings.encryption_keys)
    with owner_and_other(settings):
        with database.engine.connect() as connection:
            connection.execute(BREAK_OFF)
        began = time.monotonic()
        while count_unowned(database, MOST_SECONDS) == 0:
            pass
        while count_unowned(database, MOST_SECONDS) > 0:
            time.sleep(0.01)
        took = time.monotonic() - began
    database.close()
    return took


@contextmanager
def through_proxy(settings: Settings) -> Iterator[tuple[TcpProxy, Settings]]:
    """Yield a proxy, and settings with the lock session behind it."""
    url = make_url(settings.database_url)
    with TcpProxy(str(url.host), url.port or 5432) as proxy:
        proxied = url.set(host="127.0.0.1", port=proxy.port)
        address = proxied.render_as_string(hide_password=False)
        yield proxy, replace(settings, database_session_url=address)


ANYWHERE: dict[str, Case] = {"killed": killed, "leaves": leaving, "restarted alone": restarted}
ON_POSTGRESQL: dict[str, Case] = {
    "connection broken": cut_off,
    "all sessions ended": sessions_ended,
    "suspended": suspended,
    "unreachable": unreachable,
}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--postgres", help="a database in which a schema is created")
    parser.add_argument("--runs", type=int, default=10)
    arguments = parser.parse_args()
    print("| database | worker is | median | longest |")
    print("| --- | --- | --- | --- |")
    key = Fernet.generate_key().decode()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'bellhop.db'}"
        measure("SQLite", ANYWHERE, prepared(url, key), arguments.runs)
    if arguments.postgres:
        with fresh_schema(arguments.postgres) as url:
            cases = {**ANYWHERE, **ON_POSTGRESQL}
            settings = prepared(url, key)
            measure("PostgreSQL", cases, settings, arguments.runs)
            asyncio.run(measure_checks(settings))


async def measure_checks(settings: Settings) -> None:
    """Print the cost of unchanged ownership, on PostgreSQL."""
    database = Database(settings.database_url, settings.encryption_keys)
    ownership = create_ownership(settings, database)
    await ownership.step(time.monotonic())
    shard = ownership.owned[0]
    alone = await timed(lambda: ownership.confirm(shard), REPEATS)
    together = await timed(
        lambda: asyncio.gather(*(ownership.confirm(shard) for _ in range(TOGETHER))), 10
    )
    looks = await timed(lambda: ownership.step(ownership.next_at), REPEATS)
    await ownership.leave()
    database.close()
    print(
        f"one check: {alone:.2f} ms; {TOGETHER} at once: {together:.1f} ms; a look: {looks:.2f} ms"
    )


async def timed(work: Callable[[], Awaitable[object]], times: int) -> float:
    """Return the median duration of a call, in milliseconds."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        await work()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def prepared(url: str, key: str) -> Settings:
    """Return the settings for a new database."""
    database = Database(url, [key])
    schema.upgrade(database)
    database.close()
    return settings_for(ADDRESS, ADDRESS, url, key)


def measure(name: str, cases: dict[str, Case], settings: Settings, runs: int) -> None:
    """Print one line for each case."""
    for case, run in cases.items():
        times = [run(settings) for _ in range(runs)]
        middle, longest = statistics.median(times), max(times)
        print(f"| {name} | {case} | {middle:.2f} s | {longest:.2f} s |", flush=True)


if __name__ == "__main__":
    main()
