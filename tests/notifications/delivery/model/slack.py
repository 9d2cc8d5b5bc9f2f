"""Slack of the model: requests that are lost, late, refused or answered."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from enum import Enum

LATEST_ARRIVAL_SECONDS = 50.0
_TRIP_SECONDS = 0.1


class Fate(Enum):
    """The fate of one request."""

    OK = "ok"
    ANSWER_LOST = "answer_lost"
    LOST = "lost"
    LATE = "late"
    VERY_LATE = "very_late"
    FAILED = "failed"
    REFUSED = "refused"
    LIMITED = "limited"
    # Slack limits updates of messages apart from new ones.
    UPDATES_LIMITED = "updates_limited"


_ARRIVES_AFTER = {
    Fate.OK: _TRIP_SECONDS,
    Fate.ANSWER_LOST: _TRIP_SECONDS,
    Fate.LATE: 25.0,
    Fate.VERY_LATE: LATEST_ARRIVAL_SECONDS,
}
_ANSWERED = (Fate.OK, Fate.FAILED, Fate.REFUSED, Fate.LIMITED, Fate.UPDATES_LIMITED)


@dataclass(eq=False)
class Request:
    """A request to post; `answer_at` is None if the answer is lost."""

    mark: int
    lane: int
    fate: Fate
    sent_at: float
    answer_at: float | None
    ts: int | None = None


class Slack:
    """Messages by `ts`, in the order in which Slack accepted them."""

    def __init__(self) -> None:
        self.fates: list[Fate] = []
        self.messages: dict[int, Request] = {}
        self._by_mark: dict[int, list[int]] = {}
        self._late: set[int] = set()
        self._transit: list[tuple[float, int, Request]] = []
        self._ticket = itertools.count(1)
        self._ts = itertools.count(1)

    def post(self, mark: int, lane: int, now: float) -> Request:
        """Send a request with the next planned fate."""
        fate = self.fates.pop(0) if self.fates else Fate.OK
        answer_at = now + 2 * _TRIP_SECONDS if fate in _ANSWERED else None
        request = Request(mark, lane, fate, now, answer_at)
        if fate in _ARRIVES_AFTER:
            arrival = (now + _ARRIVES_AFTER[fate], next(self._ticket), request)
            heapq.heappush(self._transit, arrival)
        if fate in (Fate.LATE, Fate.VERY_LATE):
            self._late.add(mark)
        return request

    def receive(self, now: float) -> None:
        """Accept the requests that have arrived."""
        while self._transit and self._transit[0][0] <= now:
            request = heapq.heappop(self._transit)[2]
            request.ts = next(self._ts)
            self.messages[request.ts] = request
            self._by_mark.setdefault(request.mark, []).append(request.ts)

    def find(self, mark: int) -> list[int]:
        """Return the messages that carry a mark."""
        return list(self._by_mark.get(mark, ()))

    def delete(self, ts: int) -> None:
        """Delete a message: only a late one, because others are found before a repeat."""
        request = self.messages.pop(ts)
        assert request.mark in self._late, f"{request} was posted twice"
        self._by_mark[request.mark].remove(ts)

    @property
    def next_arrival(self) -> float | None:
        """The time of the next arrival."""
        return self._transit[0][0] if self._transit else None
