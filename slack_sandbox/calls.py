"""A log of the app's Web API calls, cheap for thousands of them."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SECRET_ARGUMENTS = frozenset({"token", "code", "client_secret", "refresh_token"})
KEPT = 5_000
"""Number of complete calls kept; the counters include all calls."""


@dataclass(frozen=True)
class ApiCall:
    """One call and its response (``answer`` is None if the connection was dropped)."""

    method: str
    token: str | None = field(repr=False)
    arguments: Mapping[str, Any] = field(repr=False)
    at: float
    answer: dict[str, Any] | None = field(repr=False)
    status: int

    def summary(self) -> dict[str, Any]:
        """The call without secrets, for pages and other processes."""
        answer = self.answer or {}
        return {
            "method": self.method,
            "at": self.at,
            "status": self.status,
            "ok": answer.get("ok"),
            "error": answer.get("error"),
            "arguments": {
                name: "[hidden]" if name in SECRET_ARGUMENTS else value
                for name, value in self.arguments.items()
            },
        }


class CallLog:
    """The last :data:`KEPT` calls, and a counter for each method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[ApiCall] = deque(maxlen=KEPT)
        self._counts: Counter[str] = Counter()

    def add(self, call: ApiCall) -> None:
        """Record a call."""
        with self._lock:
            self._kept.append(call)
            self._counts[call.method] += 1

    def all(self) -> list[ApiCall]:
        """The kept calls, oldest first."""
        with self._lock:
            return list(self._kept)

    def last(self, number: int) -> list[ApiCall]:
        """The latest ``number`` calls, oldest first."""
        with self._lock:
            return list(self._kept)[-number:] if number > 0 else []

    def counts(self) -> dict[str, int]:
        """Number of calls of each method since the last :meth:`clear`."""
        with self._lock:
            return dict(self._counts)

    def clear(self) -> None:
        """Delete all calls and counters."""
        with self._lock:
            self._kept.clear()
            self._counts.clear()

    def __iter__(self) -> Iterator[ApiCall]:
        return iter(self.all())

    def __len__(self) -> int:
        with self._lock:
            return self._counts.total()
