"""Column types that behave the same on SQLite and PostgreSQL, and tolerate damaged values.

A damaged value does not break a query: it is read as a harmless value, and a warning without its
content is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Time
from sqlalchemy.types import TypeDecorator

logger = logging.getLogger(__name__)

LONG_PAST = datetime(1970, 1, 1, tzinfo=UTC)
_Processor = Callable[[Any], Any] | None


class UTCDateTime(TypeDecorator[datetime]):
    """A timestamp: timezone-aware in Python, UTC in the database (SQLite stores no zone).

    An unreadable one is read as 1970.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a timestamp needs a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def result_processor(self, dialect: Dialect, coltype: object) -> _Processor:
        return _lenient(
            super().result_processor(dialect, coltype), lambda: LONG_PAST, "a timestamp"
        )


class TimeOfDay(TypeDecorator[time]):
    """A time of day; an unreadable one is read as None."""

    impl = Time
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> _Processor:
        return _lenient(super().result_processor(dialect, coltype), lambda: None, "a time of day")


class JsonObject(TypeDecorator[dict[str, Any]]):
    """A JSON object; an unreadable one is read as empty."""

    impl = JSON
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> dict[str, Any] | None:
        return value if value is None or isinstance(value, dict) else self.unreadable()

    def result_processor(self, dialect: Dialect, coltype: object) -> _Processor:
        read = super().result_processor(dialect, coltype)
        return _lenient(read, self.unreadable, "a JSON object")

    def unreadable(self) -> dict[str, Any]:
        """Return the replacement for an unreadable object."""
        return {}


def _lenient(read: _Processor, instead: Callable[[], Any], what: str) -> _Processor:
    """Return a processor that calls `instead` for unreadable values."""
    if read is None:
        return None

    def read_or_warn(value: Any) -> Any:
        try:
            return read(value)
        except (ValueError, TypeError):
            logger.warning("%s in the database cannot be read", what)
            return instead()

    return read_or_warn
