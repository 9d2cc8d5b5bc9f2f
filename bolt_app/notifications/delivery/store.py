"""The store: an owner's reads of its workspaces, and writes of its attempts.

The rows are the truth. A begin is conditional on the row's state and lane and on the fencing token
of the shard; a finish, on the number of the attempt. Rows that another transaction has locked are
skipped and reported, so that no workspace waits for another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, func, select, update

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import DELETED_ADDRESS, OPEN_STATES, Delivery, WorkspaceQueue
from bolt_app.delays import Delays
from bolt_app.notifications.content.modes import DeliveryMode
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.delivery.attempts import ATTEMPT_ROWS, Attempt, attempt_of, has_expired
from bolt_app.notifications.delivery.outcomes import Outcome
from bolt_app.notifications.delivery.replaced_messages import Replacement, replace_message
from bolt_app.notifications.delivery.statements import (
    ABSORB,
    ATTEMPTED,
    BATCH,
    BEGIN,
    BY_ID,
    CHANGES,
    DELETION,
    EARLIER_OF_KEY,
    EXPIRE,
    EXPIRE_IN_DOUBT,
    FENCED,
    FINISH,
    GIVE_UP,
    IN_DOUBT,
    INHERIT,
    NUMBER,
    PAGE,
    QUEUES,
    RECENT,
    RETRIED,
    SECOND_LOOKS,
    STATES,
    SUMS,
    TO_BEGIN,
    TO_FINISH,
    URGENT,
)
from bolt_app.notifications.delivery.work import WantedPage, Work
from bolt_app.notifications.queue.change_feed import begin_change
from bolt_app.notifications.queue.shards import OwnedShard
from bolt_app.slack_api import AMBIGUOUS_CODES
from bolt_app.slack_ids import NOBODY

RETRY_FOR = timedelta(days=1)
SECOND_LOOK = timedelta(seconds=Delays().second_look)
# The most stored content of concurrent attempts, besides small contents.
MOST_BYTES = 4 * 1024 * 1024
# Contents of so many bytes begin in any case: few large ones that wait for Slack stop no others.
SMALL_BYTES = 16 * 1024
# Earlier deliveries of a key that inherit the urgency of a later one at once.
MOST_INHERITING = 20
# States of a delivery whose message is found later.
_MAY_BE_FOUND = (
    DeliveryState.DEAD,
    DeliveryState.UNKNOWN,
    DeliveryState.CANCELLED,
    DeliveryState.EXPIRED,
)
_MAX_ID = 2**62


@dataclass(frozen=True)
class Begin:
    """Work to begin, and the shard whose token fences it."""

    work: Work
    shard: OwnedShard


@dataclass(frozen=True)
class Finish:
    """An attempt, its outcome, and the time of the outcome.

    Attributes:
        shard: whose token fenced the begin.
        second_look_at: when to look for duplicates, after a repeated attempt.
    """

    work: Work
    shard: OwnedShard
    attempt: Attempt
    outcome: Outcome
    at: datetime
    second_look_at: datetime | None = None


@dataclass(frozen=True)
class Committed:
    """The result of a transaction.

    Attributes:
        finished: the outcomes, as they were written.
        stale: outcomes of attempts that are no longer the latest.
        locked_finishes, locked_begins: to be retried, because another transaction locks the row.
        begun: the attempts to make now.
        refused: work whose row no longer waits in that lane.
        preceded: work before which earlier deliveries with its key go, and the rows of both.
    """

    finished: Sequence[Finish] = ()
    stale: Sequence[Finish] = ()
    locked_finishes: Sequence[Finish] = ()
    begun: Sequence[tuple[Begin, Attempt]] = ()
    refused: Sequence[Begin] = ()
    preceded: Sequence[tuple[Begin, Sequence[Any]]] = ()
    locked_begins: Sequence[Begin] = ()


@dataclass(frozen=True)
class SecondLook:
    """The result of a second look.

    Attributes:
        again_at: when to look again, after a failed call.
        refused: Slack's code, if it refused to delete a duplicate.
        known: the outcome of a message that was found.
    """

    delivery_id: int
    again_at: datetime | None = None
    refused: str | None = None
    known: Outcome | None = None


@dataclass(frozen=True)
class Feed:
    """The changes of a workspace after a number.

    Attributes:
        seq: the number of the latest included change.
        rows: the open deliveries that changed.
    """

    team_id: str
    seq: int
    pause_reason: str | None
    rows: Sequence[Any]


@dataclass(frozen=True)
class Snapshot:
    """The state of a workspace that a new owner starts with."""

    queue: Any
    in_doubt: Sequence[Any]
    retried: Sequence[Any]
    second_looks: Sequence[Any]
    recent: Mapping[int, datetime]
    urgent: Sequence[Any]


class Store:
    """Reads and writes deliveries for the owner of their workspaces."""

    def __init__(
        self,
        database: Database,
        *,
        retry_for: timedelta = RETRY_FOR,
        second_look: timedelta = SECOND_LOOK,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._retry_for = retry_for
        self._second_look = second_look
        self._clock = clock

    # Reading.

    def queues(self, shards: Collection[int]) -> Sequence[Any]:
        """Return the queues of shards, each with whether it has work."""
        with self._database.reading_connection() as connection:
            return connection.execute(QUEUES, {"shards": list(shards)}).all()

    def sums(self, shards: Collection[int]) -> dict[int, int]:
        """Return the sum of the latest change numbers by shard, which grows with every change."""
        with self._database.reading_connection() as connection:
            rows = connection.execute(SUMS, {"shards": list(shards)})
            return {shard: int(number) for shard, number in rows}

    def snapshot(self, team_id: str, since: datetime) -> Snapshot | None:
        """Return the state of a workspace; its change number is read first, so none is missed.

        Args:
            since: lanes with an attempt after this moment are included in `recent`.
        """
        team = {"team_id": team_id}
        queue = QUEUES.where(WorkspaceQueue.team_id == team_id)
        with self._database.reading_connection() as connection:
            shards = select(WorkspaceQueue.shard).where(WorkspaceQueue.team_id == team_id)
            found = connection.execute(queue, {"shards": connection.scalars(shards).all()}).first()
            if found is None:
                return None
            recent = connection.execute(RECENT, {**team, "since": since})
            return Snapshot(
                found,
                connection.execute(IN_DOUBT, team).all(),
                connection.execute(RETRIED, team).all(),
                connection.execute(SECOND_LOOKS, team).all(),
                {id_: at for id_, at in recent if at is not None},
                self._urgent(connection, team_id, None),
            )

    def more_urgent(self, team_id: str, last: Any) -> Sequence[Any]:
        """Return the next waiting rows of a workspace, after the last row of an earlier call."""
        with self._database.reading_connection() as connection:
            return self._urgent(connection, team_id, last)

    def pages(self, wanted: Iterable[WantedPage], most: int) -> list[Sequence[Any]]:
        """Return the first waiting rows of sources in lanes."""
        with self._database.reading_connection() as connection:
            return [
                connection.execute(
                    PAGE, {"lane_id": page.lane_id, "source": page.source, "most": most}
                ).all()
                for page in wanted
            ]

    def changes(self, known: Mapping[str, int]) -> list[Feed]:
        """Return the changes in workspaces after the known change numbers."""
        with self._database.reading_connection() as connection:
            feeds = (_feed(connection, team_id, known[team_id]) for team_id in sorted(known))
            return [feed for feed in feeds if feed is not None]

    def rows(self, delivery_ids: Collection[int]) -> Sequence[Any]:
        """Return the rows of deliveries, as in the change feed."""
        with self._database.reading_connection() as connection:
            return connection.execute(BY_ID, {"ids": list(delivery_ids)}).all()

    def latest_attempt(self, delivery_id: int, state: str) -> tuple[Any, Attempt] | None:
        """Return a delivery's row and latest attempt, or None if its state is not `state`."""
        with self._database.reading_connection() as connection:
            is_in_state = (Delivery.id == delivery_id, Delivery.state == state)
            return self._latest(connection, ATTEMPT_ROWS.where(*is_in_state))

    def _latest(self, connection: Connection, statement: Any) -> tuple[Any, Attempt] | None:
        row = connection.execute(statement).first()
        if row is None:
            return None
        attempt = attempt_of(connection, row, self._clock())
        return row, replace(attempt, number=row.attempts, attempt_number=row.attempt_number)

    # Writing.

    def commit(
        self, finishes: Sequence[Finish], begins: Sequence[Begin], room: int = MOST_BYTES
    ) -> Committed:
        """Write outcomes and begin attempts in one transaction.

        Outcomes come first: an attempt may reply to a message whose outcome is among them.

        Args:
            room: bytes of content that may begin; begins of large contents beyond are reported as
                locked.
        """
        now = self._clock()
        with self._database.writing_connection() as connection:
            finished = self._finish(connection, finishes)
            begun = self._begin(connection, begins, room, now) if begins else Committed()
        return replace(
            begun,
            finished=finished.finished,
            stale=finished.stale,
            locked_finishes=finished.locked_finishes,
        )

    def finish_for_others(self, finishes: Sequence[Finish], _begins: Sequence[Begin]) -> Committed:
        """Write outcomes in workspaces of other owners, who see them in the change feed."""
        teams = {finish.attempt.team_id for finish in finishes}
        with self._database.writing_connection() as connection:
            numbers = begin_change(connection, teams)
            committed = self._finish(connection, finishes)
            for finish in committed.finished:
                changed = {"new_seq": numbers[finish.attempt.team_id]}
                connection.execute(NUMBER, changed | {"delivery_id": finish.attempt.delivery_id})
        return committed

    def ended_attempt(self, delivery_id: int) -> tuple[Any, Attempt] | None:
        """Return row and latest attempt of an ended delivery with a second look, or None."""
        with self._database.reading_connection() as connection:
            ended = (Delivery.second_look_at.is_not(None), Delivery.state.not_in(OPEN_STATES))
            return self._latest(connection, ATTEMPT_ROWS.where(Delivery.id == delivery_id, *ended))

    def is_deleted(self, lane_id: int, key: str | None) -> bool:
        """Return whether the sender of the message of a key deletes it."""
        values = {"lane_id": lane_id, "key": key}
        with self._database.reading_connection() as connection:
            return connection.scalar(DELETION, values) is not None

    def end_second_look(self, look: SecondLook) -> None:
        """Store the result of a second look."""
        delivery = update(Delivery).where(Delivery.id == look.delivery_id)
        with self._database.writing_connection() as connection:
            connection.execute(delivery.values(second_look_at=look.again_at))
            if look.refused is not None:
                connection.execute(delivery.values(error=look.refused))
            if look.known is not None:
                sent: dict[str, Any] = {"channel_id": look.known.channel_id, "ts": look.known.ts}
                # Not if its person was erased during the look.
                ended = and_(Delivery.state.in_(_MAY_BE_FOUND), Delivery.target != DELETED_ADDRESS)
                sent |= {"state": DeliveryState.SENT, "error": None}
                sent["recipient_id"] = func.coalesce(Delivery.recipient_id, look.known.recipient_id)
                connection.execute(delivery.where(ended).values(sent))

    def pause(self, team_id: str, until: datetime, reason: str | None) -> int | None:
        """Store the pause of a workspace, for its next owner.

        Args:
            reason: Slack's code, if the installation is dead.

        Returns: the number of the latest change.
        """
        queue = update(WorkspaceQueue).where(WorkspaceQueue.team_id == team_id)
        values = {
            "paused_until": until,
            "pause_reason": func.coalesce(reason, WorkspaceQueue.pause_reason),
        }
        with self._database.writing_connection() as connection:
            return connection.scalar(queue.values(values).returning(WorkspaceQueue.seq))

    def _urgent(self, connection: Connection, team_id: str, last: Any) -> Sequence[Any]:
        after = (-_MAX_ID, 0) if last is None else (last.urgency, last.id)
        values = {"team_id": team_id, "after_urgency": after[0], "after_id": after[1]}
        return connection.execute(URGENT, values).all()

    def _finish(self, connection: Connection, finishes: Sequence[Finish]) -> Committed:
        if not finishes:
            return Committed()
        ids = {"ids": [finish.attempt.delivery_id for finish in finishes]}
        numbers = {row.id: row.attempt_number for row in connection.execute(TO_FINISH, ids)}
        missing = [finish for finish in finishes if finish.attempt.delivery_id not in numbers]
        locked = _still_sending(connection, missing) if missing else []
        current = [
            finish
            for finish in finishes
            if numbers.get(finish.attempt.delivery_id) == finish.attempt.attempt_number
        ]
        finished = [self._ended_if_overdue(connection, finish) for finish in current]
        if finished:
            FINISH.execute(connection, [_finished(finish) for finish in finished])
            for finish in finished:
                _replace_message(connection, finish)
            # Of two outcomes in one lane the last one counts.
            ATTEMPTED.execute(connection, list(_attempted(finished).values()))
        kept = {id(finish) for finish in (*current, *locked)}
        stale = [finish for finish in finishes if id(finish) not in kept]
        return Committed(finished, stale, locked)

    def _ended_if_overdue(self, connection: Connection, finish: Finish) -> Finish:
        """Return the outcome, changed to a final one if its lane has failed for `retry_for`.

        Deliveries that have waited in the lane for as long are ended too, at once or, if one
        content may cause the error, after the first attempt of each that fails.
        """
        cutoff = finish.at - self._retry_for
        failing_since = finish.attempt.failing_since
        if finish.outcome.is_final or not finish.outcome.is_failure:
            return finish
        if failing_since is None or failing_since > cutoff:
            return finish
        lane_id = finish.attempt.lane_id
        # One content may cause these errors: others are attempted.
        if finish.outcome.error not in AMBIGUOUS_CODES:
            self._give_up(connection, lane_id, finish.outcome.error, cutoff, finish.at)
        if finish.attempt.send_at > cutoff:
            return finish
        is_waiting = finish.outcome.state == DeliveryState.WAITING
        state = DeliveryState.DEAD if is_waiting else DeliveryState.UNKNOWN
        return replace(finish, outcome=replace(finish.outcome, state=state))

    def _give_up(
        self,
        connection: Connection,
        lane_id: int,
        error: str | None,
        cutoff: datetime,
        now: datetime,
    ) -> None:
        values = {"failing_lane_id": lane_id, "new_error": error, "cutoff": cutoff, "now": now}
        connection.execute(GIVE_UP, values)

    def _begin(
        self, connection: Connection, begins: Sequence[Begin], room: int, now: datetime
    ) -> Committed:
        given = {"ids": [begin.work.delivery_id for begin in begins]}
        fenced = {row.id: row for row in connection.execute(FENCED, given)}
        owned, waiting, missing = [], [], []
        for begin in begins:
            row = fenced.get(begin.work.delivery_id)
            if row is None:
                missing.append(begin)
            elif (row.number, row.token) != (begin.shard.number, begin.shard.token):
                waiting.append(begin)
            # In memory a content takes many times its stored size.
            elif row.size <= max(room, SMALL_BYTES) or room >= MOST_BYTES:
                owned.append(begin)
                room -= row.size
            else:
                waiting.append(begin)
        ids = [begin.work.delivery_id for begin in owned]
        rows = {row.id: row for row in connection.execute(TO_BEGIN, {"ids": ids})} if ids else {}
        expired = [row for row in rows.values() if has_expired(row, now)]
        _expire(connection, expired, now, now + self._second_look)
        begun, preceded = [], []
        for begin in owned:
            row = rows.get(begin.work.delivery_id)
            if row is None or row.lane_id != begin.work.lane_id or has_expired(row, now):
                missing.append(begin)
            elif earlier := _earlier_of_key(connection, begin, row):
                if inherited := _inherit(connection, earlier, row):
                    preceded.append((begin, inherited))
                else:
                    waiting.append(begin)
            else:
                attempt = attempt_of(connection, row, now)
                begun.append((begin, replace(attempt, size=fenced[row.id].size)))
        if begun:
            _write_begun(connection, begun, now)
        locked = _still_waiting(connection, missing) if missing else []
        kept = {id(begin) for begin in locked}
        refused = [begin for begin in missing if id(begin) not in kept]
        return Committed(
            begun=begun,
            refused=refused,
            preceded=preceded,
            locked_begins=[*locked, *waiting],
        )


def _feed(connection: Connection, team_id: str, known: int) -> Feed | None:
    rows: list[Any] = []
    after = (known, _MAX_ID)
    while True:
        values = {"team_id": team_id, "after_seq": after[0], "after_id": after[1]}
        found = connection.execute(CHANGES, values).all()
        if not found:
            return None
        rows += [row for row in found if row.id is not None]
        if len(found) < BATCH:
            seq = max(found[0].latest, rows[-1].seq if rows else 0)
            return Feed(team_id, seq, found[0].pause_reason, rows)
        after = (found[-1].seq, found[-1].id)


def _still_sending(connection: Connection, missing: Sequence[Finish]) -> list[Finish]:
    """Return the outcomes whose row was skipped because another transaction locks it."""
    ids = {"ids": [finish.attempt.delivery_id for finish in missing]}
    rows = {row.id: row for row in connection.execute(STATES, ids)}
    return [
        finish
        for finish in missing
        if (row := rows.get(finish.attempt.delivery_id)) is not None
        and (row.state, row.attempt_number)
        == (DeliveryState.SENDING, finish.attempt.attempt_number)
    ]


def _still_waiting(connection: Connection, missing: Sequence[Begin]) -> list[Begin]:
    ids = {"ids": [begin.work.delivery_id for begin in missing]}
    rows = {row.id: row for row in connection.execute(STATES, ids)}
    return [
        begin
        for begin in missing
        if (row := rows.get(begin.work.delivery_id)) is not None
        and row.state in (DeliveryState.WAITING, DeliveryState.SENDING)
        and row.lane_id == begin.work.lane_id
    ]


def _write_begun(
    connection: Connection, begun: Sequence[tuple[Begin, Attempt]], now: datetime
) -> None:
    BEGIN.execute(
        connection,
        [
            {
                "delivery_id": attempt.delivery_id,
                "attempts": attempt.number,
                "attempt_number": attempt.attempt_number,
                "tried_at": attempt.tried_at,
                "attempted_at": now,
                "thread_ts": attempt.thread_ts,
            }
            for _, attempt in begun
        ],
    )
    for begin, attempt in begun:
        for id_ in begin.work.absorbed:
            absorbed = {"delivery_id": id_, "in_lane_id": attempt.lane_id, "now": now}
            connection.execute(ABSORB, absorbed | {"absorber": attempt.notification_id})


def _may_be_preceded(row: Any) -> bool:
    """Return whether earlier deliveries with its key may wait in its lane, and go before it.

    A refresh shows what was sent so far, and what was attempted before goes first in any case.
    """
    is_new = row.state == DeliveryState.WAITING and row.retry_at is None
    return is_new and row.first_of_key is not None and row.mode != DeliveryMode.REFRESH


def _earlier_of_key(connection: Connection, begin: Begin, row: Any) -> Sequence[int]:
    """Return the earliest deliveries that go before one, except those that it absorbs."""
    if not _may_be_preceded(row):
        return ()
    absorbed = set(begin.work.absorbed)
    values = {"lane_id": row.lane_id, "key": row.key, "before": row.id}
    most = {"most": MOST_INHERITING + len(absorbed)}
    found = connection.scalars(EARLIER_OF_KEY, values | most)
    return [id_ for id_ in found if id_ not in absorbed]


def _inherit(connection: Connection, earlier: Sequence[int], row: Any) -> Sequence[Any]:
    """Let earlier deliveries inherit the urgency of a later one with their key.

    An owner has only the most urgent deliveries of a lane in memory. These are the earliest ones of
    the key; others inherit it when the later one is to begin again.

    Returns: the rows of all; none if another transaction locks one of them.
    """
    connection.execute(INHERIT, {"ids": earlier, "better": row.urgency})
    rows = connection.execute(BY_ID, {"ids": [*earlier, row.id]}).all()
    return rows if all(one.urgency <= row.urgency for one in rows) else ()


def _expire(
    connection: Connection, rows: Sequence[Any], now: datetime, look_again_at: datetime
) -> None:
    """End deliveries whose expiry has passed, and others that wait in their lanes.

    Args:
        look_again_at: when to look for messages of attempts that Slack accepted late.
    """
    waiting = [row.lane_id for row in rows if row.state == DeliveryState.WAITING]
    if waiting:
        connection.execute(EXPIRE, {"lane_ids": waiting, "now": now})
    in_doubt = [row.id for row in rows if row.state == DeliveryState.SENDING]
    if in_doubt:
        given = {"ids": in_doubt, "now": now, "look_again_at": look_again_at}
        connection.execute(EXPIRE_IN_DOUBT, given)


def _attempted(finished: Iterable[Finish]) -> dict[int, dict[str, Any]]:
    return {
        finish.attempt.lane_id: {
            "id_of_lane": finish.attempt.lane_id,
            "last_attempt_at": finish.at if finish.outcome.requested else None,
            "first_failure_at": _first_failure_at(finish),
        }
        for finish in finished
    }


def _first_failure_at(finish: Finish) -> datetime | None:
    outcome = finish.outcome
    # After the end of a delivery with one of these, the next one shows whether its lane works.
    if outcome.is_final and outcome.error not in AMBIGUOUS_CODES:
        return None
    now = finish.at if outcome.is_failure else None
    return finish.attempt.failing_since or now


def _replace_message(connection: Connection, finish: Finish) -> None:
    """Point references to a deleted message to its replacement."""
    attempt, outcome = finish.attempt, finish.outcome
    # Reminders are never updated.
    if outcome.replaced_ts is None or attempt.is_reminder:
        return
    replacement = Replacement(
        lane_id=attempt.lane_id,
        key=attempt.key,
        replaced_ts=outcome.replaced_ts,
        channel_id=str(outcome.channel_id),
        ts=str(outcome.ts),
        thread_ts=attempt.thread_ts if outcome.is_reply else None,
    )
    replace_message(connection, replacement)


def _finished(finish: Finish) -> dict[str, Any]:
    outcome = finish.outcome
    retries = bool(outcome.wait) and not outcome.is_final and not outcome.is_deferred
    # The next attempt may find someone.
    is_found = outcome.is_final or outcome.recipient_id != NOBODY
    return {
        "delivery_id": finish.attempt.delivery_id,
        # A plain string: PostgreSQL's driver rejects arrays of mixed types.
        "new_state": outcome.state.value,
        "not_counted": int(outcome.is_undone),
        "new_error": outcome.error,
        "new_recipient_id": outcome.recipient_id if is_found else None,
        "new_channel_id": outcome.channel_id,
        "new_ts": outcome.ts,
        "new_replaced_ts": outcome.replaced_ts,
        "new_is_root": outcome.is_reply is False,
        # Another owner begins a deferred one in its place, and is told the limit again.
        "new_retry_at": finish.at + timedelta(seconds=outcome.wait) if retries else None,
        "new_second_look_at": finish.second_look_at,
        "new_finished_at": finish.at if outcome.is_final else None,
    }
