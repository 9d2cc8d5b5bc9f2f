"""Who is to see that something has changed: told by whatever changes it, heard by what shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Concerned:
    """Those whom a change concerns.

    Attributes:
        user_id: one person; None means the admins of the workspace.
        is_forgotten: whether the person's data was deleted while they had their App Home open.
    """

    team_id: str
    user_id: str | None
    is_forgotten: bool = False


class News:
    """Passes on, in this process, that something has changed: after it is committed."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Concerned], None]] = []

    def listen(self, listener: Callable[[Concerned], None]) -> None:
        """Let `listener` hear of every change. It is called by who makes it: it must be quick."""
        self._listeners.append(listener)

    def tell_person(self, team_id: str, user_id: str) -> None:
        """Say that something of one person's has changed."""
        self._tell(Concerned(team_id, user_id))

    def tell_forgotten(self, team_id: str, user_id: str) -> None:
        """Say that a person's data was deleted; their App Home, which was open, still shows it."""
        self._tell(Concerned(team_id, user_id, is_forgotten=True))

    def tell_admins(self, team_id: str) -> None:
        """Say that something has changed which the admins of a workspace see."""
        self._tell(Concerned(team_id, None))

    def _tell(self, concerned: Concerned) -> None:
        for listener in self._listeners:
            listener(concerned)
