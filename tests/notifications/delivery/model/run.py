"""A run of the model: operations on two owners and their world, and the guarantees to check."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterable

from tests.notifications.delivery.model.owner import (
    DEADLINE_SECONDS,
    IDLE_SESSION_SECONDS,
    LIMITS,
    TAKEOVER_SECONDS,
    Owner,
    World,
)
from tests.notifications.delivery.model.slack import LATEST_ARRIVAL_SECONDS, Fate, Slack
from tests.notifications.delivery.model.store import SECOND_LOOK_SECONDS, Commit, Row, Store

TEAMS = ("T1", "T2")
_WINDOW_SECONDS = 10.0
_LONGEST_STEP_SECONDS = 5.0


class Run:
    """Two owners, two workspaces, a few lanes. Requests without a planned fate succeed."""

    def __init__(self) -> None:
        self.world = World(Store(TEAMS), Slack())
        self.owners = [Owner(self.world, number) for number in range(2)]
        self._takeovers = [0.0]
        self._jumps = [0.0]

    # Operations.

    def accept(self, team: str, lane: int, source: str, rank: int, key: str | None) -> None:
        """Accept a delivery; keys belong to their source."""
        scoped = None if key is None else f"{key}:{source}"
        self.world.store.accept(team, lane, source, rank, scoped, self.world.wall)

    def cancel(self, number: int) -> None:
        """Cancel one of the waiting deliveries."""
        waiting = [row for row in self._open_rows() if row.state == "waiting"]
        if waiting:
            row = waiting[number % len(waiting)]
            self.world.store.cancel(self.world.store.queues[row.team].rows[row.id])

    def plan_commit(self, fate: Commit) -> None:
        """Plan the fate of the next transaction."""
        self.world.store.fates.append(fate)

    def plan_request(self, fate: Fate) -> None:
        """Plan the fate of the next request to Slack."""
        self.world.slack.fates.append(fate)

    def step(self, number: int, times: int = 1) -> None:
        """Run the next steps of an owner."""
        for _ in range(times):
            self.owners[number].run()
        self.check_limits()

    def freeze(self, number: int) -> None:
        """Suspend an owner; later the server ends its session."""
        self.owners[number].is_frozen = True

    def thaw(self, number: int) -> None:
        """Resume an owner."""
        self.owners[number].is_frozen = False

    def suspend(self, number: int, seconds: float) -> None:
        """Suspend an owner while the other one works."""
        self.freeze(number)
        until = self.world.now + seconds
        while self.world.now < until:
            self.owners[1 - number].run()
            self.advance(1.0)
        self.thaw(number)
        self.step(number)

    def kill(self, number: int) -> None:
        """Kill an owner; a new process replaces it."""
        self._takeovers.append(self.world.now)
        self.owners[number].kill()

    def hand_over(self, number: int, team: str) -> None:
        """Let an owner release a workspace, and another acquire it, if there is one."""
        self._takeovers.append(self.world.now)
        self.owners[number].release(team)
        self.owners[1 - number].run()

    def jump(self, seconds: float) -> None:
        """Set the wall clock."""
        self._jumps.append(self.world.now)
        self.world.wall_offset += seconds

    def advance(self, seconds: float) -> None:
        """Let time pass; requests arrive, and the server ends idle sessions."""
        self.world.now += seconds
        self.world.slack.receive(self.world.now)
        for owner in self.owners:
            if self.world.now - owner.pinged_at >= IDLE_SESSION_SECONDS:
                self._takeovers.append(self.world.now)
                owner.lose_session()

    # Guarantees.

    def check_limits(self) -> None:
        """Check the limits of lanes, workspaces and concurrent requests."""
        for owner in self.owners:
            assert owner.most_in_flight() <= LIMITS.in_flight
        sent = sorted(
            ((at, team, lane) for owner in self.owners for team, lane, at in owner.sent),
        )
        for team in TEAMS:
            self._check_workspace([at for at, there, _ in sent if there == team])
        by_lane = defaultdict(list)
        for at, team, lane in sent:
            by_lane[team, lane].append(at)
        for times in by_lane.values():
            self._check_lane(times)
        for owner in self.owners:
            del owner.sent[: -2 * int(_WINDOW_SECONDS / LIMITS.workspace.interval)]

    def _check_workspace(self, times: list[float]) -> None:
        start = self.world.now - _WINDOW_SECONDS
        number = sum(at > start for at in times)
        # They are in order of time.
        takeovers = len(self._takeovers)
        takeovers -= bisect_right(self._takeovers, start - IDLE_SESSION_SECONDS)
        # Requests that were begun before and sent late, in each term.
        late = LIMITS.in_flight * (2 + takeovers) + takeovers
        most = LIMITS.workspace.burst + _WINDOW_SECONDS / LIMITS.workspace.interval + late
        assert number <= most, f"{number} requests in {_WINDOW_SECONDS} s"

    def _check_lane(self, times: list[float]) -> None:
        for earlier, later in itertools.pairwise(times):
            if later - earlier >= LIMITS.lane.interval - 1e-6:
                continue
            # The stored time of the last attempt is of another clock after a jump.
            is_jump_between = any(earlier <= at <= later for at in self._jumps)
            assert is_jump_between, f"{later - earlier} s apart"

    def drain(self) -> None:
        """Let everything work, and check that all is delivered in bounded time."""
        self.world.store.fates.clear()
        self.world.slack.fates.clear()
        for number in range(2):
            self.thaw(number)
        self._deliver()
        self._settle()

    def _deliver(self) -> None:
        rows = [row for row in self._open_rows() if row.state in ("waiting", "sending")]
        lanes: dict[Hashable, int] = defaultdict(int)
        for row in rows:
            lanes[row.team, row.lane] += 1
        longest = max(lanes.values(), default=0)
        busy = longest * 2 * LIMITS.lane.interval + len(rows) * LIMITS.workspace.interval
        # One after another: session ends, takeover, an attempt without answer, its look, a pause.
        bound = IDLE_SESSION_SECONDS + 2 * TAKEOVER_SECONDS + 2 * DEADLINE_SECONDS + busy
        until = self.world.now + bound
        while self._has_open("waiting", "sending"):
            assert self.world.now <= until, "stuck: " + repr(self._open_rows()[:3])
            self._go_on()

    def _settle(self) -> None:
        """Let late requests arrive and the second looks after them end."""
        until = self.world.now + LATEST_ARRIVAL_SECONDS
        until += 3 * SECOND_LOOK_SECONDS + len(self._open_rows())
        while self._open_rows() or self.world.slack.next_arrival is not None:
            assert self.world.now <= until, "second looks do not end"
            self._go_on()

    def _go_on(self) -> None:
        for owner in self.owners:
            owner.run()
        self.check_limits()
        times = [owner.next_at() for owner in self.owners]
        if self.world.slack.next_arrival is not None:
            times.append(self.world.slack.next_arrival)
        wait = min(times) - self.world.now
        self.advance(min(max(wait, 0.01), _LONGEST_STEP_SECONDS))

    def check_deliveries(self) -> None:
        """Check after `drain`: each once, in order per address and source, and per key."""
        by_address: dict[Hashable, list[Row]] = defaultdict(list)
        by_key: dict[Hashable, list[Row]] = defaultdict(list)
        rows = self.world.store.rows()
        deferred = {(row.team, row.lane, row.key) for row in rows if row.was_deferred}
        for row in self.world.store.rows():
            found = self.world.slack.find(row.id)
            if row.state == "sent":
                assert found == [row.ts], f"{row} has messages {found}"
            else:
                assert not found, f"{row} has messages {found}"
            if row.state == "digested":
                self._check_absorbed(row)
            if row.state == "sent" and not row.is_found_late:
                if not row.has_inherited and (row.team, row.lane, row.key) not in deferred:
                    by_address[row.team, row.written, row.source, row.rank].append(row)
                if row.key is not None:
                    by_key[row.team, row.written, row.key].append(row)
        _check_order(by_address.values())
        _check_order(by_key.values())

    def _check_absorbed(self, row: Row) -> None:
        later = (
            other
            for other in self.world.store.queues[row.team].rows.values()
            if other.id > row.id and (other.lane, other.key) == (row.lane, row.key)
        )
        assert any(other.rank < row.rank for other in later), f"{row} was absorbed by nothing"

    def _open_rows(self) -> list[Row]:
        return [row for team in TEAMS for row in self.world.store.present_rows(team)]

    def _has_open(self, *states: str) -> bool:
        return any(row.state in states for row in self._open_rows())


def _check_order(groups: Iterable[list[Row]]) -> None:
    for rows in groups:
        rows.sort(key=lambda row: row.id)
        for earlier, later in itertools.pairwise(rows):
            assert earlier.ts is not None
            assert later.ts is not None
            assert earlier.ts < later.ts, f"{later} overtook {earlier}"
