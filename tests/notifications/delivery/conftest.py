"""Shard owners on the databases of the tests."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from bolt_app.config import Settings
from bolt_app.db import Database
from bolt_app.db.models import Shard
from bolt_app.delays import Delays
from bolt_app.notifications.queue.shards import OwnedShard
from tests.running import settings_for

# A tenth of the time it takes in production, save for answers, which a busy machine may delay.
DELAYS = replace(Delays().scaled(0.1), owner_answer=2.0)


@pytest.fixture
def settings(database_url: str, encryption_key: str) -> Settings:
    address = "http://127.0.0.1:9"
    return settings_for(address, address, database_url, encryption_key, delays=DELAYS)


def has_token(database: Database, shard: OwnedShard) -> bool:
    """Whether a begin under this acquisition would be accepted."""
    with database.reading() as session:
        return (
            session.scalar(select(Shard.token).where(Shard.number == shard.number)) == shard.token
        )
