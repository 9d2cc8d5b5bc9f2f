"""Turns: which messages of a workspace upload their files now, by source."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bolt_app.notifications.delivery.errors import UploadsBusyError

# Before a message asks again. The messages of a source ask this often together, or each this often
# if they are fewer, so that many of them keep no others from being posted.
_SOURCE_SECONDS, _MESSAGE_SECONDS = 0.1, 1.0
# After a message should have asked again, nothing waits for it any longer: it was cancelled, or its
# channel or workspace pauses.
_LATE_SECONDS = 5.0


@dataclass
class _Waiting:
    """A message without a place.

    Attributes:
        since: when it asked first.
        until: when it counts no longer, unless it asks again.
    """

    since: float
    until: float


@dataclass
class _Workspace:
    """The sources that upload files in a workspace, and the messages that wait, by source and id.

    Attributes:
        turns: the latest turn of each source that has a place or waits.
    """

    uploading: Counter[str] = field(default_factory=Counter)
    waiting: dict[str, dict[int, _Waiting]] = field(default_factory=lambda: defaultdict(dict))
    turns: dict[str, int] = field(default_factory=dict)
    turn: int = 0

    def forget(self, now: float) -> None:
        """Remove messages that ask no longer, and sources without any."""
        for source, messages in list(self.waiting.items()):
            self.waiting[source] = {id_: one for id_, one in messages.items() if one.until > now}
            if not self.waiting[source]:
                del self.waiting[source]
        self.uploading += Counter()
        known = self.uploading.keys() | self.waiting.keys()
        self.turns = {source: turn for source, turn in self.turns.items() if source in known}

    def position(self, source: str) -> tuple[int, int]:
        """Return a sort key: a source with fewer places is first, then by turn."""
        return self.uploading[source], self.turns[source]


class UploadTurns:
    """Places for messages that upload files: up to `most` of a workspace at the same time.

    Sources take turns. A message without a place asks again later, and a free place is kept for the
    source whose turn it is.
    """

    def __init__(
        self, most: int, *, patience: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Create it.

        Args:
            patience: how long a message waits, in seconds: it blocks its channel meanwhile.
            monotonic: the clock for it.
        """
        self._most = most
        self._patience = patience
        self._monotonic = monotonic
        self._workspaces: dict[str, _Workspace] = {}

    @contextmanager
    def enter(self, team_id: str, source: str, delivery_id: int) -> Iterator[bool]:
        """Yield True while a message has a place, or False if it has waited for too long.

        Raises:
            UploadsBusyError: it has no place yet.
        """
        workspace = self._workspaces.setdefault(team_id, _Workspace())
        workspace.forget(self._monotonic())
        # A new one is last in turn.
        workspace.turns.setdefault(source, workspace.turn)
        if not self._is_next(workspace, source):
            self._wait(workspace, source, delivery_id)
            yield False
            return
        workspace.waiting[source].pop(delivery_id, None)
        workspace.turn += 1
        workspace.turns[source] = workspace.turn
        workspace.uploading[source] += 1
        try:
            yield True
        finally:
            workspace.uploading[source] -= 1
            workspace.forget(self._monotonic())
            if not workspace.turns and self._workspaces.get(team_id) is workspace:
                del self._workspaces[team_id]

    def _is_next(self, workspace: _Workspace, source: str) -> bool:
        own = workspace.position(source)
        ahead = (one for one in workspace.waiting if one != source)
        earlier = sum(workspace.position(one) < own for one in ahead)
        return workspace.uploading.total() + earlier < self._most

    def _wait(self, workspace: _Workspace, source: str, delivery_id: int) -> None:
        """Note that a message waits; return if that was too long."""
        now, waiting = self._monotonic(), workspace.waiting[source]
        one = waiting.setdefault(delivery_id, _Waiting(now, now))
        if now - one.since >= self._patience:
            del waiting[delivery_id]
            return
        seconds = max(_MESSAGE_SECONDS, _SOURCE_SECONDS * len(waiting))
        one.until = now + seconds + _LATE_SECONDS
        raise UploadsBusyError(seconds)
