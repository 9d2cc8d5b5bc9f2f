"""Fixtures for all tests: a clock, a database, the stand-in for Slack and the app."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from shutil import disk_usage
from socket import AF_INET, SOCK_DGRAM, create_server, socket
from typing import Any

import psycopg
import pytest
from cryptography.fernet import Fernet
from hypothesis import is_hypothesis_test
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from bolt_app.db import Database, schema
from bolt_app.http_loop import HttpLoop
from tests.property import register_profiles
from tests.repeated_installs import MadeInstalls
from tests.restored_rows import empty_tables
from tests.running import Bellhop, Ports, Repetition, running_bellhop
from tests.shared_setup import share_setup

pytest_plugins = ["tests.browser.chromium", "tests.peers"]

register_profiles()
MARKERS_OF_FIXTURES = {"chromium": "browser", "proxy": "proxies"}
# Fixtures of tests that may watch or change an install.
WATCHING = {"caplog", "capsys", "monkeypatch"}
TESTS = Path(__file__).parent
FAULTS = TESTS / "faults"
# https://man7.org/linux/man-pages/man7/shm_overview.7.html
MEMORY = Path("/dev/shm")  # noqa: S108
MEMORY_BYTES = 2**30

# https://docs.python.org/3/library/gc.html#gc.set_threshold
GARBAGE_THRESHOLDS = 20_000, 20, 100

TEST_PORTS = range(11_000, 14_000)

POSTGRES_URL = os.environ.get(
    "TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize database tests with both databases, unless marked for SQLite."""
    test = metafunc.definition
    is_marked = test.get_closest_marker("sqlite_only") and not test.get_closest_marker(
        "both_databases"
    )
    if is_marked and "database_url" in metafunc.fixturenames:
        on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
        test.add_marker(on_sqlite)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Add markers that depend on a test's folder and fixtures, and spread the fault tests."""
    faults: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        is_fault = FAULTS in item.path.parents
        (faults if is_fault else others).append(item)
        if is_fault:
            item.add_marker("faults")
        for fixture, marker in MARKERS_OF_FIXTURES.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(marker)
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker("long")
    items[:] = spread(faults, others)


def spread(waiting: list[pytest.Item], others: list[pytest.Item]) -> list[pytest.Item]:
    """Return all tests, with those that mostly wait at equal distances among the others."""
    distance = len(others) // (len(waiting) + 1) + 1
    tests: list[pytest.Item] = []
    for number, test in enumerate(waiting):
        tests += [*others[number * distance : (number + 1) * distance], test]
    return tests + others[len(waiting) * distance :]


def pytest_configure(config: pytest.Config) -> None:
    """Keep temporary files in memory where there is enough: SQLite waits for each write to disk."""
    if MEMORY.is_dir() and disk_usage(MEMORY).free > MEMORY_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    # Python takes seconds to free every object when it ends. Coverage writes its data then.
    if worker and "coverage" not in sys.modules:
        atexit.register(os._exit, 0)
    if worker and not config.option.file_or_dir:
        import_tests(int(worker.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))


def import_tests(number: int, workers: int) -> None:
    """Import all tests, each worker from another one on.

    pytest compiles the assertions of each module and keeps the result in a file, for the workers
    that import it later. In the order of the tests each of them would compile every module.
    """
    modules = sorted(TESTS.rglob("test_*.py"))
    first = number * len(modules) // workers
    for path in modules[first:] + modules[:first]:
        name = ".".join(path.relative_to(TESTS.parent).with_suffix("").parts)
        with suppress(Exception):  # pytest reports it
            import_module(name)


def pytest_collection_finish() -> None:
    """Exempt the modules and the tests from garbage collection, and collect other objects rarely.

    Collections took a third of the time without the first, and a tenth without the second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


@pytest.fixture(scope="session", autouse=True)
def shared_setup() -> Iterator[None]:
    """Let the apps of this process share the slow parts of their start."""
    with pytest.MonkeyPatch.context() as patch:
        share_setup(patch)
        yield


class FakeClock:
    """A clock that starts now and only moves when a test advances it.

    The clocks of half a minute start at the same time, so that installs can be restored.
    """

    _started_at = datetime.min.replace(tzinfo=UTC)

    def __init__(self) -> None:
        now = datetime.now(UTC)
        if now - FakeClock._started_at > timedelta(seconds=30):
            FakeClock._started_at = now
        self.now = FakeClock._started_at

    def __call__(self) -> datetime:
        return self.now

    def timestamp(self) -> float:
        """Return the time as Unix seconds, for the stand-in for Slack."""
        return self.now.timestamp()

    def advance(self, seconds: float) -> None:
        """Advance the clock."""
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def http() -> Iterator[HttpLoop]:
    """The HTTP loop."""
    loop = HttpLoop()
    yield loop
    loop.close()


@pytest.fixture(scope="session")
def encryption_key() -> str:
    return Fernet.generate_key().decode()


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """The URL of a PostgreSQL server; skips the test without one."""
    engine = create_engine(POSTGRES_URL, connect_args={"connect_timeout": 3})
    try:
        engine.connect().close()
    except OperationalError as error:
        if os.environ.get("REQUIRE_POSTGRES") == "1":
            raise
        pytest.skip(f"no PostgreSQL at {POSTGRES_URL}: {error}")
    finally:
        engine.dispose()
    return POSTGRES_URL


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory, encryption_key: str) -> Path:
    """An SQLite file with the current schema, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    database = Database(f"sqlite:///{path}", [encryption_key])
    schema.upgrade(database)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path


@contextmanager
def fresh_schema(server: str) -> Iterator[str]:
    """Create an empty schema on a PostgreSQL server; yield its URL."""
    name = f"bellhop_{uuid.uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE SCHEMA {name}"))
        # No test depends on commits that survive a crash of the server, and they wait for the disk.
        # A tab, because SQLAlchemy writes a space as "+", which libpq does not read as one.
        options = f"-csearch_path={name}\t-csynchronous_commit=off"
        url = make_url(server).update_query_dict({"options": options})
        yield url.render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
        engine.dispose()


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str, encryption_key: str) -> Iterator[str]:
    """A schema on PostgreSQL with the current tables, to be emptied before each use."""
    with fresh_schema(postgres_server) as url:
        database = Database(url, [encryption_key])
        schema.upgrade(database)
        database.close()
        yield url


@pytest.fixture(scope="session")
def emptying_connection(migrated_postgres: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that empties the tables: opening one takes longer than that."""
    address = make_url(migrated_postgres).set(drivername="postgresql")
    with psycopg.connect(
        address.render_as_string(hide_password=False), autocommit=True
    ) as connection:
        yield connection


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)],
)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'bellhop.db'}"
        return
    server = request.getfixturevalue("postgres_server")
    with fresh_schema(server) as url:
        yield url


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)],
)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database with the current schema, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("migrated_sqlite")
        (tmp_path / "bellhop.db").write_bytes(template.read_bytes())
        return f"sqlite:///{tmp_path / 'bellhop.db'}"
    url: str = request.getfixturevalue("migrated_postgres")
    request.getfixturevalue("emptying_connection").execute(empty_tables())
    return url


@pytest.fixture
def database(database_url: str, encryption_key: str) -> Iterator[Database]:
    """A `Database` with the current schema, on SQLite and on PostgreSQL."""
    opened = Database(database_url, [encryption_key])
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def repetition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repetition]:
    """The ports and the installs of the tests of this process."""
    with ExitStack() as stack:
        ports = Ports(reserved_port(stack), reserved_port(stack))
        yield Repetition(ports, MadeInstalls(tmp_path_factory.mktemp("installs")))


def reserved_port(stack: ExitStack) -> int:
    """Return a TCP port that no other process uses, also while nothing listens there.

    Systems give higher ones to connections, and to servers that ask for any. Test processes reserve
    one by the UDP port with its number.
    """
    for port in TEST_PORTS:
        with ExitStack() as claims, suppress(OSError):
            claims.enter_context(socket(AF_INET, SOCK_DGRAM)).bind(("127.0.0.1", port))
            create_server(("127.0.0.1", port)).close()
            stack.push(claims.pop_all())
            return port
    raise RuntimeError("no port is free")


@pytest.fixture
def restoring(request: pytest.FixtureRequest, database_url: str) -> Repetition | None:
    """The installs of earlier tests, except where a test looks into the app."""
    if WATCHING & set(request.fixturenames):
        return None
    repetition: Repetition = request.getfixturevalue("repetition")
    if database_url.startswith("sqlite"):
        return repetition
    return replace(repetition, postgres=request.getfixturevalue("emptying_connection"))


@pytest.fixture
def bellhop(
    database_url: str, encryption_key: str, clock: FakeClock, restoring: Repetition | None
) -> Iterator[Bellhop]:
    """Bellhop and the stand-in for Slack, both served over HTTP."""
    with running_bellhop(database_url, encryption_key, clock, restoring) as running:
        yield running
