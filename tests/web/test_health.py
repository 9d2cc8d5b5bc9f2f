"""Health checks: liveness, readiness and their errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bolt_app.db import schema
from tests.conftest import FakeClock
from tests.people import ANN
from tests.running import Bellhop, running_bellhop


@pytest.fixture
def unmigrated(empty_database_url: str, encryption_key: str, clock: FakeClock) -> Iterator[Bellhop]:
    with running_bellhop(empty_database_url, encryption_key, clock) as running:
        yield running


def test_a_running_app_is_alive_and_ready(bellhop: Bellhop) -> None:
    browser = bellhop.browser()

    assert browser.get("/healthz").json() == {"status": "ok"}
    ready = browser.get("/readyz")
    # No worker delivers. A process that serves only pages reports this and stays ready.
    assert (ready.status, ready.json()) == (200, {"status": "ok", "shards_without_owner": 64})


def test_sqlite_is_migrated_at_start_and_postgresql_by_the_command(unmigrated: Bellhop) -> None:
    database = unmigrated.services.database
    browser = unmigrated.browser()

    if not database.is_sqlite:
        waiting = browser.get("/readyz")
        assert waiting.status == 503
        assert "run `bellhop db upgrade`" in waiting.json()["reason"]
        schema.upgrade(database)
    assert browser.get("/readyz").status == 200


def test_a_schema_of_a_newer_version_is_not_ready(bellhop: Bellhop) -> None:
    with bellhop.services.database.writing_connection() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'ffff'")

    answer = bellhop.browser().get("/readyz")

    assert answer.status == 503
    assert "of a newer Bellhop" in answer.json()["reason"]


def test_an_unavailable_database_is_reported_without_its_address(encryption_key: str) -> None:
    url = "postgresql+psycopg://bell:sesame@127.0.0.1:9/bellhop"
    with running_bellhop(url, encryption_key, FakeClock()) as running:
        browser = running.browser()
        answer = browser.get("/readyz")

        assert (answer.status, answer.json()["reason"]) == (503, "The database is not answering.")
        assert "sesame" not in answer.text
        assert browser.get("/healthz").status == 200


def test_pages_say_that_the_database_is_down(encryption_key: str) -> None:
    url = "postgresql+psycopg://bell:sesame@127.0.0.1:9/bellhop"
    with running_bellhop(url, encryption_key, FakeClock()) as running:
        browser = running.browser()
        to_slack = browser.get("/slack/install").location
        page = browser.get(running.slack.authorize(ANN, to_slack))

        assert page.status == 503
        assert "sesame" not in page.text
