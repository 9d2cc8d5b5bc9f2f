"""Fair shares of shards, without a database."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bolt_app.db.models import SHARD_COUNT
from bolt_app.delays import Delays
from bolt_app.notifications.delivery.balance import Balance, Plan, ShardLocks
from bolt_app.notifications.queue.shards import shard_of

ALL = set(range(SHARD_COUNT))
POLL = 0.5
# A worker that does nothing for longer than this does nothing until the others change.
LONGEST_WAIT = max(Delays().owner_silence, Delays().shard_free, Delays().shard_release)


def locks(sessions: int, **shards: int) -> ShardLocks:
    """So many present workers, of which session 1, 2, … hold the first shards in turn."""
    owners: dict[int, int] = {}
    for name, count in shards.items():
        for _ in range(count):
            owners[len(owners)] = int(name.removeprefix("of_"))
    return ShardLocks(owners, sessions)


def test_a_workspace_stays_in_its_shard() -> None:
    # Processes of all versions must agree on it.
    assert [shard_of(team) for team in ("T0ACME", "T0123ABCD", "")] == [18, 6, 0]


def test_the_first_worker_takes_all_at_once() -> None:
    plan = Balance(Delays()).plan(0, locks(1), 1)

    assert set(plan.take) == ALL
    assert plan.release == ()


def test_a_worker_takes_free_shards_up_to_its_share() -> None:
    plan = Balance(Delays()).plan(0, locks(2, of_1=20, of_2=32), 1)

    assert len(plan.take) == 12
    assert set(plan.take) == ALL - set(range(52))


def test_workers_begin_with_different_shards() -> None:
    first, second = (Balance(Delays()).plan(0, locks(8), session).take for session in (100, 132))

    assert not set(first) & set(second)


def test_a_shard_that_stays_free_is_taken_beyond_the_share() -> None:
    balance, unwanted = Balance(Delays()), locks(2, of_1=32, of_2=31)

    assert balance.plan(0, unwanted, 1) == Plan()
    assert balance.plan(0.9, unwanted, 1) == Plan()
    assert balance.plan(1.0, unwanted, 1) == Plan(take=(63,))


def test_surplus_is_released_one_shard_a_second() -> None:
    balance, times = Balance(Delays()), []
    held = SHARD_COUNT
    for step in range(100):
        now = step * POLL
        plan = balance.plan(now, locks(2, of_1=held, of_2=SHARD_COUNT - held), 1)
        held -= len(plan.release)
        times += [now] * len(plan.release)

    assert held == 32
    assert {later - earlier for earlier, later in pairwise(times)} == {1.0}


def test_nothing_is_released_while_a_shard_is_free() -> None:
    assert Balance(Delays()).plan(0, locks(2, of_1=63), 1).release == ()


def test_a_worker_that_takes_nothing_does_not_keep_shards_moving() -> None:
    balance, held, moves = Balance(Delays()), SHARD_COUNT, 0
    for step in range(40):  # until the silent worker's session is ended
        plan = balance.plan(step * POLL, locks(2, of_1=held), 1)
        held += len(plan.take) - len(plan.release)
        moves += len(plan.take) + len(plan.release)

    assert moves <= 4


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_shares_become_fair_for_any_number_of_workers(counts: list[int]) -> None:
    owners: dict[int, int] = {}
    workers: dict[int, Balance] = {}
    now = 0.0
    for count in counts:
        for gone in list(workers)[count:]:
            del workers[gone]
            owners = {number: owner for number, owner in owners.items() if owner != gone}
        for session in range(1, count + 1):
            workers.setdefault(session, Balance(Delays()))
        quiet = 0
        for _ in range(200):
            now += POLL
            quiet += 1
            for session, balance in workers.items():
                plan = balance.plan(now, ShardLocks(dict(owners), count), session)
                quiet = quiet if plan == Plan() else 0
                for number in plan.release:
                    assert owners.pop(number) == session
                for number in plan.take:
                    owners.setdefault(number, session)
            if quiet * POLL > LONGEST_WAIT:
                break
        held = [sum(owner == session for owner in owners.values()) for session in workers]
        assert sum(held) == SHARD_COUNT
        assert max(held) <= -(-SHARD_COUNT // count)
