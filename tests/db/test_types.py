"""Column types: timestamps are equal on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select
from sqlalchemy.exc import StatementError

from bolt_app.db import Database
from bolt_app.db.models import OAuthState


def store(database: Database, moment: datetime) -> None:
    with database.writing() as session:
        session.add(OAuthState(state_hash="hash", expires_at=moment))


def stored(database: Database) -> datetime:
    with database.reading() as session:
        return session.scalars(select(OAuthState.expires_at)).one()


def test_a_timestamp_is_preserved_in_utc(database: Database) -> None:
    moment = datetime(2026, 3, 29, 1, 59, 59, 123456, UTC)
    store(database, moment)

    assert stored(database) == moment
    assert stored(database).tzinfo is UTC


def test_a_moment_of_another_zone_is_the_same_moment(database: Database) -> None:
    moment = datetime(2026, 3, 29, 3, 30, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    store(database, moment)

    assert stored(database) == moment
    assert stored(database).utcoffset() == timedelta(0)


def test_a_moment_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="time zone"):
        store(database, datetime(2026, 3, 29))  # noqa: DTZ001


def test_moments_are_compared_as_moments(database: Database) -> None:
    east = timezone(timedelta(hours=9))
    store(database, datetime(2026, 1, 1, 8, 0, tzinfo=east))

    with database.reading() as session:
        later = select(OAuthState).where(
            OAuthState.expires_at < datetime(2025, 12, 31, 23, 0, 1, tzinfo=UTC)
        )
        assert session.scalars(later).one().state_hash == "hash"
