"""What every engine does for the bake-off, and where it may keep its things."""

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

# What a worker is like, on every engine alike.
THREADS = 8
PACE_SECONDS = 1.0
# How often is looked for work, where an engine has to look.
POLL_SECONDS = 0.1
# After so long without a sign of life a worker is dead, where an engine can be told.
DEAD_SECONDS = 20


class RolledBackError(Exception):
    """Raised to see what is left of a transaction that came to nothing."""


@dataclass(frozen=True)
class Place:
    """Where one engine in one measurement keeps its things; named so that none meets another."""

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
        """Return the address of a database, "sqlite" or "postgresql"."""
        if database == "sqlite":
            return f"sqlite:///{self.sqlite_path}"
        return f"{POSTGRESQL}/{self.database_name}".replace("postgresql:", f"postgresql{driver}:")

    def create_database(self) -> None:
        """Make the database on PostgreSQL, empty."""
        self.drop_database()
        with _server() as connection:
            connection.execute(f"CREATE DATABASE {self.database_name}".encode())

    def drop_database(self) -> None:
        """Drop the database on PostgreSQL, whoever is connected."""
        with _server() as connection:
            statement = f"DROP DATABASE IF EXISTS {self.database_name} WITH (FORCE)"
            connection.execute(statement.encode())


@contextmanager
def _server() -> Iterator[psycopg.Connection]:
    with psycopg.connect(f"{POSTGRESQL}/postgres", autocommit=True) as connection:
        yield connection


@dataclass(frozen=True)
class Job:
    """A message for a lane: `number` of `of`, which all wait when the job is enqueued.

    Attributes:
        hold: how long sending it takes, in seconds.
    """

    lane: str
    number: int = 1
    of: int = 1
    hold: float = 0.001

    def following(self) -> Job | None:
        """Return the message that is due in the lane after this one."""
        return None if self.number == self.of else replace(self, number=self.number + 1)

    def alone(self) -> Iterator[Job]:
        """Yield every message of the job as a job of its own."""
        for number in range(self.number, self.of + 1):
            yield replace(self, number=number, of=number)

    def arguments(self) -> tuple[str, int, int, float]:
        """Return what an engine has to carry."""
        return self.lane, self.number, self.of, self.hold


class Engine(ABC):
    """One engine, set up as one would set it up for lanes.

    The grain is a job a lane: it sends one message and, where more wait, comes again in a second.
    """

    def __init__(self, place: Place) -> None:
        self.place = place

    @abstractmethod
    def set_up(self) -> None:
        """Create what the engine needs, empty."""

    @abstractmethod
    def open(self) -> None:
        """Connect, as a web process that enqueues."""

    @abstractmethod
    def enqueue(self, job: Job) -> None:
        """Enqueue a job, durably."""

    @abstractmethod
    def accept(self, job: Job, *, fail: bool = False) -> None:
        """Write a row of ours and enqueue: in one transaction where the engine can.

        Args:
            fail: raise `RolledBackError` at the last moment before the commit.
        """

    @abstractmethod
    def work(self, worker_id: str) -> None:
        """Run jobs until the process is killed."""

    @abstractmethod
    def left(self) -> int:
        """Return how many jobs the engine knows of that are not done."""

    @abstractmethod
    def tear_down(self) -> None:
        """Leave nothing behind."""
