"""Switches that make the stand-in slow, busy, broken or silent."""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Literal

FaultKind = Literal[
    "latency", "rate_limited", "server_error", "timeout", "lost_answer", "api_error"
]
FAULT_KINDS: tuple[FaultKind, ...] = (
    "latency",
    "rate_limited",
    "server_error",
    "timeout",
    "lost_answer",
    "api_error",
)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with calls of ``method`` (``*`` for all), ``times`` times or always.

    - ``latency``: the answer comes ``seconds`` later.
    - ``rate_limited``: HTTP 429 with ``Retry-After: retry_after``.
    - ``server_error``: HTTP ``status`` with an HTML body, nothing done.
    - ``timeout``: the connection is held for ``seconds`` and closed, nothing done.
    - ``lost_answer``: the call is carried out and the connection closed without an answer.
    - ``api_error``: ``{"ok": false, "error": error}``, nothing done.
    """

    method: str = "*"
    kind: FaultKind = "latency"
    times: int | None = None
    seconds: float = 30.0
    status: int = 500
    error: str = "internal_error"
    retry_after: int = 30

    def __post_init__(self) -> None:
        if self.kind not in FAULT_KINDS:
            raise ValueError(f"kind must be one of {', '.join(FAULT_KINDS)}")
        if self.times is not None and self.times < 1:
            raise ValueError("times must be 1 or more")
        if self.seconds < 0:
            raise ValueError("seconds must not be negative")
        if not 500 <= self.status <= 599:
            raise ValueError("status must be between 500 and 599")

    def applies_to(self, method: str) -> bool:
        """Whether calls of ``method`` suffer from it."""
        return self.method in ("*", method)


class FaultBoard:
    """The faults switched on now. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._released = threading.Event()
        self._taken: Counter[str] = Counter()

    def add(self, fault: Fault) -> None:
        """Switch a fault on. Those added first come first."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Switch every fault off and let go of the connections being held."""
        with self._lock:
            self._faults.clear()
            self._released.set()
            self._released = threading.Event()

    def all(self) -> list[Fault]:
        """The faults switched on, with the times they have left."""
        with self._lock:
            return list(self._faults)

    def take(self, method: str) -> list[Fault]:
        """The faults that hit this call: any latency, and the first of the other kinds."""
        with self._lock:
            if not self._faults:
                return []
            slow = [one for one in self._faults if one.applies_to(method) and _is_slow(one)]
            other = [one for one in self._faults if one.applies_to(method) and not _is_slow(one)]
            hit = slow + other[:1]
            for fault in hit:
                self._use_up(fault)
            self._taken[method] += bool(hit)
            return hit

    def taken(self, method: str) -> int:
        """How many calls of ``method`` suffered so far."""
        with self._lock:
            return self._taken[method]

    def wait(self, seconds: float) -> None:
        """Hold a call for that long, or until :meth:`clear`."""
        self._released.wait(seconds)

    def _use_up(self, fault: Fault) -> None:
        if fault.times is None:
            return
        place = next(n for n, one in enumerate(self._faults) if one is fault)
        if fault.times == 1:
            del self._faults[place]
        else:
            self._faults[place] = dataclasses.replace(fault, times=fault.times - 1)


def _is_slow(fault: Fault) -> bool:
    return fault.kind == "latency"
