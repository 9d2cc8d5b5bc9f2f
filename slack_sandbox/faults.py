"""Faults: slow, rate-limited, failing or lost Web API calls."""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, get_args

FaultKind = Literal[
    "latency",
    "rate_limited",
    "server_error",
    "timeout",
    "reset",
    "lost_answer",
    "reset_after",
    "api_error",
    "api_error_after",
]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
FAULTS_AFTER_CALL: frozenset[FaultKind] = frozenset(
    {"lost_answer", "reset_after", "api_error_after"}
)
"""Kinds that take effect after the call has been executed."""


@dataclass(frozen=True)
class Fault:
    """A fault of calls of ``method`` (``*``: all methods), ``times`` times or always.

    - ``latency``: the response is delayed by ``seconds``.
    - ``rate_limited``: HTTP 429 with ``Retry-After: retry_after``.
    - ``server_error``: HTTP ``status`` with an HTML body; not executed.
    - ``timeout``: the connection is held for ``seconds``, then closed; not executed.
    - ``reset``: the connection is reset (RST); not executed.
    - ``lost_answer``: executed; the connection is closed without a response.
    - ``reset_after``: executed; the connection is reset without a response.
    - ``api_error``: ``{"ok": false, "error": error}``; not executed.
    - ``api_error_after``: executed; ``{"ok": false, "error": error}``.

    With ``every``, only each ``every``-th of these calls is affected: 10 means a tenth of them.
    """

    method: str = "*"
    kind: FaultKind = "latency"
    times: int | None = None
    seconds: float = 30.0
    status: int = 500
    error: str = "internal_error"
    retry_after: int = 30
    every: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in FAULT_KINDS:
            raise ValueError(f"kind must be one of {', '.join(FAULT_KINDS)}")
        if self.times is not None and self.times < 1:
            raise ValueError("times must be 1 or more")
        if self.every is not None and self.every < 1:
            raise ValueError("every must be 1 or more")
        if self.seconds < 0:
            raise ValueError("seconds must not be negative")
        if not 400 <= self.status <= 599:
            raise ValueError("status must be between 400 and 599")

    def applies_to(self, method: str) -> bool:
        """Whether the fault covers calls of ``method``."""
        return self.method in ("*", method)


@dataclass
class _ActiveFault:
    """An active fault: the calls it has counted, and its remaining uses."""

    fault: Fault
    calls: int = 0
    remaining: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.remaining = self.fault.times

    def is_due(self, method: str) -> bool:
        """Count a call. Returns whether the fault affects it."""
        if not self.fault.applies_to(method):
            return False
        self.calls += 1
        return self.calls % (self.fault.every or 1) == 0

    def use(self) -> None:
        """Count an affected call."""
        if self.remaining is not None:
            self.remaining -= 1


class FaultBoard:
    """The active faults. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: list[_ActiveFault] = []
        self._released = threading.Event()
        self._taken: Counter[str] = Counter()

    def add(self, fault: Fault) -> None:
        """Activate a fault. Faults apply in the order they were added."""
        with self._lock:
            self._active.append(_ActiveFault(fault))

    def clear(self) -> None:
        """Deactivate all faults and release held connections."""
        with self._lock:
            self._active.clear()
            self._released.set()
            self._released = threading.Event()

    def all(self) -> list[Fault]:
        """The active faults, with their remaining uses."""
        with self._lock:
            return [
                dataclasses.replace(active.fault, times=active.remaining) for active in self._active
            ]

    def take(self, method: str) -> list[Fault]:
        """The faults of this call: every latency, and the first of the other kinds."""
        if not self._active:
            return []
        with self._lock:
            due = [active for active in self._active if active.is_due(method)]
            slow = [active for active in due if active.fault.kind == "latency"]
            hit = slow + [active for active in due if active.fault.kind != "latency"][:1]
            for active in hit:
                active.use()
            self._active = [active for active in self._active if active.remaining != 0]
            self._taken[method] += bool(hit)
            return [active.fault for active in hit]

    def taken(self, method: str) -> int:
        """Number of affected calls of ``method``."""
        with self._lock:
            return self._taken[method]

    def wait(self, seconds: float) -> None:
        """Hold a call for ``seconds``, or until :meth:`clear`."""
        self._released.wait(seconds)
