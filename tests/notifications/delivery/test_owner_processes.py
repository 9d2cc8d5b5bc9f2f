"""Owners in separate processes: killed, suspended, stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from bolt_app.config import Settings
from bolt_app.db import Database
from bolt_app.db.models import SHARD_COUNT
from bolt_app.delays import Delays
from bolt_app.notifications.queue.shards import OwnedShard
from tests.faults.load import wait_until
from tests.notifications.delivery.conftest import DELAYS, has_token
from tests.notifications.delivery.owner_process import OwnerProcess, owners

START_SECONDS = 20.0


@pytest.fixture
def in_real_time(settings: Settings) -> Settings:
    """Return the delays of production."""
    return replace(settings, delays=Delays())


@contextmanager
def owner_and_other(settings: Settings) -> Iterator[tuple[OwnerProcess, OwnerProcess]]:
    """Run a worker that owns everything, then another one."""
    with owners(settings) as [owner]:
        owner.wait_for(SHARD_COUNT, START_SECONDS)
        with owners(settings) as [other]:
            other.owned()  # it runs
            yield owner, other


@pytest.mark.slow
def test_a_killed_workers_shards_are_taken_over_within_two_seconds(in_real_time: Settings) -> None:
    with owner_and_other(in_real_time) as (killed, other):
        killed.kill()

        assert other.wait_for(SHARD_COUNT, 2) < 2


@pytest.mark.slow
def test_a_worker_that_leaves_hands_over_within_a_second(in_real_time: Settings) -> None:
    with owner_and_other(in_real_time) as (leaving, other):
        leaving.ask("leave")

        assert leaving.owned() == set()
        assert other.wait_for(SHARD_COUNT, 1) < 1


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.postgresql
class TestSuspendedOnPostgreSQL:
    def test_the_server_ends_its_ownership_and_its_first_check_fails(
        self, settings: Settings, database: Database
    ) -> None:
        with owner_and_other(settings) as (asleep, other):
            # So that the check notices it, not an earlier step.
            asleep.ask("stop_stepping")
            number = max(asleep.owned())
            old = OwnedShard(number, asleep.ask("token", number))
            asleep.suspend()
            other.wait_for(SHARD_COUNT, DELAYS.owner_silence + 2)
            asleep.resume()

            assert asleep.ask("confirm", number) is False
            confirmed, lost = asleep.ask("confirm_and_step", number)
            assert (confirmed, lost > 0) == (False, True)
            assert other.ask("confirm", number) is True
            assert has_token(database, OwnedShard(number, other.ask("token", number)))
            assert not has_token(database, old)

    def test_a_stuck_loop_loses_its_shards(self, settings: Settings) -> None:
        with owner_and_other(settings) as (stuck, other):
            stuck.ask("stop_stepping")

            other.wait_for(SHARD_COUNT, DELAYS.owner_silence + 2)

            assert stuck.ask("confirm", max(other.owned())) is False


@pytest.mark.sqlite_only
@pytest.mark.slow
class TestSuspendedOnSQLite:
    def test_it_is_not_replaced_and_others_report_it(self, settings: Settings) -> None:
        with owner_and_other(settings) as (owner, other):
            owner.suspend()
            time.sleep(DELAYS.owner_silence)

            assert other.owned() == set()
            assert other.ask("unowned_seconds") > DELAYS.owner_silence * 0.8

            owner.resume()
            assert owner.ask("confirm", 5) is True
            wait_until(lambda: other.ask("unowned_seconds") < DELAYS.owner_silence * 0.8)

    def test_it_is_replaced_when_it_is_killed(self, settings: Settings) -> None:
        with owner_and_other(settings) as (owner, other):
            owner.suspend()
            owner.kill()

            other.wait_for(SHARD_COUNT, 2)
