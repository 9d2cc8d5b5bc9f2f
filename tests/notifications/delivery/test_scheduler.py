"""The scheduler: order, turns, limits, retries, looks, pauses and pages."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolt_app.notifications.delivery.lanes import MOST_OFFERED
from bolt_app.notifications.delivery.pacing import DeliveryLimits, RateLimit
from bolt_app.notifications.delivery.scheduler import Scheduler
from bolt_app.notifications.delivery.work import QueuedDelivery, Work, WorkKind
from bolt_app.notifications.queue.rank import RANKS, rank_of, urgency_of
from bolt_app.severity import Severity

TEAM = "T1"
CRITICAL = RANKS[Severity.CRITICAL]
NOW = 1_000_000.0
FAST = RateLimit(0.001, burst=100_000)
UNLIMITED = DeliveryLimits(workspace=FAST, lane=FAST, in_flight=1_000_000, page=1_000_000)


def limits(
    *,
    workspace: RateLimit = FAST,
    lane: RateLimit = FAST,
    in_flight: int = 1_000_000,
    page: int = 1_000_000,
) -> DeliveryLimits:
    return DeliveryLimits(workspace, lane, in_flight, page)


class Desk:
    """A scheduler with one workspace whose burst is open, and a clock."""

    def __init__(self, given_limits: DeliveryLimits = UNLIMITED) -> None:
        self.now = NOW
        self.limits = given_limits
        self.scheduler = Scheduler(given_limits)
        self.scheduler.add_workspace(TEAM, self.now - 86_400)
        self._ids = itertools.count(1)

    def row(
        self,
        lane: int = 1,
        *,
        rank: int = 0,
        source: str = "ci",
        waited: float = 0.0,
        key: str | None = None,
        is_update: bool = True,
        is_name: bool = False,
    ) -> QueuedDelivery:
        urgency = urgency_of(rank, self.now - waited)
        return QueuedDelivery(
            urgency,
            next(self._ids),
            lane,
            source,
            rank,
            key,
            is_update and key is not None,
            is_name,
        )

    def put(self, *rows: QueuedDelivery) -> list[int]:
        self.scheduler.put(TEAM, rows, self.now)
        return [row.id for row in rows]

    def step(self, most: int = 256) -> list[Work]:
        return self.scheduler.step(self.now, most)

    def begun(self, most: int = 256) -> list[int]:
        return [work.delivery_id for work in self.step(most)]

    def only(self) -> Work:
        (work,) = self.step()
        return work

    def finish(self, *works: Work, attempted: bool = True) -> None:
        for work in works:
            self.scheduler.finish(work, self.now, attempted=attempted)

    def drain(self) -> list[int]:
        """Deliver everything that may go now, one after another."""
        order = []
        while works := self.step(1):
            self.finish(*works)
            order += [work.delivery_id for work in works]
        return order


# Order.


def test_most_urgent_first_then_oldest() -> None:
    desk = Desk()
    old, info, error = desk.row(1, waited=10), desk.row(2), desk.row(3, rank=-2)
    desk.put(info, old, error)

    assert desk.begun() == [error.id, old.id, info.id]


def test_each_minute_of_waiting_is_one_step() -> None:
    desk = Desk()
    two_minutes, warning = desk.row(1, waited=125), desk.row(2, rank=-1)
    desk.put(warning, two_minutes)

    assert desk.begun() == [two_minutes.id, warning.id]


@pytest.mark.parametrize("lane", [1, 20_000])
def test_critical_behind_ten_thousand_is_next(lane: int) -> None:
    desk = Desk(limits(in_flight=1, page=4))
    hour = 3_600
    for number in range(10_000):
        desk.put(desk.row(1 + number % 3, waited=hour))
    first = desk.only()
    critical = desk.row(lane, rank=CRITICAL)
    desk.put(critical)
    desk.finish(first)

    assert desk.begun() == [critical.id]


def test_a_day_of_waiting_is_as_urgent_as_critical() -> None:
    desk = Desk()
    forgotten, critical = desk.row(1, waited=2 * 86_400), desk.row(2, rank=CRITICAL)
    desk.put(critical, forgotten)

    assert desk.begun() == [forgotten.id, critical.id]


def test_priority_replaces_severity() -> None:
    assert rank_of(3, Severity.INFO) == -3
    assert rank_of(-3, Severity.CRITICAL) == 3
    assert (
        rank_of(0, Severity.WARNING) == rank_of(None, Severity.WARNING) == RANKS[Severity.WARNING]
    )
    assert rank_of(None, None) == RANKS[Severity.INFO]


def test_sources_take_turns_at_the_same_rank() -> None:
    desk = Desk()
    flood = desk.put(*(desk.row(lane, source="flood", waited=9) for lane in range(1, 5)))
    quiet = desk.put(*(desk.row(lane, source="quiet") for lane in range(5, 7)))

    assert desk.begun() == [flood[0], quiet[0], flood[1], quiet[1], flood[2], flood[3]]


def test_sources_take_turns_in_one_lane_and_after_a_long_backlog() -> None:
    desk = Desk()
    flood = desk.put(*(desk.row(source="flood", waited=3_600) for _ in range(3)))
    quiet = desk.put(*(desk.row(source="quiet", waited=600) for _ in range(2)))

    assert desk.drain() == [flood[0], quiet[0], flood[1], quiet[1], flood[2]]


def test_sources_take_turns_in_a_lane_that_closes_after_each_message() -> None:
    desk = Desk(limits(lane=RateLimit(1.0, burst=1)))
    flood = desk.put(*(desk.row(source="flood", waited=9) for _ in range(4)))
    quiet = desk.put(*(desk.row(source="quiet") for _ in range(2)))

    order = []
    for _ in range(6):
        order += desk.drain()
        desk.now += 1

    assert order == [flood[0], quiet[0], flood[1], quiet[1], flood[2], flood[3]]


def test_a_source_with_one_row_at_a_time_does_not_starve_another() -> None:
    desk = Desk(limits(in_flight=1))
    waiting = desk.row(1, source="patient")
    desk.put(desk.row(2, source="busy"), waiting)
    begun = []
    for lane in range(3, 6):
        work = desk.only()
        begun.append(work.delivery_id)
        desk.put(desk.row(lane, source="busy"))
        desk.finish(work)

    assert waiting.id in begun


def test_workspaces_take_turns() -> None:
    desk = Desk()
    desk.scheduler.add_workspace("T2", NOW - 86_400)
    flood = desk.put(*(desk.row(lane) for lane in range(1, 5)))
    other = desk.row(9)
    desk.scheduler.put("T2", [other], NOW)

    assert desk.begun(3) == [flood[0], other.id, flood[1]]
    assert desk.begun() == [flood[2], flood[3]]


# Lanes.


def test_nothing_overtakes_in_a_lane() -> None:
    desk = Desk()
    desk.put(desk.row())
    work = desk.only()
    critical, elsewhere = desk.row(rank=CRITICAL), desk.row(2)
    desk.put(critical, elsewhere)

    assert desk.begun() == [elsewhere.id]
    desk.finish(work)
    assert desk.begun() == [critical.id]


def test_retry_waits_with_its_lane_and_goes_first() -> None:
    desk = Desk()
    failed, later = desk.put(desk.row(), desk.row(rank=CRITICAL, source="other"))[::-1]
    work = desk.only()
    desk.scheduler.retry(work, NOW + 30, NOW)
    elsewhere = desk.row(2)
    desk.put(elsewhere)

    assert desk.begun() == [elsewhere.id]
    assert desk.scheduler.next_at() == NOW + 30
    desk.now = NOW + 30
    again = desk.only()
    assert again.delivery_id == failed
    desk.finish(again)
    assert desk.begun() == [later]


def test_final_failure_frees_the_lane() -> None:
    desk = Desk()
    first, second = desk.put(desk.row(), desk.row())
    work = desk.only()
    desk.finish(work)

    assert work.delivery_id == first
    assert desk.begun() == [second]


def test_a_doubt_blocks_its_lane_only_until_it_is_looked_for() -> None:
    desk = Desk()
    desk.put(desk.row(), desk.row())
    work = desk.only()
    desk.scheduler.doubt(work, NOW + 5, NOW)
    elsewhere = desk.row(2)
    desk.put(elsewhere)

    assert desk.begun() == [elsewhere.id]
    desk.now = NOW + 5
    look = desk.only()
    assert (look.kind, look.delivery_id) == (WorkKind.LOOK, work.delivery_id)
    desk.scheduler.retry(look, desk.now, desk.now)
    again = desk.only()
    assert (again.kind, again.delivery_id) == (WorkKind.POST, work.delivery_id)


def test_found_after_doubt_frees_the_lane() -> None:
    desk = Desk()
    _, second = desk.put(desk.row(), desk.row())
    desk.scheduler.doubt(desk.only(), NOW + 5, NOW)
    desk.now = NOW + 5
    desk.finish(desk.only())

    assert desk.begun() == [second]


def test_rows_in_doubt_at_takeover_wait_for_the_longest_request() -> None:
    desk = Desk()
    doubtful, waiting, elsewhere = desk.row(), desk.row(), desk.row(2)
    desk.scheduler.put_first(TEAM, doubtful, NOW + 15, NOW, in_doubt=True)
    desk.put(waiting, elsewhere)

    assert desk.begun() == [elsewhere.id]
    desk.now = NOW + 15
    assert desk.only().kind is WorkKind.LOOK


@pytest.mark.parametrize("ended_elsewhere", ["sent", "waits for its retry"])
def test_another_owner_ends_the_doubt(ended_elsewhere: str) -> None:
    desk = Desk()
    doubtful, waiting = desk.row(), desk.row()
    desk.scheduler.put_first(TEAM, doubtful, NOW + 15, NOW, in_doubt=True)
    desk.put(waiting)
    if ended_elsewhere == "sent":
        desk.scheduler.remove(TEAM, doubtful, NOW)
        expected = waiting.id
    else:
        desk.scheduler.put_first(TEAM, doubtful, NOW, NOW, in_doubt=False)
        expected = doubtful.id

    assert desk.begun() == [expected]


def test_removed_rows_are_not_begun() -> None:
    desk = Desk()
    first, second = desk.row(), desk.row()
    desk.put(first, second)
    desk.scheduler.remove(TEAM, first, NOW)

    assert desk.drain() == [second.id]


def test_replaced_row_has_its_new_urgency() -> None:
    desk = Desk()
    row, other = desk.row(1), desk.row(2, rank=-2)
    desk.put(row, other, row._replace(urgency=urgency_of(CRITICAL, NOW)))

    assert desk.begun() == [row.id, other.id]


def test_work_that_was_not_begun_returns_to_its_place() -> None:
    desk = Desk()
    first, second = desk.put(desk.row(key="k"), desk.row())
    desk.scheduler.give_back(desk.only(), NOW + 1, NOW)
    # Nobody knows whether the first one is `sending`: nothing overtakes or absorbs it.
    (update,) = desk.put(desk.row(key="k", rank=CRITICAL))

    assert desk.begun() == []
    desk.now = NOW + 1
    assert desk.drain() == [first, update, second]


# Keys.


def test_the_earlier_one_inherits_the_rank_of_its_key() -> None:
    desk = Desk()
    other = desk.row(waited=30)
    early, late = desk.row(key="k", is_update=False), desk.row(key="k", rank=-2, is_update=False)
    desk.put(other, early, late)

    assert desk.drain() == [early.id, late.id, other.id]


def test_a_more_urgent_update_absorbs_the_earlier_ones() -> None:
    desk = Desk()
    early = desk.put(desk.row(key="k"), desk.row(key="k", rank=-1))
    (late,) = desk.put(desk.row(key="k", rank=-2))
    work = desk.only()
    desk.finish(work)

    assert (work.delivery_id, work.absorbed) == (late, tuple(early))
    assert desk.drain() == []


@pytest.mark.parametrize("rank", [0, 1])
def test_an_update_that_is_not_more_urgent_absorbs_nothing(rank: int) -> None:
    desk = Desk()
    early, late = desk.put(desk.row(key="k"), desk.row(key="k", rank=rank))

    assert desk.drain() == [early, late]


def test_an_update_that_absorbs_another_keeps_its_own_place() -> None:
    desk = Desk()
    aged, between = desk.row(key="k", waited=300), desk.row(rank=-1, waited=1)
    update = desk.row(key="k", rank=-1)
    desk.put(aged, between, update)
    assert desk.drain() == [aged.id, between.id, update.id]

    inherited, between, update = desk.row(key="k"), desk.row(rank=-1), desk.row(key="k", rank=-1)
    desk.put(inherited._replace(urgency=update.urgency), between, update)
    assert desk.drain() == [between.id, update.id]


def test_only_updates_are_absorbed() -> None:
    desk = Desk()
    post, update = desk.row(key="k", is_update=False), desk.row(key="k", rank=-2)
    desk.put(post, update)

    assert desk.drain() == [post.id, update.id]


@pytest.mark.parametrize("end", ["refused", "given back"])
def test_absorbed_rows_return_when_nothing_was_begun(end: str) -> None:
    desk = Desk()
    (early,) = desk.put(desk.row(key="k"))
    desk.put(desk.row(key="k", rank=-2))
    work = desk.only()
    if end == "refused":
        desk.finish(work, attempted=False)
        assert desk.drain() == [early]
    else:
        desk.scheduler.give_back(work, NOW, NOW)
        assert desk.only() == work


# Deferral: Slack limits changes of messages apart from new ones.


def test_only_what_has_the_key_of_a_deferred_one_waits() -> None:
    desk = Desk()
    change, same, other, plain = desk.put(
        desk.row(key="a"), desk.row(key="a"), desk.row(key="b"), desk.row()
    )
    work = desk.only()
    desk.scheduler.defer(work, NOW + 30, NOW, attempted=False)

    assert work.delivery_id == change
    assert desk.drain() == [other, plain]
    (late,) = desk.put(desk.row(key="a"))
    desk.now += 29
    assert desk.drain() == []
    desk.now += 1
    assert desk.drain() == [change, same, late]


def test_a_deferred_one_takes_its_turn_again() -> None:
    """It does not go ahead of other sources, as one that is to be retried does."""
    desk = Desk()
    (change,) = desk.put(desk.row(key="a", source="updates"))
    desk.scheduler.defer(desk.only(), NOW + 30, NOW, attempted=False)
    desk.now += 30
    urgent, _ = desk.put(desk.row(rank=CRITICAL, source="news"), desk.row(source="news"))

    assert desk.drain()[:2] == [urgent, change]


def test_a_deferred_one_may_end_or_become_part_of_a_later_one() -> None:
    desk = Desk()
    ended, absorbed = desk.row(key="a"), desk.row(key="b")
    desk.put(ended, absorbed)
    for _ in range(2):
        desk.scheduler.defer(desk.only(), NOW + 30, NOW, attempted=False)
    desk.scheduler.remove(TEAM, ended, NOW)
    (later,) = desk.put(desk.row(key="b", rank=-2))
    desk.now += 30
    work = desk.only()

    assert (work.delivery_id, work.absorbed) == (later, (absorbed.id,))
    desk.finish(work)
    assert desk.drain() == []


def test_a_lane_is_read_again_while_its_rows_in_memory_are_deferred() -> None:
    desk = Desk(limits(page=2))
    change, plain = desk.row(key="a"), desk.row()
    desk.scheduler.load(TEAM, change.lane_id, change.source, [change], NOW, has_more=True)
    desk.scheduler.defer(desk.only(), NOW + 30, NOW, attempted=False)

    assert [page.lane_id for page in desk.scheduler.wanted()] == [change.lane_id]
    rows = [change, plain]
    desk.scheduler.load(TEAM, change.lane_id, change.source, rows, NOW, has_more=True)
    assert desk.drain() == [plain.id]


@pytest.mark.parametrize("sources", [2, MOST_OFFERED + 4])
def test_sources_go_on_while_others_are_deferred(sources: int) -> None:
    desk = Desk()
    changes = desk.put(*(desk.row(key=f"{one}", source=f"{one}") for one in range(sources)))
    for _ in changes:
        desk.scheduler.defer(desk.only(), NOW + 30, NOW, attempted=False)
    news = desk.put(*(desk.row(source=f"{one}") for one in range(sources)))

    assert sorted(desk.drain()) == news
    desk.now += 30
    assert sorted(desk.drain()) == changes


# Limits.


def test_one_post_in_a_lane_each_interval_after_the_last_one_ended() -> None:
    desk = Desk(limits(lane=RateLimit(1.0)))
    _, second = desk.put(desk.row(), desk.row())
    work = desk.only()
    desk.now += 5
    desk.finish(work)

    assert desk.begun() == []
    assert desk.scheduler.next_at() == desk.now + 1
    desk.now += 1
    assert desk.begun() == [second]


def test_a_lane_that_was_quiet_takes_its_burst() -> None:
    desk = Desk(limits(lane=RateLimit(1.0, burst=3)))
    ids = desk.put(*(desk.row() for _ in range(5)))

    assert desk.drain() == ids[:3]
    desk.now += 1
    assert desk.drain() == ids[3:4]


def test_the_last_attempt_of_an_earlier_owner_counts() -> None:
    desk = Desk(limits(lane=RateLimit(1.0, burst=3)))
    desk.scheduler.note_attempt(TEAM, 1, NOW - 0.25, NOW)
    ids = desk.put(*(desk.row() for _ in range(2)))

    assert desk.drain() == []
    desk.now += 0.75
    assert desk.drain() == ids[:1]


def test_a_new_owner_has_no_burst() -> None:
    desk = Desk(limits(workspace=RateLimit(0.5, burst=10)))
    desk.scheduler.add_workspace(TEAM, NOW)
    desk.put(*(desk.row(lane) for lane in range(1, 30)))

    assert len(desk.step()) == 1
    assert desk.scheduler.next_at() == NOW + 0.5
    desk.now += 0.5
    assert len(desk.step()) == 1


def test_a_workspace_that_was_quiet_takes_its_burst() -> None:
    desk = Desk(limits(workspace=RateLimit(0.5, burst=10)))
    desk.put(*(desk.row(lane) for lane in range(1, 30)))

    assert len(desk.step()) == 10


def test_work_that_made_no_request_costs_nothing() -> None:
    desk = Desk(limits(workspace=RateLimit(60.0), lane=RateLimit(60.0)))
    _, second = desk.put(desk.row(), desk.row())
    desk.finish(desk.only(), attempted=False)

    assert desk.begun() == [second]


def test_concurrent_requests_are_limited() -> None:
    desk = Desk(limits(in_flight=2))
    desk.put(*(desk.row(lane) for lane in range(1, 5)))
    works = desk.step()

    assert len(works) == 2
    assert desk.scheduler.next_at() is None
    desk.finish(works[0])
    assert len(desk.step()) == 1


# Pauses.


def test_a_paused_workspace_looks_for_messages_but_posts_none() -> None:
    desk = Desk()
    desk.scheduler.put_first(TEAM, desk.row(2), NOW, NOW, in_doubt=True)
    (waiting,) = desk.put(desk.row())
    desk.scheduler.pause(TEAM, NOW + 60)

    assert [work.kind for work in desk.step()] == [WorkKind.LOOK]
    assert desk.scheduler.next_at() == NOW + 60
    desk.now += 60
    assert desk.begun() == [waiting]


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    desk = Desk()
    desk.put(desk.row())
    desk.scheduler.pause(TEAM, NOW + 60)
    desk.scheduler.pause(TEAM, NOW + 1)

    desk.now += 1
    assert desk.begun() == []
    assert desk.scheduler.next_at() == NOW + 60


def test_paused_lookups_do_not_hold_posts() -> None:
    desk = Desk()
    desk.scheduler.put_first(TEAM, desk.row(2), NOW, NOW, in_doubt=True)
    desk.scheduler.look_again(TEAM, 99, NOW)
    (waiting,) = desk.put(desk.row())
    desk.scheduler.pause_lookups(TEAM, NOW + 60)

    assert desk.begun() == [waiting]
    desk.now += 60
    assert {work.kind for work in desk.step()} == {WorkKind.LOOK, WorkKind.SECOND_LOOK}


def test_a_new_installation_ends_the_pauses() -> None:
    desk = Desk()
    desk.scheduler.add_workspace(TEAM, NOW, paused_until=NOW + 300, lookups_until=NOW + 300)
    (waiting,) = desk.put(desk.row())

    assert desk.begun() == []
    desk.scheduler.resume(TEAM)
    assert desk.begun() == [waiting]


# Lookups.


def test_names_are_resolved_one_at_a_time_without_posting_budget() -> None:
    desk = Desk(limits(workspace=RateLimit(60.0)))
    for lane in range(1, 10):
        desk.put(desk.row(lane, is_name=True))
    (posted,) = desk.put(desk.row(20))

    resolve, post = desk.step()
    assert (resolve.kind, post.delivery_id) == (WorkKind.RESOLVE, posted)
    desk.finish(resolve)
    assert desk.only().kind is WorkKind.RESOLVE


def test_resolved_rows_leave_the_lane_of_the_name() -> None:
    desk = Desk()
    rows = [desk.row(9, is_name=True, waited=2 - number) for number in range(2)]
    desk.put(*rows)
    resolve = desk.only()
    desk.put(*(row._replace(lane_id=1, is_name=False) for row in rows))
    desk.finish(resolve)

    assert desk.drain() == [row.id for row in rows]


def test_what_is_put_while_a_name_is_resolved_is_read_again() -> None:
    """The store may have moved or ended the others before it was accepted."""
    desk = Desk()
    desk.put(desk.row(9, is_name=True))
    resolve = desk.only()
    late = desk.row(9, is_name=True)
    desk.put(late)
    desk.finish(resolve)

    assert [page.lane_id for page in desk.scheduler.wanted()] == [9]
    desk.scheduler.load(TEAM, 9, late.source, [late], desk.now, has_more=False)
    assert desk.only().delivery_id == late.id


def test_a_name_that_cannot_be_resolved_now_waits() -> None:
    desk = Desk()
    desk.put(desk.row(9, is_name=True))
    desk.scheduler.retry(desk.only(), NOW + 60, NOW)
    (other,) = desk.put(desk.row(10, is_name=True))

    assert desk.only().delivery_id == other
    assert desk.scheduler.next_at() == NOW + 60


def test_second_looks_are_timers_that_block_nothing() -> None:
    desk = Desk(limits(in_flight=1))
    desk.scheduler.look_again(TEAM, 7, NOW + 60)
    desk.scheduler.look_again(TEAM, 8, NOW + 60)
    desk.put(desk.row())
    desk.step()
    desk.now += 60

    look = desk.only()
    assert (look.kind, look.delivery_id) == (WorkKind.SECOND_LOOK, 7)
    desk.scheduler.retry(look, desk.now + 5, desk.now)
    assert desk.only().delivery_id == 8


# Ownership.


def test_a_dropped_workspace_ends_at_once_and_ignores_its_work() -> None:
    desk = Desk()
    desk.put(desk.row(1), desk.row(2))
    works = desk.step(1)
    desk.scheduler.drop_workspace(TEAM)
    desk.put(desk.row(3))

    assert desk.step() == []
    desk.scheduler.add_workspace(TEAM, NOW - 86_400)
    (row,) = desk.put(desk.row(1))
    work = desk.only()
    desk.scheduler.doubt(works[0], NOW + 5, NOW)
    desk.put(desk.row(1))
    assert work.delivery_id == row
    assert desk.begun() == []


# Pages.


def test_rows_beyond_a_page_stay_in_the_database() -> None:
    desk = Desk(limits(page=4))
    rows = [desk.row() for _ in range(20)]
    desk.put(*rows)
    order: list[int] = []
    while len(order) < 20:
        order += desk.drain()
        answer_pages(desk, rows, order)

    assert order == [row.id for row in rows]


def test_an_urgent_row_is_taken_into_a_full_page() -> None:
    desk = Desk(limits(page=4))
    desk.put(*(desk.row() for _ in range(20)))
    (critical,) = desk.put(desk.row(rank=CRITICAL))

    assert desk.begun() == [critical]


def test_a_row_put_while_its_page_is_read_is_not_lost() -> None:
    desk = Desk(limits(page=2))
    rows = [desk.row() for _ in range(3)]
    desk.put(*rows)
    order = desk.drain()
    (page,) = desk.scheduler.wanted()
    (late,) = desk.put(desk.row())
    # The page was read before.
    args = (page.team_id, page.lane_id, page.source)
    desk.scheduler.load(*args, rows[2:], NOW, has_more=False)
    order += desk.drain()

    assert order == [row.id for row in rows]
    assert desk.scheduler.wanted() == [page]
    desk.scheduler.load(*args, [rows[0]._replace(id=late)], NOW, has_more=False)
    assert desk.drain() == [late]


def test_a_page_that_could_not_be_read_is_wanted_again() -> None:
    desk = Desk(limits(page=2))
    desk.put(*(desk.row() for _ in range(3)))
    desk.drain()
    (page,) = desk.scheduler.wanted()

    assert desk.scheduler.wanted() == []
    args = (page.team_id, page.lane_id, page.source)
    desk.scheduler.load(*args, [], NOW, has_more=True)
    assert desk.scheduler.wanted() == [page]


def test_a_page_of_a_name_that_could_not_be_read_is_no_page_of_posts() -> None:
    desk = Desk(limits(page=2))
    rows = [desk.row(is_name=True) for _ in range(3)]
    desk.put(*rows)
    desk.finish(desk.only())
    (page,) = desk.scheduler.wanted()
    # The workspace is loaded again while the page is being read.
    desk.scheduler.drop_workspace(TEAM)
    desk.scheduler.add_workspace(TEAM, desk.now - 86_400)
    args, is_name = (page.team_id, page.lane_id, page.source), page.is_name
    desk.scheduler.load(*args, [], NOW, has_more=True, is_name=is_name)
    assert desk.scheduler.wanted() == [page]
    desk.scheduler.load(*args, rows, NOW, has_more=False, is_name=is_name)

    assert desk.only().kind is WorkKind.RESOLVE


def test_a_page_that_was_read_before_a_retry_does_not_add_it_twice() -> None:
    desk = Desk()
    row, other = desk.row(waited=1), desk.row()
    desk.put(row, other)
    desk.scheduler.retry(desk.only(), NOW, NOW)
    desk.scheduler.load(TEAM, 1, "ci", [row, other], NOW, has_more=False)

    assert desk.drain() == [row.id, other.id]


def answer_pages(desk: Desk, rows: Iterable[QueuedDelivery], ended: list[int]) -> None:
    for page in desk.scheduler.wanted():
        there = [
            row
            for row in rows
            if (row.lane_id, row.source) == (page.lane_id, page.source) and row.id not in ended
        ]
        there.sort()
        most = desk.limits.page
        args = (page.team_id, page.lane_id, page.source)
        desk.scheduler.load(*args, there[:most], desk.now, has_more=len(there) > most)


# Everything, at random.

accepted_rows = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([0, 0, -1, CRITICAL]),
        st.floats(0, 600),
    ),
    max_size=40,
)


@given(rows=accepted_rows)
def test_every_row_is_begun_once_in_order_and_in_bounded_time(
    rows: list[tuple[int, str, int, float]],
) -> None:
    desk = Desk(DeliveryLimits(RateLimit(0.2, 5), RateLimit(1.0), in_flight=3, page=3))
    queued = [
        desk.row(lane, source=source, rank=rank, waited=waited)
        for lane, source, rank, waited in rows
    ]
    desk.put(*queued)
    order: list[int] = []
    while len(order) < len(queued):
        works = desk.step()
        order += [work.delivery_id for work in works]
        desk.finish(*works)
        answer_pages(desk, queued, order)
        desk.now = max(desk.now, desk.scheduler.next_at() or 0.0)

    assert sorted(order) == sorted(row.id for row in queued)
    longest = max((sum(row.lane_id == lane for row in queued) for lane in range(5)), default=0)
    assert desk.now - NOW <= longest * 1.0 + len(queued) * 0.2
    for one, other in itertools.combinations(queued, 2):
        if (one.lane_id, one.source) == (other.lane_id, other.source):
            earlier, later = sorted((one, other))
            assert order.index(earlier.id) < order.index(later.id)


def test_a_step_visits_few_workspaces_and_the_next_steps_the_others() -> None:
    desk, most = Desk(), 10
    teams = [f"W{number}" for number in range(3 * most)]
    for team in teams:
        desk.scheduler.add_workspace(team, desk.now - 86_400)
        desk.scheduler.put(team, [desk.row()], desk.now)
    desk.scheduler.put(TEAM, [desk.row(lane) for lane in range(1, 3 * most)], desk.now)
    desk.scheduler.pause(TEAM, desk.now + 60)

    begun: list[str] = []
    for _ in range(len(teams)):
        works = desk.scheduler.step(desk.now, most)
        assert len(works) <= most
        begun += [work.team_id for work in works]
        if len(begun) < len(teams):
            assert (desk.scheduler.next_at() or 0.0) <= desk.now
    assert sorted(begun) == sorted(teams)


def test_lanes_that_are_due_together_all_begin() -> None:
    desk, lanes = Desk(), range(1, 1_001)
    for lane in lanes:
        desk.scheduler.put_first(TEAM, desk.row(lane), NOW + 1, NOW, in_doubt=False)
    desk.now += 2

    begun: set[int] = set()
    while (due := desk.scheduler.next_at()) is not None and due <= desk.now:
        begun |= {work.lane_id for work in desk.scheduler.step(desk.now)}
    assert begun == set(lanes)


# Cost.


def lines_run(work: Callable[[], object]) -> int:
    """Return how many lines of Python some work runs: the same number on every machine."""
    count, before = 0, sys.gettrace()

    def trace(_frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("is_one_lane", [True, False], ids=["one lane", "a lane for each"])
@pytest.mark.parametrize("end", ["sent", "refused", "removed"])
def test_work_does_not_grow_with_the_number_of_sources(end: str, is_one_lane: bool) -> None:
    def lines_of(sources: int) -> int:
        desk = Desk(limits(lane=RateLimit(1.0), in_flight=1, page=4))

        def row(number: int) -> QueuedDelivery:
            return desk.row(1 if is_one_lane else number, source=f"source {number}")

        rows = [row(number) for number in range(1, sources + 1)]
        desk.put(*rows)

        def deliver() -> None:
            for number in range(1, 31):
                if end == "removed":
                    desk.scheduler.remove(TEAM, rows[-number], desk.now)
                else:
                    desk.finish(*desk.step(1), attempted=end == "sent")
                desk.put(row(number))
                desk.now += 1

        return lines_run(deliver)

    assert lines_of(3_000) < 2 * lines_of(30)


def test_a_source_among_many_in_a_channel_gets_its_turn_in_a_busy_workspace() -> None:
    desk, sources = Desk(limits(in_flight=1)), 40
    # Each of many sources has a backlog in other channels, where its older rows go first.
    others = [
        desk.row(1 + number % 50, source=f"source {number % sources}", waited=3_600)
        for number in range(sources * 100)
    ]
    crowd = [desk.row(1_000, source=f"source {number}", waited=600) for number in range(sources)]
    desk.put(*others, *crowd)
    for _ in range(sources):
        desk.finish(desk.only())
    quiet = desk.row(1_000, source="quiet", waited=600)
    desk.put(quiet)

    begun = []
    for _ in range(3 * sources):
        work = desk.only()
        begun.append(work.delivery_id)
        desk.finish(work)
    assert quiet.id in begun


def test_a_level_is_reached_while_others_of_the_same_lane_wait() -> None:
    desk = Desk(limits(lane=RateLimit(1.0), in_flight=1))
    warnings = [desk.row(source=f"source {number % 30}", rank=-1) for number in range(90)]
    info = desk.row(source="patient", rank=0)
    desk.put(info, *warnings)

    order = []
    for _ in range(91):
        order += desk.drain()
        desk.now += 10
    # After four minutes it is at the rank at which sources take turns, whatever their severity.
    assert order.index(info.id) == 30
