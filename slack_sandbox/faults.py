"""Switches that make the stand-in slow, busy, broken or silent."""

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
]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
AFTERWARDS: frozenset[FaultKind] = frozenset({"lost_answer", "reset_after"})
"""The kinds that befall a call when it has been carried out."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong with calls of ``method`` (``*`` for all), ``times`` times or always.

    - ``latency``: the answer comes ``seconds`` later.
    - ``rate_limited``: HTTP 429 with ``Retry-After: retry_after``.
    - ``server_error``: HTTP ``status`` with an HTML body, nothing done.
    - ``timeout``: the connection is held for ``seconds`` and closed, nothing done.
    - ``reset``: the connection is reset (RST), nothing done.
    - ``lost_answer``: the call is carried out and the connection closed without an answer.
    - ``reset_after``: the call is carried out and the connection reset without an answer.
    - ``api_error``: ``{"ok": false, "error": error}``, nothing done.

    With ``every``, only each ``every``-th of those calls suffers: 10 lets a tenth of them fail.
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
        """Whether calls of ``method`` suffer from it."""
        return self.method in ("*", method)


@dataclass
class _Switched:
    """A fault that is switched on: the calls it has seen, and the times it has left."""

    fault: Fault
    seen: int = 0
    left: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.fault.times

    def is_due(self, method: str) -> bool:
        """Count a call, and say whether it is one that suffers."""
        if not self.fault.applies_to(method):
            return False
        self.seen += 1
        return self.seen % (self.fault.every or 1) == 0

    def use_up(self) -> None:
        """Count a call that suffered."""
        if self.left is not None:
            self.left -= 1


class FaultBoard:
    """The faults switched on now. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._switched: list[_Switched] = []
        self._released = threading.Event()
        self._taken: Counter[str] = Counter()

    def add(self, fault: Fault) -> None:
        """Switch a fault on. Those added first come first."""
        with self._lock:
            self._switched.append(_Switched(fault))

    def clear(self) -> None:
        """Switch every fault off and let go of the connections being held."""
        with self._lock:
            self._switched.clear()
            self._released.set()
            self._released = threading.Event()

    def all(self) -> list[Fault]:
        """The faults switched on, with the times they have left."""
        with self._lock:
            return [dataclasses.replace(one.fault, times=one.left) for one in self._switched]

    def take(self, method: str) -> list[Fault]:
        """The faults that hit this call: any latency, and the first of the other kinds."""
        if not self._switched:
            return []
        with self._lock:
            due = [one for one in self._switched if one.is_due(method)]
            slow = [one for one in due if one.fault.kind == "latency"]
            hit = slow + [one for one in due if one.fault.kind != "latency"][:1]
            for one in hit:
                one.use_up()
            self._switched = [one for one in self._switched if one.left != 0]
            self._taken[method] += bool(hit)
            return [one.fault for one in hit]

    def taken(self, method: str) -> int:
        """How many calls of ``method`` suffered so far."""
        with self._lock:
            return self._taken[method]

    def wait(self, seconds: float) -> None:
        """Hold a call for that long, or until :meth:`clear`."""
        self._released.wait(seconds)
