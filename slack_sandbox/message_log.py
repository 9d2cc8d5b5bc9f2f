"""The messages of a conversation in order, with fast lookup among thousands."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slack_sandbox.world import Message


def micros(ts: str) -> int:
    """A message's ``ts`` in microseconds. Raises ValueError for a malformed one."""
    whole, _, fraction = ts.partition(".")
    return int(whole) * 1_000_000 + int(fraction[:6].ljust(6, "0"))


class Timeline:
    """Messages, oldest first, regardless of the order of insertion."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._times: list[int] = []

    def add(self, message: Message) -> None:
        """Insert a message in order."""
        at = micros(message.ts)
        index = bisect_right(self._times, at)
        self._messages.insert(index, message)
        self._times.insert(index, at)

    def between(self, after: int | None, before: int | None) -> range:
        """The indexes of messages later than ``after`` and earlier than ``before``."""
        start = 0 if after is None else bisect_right(self._times, after)
        stop = len(self._times) if before is None else bisect_left(self._times, before)
        return range(start, stop)

    def __getitem__(self, index: int) -> Message:
        return self._messages[index]

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages)


class MessageLog(Timeline):
    """The messages of one conversation, including thread replies."""

    def __init__(self) -> None:
        super().__init__()
        self._by_ts: dict[str, Message] = {}
        self._threads: dict[str, Timeline] = {}

    def add(self, message: Message) -> None:
        """Add a message to the conversation, and to its thread."""
        super().add(message)
        self._by_ts[message.ts] = message
        if message.thread_ts is not None and message.thread_ts != message.ts:
            self._threads.setdefault(message.thread_ts, Timeline()).add(message)

    def find(self, ts: str) -> Message | None:
        """The message with this ``ts``, unless it was deleted."""
        message = self._by_ts.get(ts)
        return None if message is None or message.deleted else message

    def is_tombstone(self, message: Message) -> bool:
        """Whether a deleted message stays visible because it has replies."""
        return message.deleted and any(not reply.deleted for reply in self.thread(message.ts))

    def find_first(self, ts: str) -> Message | None:
        """The message with this ``ts``, or its tombstone."""
        message = self._by_ts.get(ts)
        is_gone = message is None or (message.deleted and not self.is_tombstone(message))
        return None if is_gone else message

    def thread_of(self, ts: str) -> str | None:
        """The thread of a reply to the message with this ``ts``, or None."""
        message = self.find_first(ts)
        return None if message is None else message.thread_ts or message.ts

    def thread(self, ts: str) -> Timeline:
        """The replies to a message."""
        return self._threads.get(ts) or Timeline()
