"""Owners of shards that share a database, in one process."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import make_url, select

from bolt_app.config import Settings
from bolt_app.db import Database, schema
from bolt_app.db.libpq import libpq_address
from bolt_app.db.models import SHARD_COUNT, Shard
from bolt_app.notifications.delivery import lock_session
from bolt_app.notifications.delivery.errors import OwnershipError
from bolt_app.notifications.delivery.lock_session import LockSession
from bolt_app.notifications.delivery.ownership import Ownership
from bolt_app.notifications.queue.shards import OwnedShard, shard_of
from bolt_app.worker import create_ownership
from tests.conftest import fresh_schema
from tests.faults.tcp_proxy import TcpProxy
from tests.notifications.delivery.conftest import DELAYS, has_token
from tests.notifications.delivery.transaction_pooler import TransactionPooler

WAIT_SECONDS = 20.0
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


class Workers:
    """The ownerships of some workers, each with a loop that steps."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._stepping: dict[Ownership, asyncio.Task[None]] = {}
        self.known: dict[Ownership, dict[int, OwnedShard]] = {}

    async def start(self) -> Ownership:
        """Start a worker."""
        one = create_ownership(self._settings, self._database)
        self.known[one] = {}
        self._stepping[one] = asyncio.create_task(self._step(one))
        return one

    async def stop(self, one: Ownership) -> None:
        """Have a worker leave."""
        self.pause(one)
        await one.leave()
        del self._stepping[one]

    def pause(self, one: Ownership) -> None:
        """Step no more."""
        self._stepping[one].cancel()

    async def stop_all(self) -> None:
        """Have all workers leave."""
        for one in list(self._stepping):
            await self.stop(one)

    def counts(self) -> list[int]:
        """Return how many shards each worker has."""
        return [len(one.owned) for one in self._stepping]

    async def _step(self, one: Ownership) -> None:
        while True:
            changes = await one.step(time.monotonic())
            for shard in changes.lost:
                assert self.known[one].pop(shard.number) == shard
            for shard in changes.gained:
                self.known[one][shard.number] = shard
            # Among all processes in one, nothing is owned twice at any moment.
            owned = [number for each in self._stepping for number in each.owned]
            assert len(owned) == len(set(owned))
            await asyncio.sleep(0.005)


@asynccontextmanager
async def working(settings: Settings, database: Database) -> AsyncIterator[Workers]:
    """Run workers, and have those that are left leave at the end."""
    workers = Workers(settings, database)
    try:
        yield workers
    finally:
        await workers.stop_all()


async def until(condition: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
    """Wait for a condition."""
    ends_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends_at, "waited in vain"
        await asyncio.sleep(0.005)


def has_all(one: Ownership) -> Callable[[], bool]:
    return lambda: len(one.owned) == SHARD_COUNT


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run a test in an asyncio loop."""

    async def limited() -> None:
        async with asyncio.timeout(3 * WAIT_SECONDS):
            await test()

    asyncio.run(limited())


def test_one_worker_owns_everything_and_confirms_it(settings: Settings, database: Database) -> None:
    async def test() -> None:
        async with working(settings, database) as workers:
            one = await workers.start()
            await until(has_all(one))

            shard = one.owner_of("T0ACME")
            assert shard is not None
            assert shard.number == shard_of("T0ACME")
            assert await one.confirm(shard)
            assert has_token(database, shard)
            assert not await one.confirm(replace(shard, token="of an earlier acquisition"))
            assert not has_token(database, replace(shard, token="of an earlier acquisition"))

    run(test)


def test_a_worker_that_has_left_owns_nothing(settings: Settings, database: Database) -> None:
    async def test() -> None:
        async with working(settings, database) as workers:
            first = await workers.start()
            await until(has_all(first))
            old = first.owned[5]
            second = await workers.start()
            await workers.stop(first)
            await until(has_all(second))

            assert not await first.confirm(old)
            assert second.owned[5].token != old.token
            assert not has_token(database, old)

    run(test)


def test_stepping_early_does_nothing(settings: Settings, database: Database) -> None:
    async def test() -> None:
        one = create_ownership(settings, database)
        try:
            now = time.monotonic()
            assert len((await one.step(now)).gained) == SHARD_COUNT
            assert one.next_at == pytest.approx(now + DELAYS.owner_poll)
            database.close()
            assert (await one.step(one.next_at - 0.001)).lost == ()
        finally:
            await one.leave()

    run(test)


def test_it_reports_for_how_long_nothing_was_owned(settings: Settings, database: Database) -> None:
    async def test() -> None:
        began = time.monotonic()
        async with working(settings, database) as workers:
            one = await workers.start()
            assert one.unowned_seconds(began + 30) == pytest.approx(30, abs=1)
            await until(has_all(one))
            other = await workers.start()
            await until(lambda: other.next_at > began + 0.5)
            await asyncio.sleep(DELAYS.owner_poll)
            now = time.monotonic()
            assert one.unowned_seconds(now) < 1
            assert other.unowned_seconds(now) < 1

            workers.pause(one)
            assert one.unowned_seconds(now + 30) > 29

    run(test)


@pytest.mark.postgresql
@on_postgresql
@pytest.mark.slow
def test_shares_become_fair_as_workers_come_and_go(settings: Settings, database: Database) -> None:
    async def test() -> None:
        async with working(settings, database) as workers:
            first = await workers.start()
            await until(lambda: workers.counts() == [64])
            await workers.start()
            await until(lambda: workers.counts() == [32, 32])
            await workers.start()
            await until(lambda: sorted(workers.counts()) == [20, 22, 22])
            await workers.stop(first)
            await until(lambda: workers.counts() == [32, 32])

    run(test)


@pytest.mark.postgresql
@on_postgresql
def test_two_installations_in_one_database_share_no_locks(
    settings: Settings, database: Database, postgres_server: str, encryption_key: str
) -> None:
    async def test(other_url: str, other_database: Database) -> None:
        other_settings = replace(settings, database_url=other_url)
        async with (
            working(settings, database) as ours,
            working(other_settings, other_database) as theirs,
        ):
            one, other = await ours.start(), await theirs.start()
            await until(has_all(one))
            await until(has_all(other))

    with fresh_schema(postgres_server) as other_url:
        other_database = Database(other_url, [encryption_key])
        schema.upgrade(other_database)
        run(lambda: test(other_url, other_database))
        other_database.close()


@pytest.mark.postgresql
@on_postgresql
class TestFencing:
    def test_an_uncommitted_begin_delays_its_own_shard_only(
        self, settings: Settings, database: Database
    ) -> None:
        async def test() -> None:
            async with working(settings, database) as workers:
                first = await workers.start()
                await until(has_all(first))
                with database.writing() as begin:
                    begin.execute(select(Shard).where(Shard.number == 5).with_for_update(read=True))
                    second = await workers.start()
                    await workers.stop(first)
                    await until(lambda: len(second.owned) == SHARD_COUNT - 1)
                    await asyncio.sleep(5 * DELAYS.owner_poll)
                    assert 5 not in second.owned
                await until(has_all(second))

        run(test)


@pytest.fixture
def proxy(database_url: str) -> Iterator[TcpProxy]:
    """A way to the database that can be cut."""
    url = make_url(database_url)
    with TcpProxy(str(url.host), url.port or 5432) as running:
        yield running


def through(settings: Settings, port: int) -> Settings:
    """The settings with the lock session, and nothing else, at another port."""
    url = make_url(settings.database_url).set(host="127.0.0.1", port=port)
    return replace(settings, database_session_url=url.render_as_string(hide_password=False))


@pytest.mark.postgresql
@on_postgresql
class TestLockConnection:
    def test_everything_is_lost_at_once_when_it_is_cut(
        self, settings: Settings, database: Database, proxy: TcpProxy
    ) -> None:
        async def test() -> None:
            async with (
                working(through(settings, proxy.port), database) as cut,
                working(settings, database) as direct,
            ):
                first = await cut.start()
                await until(has_all(first))
                second = await direct.start()
                shard = next(iter(first.owned.values()))
                with proxy.outage():
                    assert not await first.confirm(shard)
                    await until(has_all(second), seconds=2)
                    assert not first.owned
                    assert not cut.known[first]
                await until(lambda: (cut.counts(), direct.counts()) == ([32], [32]))

        run(test)

    def test_no_answer_means_lost(
        self, settings: Settings, database: Database, proxy: TcpProxy
    ) -> None:
        impatient = replace(settings, delays=replace(DELAYS, owner_answer=0.3))

        async def test() -> None:
            async with working(through(impatient, proxy.port), database) as workers:
                one = await workers.start()
                await until(has_all(one))
                shard = one.owned[5]
                with proxy.stalled():
                    began = time.monotonic()
                    assert not await one.confirm(shard)
                    assert 0.2 < time.monotonic() - began < 2
                    await until(lambda: not workers.known[one])
                await until(has_all(one))

        run(test)

    def test_concurrent_checks_share_a_query_that_began_after_them(
        self, settings: Settings, proxy: TcpProxy
    ) -> None:
        async def test() -> None:
            session = await LockSession.open(address(through(settings, proxy.port)), DELAYS)
            # The proxy has passed on everything that opened the session.
            assert await session.confirm()
            with proxy.recording() as requests:
                with proxy.stalled():
                    early = asyncio.create_task(session.confirm())
                    await until(lambda: len(requests) == 1)
                    late = [asyncio.create_task(session.confirm()) for _ in range(100)]
                    await asyncio.sleep(0.05)
                assert await asyncio.gather(early, *late) == [True] * 101
            assert len(requests) == 2
            await session.close()

        run(test)

    def test_a_cancelled_check_does_not_affect_others(self, settings: Settings) -> None:
        async def test() -> None:
            session = await LockSession.open(address(settings), DELAYS)
            first, second = (asyncio.create_task(session.confirm()) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            assert await second
            assert await session.confirm()
            await session.close()

        run(test)

    def test_an_answer_that_is_read_too_late_is_ignored(self, settings: Settings) -> None:
        impatient = replace(DELAYS, owner_answer=0.3)

        async def test() -> None:
            session = await LockSession.open(address(settings), impatient)
            asked = asyncio.create_task(session.confirm())
            for _ in range(5):
                await asyncio.sleep(0)
            # As if the process were suspended after it has asked.
            time.sleep(0.4)
            assert not await asked
            await session.close()

        run(test)

    def test_it_reconnects_to_a_server_that_was_down(
        self, settings: Settings, database: Database, proxy: TcpProxy
    ) -> None:
        async def test() -> None:
            with proxy.outage():
                one = create_ownership(through(settings, proxy.port), database)
                now, waits = time.monotonic(), []
                for _ in range(12):
                    assert (await one.step(now)).gained == ()
                    waits.append(one.next_at - now)
                    now = one.next_at
                assert waits == sorted(waits)
                assert waits[0] == 0
                assert waits[-1] == 5
            assert len((await one.step(now)).gained) == SHARD_COUNT
            await one.leave()

        run(test)


def address(settings: Settings) -> str:
    return libpq_address(make_url(settings.session_url))


@pytest.mark.postgresql
@on_postgresql
class TestSetup:
    @pytest.mark.parametrize("takes", ["last", "first"])
    def test_a_transaction_pooler_is_refused(
        self, settings: Settings, database: Database, takes: Literal["last", "first"]
    ) -> None:
        url = make_url(settings.database_url)

        async def test() -> None:
            pooler = TransactionPooler(str(url.host), url.port or 5432, takes)
            async with pooler.running():
                one = create_ownership(through(settings, pooler.port), database)
                with pytest.raises(OwnershipError) as refused:
                    await one.step(time.monotonic())
                assert "DATABASE_SESSION_URL" in str(refused.value)
                assert not one.owned

        run(test)

    def test_a_server_that_is_too_old_is_refused(
        self, settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Of the servers that can be reached here, each is one.
        monkeypatch.setattr(lock_session, "LEAST_VERSION", 990_000)

        async def test() -> None:
            one = create_ownership(settings, database)
            with pytest.raises(OwnershipError, match="PostgreSQL 14"):
                await one.step(time.monotonic())

        run(test)


@pytest.mark.sqlite_only
class TestOwnerFile:
    def path(self, database_url: str) -> Path:
        return Path(f"{make_url(database_url).database}-owner")

    def test_the_first_step_creates_it_private(
        self, settings: Settings, database: Database, database_url: str
    ) -> None:
        path = self.path(database_url)

        async def test() -> None:
            one = create_ownership(settings, database)
            assert not path.exists()
            await one.step(time.monotonic())
            assert path.stat().st_mode & 0o777 == 0o600
            await one.leave()

        run(test)

    def test_a_replaced_file_ends_the_ownership(
        self, settings: Settings, database: Database, database_url: str
    ) -> None:
        async def test() -> None:
            async with working(settings, database) as workers:
                one = await workers.start()
                await until(has_all(one))
                shard = one.owned[5]
                workers.pause(one)
                self.path(database_url).unlink()
                other = await workers.start()

                assert not await one.confirm(shard)
                await until(has_all(other))
                changes = await one.step(time.monotonic())
                assert (len(changes.lost), len(one.owned)) == (SHARD_COUNT, 0)

        run(test)

    def test_a_worker_that_leaves_while_acquiring_keeps_its_successors_tokens(
        self, settings: Settings, database: Database, encryption_key: str
    ) -> None:
        async def test() -> None:
            busy = Database(settings.database_url, [encryption_key])
            first, second = (create_ownership(settings, one) for one in (busy, database))
            with busy.turn:
                acquiring = asyncio.create_task(first.step(time.monotonic()))
                await asyncio.sleep(0)  # it has locked the file, and waits for its turn to write
                await first.leave()
                assert len((await second.step(time.monotonic())).gained) == SHARD_COUNT

            assert (await acquiring).gained == ()
            assert not first.owned
            busy.close()
            assert has_token(database, second.owned[5])
            await second.leave()

        run(test)

    def test_a_fork_owns_nothing_and_releases_nothing(
        self, settings: Settings, database: Database
    ) -> None:
        async def test() -> None:
            async with working(settings, database) as workers:
                one = await workers.start()
                await until(has_all(one))
                workers.pause(one)
                assert in_fork(lambda: confirmed_in_fork(one)) == 0
                assert await one.confirm(one.owned[5])
                assert in_fork(lambda: owned_after_step(one)) == 0
                assert await one.confirm(one.owned[5])

        run(test)

    def test_a_folder_that_cannot_be_written_to_is_reported(
        self, settings: Settings, database: Database, database_url: str
    ) -> None:
        self.path(database_url).mkdir()

        async def test() -> None:
            one = create_ownership(settings, database)
            with pytest.raises(OwnershipError, match="cannot be opened"):
                await one.step(time.monotonic())

        run(test)


def confirmed_in_fork(one: Ownership) -> int:
    shard = one.owned[5]
    return int(asyncio.run(one.confirm(shard)))


def owned_after_step(one: Ownership) -> int:
    async def step() -> int:
        lost = (await one.step(max(time.monotonic(), one.next_at))).lost
        return len(one.owned) + (len(lost) != SHARD_COUNT)

    return asyncio.run(step())


def in_fork(work: Callable[[], int]) -> int:
    """Run something in a fork of this process; return what it returned."""
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            # This thread's event loop counts as running.
            with ThreadPoolExecutor(1) as thread:
                status = thread.submit(work).result()
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)
