"""Owners of shards on the databases of the tests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bolt_app.config import Settings
from bolt_app.delays import Delays
from tests.running import settings_for

# A tenth of the time it takes in production, save for answers, which a busy machine may delay.
DELAYS = replace(Delays().scaled(0.1), owner_answer=2.0)


@pytest.fixture
def settings(database_url: str, encryption_key: str) -> Settings:
    address = "http://127.0.0.1:9"
    return settings_for(address, address, database_url, encryption_key, delays=DELAYS)
