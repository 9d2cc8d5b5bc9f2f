"""Fixtures for database tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bolt_app.db import Database


@pytest.fixture
def empty_database(empty_database_url: str, encryption_key: str) -> Iterator[Database]:
    """A database without tables."""
    opened = Database(empty_database_url, [encryption_key])
    yield opened
    opened.close()
