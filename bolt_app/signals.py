"""Who is to see that something has changed: told by whatever changes it, heard by what shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ChangeSignal:
    """Those whom a change concerns.

    Attributes:
        user_id: one person; None means the admins of the workspace.
        is_deleted_person: whether the person's data was deleted while they had their App Home open.
    """

    team_id: str
    user_id: str | None
    is_deleted_person: bool = False


class Signals:
    """Passes on, in this process, that something has changed: after it is committed."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[ChangeSignal], None]] = []

    def listen(self, listener: Callable[[ChangeSignal], None]) -> None:
        """Let `listener` hear of every change. It is called by who makes it: it must be quick."""
        self._listeners.append(listener)

    def person_changed(self, team_id: str, user_id: str) -> None:
        """Say that something of one person's has changed."""
        self._tell(ChangeSignal(team_id, user_id))

    def person_deleted(self, team_id: str, user_id: str) -> None:
        """Say that a person's data was deleted; their App Home, which was open, still shows it."""
        self._tell(ChangeSignal(team_id, user_id, is_deleted_person=True))

    def admin_data_changed(self, team_id: str) -> None:
        """Say that something has changed which the admins of a workspace see."""
        self._tell(ChangeSignal(team_id, None))

    def _tell(self, concerned: ChangeSignal) -> None:
        for listener in self._listeners:
            listener(concerned)
