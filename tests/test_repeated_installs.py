"""Restored installs: the same as those that are made, and only where nothing else happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bolt_app.db.models import Base
from slack_sandbox import Fault
from tests.conftest import FakeClock
from tests.people import ACME, ANN, BEN, GENERAL
from tests.repeated_installs import MadeInstalls
from tests.running import Bellhop, Ports, Repetition, running_bellhop

PROFILE = "/profile"


class Apps:
    """Starts an app after another, as tests do."""

    def __init__(self, migrated: Path, folder: Path, key: str, ports: Ports) -> None:
        self._migrated = migrated
        self._folder = folder
        self._key = key
        self._clock = FakeClock()
        self._repetition = Repetition(ports, MadeInstalls(folder))

    @contextmanager
    def started(self, *, restores: bool = True) -> Iterator[Bellhop]:
        path = self._folder / "app.db"
        for file in self._folder.glob("app.db*"):
            file.unlink()
        path.write_bytes(self._migrated.read_bytes())
        repetition = self._repetition if restores else None
        url = f"sqlite:///{path}"
        with running_bellhop(url, self._key, self._clock, repetition) as app:
            yield app


@pytest.fixture
def apps(
    migrated_sqlite: Path, tmp_path: Path, encryption_key: str, repetition: Repetition
) -> Apps:
    """Apps of which one has made the installs of Ann and Ben."""
    started = Apps(migrated_sqlite, tmp_path, encryption_key, repetition.ports)
    with started.started() as app:
        app.install(ANN)
        app.install(BEN)
    return started


def state(app: Bellhop) -> tuple[dict[str, int], dict[str, int], list[str]]:
    """Return the numbers of rows and of calls, and the messages to a person."""
    with app.services.database.reading() as session:
        rows = {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }
    welcome = app.slack.messages(app.slack.app_dm(ACME, ANN).id)
    return rows, Counter(call.method for call in app.slack.calls), [one.text for one in welcome]


def test_they_leave_what_a_made_one_leaves(apps: Apps) -> None:
    with apps.started(restores=False) as app:
        pages = [app.install(person)[1] for person in (ANN, BEN)]
        expected = state(app), [page.status for page in pages]

    with apps.started() as app:
        pages = [app.install(person)[1] for person in (ANN, BEN)]

        assert (state(app), [page.status for page in pages]) == expected


def test_a_restored_person_and_bot_work(apps: Apps) -> None:
    with apps.started() as app:
        browser, _ = app.install(ANN)

        assert "ann@acme.example" in browser.get(PROFILE).text
        answer = app.slack.send_command(ANN, GENERAL, "/profile").message
        assert answer is not None
        assert "Ann Archer" in answer.text


def test_after_a_change_they_are_made(apps: Apps) -> None:
    with apps.started() as app:
        app.slack.update_user(ANN, real_name="Ann Other")

        browser, _ = app.install(ANN)

        assert "Ann Other" in browser.get(PROFILE).text


def test_a_fault_makes_them_fail(apps: Apps) -> None:
    with apps.started() as app:
        app.slack.faults.add(Fault("oauth.v2.access", "api_error", error="invalid_code"))

        _, page = app.install(ANN)

        assert page.status == 400


def test_another_order_is_made(apps: Apps) -> None:
    with apps.started() as app:
        browser, _ = app.install(BEN)

        assert "ben@acme.example" in browser.get(PROFILE).text
