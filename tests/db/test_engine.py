"""Engine settings and transactions."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Barrier, Thread
from time import monotonic
from typing import Any

import psycopg
import pytest
from psycopg.errors import LockNotAvailable
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from bolt_app.application import create_app
from bolt_app.db import DATABASE_UNAVAILABLE, Database, engine, schema
from bolt_app.db.bulk import is_any_of
from bolt_app.db.libpq import libpq_address
from bolt_app.db.models import InstallationRevision, Membership
from bolt_app.db.upsert import count_up
from bolt_app.notifications.delivery.statements import FENCED
from bolt_app.services import Services
from tests.conftest import FakeClock
from tests.running import settings_for

_MANY_DELIVERIES = (
    "INSERT INTO lanes (id, team_id, address, is_erasable) VALUES (1, 'T1', 'C1', false)",
    "INSERT INTO notifications (id, team_id, source, content, created_at)"
    " VALUES ('N1', 'T1', 'command', '{}', now())",
    "INSERT INTO deliveries (notification_id, team_id, lane_id, seq, target, state, source, rank,"
    " urgency, mode, on_unknown, send_at, attempts) SELECT 'N1', 'T1', 1, 1, 'C1', 'sent',"
    " 'command', 0, 1, 'new', 'hold', now(), 0 FROM generate_series(1, 20000)",
)
_PID = select(func.pg_backend_pid())
KEY = {"client_id": "1.2", "enterprise_id": "", "team_id": "T1"}


def count(database: Database) -> None:
    with database.writing() as session:
        # Reads first: without the write lock SQLite would then fail.
        session.scalar(select(InstallationRevision.revision))
        count_up(session, InstallationRevision, key=KEY, counter=InstallationRevision.revision)


def counted(database: Database) -> int | None:
    with database.reading() as session:
        return session.scalar(select(InstallationRevision.revision))


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("foreign_keys", 1), ("secure_delete", 1), ("busy_timeout", 15000)],
)
def test_sqlite_is_set_up_for_several_processes(
    tmp_path: Path, encryption_key: str, pragma: str, value: object
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new' / 'bellhop.db'}", [encryption_key])
    try:
        with database.engine.connect() as connection:
            assert connection.execute(text(f"PRAGMA {pragma}")).scalar() == value
    finally:
        database.close()


def test_a_connection_in_use_closes_when_it_is_returned(database: Database) -> None:
    with database.engine.connect() as connection:
        returned: Any = connection.connection.dbapi_connection
        database.close()

    with pytest.raises((psycopg.Error, sqlite3.Error), match="closed"):
        returned.cursor().execute("SELECT 1")


def test_a_row_cannot_reference_a_missing_row(database: Database, clock: FakeClock) -> None:
    orphan = Membership(
        user_id=1, team_id="T1", is_admin=False, is_owner=False, is_guest=False, linked_at=clock()
    )

    with pytest.raises(IntegrityError), database.writing() as session:
        session.add(orphan)


def test_an_error_rolls_back_the_transaction(database: Database) -> None:
    def fail_halfway() -> None:
        with database.writing() as session:
            count_up(session, InstallationRevision, key=KEY, counter=InstallationRevision.revision)
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError):
        fail_halfway()

    assert counted(database) is None


def test_a_reading_session_commits_nothing(database: Database) -> None:
    with database.reading() as session:
        session.add(InstallationRevision(**KEY, revision=1))
        session.flush()

    assert counted(database) is None


def test_a_reading_connection_sees_new_commits(database: Database) -> None:
    revision = select(InstallationRevision.revision)
    with database.reading_connection() as connection:
        assert connection.scalar(revision) is None
        count(database)
        assert connection.scalar(revision) == 1


@pytest.mark.sqlite_only
def test_a_reading_connection_rejects_writes(database: Database) -> None:
    with (
        database.reading_connection() as connection,
        pytest.raises(OperationalError, match="readonly"),
    ):
        connection.execute(insert(InstallationRevision).values(**KEY, revision=1))

    assert counted(database) is None


def test_writers_wait_for_each_other(database: Database) -> None:
    writers, rounds = 8, 10
    barrier = Barrier(writers)

    def write() -> None:
        barrier.wait()
        for _ in range(rounds):
            count(database)

    threads = [Thread(target=write) for _ in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counted(database) == writers * rounds


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestTheWriteAheadLog:
    """Deleted data is in it until it is emptied, and all writers wait meanwhile."""

    def test_people_do_not_empty_it_more_than_once_a_second(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        moment = 1000.0
        monkeypatch.setattr(engine, "monotonic", lambda: moment)

        def forget() -> int:
            count(database)
            database.forget_deleted()
            return log_size(database)

        assert forget() == 0
        moment += engine.FORGET_EVERY_SECONDS - 0.01
        assert forget() > 0
        moment += 0.01
        assert forget() == 0

    def test_an_erasure_empties_it_each_time(self, database: Database) -> None:
        for _ in range(2):
            count(database)
            assert log_size(database) > 0
            database.forget_erased()
            assert log_size(database) == 0

    def test_writers_do_not_wait_for_its_readers(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written: list[int | None] = []

        def write_meanwhile(_seconds: float) -> None:
            count(database)
            written.append(counted(database))

        monkeypatch.setattr(engine, "sleep", write_meanwhile)
        count(database)
        with closing(sqlite3.connect(str(database.engine.url.database))) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM installation_revisions").fetchone()
            count(database)
            began = monotonic()

            assert not database.truncate_wal(wait_seconds=0)
            assert monotonic() - began < engine.CHECKPOINT_SECONDS
            database.forget_erased()

        assert written == [3, 4, 5, 6]
        assert log_size(database) > 0
        assert database.truncate_wal()
        assert log_size(database) == 0

    def test_a_short_reader_only_delays_it(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        count(database)
        with closing(sqlite3.connect(str(database.engine.url.database))) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM installation_revisions").fetchone()
            monkeypatch.setattr(engine, "sleep", lambda _seconds: reader.rollback())
            count(database)

            database.forget_erased()

            assert log_size(database) == 0


def log_size(database: Database) -> int:
    return Path(f"{database.engine.url.database}-wal").stat().st_size


def test_the_address_of_the_database_stays_out_of_errors_and_reprs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Fernet key") as caught:
        Database(f"sqlite:///{tmp_path / 'bellhop.db'}", ["not-a-key"])

    assert "not-a-key" not in str(caught.value)


def test_an_unreachable_database_is_reported(encryption_key: str) -> None:
    gone = Database("postgresql+psycopg://nobody@127.0.0.1:1/nothing", [encryption_key])
    try:
        with pytest.raises(OperationalError):
            gone.engine.connect()
    finally:
        gone.close()


@pytest.mark.postgresql
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
class TestWaitsOnPostgreSQL:
    def test_a_locked_row_is_waited_for_for_a_second(self, database: Database) -> None:
        with database.writing() as keeping:
            count_up(keeping, InstallationRevision, key=KEY, counter=InstallationRevision.revision)
            began = monotonic()
            with pytest.raises(OperationalError) as failed:
                count(database)

        assert isinstance(failed.value.orig, LockNotAvailable)
        assert isinstance(failed.value, DATABASE_UNAVAILABLE)
        assert 0.9 < monotonic() - began < 10
        count(database)
        assert counted(database) == 2

    def test_a_transaction_that_does_not_continue_is_ended(self, database: Database) -> None:
        with database.reading_connection() as connection:
            timeout = "SELECT current_setting('idle_in_transaction_session_timeout')"
            assert connection.scalar(text(timeout)) == "5s"

    def test_a_connection_that_the_server_has_closed_is_replaced(self, database: Database) -> None:
        count(database)
        with database.reading_connection() as connection:
            lost = connection.scalar(_PID)
        with psycopg.connect(libpq_address(database.engine.url)) as other:
            other.execute("SELECT pg_terminate_backend(%s, 10000)", [lost])

        count(database)

        assert counted(database) == 2

    @pytest.mark.parametrize(("session_url", "prepared"), [("", 1), ("postgresql://direct", 0)])
    def test_behind_a_transaction_pooler_nothing_is_prepared(
        self, database_url: str, encryption_key: str, session_url: str, prepared: int
    ) -> None:
        address = "http://127.0.0.1:9"
        changes = {"database_session_url": session_url}
        settings = settings_for(address, address, database_url, encryption_key, **changes)
        services: Services = create_app(settings).extensions["bellhop"]
        for _ in range(10):
            with services.database.reading_connection() as connection:
                connection.scalar(_PID)
        with services.database.reading_connection() as connection:
            found = connection.scalar(text("SELECT count(*) FROM pg_prepared_statements"))
        services.close()

        assert found == prepared

    def test_a_read_is_planned_once(self, database: Database) -> None:
        revisions = select(InstallationRevision.revision).where(
            is_any_of(InstallationRevision.team_id, "team_ids")
        )
        for number in range(20):
            with database.reading_connection() as connection:
                teams = [f"T{index}" for index in range(number)]
                connection.execute(revisions, {"team_ids": teams}).all()
        with database.reading_connection() as connection:
            prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%ANY(%'"
            assert connection.scalar(text(prepared)) == 1

    def test_a_plan_for_an_empty_table_is_not_kept(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with database.reading_connection() as connection:
            for _ in range(15):
                connection.execute(FENCED, {"ids": [1, 2, 3]}).all()
            name = connection.scalar(
                text("SELECT name FROM pg_prepared_statements WHERE statement LIKE '%token%'")
            )
        with database.writing_connection() as connection:
            for statement in _MANY_DELIVERIES:
                connection.execute(text(statement))
        monkeypatch.setattr(engine, "CHECK_SECONDS", 0)
        with database.reading_connection() as connection:
            plan = "".join(connection.scalars(text(f"EXPLAIN EXECUTE {name}('{{1}}')")))

        assert "Seq Scan on deliveries" not in plan

    def test_a_transaction_takes_a_connection_that_was_only_read(self, database: Database) -> None:
        with database.reading_connection() as connection:
            read_by = connection.scalar(_PID)

        def fail_halfway() -> None:
            with database.writing_connection() as connection:
                assert connection.scalar(_PID) == read_by
                connection.execute(insert(InstallationRevision).values(**KEY, revision=1))
                raise RuntimeError("halfway")

        with pytest.raises(RuntimeError):
            fail_halfway()

        assert counted(database) is None

    @pytest.mark.slow
    def test_a_migration_waits_for_another_one(self, database: Database) -> None:
        with database.writing_connection() as migrating:
            migrating.execute(select(func.pg_advisory_xact_lock(schema._ADVISORY_LOCK)))
            waiting = Thread(target=schema.upgrade, args=(database,))
            waiting.start()
            waiting.join(1.5)
            assert waiting.is_alive()
        waiting.join()
        with database.reading_connection() as connection:
            timeout = "SELECT current_setting('lock_timeout')"
            assert connection.scalar(text(timeout)) == "1s"
