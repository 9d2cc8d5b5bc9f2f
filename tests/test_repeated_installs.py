"""Restored installs and setups: as if they were made, and only where nothing else happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bolt_app.db.models import Base, UserInstallation
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from slack_sandbox import Fault
from slack_sandbox.tokens import InstallKey
from tests.conftest import FakeClock
from tests.people import ACME, ANN, BEN, GENERAL
from tests.repeated_installs import MadeInstalls
from tests.restored_rows import empty_tables
from tests.running import Bellhop, Repetition, running_bellhop

PROFILE = "/profile"


class Apps:
    """Starts an app after another, as tests do."""

    def __init__(self, new_database: Callable[[], str], key: str, repetition: Repetition) -> None:
        self._new_database = new_database
        self._key = key
        self._began_at = FakeClock().now
        self._repetition = repetition

    @contextmanager
    def started(self, *, restores: bool = True) -> Iterator[Bellhop]:
        clock = FakeClock()
        clock.now = self._began_at
        repetition = self._repetition if restores else None
        with running_bellhop(self._new_database(), self._key, clock, repetition) as app:
            yield app


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def apps(
    request: pytest.FixtureRequest, tmp_path: Path, encryption_key: str, repetition: Repetition
) -> Apps:
    """Apps of which one has made the installs of Ann and Ben."""
    new = replace(repetition, installs=MadeInstalls(tmp_path))
    if request.param == "sqlite":
        migrated: Path = request.getfixturevalue("migrated_sqlite")

        def new_database() -> str:
            for file in tmp_path.glob("app.db*"):
                file.unlink()
            (tmp_path / "app.db").write_bytes(migrated.read_bytes())
            return f"sqlite:///{tmp_path / 'app.db'}"

    else:
        url: str = request.getfixturevalue("migrated_postgres")
        connection = request.getfixturevalue("emptying_connection")
        new = replace(new, postgres=connection)

        def new_database() -> str:
            connection.execute(empty_tables())
            return url

    started = Apps(new_database, encryption_key, new)
    with started.started() as app:
        app.install(ANN)
        app.install(BEN)
    return started


def subscribe(app: Bellhop) -> str:
    """Do what changes the database, the stand-in and the clock, after an install."""
    app.install(ANN)
    app.clock.advance(60)
    app.services.subscriptions.subscribe(ACME, GENERAL, SubscriptionSpec("deploys", created_by=ANN))
    app.slack.open_home(ANN, ACME)
    app.slack.deliver_due()
    return app.services.api_keys.create(ACME, "ci")


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


def test_a_restored_setup_is_as_after_a_restart(apps: Apps) -> None:
    with apps.started() as app:
        key = app.begin(subscribe)
        app.install(BEN)
        time = app.clock()
        expected = state(app), [one.body for one in app.slack.deliveries]

    with apps.started() as app:
        assert app.begin(subscribe) == key
        app.install(BEN)

        assert app.clock() == time
        assert (state(app), [one.body for one in app.slack.deliveries]) == expected
        view = app.slack.home_view(ACME, ANN)
        assert view is not None
        assert app.services.api_keys.find(key) is not None
        # Ids continue after those that were restored.
        assert app.services.api_keys.find(app.services.api_keys.create(ACME, "other")) is not None


def test_an_install_at_another_time_is_made(apps: Apps) -> None:
    with apps.started() as app:
        app.clock.advance(-3600)
        app.install(ANN)

        with app.services.database.reading() as session:
            [at] = session.scalars(select(UserInstallation.installed_at))
        assert at == app.clock()


def test_after_a_change_they_are_made(apps: Apps) -> None:
    with apps.started() as app:
        app.slack.update_user(ANN, real_name="Ann Other")

        browser, _ = app.install(ANN)

        assert "Ann Other" in browser.get(PROFILE).text


def test_after_a_direct_change_of_the_stand_in_they_are_made(apps: Apps) -> None:
    """Nothing tells anyone of it: no event, and no version of the state."""
    with apps.started() as app:
        app.install(ANN)
        assert app.slack.tokens.revoke(InstallKey(None, ACME), "user", ANN)

        app.install(BEN)

        assert [
            token.user_id for token in app.slack.tokens.live(InstallKey(None, ACME), "user")
        ] == [BEN]


def test_a_fault_makes_them_fail(apps: Apps) -> None:
    with apps.started() as app:
        app.slack.faults.add(Fault("oauth.v2.access", "api_error", error="invalid_code"))

        _, page = app.install(ANN)

        assert page.status == 400


def test_another_order_is_made(apps: Apps) -> None:
    with apps.started() as app:
        browser, _ = app.install(BEN)

        assert "ben@acme.example" in browser.get(PROFILE).text
