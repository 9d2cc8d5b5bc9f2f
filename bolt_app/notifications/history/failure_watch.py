"""Signals about changes in the failed deliveries of workspaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from bolt_app.db import Database
from bolt_app.db.models import IS_TROUBLED, Delivery, WorkspaceQueue
from bolt_app.notifications.history.statistics import MOST_COUNTED
from bolt_app.signals import Signals

_HAS_FAILED = (Delivery.team_id == WorkspaceQueue.team_id, IS_TROUBLED)
_SOME = select(Delivery.finished_at).where(*_HAS_FAILED).limit(MOST_COUNTED)
_LATEST = select(func.max(Delivery.finished_at)).where(*_HAS_FAILED)
# Per workspace it reads up to `MOST_COUNTED` entries of an index, however many deliveries failed.
FAILURES = select(
    WorkspaceQueue.team_id,
    select(func.count())
    .select_from(_SOME.correlate(WorkspaceQueue).subquery())
    .scalar_subquery()
    .label("number"),
    _LATEST.correlate(WorkspaceQueue).scalar_subquery().label("latest"),
)


class FailureWatch:
    """Compares the failed deliveries of all workspaces with those of the last run.

    Deliveries fail in many ways, and are retried, cancelled and deleted. A comparison covers all of
    them, and a flood of failures causes one signal per run.
    """

    def __init__(self, database: Database, signals: Signals) -> None:
        self._database = database
        self._signals = signals
        self._known: Mapping[str, tuple[Any, ...]] | None = None

    def run(self) -> None:
        """Publish a signal for each workspace whose failed deliveries have changed.

        App Homes show their number, up to `MOST_COUNTED`, and the latest.
        """
        with self._database.reading_connection() as connection:
            rows = connection.execute(FAILURES).all()
        found = {row.team_id: (row.number, row.latest) for row in rows if row.number}
        known, self._known = self._known, found
        if known is None:
            return
        for team_id in sorted(found.keys() | known.keys()):
            if found.get(team_id) != known.get(team_id):
                self._signals.workspace_changed(team_id)
