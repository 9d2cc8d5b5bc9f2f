"""Signals about changes in the failed deliveries of workspaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from bolt_app.db import Database
from bolt_app.db.models import IS_TROUBLED, Delivery
from bolt_app.signals import Signals

_FAILED = (
    select(
        Delivery.team_id,
        func.count().label("number"),
        func.max(Delivery.id).label("latest"),
        func.max(Delivery.finished_at).label("at"),
    )
    .where(IS_TROUBLED)
    .group_by(Delivery.team_id)
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
        """Publish a signal for each workspace whose failed deliveries have changed."""
        with self._database.reading_connection() as connection:
            rows = connection.execute(_FAILED).all()
        found = {row.team_id: tuple(row) for row in rows}
        known, self._known = self._known, found
        if known is None:
            return
        for team_id in sorted(found.keys() | known.keys()):
            if found.get(team_id) != known.get(team_id):
                self._signals.workspace_changed(team_id)
