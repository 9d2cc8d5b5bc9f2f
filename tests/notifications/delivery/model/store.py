"""The database of the model: rows, fencing tokens, the change feed, session locks."""

from __future__ import annotations

import itertools
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from bolt_app.notifications.queue.rank import urgency_of

NAME_LANE = 9
NAMED_LANE = 1
SECOND_LOOK_SECONDS = 75.0
MOST_INHERITING = 3


class Commit(Enum):
    """The fate of a transaction. Its caller cannot tell the last two apart."""

    DONE = "done"
    ABORTED = "aborted"
    ANSWER_LOST = "answer_lost"


class NotOwnerError(Exception):
    """The fencing token belongs to another owner."""


class UnknownCommitError(Exception):
    """A commit was not confirmed."""


@dataclass
class Row:
    """A delivery. `written` is the lane that its sender named."""

    id: int
    team: str
    written: int
    lane: int
    source: str
    rank: int
    urgency: float
    key: str | None
    is_update: bool
    seq: int
    state: str = "waiting"
    attempt: int = 0
    retry_at: float | None = None
    ts: int | None = None
    second_look_at: float | None = None
    is_found_late: bool = False
    has_inherited: bool = False
    was_deferred: bool = False

    def copy(self) -> Row:
        """Return a copy, which takes a tenth of the time of `dataclasses.replace`."""
        copied = object.__new__(Row)
        copied.__dict__.update(self.__dict__)
        return copied


@dataclass
class Queue:
    """The row of a workspace."""

    seq: int = 0
    token: int = 0
    lock: int | None = None
    last_eligible: float = -1e9
    paused_until: float = -1e9
    is_name_known: bool = False
    rows: dict[int, Row] = field(default_factory=dict)
    open_ids: set[int] = field(default_factory=set)
    attempted_at: dict[int, float] = field(default_factory=dict)
    log: list[tuple[int, int]] = field(default_factory=list)


class Store:
    """The database, whose times are by the wall clock."""

    def __init__(self, teams: Iterable[str]) -> None:
        self.queues = {team: Queue() for team in teams}
        self.fates: list[Commit] = []
        self._ids = itertools.count(1)
        self._tokens = itertools.count(1)

    def rows(self) -> Iterator[Row]:
        """Yield all rows."""
        for queue in self.queues.values():
            yield from queue.rows.values()

    # Senders.

    def accept(
        self, team: str, lane: int, source: str, rank: int, key: str | None, wall: float
    ) -> Row:
        """Accept a delivery."""
        queue = self.queues[team]
        queue.seq += 1
        # The wall clock may have been set back.
        queue.last_eligible = max(queue.last_eligible, wall)
        there = NAMED_LANE if lane == NAME_LANE and queue.is_name_known else lane
        is_update = key is not None and key.startswith("update")
        urgency = urgency_of(rank, queue.last_eligible)
        row = Row(
            next(self._ids), team, lane, there, source, rank, urgency, key, is_update, queue.seq
        )
        queue.rows[row.id] = row
        self._log(row)
        return row

    def cancel(self, row: Row) -> None:
        """Cancel a waiting delivery."""
        if row.state == "waiting":
            self._stamp(row)
            row.state = "cancelled"

    # Owners.

    def lock(self, team: str, session: int) -> int | None:
        """Take the session lock of a workspace; return the new token, or None if it is held."""
        queue = self.queues[team]
        if queue.lock is not None:
            return None
        queue.lock = session
        queue.token = next(self._tokens)
        return queue.token

    def holds(self, team: str, session: int) -> bool:
        """Return whether a session holds the lock."""
        return self.queues[team].lock == session

    def end_session(self, session: int) -> None:
        """Release the locks of a session."""
        for queue in self.queues.values():
            if queue.lock == session:
                queue.lock = None

    def begin(
        self,
        delivery_id: int,
        team: str,
        lane: int,
        token: int,
        absorbed: tuple[int, ...],
        wall: float,
    ) -> int | list[Row] | None:
        """Begin an attempt; return its number, or None if the row does not wait in that lane.

        If earlier rows with its key wait in the lane, some of them inherit its urgency instead, and
        are returned with the row.

        A row that is `sending` can be begun again: its owner does so after a begin whose commit was
        not answered, and after a look.

        Raises:
            NotOwnerError: another owner has the workspace.
            UnknownCommitError: nobody knows whether it was committed.
        """
        row = self.queues[team].rows[delivery_id]
        self._compare(team, token)
        if row.state not in ("waiting", "sending") or row.lane != lane:
            return None
        earlier = self._earlier_of_key(row, absorbed)[:MOST_INHERITING]
        with _Transaction(self.fates):
            for other in earlier:
                if other.urgency > row.urgency:
                    other.urgency, other.has_inherited = row.urgency, True
            if earlier:
                return [one.copy() for one in (*earlier, row)]
            for id_ in absorbed:
                self._absorb(team, id_)
            row.attempt += 1
            row.state, row.retry_at = "sending", None
            self.queues[team].attempted_at[lane] = wall
            if row.attempt > 1:
                row.second_look_at = wall + SECOND_LOOK_SECONDS
        return row.attempt

    def finish(
        self,
        delivery_id: int,
        team: str,
        attempt: int,
        state: str,
        *,
        token: int,
        wall: float,
        ts: int | None = None,
        retry_at: float | None = None,
        pause: float | None = None,
    ) -> bool:
        """Write the result of an attempt; anyone may. Return False if another attempt was begun."""
        queue = self.queues[team]
        row = queue.rows[delivery_id]
        if row.state != "sending" or row.attempt != attempt:
            if ts is not None and row.ts != ts:
                # The owner removes the message that is too many.
                row.second_look_at = wall + SECOND_LOOK_SECONDS
                self._stamp(row)
            return row.state == state and row.attempt == attempt
        with _Transaction(self.fates):
            if token != queue.token:
                self._stamp(row)
            row.state, row.ts, row.retry_at = state, ts, retry_at
            queue.attempted_at[row.lane] = wall
            if pause is not None:
                queue.paused_until = max(queue.paused_until, pause)
        return True

    def resolve(self, team: str, token: int) -> None:
        """Move the rows of the name to its lane.

        Raises:
            NotOwnerError: another owner has the workspace.
            UnknownCommitError: nobody knows whether it was committed.
        """
        self._compare(team, token)
        with _Transaction(self.fates):
            queue = self.queues[team]
            queue.is_name_known = True
            for row in self.present_rows(team):
                if row.lane == NAME_LANE:
                    self._stamp(row)
                    row.lane = NAMED_LANE

    def end_second_look(self, row: Row, planned: float) -> None:
        """Record a finished second look, unless a later one was planned meanwhile."""
        if row.second_look_at == planned:
            row.second_look_at = None

    def changed_since(self, team: str, seq: int) -> list[Row]:
        """Return copies of the rows that others changed."""
        queue = self.queues[team]
        ids = {id_ for _, id_ in queue.log[bisect_right(queue.log, (seq, sys.maxsize)) :]}
        changed = sorted((queue.rows[id_] for id_ in ids), key=lambda row: (row.seq, row.id))
        return [row.copy() for row in changed]

    def page(self, team: str, lane: int, source: str, most: int) -> tuple[list[Row], bool]:
        """Return the first waiting rows of a source in a lane, and whether there are more."""
        rows = [
            row
            for row in self.present_rows(team)
            if (row.lane, row.source, row.state) == (lane, source, "waiting")
            and row.retry_at is None
        ]
        rows.sort(key=lambda row: (row.urgency, row.id))
        return [row.copy() for row in rows[:most]], len(rows) > most

    def pages(self, team: str) -> list[tuple[int, str]]:
        """Return the lanes and sources that have waiting rows, the most urgent first."""
        waiting = sorted(
            (row for row in self.present_rows(team) if row.state == "waiting"),
            key=lambda row: (row.urgency, row.id),
        )
        return list(dict.fromkeys((row.lane, row.source) for row in waiting))

    def open_rows(self, team: str) -> list[Row]:
        """Return copies of the rows that have not ended."""
        return [row.copy() for row in self.present_rows(team)]

    def present_rows(self, team: str) -> list[Row]:
        """Return the rows that have not ended, for those who only look at them."""
        queue = self.queues[team]
        ended = {id_ for id_ in queue.open_ids if not _is_open(queue.rows[id_])}
        queue.open_ids -= ended
        return [queue.rows[id_] for id_ in sorted(queue.open_ids)]

    def _earlier_of_key(self, row: Row, absorbed: tuple[int, ...]) -> list[Row]:
        if row.key is None or row.state != "waiting" or row.retry_at is not None:
            return []
        return [
            other
            for other in self.present_rows(row.team)
            if (other.lane, other.key, other.state) == (row.lane, row.key, "waiting")
            and other.id < row.id
            and other.id not in absorbed
        ]

    def _absorb(self, team: str, delivery_id: int) -> None:
        row = self.queues[team].rows[delivery_id]
        if row.state == "waiting":
            row.state = "digested"

    def _compare(self, team: str, token: int) -> None:
        if self.queues[team].token != token:
            raise NotOwnerError

    def _stamp(self, row: Row) -> None:
        self.queues[row.team].seq += 1
        self._log(row)

    def _log(self, row: Row) -> None:
        queue = self.queues[row.team]
        row.seq = queue.seq
        queue.log.append((row.seq, row.id))
        queue.open_ids.add(row.id)


def _is_open(row: Row) -> bool:
    return row.state in ("waiting", "sending") or row.second_look_at is not None


class _Transaction:
    """Takes the next planned fate: the body runs unless it is to be aborted."""

    def __init__(self, fates: list[Commit]) -> None:
        self._fate = fates.pop(0) if fates else Commit.DONE

    def __enter__(self) -> None:
        if self._fate is Commit.ABORTED:
            raise UnknownCommitError

    def __exit__(self, *error: object) -> None:
        if self._fate is Commit.ANSWER_LOST:
            raise UnknownCommitError
