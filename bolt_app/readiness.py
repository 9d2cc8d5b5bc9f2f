"""Readiness of this process, as `/readyz` reports it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from bolt_app.db import DATABASE_UNAVAILABLE, Database
from bolt_app.db.schema import SchemaError, require_current
from bolt_app.delays import Delays
from bolt_app.notifications.delivery.ownership import Ownership
from bolt_app.notifications.delivery.unowned import count_unowned

logger = logging.getLogger(__name__)


class Readiness:
    """Whether the database answers, its schema is current, and every workspace has an owner.

    Missing owners make only a delivering process unready: taking a web process out of service would
    not help.
    """

    def __init__(
        self,
        database: Database,
        delays: Delays,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._delays = delays
        self._monotonic = monotonic
        self._ownership: Ownership | None = None

    def watch(self, ownership: Ownership) -> None:
        """Include this process's worker in the checks; it must use the same clock."""
        self._ownership = ownership

    def check(self) -> tuple[dict[str, object], int]:
        """Return the response: an object for JSON, and the HTTP status 200 or 503."""
        try:
            require_current(self._database)
            unowned = count_unowned(self._database, self._delays.owner_silence)
        except SchemaError as error:
            return {"status": "unavailable", "reason": str(error)}, 503
        except DATABASE_UNAVAILABLE:
            logger.exception("the database is not answering")
            return {"status": "unavailable", "reason": "The database is not answering."}, 503
        body: dict[str, object] = {"shards_without_owner": unowned}
        waited = self._unowned_seconds()
        if waited <= self._delays.unowned_alarm:
            return {"status": "ok", **body}, 200
        reason = (
            f"Some workspaces have had no worker for {waited:.0f} seconds: see the worker logs."
        )
        return {"status": "unavailable", "reason": reason, **body}, 503

    def _unowned_seconds(self) -> float:
        return self._ownership.unowned_seconds(self._monotonic()) if self._ownership else 0.0
