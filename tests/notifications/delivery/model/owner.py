"""An owner of the model: the protocol around a scheduler, one small step at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field

from bolt_app.notifications.delivery.pacing import DeliveryLimits, RateLimit
from bolt_app.notifications.delivery.scheduler import Scheduler
from bolt_app.notifications.delivery.work import QueuedDelivery, WantedPage, Work, WorkKind
from tests.notifications.delivery.model.slack import Fate, Request, Slack
from tests.notifications.delivery.model.store import (
    NAME_LANE,
    SECOND_LOOK_SECONDS,
    NotOwnerError,
    Row,
    Store,
    UnknownCommitError,
)

LIMITS = DeliveryLimits(workspace=RateLimit(0.5, burst=3), lane=RateLimit(1.0), in_flight=2, page=2)
DEADLINE_SECONDS = 10.0
TAKEOVER_SECONDS = 15.0
SETTLING_SECONDS = 5.0
RETRY_SECONDS = 4.0
PAUSE_SECONDS = 7.0
IDLE_SESSION_SECONDS = 20.0
PAGES_A_STEP = 2

# Yields the time before which it has nothing to do.
Steps = Generator[float, None, None]


@dataclass
class World:
    """Time, and everything outside the owners. The wall clock may jump."""

    store: Store
    slack: Slack
    now: float = 1_000.0
    wall_offset: float = 1e9

    @property
    def wall(self) -> float:
        """The time of the wall clock."""
        return self.now + self.wall_offset


@dataclass
class Term:
    """Ownership of one workspace."""

    team: str
    token: int
    session: int
    # Between wall and monotonic clock, the same for the whole term.
    offset: float
    seq: int
    unloaded: list[tuple[int, str]] = field(default_factory=list)
    second_looks: dict[int, float] = field(default_factory=dict)


class Owner:
    """One worker process."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.is_frozen = False
        self.pinged_at = world.now
        self.sent: list[tuple[str, int, float]] = []
        # Each process has a monotonic clock of its own.
        self._clock_offset = number * 5_000.0
        self._sessions = number * 1_000_000
        self._start()

    # Process.

    def _start(self) -> None:
        self._sessions += 1
        self.scheduler = Scheduler(LIMITS)
        self.terms: dict[str, Term] = {}
        self.tasks: list[tuple[Term, Work, Steps]] = []
        self._due: dict[int, float] = {}
        self._pages: list[tuple[Term, WantedPage, list[Row], bool]] = []

    @property
    def now(self) -> float:
        """The time of the monotonic clock."""
        return self.world.now + self._clock_offset

    def kill(self) -> None:
        """End the process and start another; the server ends its session."""
        self.world.store.end_session(self._sessions)
        self.is_frozen = False
        self.pinged_at = self.world.now
        self._start()

    def lose_session(self) -> None:
        """Note that the server has ended the session, which the process notices later."""
        self.world.store.end_session(self._sessions)

    def release(self, team: str) -> None:
        """Release a workspace; requests in flight are finished."""
        term = self.terms.get(team)
        if term is not None and self.world.store.holds(team, term.session):
            self.world.store.queues[team].lock = None
        self._drop(team)

    def most_in_flight(self) -> int:
        """Return how many requests one term of one workspace has in flight, at most."""
        kinds = (WorkKind.POST, WorkKind.LOOK)
        terms = Counter(id(term) for term, work, _ in self.tasks if work.kind in kinds)
        return max(terms.values(), default=0)

    # The loop.

    def run(self, *, may_acquire: bool = True) -> None:
        """Do one step of everything."""
        if self.is_frozen:
            return
        self._ping()
        for team in self.world.store.queues:
            if may_acquire and team not in self.terms:
                self._acquire(team)
        for term in list(self.terms.values()):
            self._read(term)
        self._run_tasks()
        for work in self.scheduler.step(self.now, most=4):
            term = self.terms[work.team_id]
            self.tasks.append((term, work, self._steps_of(term, work)))
        self._read_pages()

    def next_at(self) -> float:
        """Return when `run` has work, by the world's clock."""
        if self._pages or any(term.unloaded for term in self.terms.values()):
            return self.world.now
        times = [self._due.get(id(work), 0.0) for _, work, _ in self.tasks]
        scheduled = self.scheduler.next_at()
        if scheduled is not None:
            times.append(scheduled)
        return min(times, default=float("inf")) - self._clock_offset

    def _ping(self) -> None:
        if self.world.now - self.pinged_at >= IDLE_SESSION_SECONDS:
            self.world.store.end_session(self._sessions)
            for team in list(self.terms):
                self._drop(team)
            self._sessions += 1
        self.pinged_at = self.world.now

    def _drop(self, team: str) -> None:
        self.terms.pop(team, None)
        self.scheduler.drop_workspace(team)

    def _run_tasks(self) -> None:
        going = []
        for term, work, steps in self.tasks:
            if self._due.get(id(work), 0.0) > self.now:
                going.append((term, work, steps))
                continue
            try:
                self._due[id(work)] = next(steps)
                going.append((term, work, steps))
            except StopIteration:
                self._due.pop(id(work), None)
            except NotOwnerError:
                self._due.pop(id(work), None)
                self._lose(work)
        self.tasks = going

    def _lose(self, work: Work) -> None:
        """Drop a workspace that has another owner; the term may already be a later one."""
        term = self.terms.get(work.team_id)
        if term is not None and not self.world.store.holds(work.team_id, term.session):
            self._drop(work.team_id)

    # Loading and the change feed.

    def _acquire(self, team: str) -> None:
        store = self.world.store
        token = store.lock(team, self._sessions)
        if token is None:
            return
        offset = self.world.wall - self.now
        term = Term(team, token, self._sessions, offset, store.queues[team].seq)
        self.terms[team] = term
        self.scheduler.add_workspace(
            team, self.now, paused_until=self._soon(store.queues[team].paused_until)
        )
        for lane in store.queues[team].attempted_at:
            self._note_attempt(term, lane)
        for row in store.open_rows(team):
            self._load_attempted(term, row)
        term.unloaded = store.pages(team)

    def _load_attempted(self, term: Term, row: Row) -> None:
        if row.state == "sending":
            self._put_first(term, row, self.now + TAKEOVER_SECONDS, in_doubt=True)
        elif row.state == "waiting" and row.retry_at is not None:
            self._put_first(term, row, self._soon(row.retry_at), in_doubt=False)
        if row.second_look_at is not None:
            self._plan_second_look(term, row.id)

    def _put_first(self, term: Term, row: Row, due: float, *, in_doubt: bool) -> None:
        queued = _queued(term, row)
        self.scheduler.put_first(term.team, queued, due, self.now, in_doubt=in_doubt)

    def _soon(self, wall: float) -> float:
        """Return a stored time, but no later than the longest wait: the clock may have jumped."""
        return self.now + min(max(wall - self.world.wall, 0.0), PAUSE_SECONDS)

    def _read(self, term: Term) -> None:
        for _ in range(PAGES_A_STEP):
            if term.unloaded:
                lane, source = term.unloaded.pop(0)
                rows, has_more = self.world.store.page(term.team, lane, source, LIMITS.page)
                self._load(term, lane, source, rows, has_more=has_more)
        if term.unloaded:
            return
        for row in self.world.store.changed_since(term.team, term.seq):
            term.seq = max(term.seq, row.seq)
            self._apply(term, row)

    def _apply(self, term: Term, row: Row) -> None:
        if row.second_look_at is not None:
            self._plan_second_look(term, row.id)
        if row.state == "waiting" and row.retry_at is not None:
            self._note_attempt(term, row.lane)
            self._put_first(term, row, self._soon(row.retry_at), in_doubt=False)
            pause = self._soon(self.world.store.queues[term.team].paused_until)
            self.scheduler.pause(term.team, pause)
        elif row.state == "waiting":
            if row.written == NAME_LANE and row.lane != NAME_LANE:
                named = _queued(term, row)._replace(lane_id=NAME_LANE)
                self.scheduler.remove(term.team, named, self.now)
            self.scheduler.put(term.team, [_queued(term, row)], self.now)
        elif row.state != "sending":
            self._note_attempt(term, row.lane)
            self.scheduler.remove(term.team, _queued(term, row), self.now)

    def _plan_second_look(self, term: Term, delivery_id: int) -> None:
        due = self.now + SECOND_LOOK_SECONDS
        term.second_looks[delivery_id] = due
        self.scheduler.look_again(term.team, delivery_id, due)

    def _note_attempt(self, term: Term, lane: int) -> None:
        at = self.world.store.queues[term.team].attempted_at.get(lane)
        if at is not None:
            at = min(at - term.offset, self.now)
            self.scheduler.note_attempt(term.team, lane, at, self.now)

    def _load(self, term: Term, lane: int, source: str, rows: list[Row], *, has_more: bool) -> None:
        queued = [_queued(term, row) for row in rows]
        self.scheduler.load(term.team, lane, source, queued, self.now, has_more=has_more)

    def _read_pages(self) -> None:
        """Load pages that were read in the step before, without the changes since."""
        for term, page, rows, has_more in self._pages:
            if self.terms.get(term.team) is term:
                self._load(term, page.lane_id, page.source, rows, has_more=has_more)
        self._pages = []
        for page in self.scheduler.wanted(most=3):
            term = self.terms[page.team_id]
            args = (page.team_id, page.lane_id, page.source, LIMITS.page)
            rows, has_more = self.world.store.page(*args)
            self._pages.append((term, page, rows, has_more))

    # Work.

    def _steps_of(self, term: Term, work: Work) -> Steps:
        if work.kind is WorkKind.POST:
            return self._post(term, work)
        if work.kind is WorkKind.LOOK:
            return self._look(term, work)
        if work.kind is WorkKind.RESOLVE:
            return self._resolve(term, work)
        return self._second_look(term, work)

    def _is_owner(self, term: Term) -> bool:
        return self.world.store.holds(term.team, term.session) and (
            self.terms.get(term.team) is term
        )

    def _post(self, term: Term, work: Work) -> Steps:
        yield 0.0
        number = self._begin(term, work)
        if number is None:
            return
        if number > 1 and self.terms.get(term.team) is term:
            self._plan_second_look(term, work.delivery_id)
        yield 0.0
        # The last check, immediately before the request.
        if not self._is_owner(term):
            return
        sent_at = self.world.now
        self.sent.append((term.team, work.lane_id, sent_at))
        request = self.world.slack.post(work.delivery_id, work.lane_id, sent_at)
        deadline = self.now + DEADLINE_SECONDS
        answer_at = request.answer_at
        yield deadline if answer_at is None else answer_at + self._clock_offset
        if answer_at is None:
            self.scheduler.doubt(work, self.now + SETTLING_SECONDS, self.now)
            return
        yield from self._finish_post(term, work, number, request)

    def _begin(self, term: Term, work: Work) -> int | None:
        try:
            args = (work.delivery_id, term.team, work.lane_id, term.token, work.absorbed)
            begun = self.world.store.begin(*args, self.world.wall)
        except UnknownCommitError:
            # Nothing was sent: it can be begun again, whether or not it was committed.
            self.scheduler.give_back(work, self.now + 1.0, self.now)
            return None
        if begun is None or isinstance(begun, list):
            self.scheduler.finish(work, self.now, attempted=False)
            for row in begun or ():
                if self.terms.get(term.team) is term:
                    self._apply(term, row)
            return None
        return begun

    def _finish_post(self, term: Term, work: Work, number: int, request: Request) -> Steps:
        if request.fate is Fate.OK:
            yield from self._finish(term, work, number, "sent", ts=request.ts)
            self.scheduler.finish(work, self.now)
        elif request.fate is Fate.REFUSED:
            yield from self._finish(term, work, number, "dead")
            self.scheduler.finish(work, self.now)
        elif request.fate is Fate.UPDATES_LIMITED and self._may_defer(work, number):
            yield from self._finish(term, work, number, "waiting")
            self.scheduler.defer(work, self.now + PAUSE_SECONDS, self.now)
        else:
            is_limited = request.fate is Fate.LIMITED
            wait = PAUSE_SECONDS if is_limited else RETRY_SECONDS
            due = self.now + wait
            pause = self.world.wall + wait if is_limited else None
            if is_limited and self.terms.get(term.team) is term:
                self.scheduler.pause(term.team, due)
            retry_at = self.world.wall + wait
            yield from self._finish(term, work, number, "waiting", retry_at=retry_at, pause=pause)
            self.scheduler.retry(work, due, self.now)

    def _may_defer(self, work: Work, number: int) -> bool:
        """Whether an attempt is an update, and none before it is in doubt."""
        row = self.world.store.queues[work.team_id].rows[work.delivery_id]
        row.was_deferred |= row.is_update
        return row.is_update and number == 1

    def _finish(
        self,
        term: Term,
        work: Work,
        number: int,
        state: str,
        *,
        ts: int | None = None,
        retry_at: float | None = None,
        pause: float | None = None,
    ) -> Steps:
        while True:
            try:
                self.world.store.finish(
                    work.delivery_id,
                    term.team,
                    number,
                    state,
                    token=term.token,
                    wall=self.world.wall,
                    ts=ts,
                    retry_at=retry_at,
                    pause=pause,
                )
            except UnknownCommitError:
                yield 0.0
            else:
                return

    def _look(self, term: Term, work: Work) -> Steps:
        yield 0.0
        row = self.world.store.queues[term.team].rows[work.delivery_id]
        number = row.attempt
        if row.state != "sending":
            self.scheduler.finish(work, self.now, attempted=False)
            if self.terms.get(term.team) is term:
                self._apply(term, row.copy())
            return
        found = self.world.slack.find(work.delivery_id)
        yield 0.0
        if not found:
            self.scheduler.retry(work, self.now, self.now)
            return
        yield from self._finish(term, work, number, "sent", ts=found[0])
        self.scheduler.finish(work, self.now)

    def _resolve(self, term: Term, work: Work) -> Steps:
        yield 0.0
        try:
            self.world.store.resolve(term.team, term.token)
        except UnknownCommitError:
            yield 0.0
            self.scheduler.give_back(work, self.now + 1.0, self.now)
            return
        self.scheduler.finish(work, self.now)

    def _second_look(self, term: Term, work: Work) -> Steps:
        """Remove duplicate messages, once no request can arrive any more."""
        yield 0.0
        row = self.world.store.queues[term.team].rows[work.delivery_id]
        planned = row.second_look_at
        if planned is None or self.now < term.second_looks[row.id]:
            # Done already, or a later one is planned.
            self.scheduler.finish(work, self.now)
            return
        found = self.world.slack.find(row.id)
        yield 0.0
        if row.state in ("waiting", "sending"):
            self.scheduler.retry(work, self.now + TAKEOVER_SECONDS, self.now)
            return
        if row.state != "sent" and found:
            row.state, row.ts, row.is_found_late = "sent", found[0], True
        for ts in found:
            if not self._is_owner(term):
                return
            if ts != row.ts and ts in self.world.slack.messages:
                self.world.slack.delete(ts)
        self.world.store.end_second_look(row, planned)
        self.scheduler.finish(work, self.now)


def _queued(term: Term, row: Row) -> QueuedDelivery:
    return QueuedDelivery(
        row.urgency - term.offset,
        row.id,
        row.lane,
        row.source,
        row.rank,
        row.key,
        row.is_update,
        row.lane == NAME_LANE,
    )
