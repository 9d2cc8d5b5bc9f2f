"""The runner of custom templates: a few processes, shared fairly by all webhooks."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Lock, Timer
from typing import Any

from bolt_app.template_runner import process

PROCESSES = 2
# Bodies at once that are rendered or wait for it, each in a thread of its request.
MOST_AT_ONCE = 8
# How long a template waits for its turn.
WAIT_SECONDS = 2.0
# How long a webhook's template is not run after it took too long.
PAUSE_SECONDS = 60.0
# A process that does not enforce its deadline is ended after so many seconds.
_STUCK_SECONDS = 2 * process.WALL_SECONDS
# So is one that does not start. A busy machine takes seconds to import Jinja.
_START_SECONDS = 10.0
_MOST_REMEMBERED = 10_000
_PROGRAM = Path(process.__file__)
_TOO_MANY = "too many bodies at once"


class TemplateError(Exception):
    """A template has no result; the message is for the admins of the webhook, and may quote it."""


class _LostProcessError(Exception):
    """A template process has ended."""


@dataclass
class _Owner:
    """A webhook's templates: one is run at a time.

    Attributes:
        bodies: that are rendered or wait for it.
    """

    bodies: int = 0
    turn: Lock = field(default_factory=Lock)
    paused_until: float = 0.0


class TemplateRunner:
    """Renders templates in processes that are started when they are needed.

    A webhook whose template takes too long cannot keep others waiting: it has one turn at a time,
    pauses afterwards, and leaves room among the bodies that wait.
    """

    def __init__(
        self, *, most: int = MOST_AT_ONCE, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Create it.

        Args:
            most: bodies at once, of all webhooks; one webhook has fewer.
            monotonic: returns seconds on a monotonic clock.
        """
        self._most = most
        self._most_of_one = max(1, most - PROCESSES)
        self._bodies = 0
        self._monotonic = monotonic
        self._changed = Condition()
        self._idle: list[_Process] = []
        self._running = 0
        self._owners: dict[str, _Owner] = {}

    def render(self, owner: str, template: str, body: Any) -> str:
        """Return the output of a template for a body.

        Args:
            owner: the webhook, which has one turn at a time.
            body: a JSON value, known to the template as `body`.

        Raises:
            TemplateError: the template is wrong, exceeds a limit, or has no turn.
        """
        return self._run(owner, {"template": template, "body": body})

    def check(self, owner: str, template: str) -> None:
        """Check the syntax of a template, without a body.

        Raises:
            TemplateError: the template is wrong, exceeds a limit, or has no turn.
        """
        self._run(owner, {"template": template})

    def _run(self, owner: str, request: Mapping[str, Any]) -> str:
        with self._turn_of(owner) as one, self._process() as running:
            answer = self._answer(running, json.dumps(request).encode())
            if answer.get("is_slow"):
                one.paused_until = self._monotonic() + PAUSE_SECONDS
        output = answer.get("output")
        if not isinstance(output, str):
            raise TemplateError(str(answer.get("problem", "the template failed")))
        return output

    def close(self) -> None:
        """End the idle processes."""
        with self._changed:
            idle, self._idle = self._idle, []
        for one in idle:
            one.end()

    @contextmanager
    def _turn_of(self, name: str) -> Iterator[_Owner]:
        owner = self._owner(name)
        self._require_no_pause(owner)
        with self._place(owner):
            if not owner.turn.acquire(timeout=WAIT_SECONDS):
                raise TemplateError(_TOO_MANY)
            try:
                self._require_no_pause(owner)
                yield owner
            finally:
                owner.turn.release()

    @contextmanager
    def _place(self, owner: _Owner) -> Iterator[None]:
        """Let a body wait for its turn, unless too many do: they would hold all web threads."""
        with self._changed:
            if self._bodies >= self._most or owner.bodies >= self._most_of_one:
                raise TemplateError(_TOO_MANY)
            self._bodies += 1
            owner.bodies += 1
        try:
            yield
        finally:
            with self._changed:
                self._bodies -= 1
                owner.bodies -= 1

    def _owner(self, name: str) -> _Owner:
        if len(self._owners) >= _MOST_REMEMBERED:
            self._owners.clear()
        return self._owners.setdefault(name, _Owner())

    def _require_no_pause(self, owner: _Owner) -> None:
        if self._monotonic() < owner.paused_until:
            raise TemplateError("the template took too long a moment ago, and pauses for a minute")

    @contextmanager
    def _process(self) -> Iterator[_Process]:
        """Yield a process of one's own; one that has ended is dropped."""
        running = self._take()
        try:
            yield running
        finally:
            with self._changed:
                self._running -= 1
                if running.is_usable:
                    self._idle.append(running)
                self._changed.notify()

    def _take(self) -> _Process:
        with self._changed:
            is_free = self._changed.wait_for(lambda: self._running < PROCESSES, WAIT_SECONDS)
            if not is_free:
                raise TemplateError("too many templates at once")
            self._running += 1
            if self._idle:
                return self._idle.pop()
        try:
            return _Process()
        except OSError:
            with self._changed:
                self._running -= 1
                self._changed.notify()
            raise TemplateError("no template process can be started") from None

    def _answer(self, running: _Process, request: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(running.ask(request))
        except (_LostProcessError, ValueError, RecursionError):
            running.end()
            raise TemplateError("the template process ended") from None
        return answer if isinstance(answer, dict) else {}


class _Process:
    """A running template process."""

    def __init__(self) -> None:
        self.is_usable = True
        self._has_started = False
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-B", str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            # Signals from a terminal are for the server.
            start_new_session=True,
            bufsize=0,
        )

    def ask(self, request: bytes) -> bytes:
        """Return the answer to a request.

        Raises:
            _LostProcessError: the process has ended, or was stuck and is ended.
        """
        if not self._has_started:
            self._read(_START_SECONDS)
            self._has_started = True
        return self._read(_STUCK_SECONDS, request)

    def _read(self, seconds: float, request: bytes | None = None) -> bytes:
        """Return the next frame of the process, after a request if there is one."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise _LostProcessError
        guard = Timer(seconds, self._process.kill)
        guard.start()
        try:
            if request is not None:
                process.write_frame(stdin.fileno(), request)
            answer = process.read_frame(stdout.fileno())
        except OSError:
            raise _LostProcessError from None
        finally:
            guard.cancel()
        if answer is None:
            raise _LostProcessError
        return answer

    def end(self) -> None:
        """Kill the process and close its pipes."""
        self.is_usable = False
        self._process.kill()
        with self._process:
            pass
