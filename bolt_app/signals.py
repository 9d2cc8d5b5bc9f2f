"""Signals between services of one process, sent after the change is committed.

https://blinker.readthedocs.io/en/stable/
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from blinker import Signal


@dataclass(frozen=True)
class ChangeSignal:
    """The people whose App Homes show a change.

    Attributes:
        user_id: one person; None means the admins of the workspace.
        is_everyone: whether it concerns everyone in the workspace, admins first.
        is_deleted_person: whether the person's data was deleted while their App Home was open.
    """

    team_id: str
    user_id: str | None
    is_deleted_person: bool = False
    is_everyone: bool = False


class Signals:
    """The signals of one application."""

    def __init__(self) -> None:
        self._changed = Signal()

    def connect(self, receiver: Callable[[ChangeSignal], None]) -> None:
        """Call `receiver` for every change, in the thread that makes it: it must be quick."""
        self._changed.connect(receiver, weak=False)

    def person_changed(self, team_id: str, user_id: str) -> None:
        """Publish that the data of one person has changed."""
        self._changed.send(ChangeSignal(team_id, user_id))

    def person_deleted(self, team_id: str, user_id: str) -> None:
        """Publish that a person's data was deleted; their open App Home still shows it."""
        self._changed.send(ChangeSignal(team_id, user_id, is_deleted_person=True))

    def admin_data_changed(self, team_id: str) -> None:
        """Publish that data changed which the admins of a workspace see."""
        self._changed.send(ChangeSignal(team_id, None))

    def workspace_changed(self, team_id: str) -> None:
        """Publish that data changed which many people of a workspace see."""
        self._changed.send(ChangeSignal(team_id, None, is_everyone=True))
