"""Receipts: a signed request takes effect once, and not if it is rolled back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bolt_app.db import Database
from bolt_app.db.models import EventReceipt
from bolt_app.db.receipts import (
    ReplayedRequestError,
    answering,
    record_effect,
    signed_request_id,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def record(database: Database) -> None:
    with database.writing() as session:
        record_effect(session, NOW, None)


def record_and_fail(database: Database) -> None:
    with database.writing() as session:
        record_effect(session, NOW, None)
        raise RuntimeError


def receipts(database: Database) -> list[str]:
    with database.reading() as session:
        return [item.event_id for item in session.query(EventReceipt)]


def test_a_replay_is_refused(database: Database) -> None:
    with answering("request:1"):
        record(database)

    with answering("request:1"), pytest.raises(ReplayedRequestError):
        record(database)

    with answering("request:2"):
        record(database)
    assert receipts(database) == ["request:1", "request:2"]


def test_a_request_may_have_several_effects(database: Database) -> None:
    with answering("request:1"):
        record(database)
        record(database)
        with database.writing_connection() as connection:
            record_effect(connection, NOW, None)

    assert receipts(database) == ["request:1"]


def test_an_effect_that_is_rolled_back_may_be_tried_again(database: Database) -> None:
    with answering("request:1"), pytest.raises(RuntimeError):
        record_and_fail(database)

    with answering("request:1"):
        record(database)
    assert receipts(database) == ["request:1"]


def test_nothing_is_recorded_outside_of_a_request(database: Database) -> None:
    record(database)

    assert signed_request_id() is None
    assert receipts(database) == []
