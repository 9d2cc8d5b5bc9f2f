"""The interface of every engine in the comparison, and its storage."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

POSTGRESQL = os.environ.get("BAKE_OFF_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432")
REDIS = os.environ.get("BAKE_OFF_REDIS", "redis://127.0.0.1:6379/9")
RABBITMQ = os.environ.get("BAKE_OFF_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//")

# A worker's threads, the same for every engine.
THREADS = 8
PACE_SECONDS = 1.0
# The polling interval, for engines that poll.
POLL_SECONDS = 0.1
# The time without a heartbeat after which a worker is dead, for engines with such an option.
DEAD_SECONDS = 20


class RolledBackError(Exception):
    """Raised to roll a transaction back, and see what remains of it."""


@dataclass(frozen=True)
class Storage:
    """The files and databases of one engine in one measurement, under a unique name."""

    name: str
    directory: Path

    @property
    def sqlite_path(self) -> Path:
        """The file for an engine on SQLite."""
        return self.directory / "engine.db"

    @property
    def database_name(self) -> str:
        """The database for an engine on PostgreSQL."""
        return "bake_off_" + self.name.replace("-", "_")

    def url(self, database: str, driver: str = "") -> str:
        """Return the address of a database: "sqlite" or "postgresql"."""
        if database == "sqlite":
            return f"sqlite:///{self.sqlite_path}"
        return f"{POSTGRESQL}/{self.database_name}".replace("postgresql:", f"postgresql{driver}:")

    def create_database(self) -> None:
        """Create an empty database on PostgreSQL."""
        self.drop_database()
        with _server() as connection:
            connection.execute(f"CREATE DATABASE {self.database_name}".encode())

    def drop_database(self) -> None:
        """Drop the database on PostgreSQL, and its connections."""
        with _server() as connection:
            statement = f"DROP DATABASE IF EXISTS {self.database_name} WITH (FORCE)"
            connection.execute(statement.encode())


@contextmanager
def _server() -> Iterator[psycopg.Connection]:
    with psycopg.connect(f"{POSTGRESQL}/postgres", autocommit=True) as connection:
        yield connection


@dataclass(frozen=True)
class Job:
    """Message `number` of `of` messages for a lane, which all wait when the job is enqueued.

    Attributes:
        hold: how long sending it takes, in seconds.
    """

    lane: str
    number: int = 1
    of: int = 1
    hold: float = 0.001

    def following(self) -> Job | None:
        """Return the next message of the lane."""
        return None if self.number == self.of else replace(self, number=self.number + 1)

    def alone(self) -> Iterator[Job]:
        """Yield each message of the job as a separate job."""
        for number in range(self.number, self.of + 1):
            yield replace(self, number=number, of=number)

    def arguments(self) -> tuple[str, int, int, float]:
        """Return the arguments that an engine stores."""
        return self.lane, self.number, self.of, self.hold


class Engine(ABC):
    """One engine, configured for lanes.

    Each lane has one job: it sends one message and, if more wait, runs again a second later.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    @abstractmethod
    def set_up(self) -> None:
        """Create the engine's storage, empty."""

    @abstractmethod
    def open(self) -> None:
        """Connect as a web process that enqueues."""

    @abstractmethod
    def enqueue(self, job: Job) -> None:
        """Enqueue a job, durably."""

    @abstractmethod
    def accept(self, job: Job, *, fail: bool = False) -> None:
        """Insert a row and enqueue, in one transaction if the engine supports it.

        Args:
            fail: raise `RolledBackError` just before the commit.
        """

    @abstractmethod
    def work(self, worker_id: str) -> None:
        """Run jobs until the process is killed."""

    @abstractmethod
    def left(self) -> int:
        """Return the number of unfinished jobs."""

    @abstractmethod
    def tear_down(self) -> None:
        """Remove the engine's storage."""
