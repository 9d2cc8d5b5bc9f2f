"""The engines of the comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from benchmarks.engines.engine import Engine, Storage

ALL = ("weight", "transaction", "rates", "idle", "latency", "drain", "exclusion", "takeover")


@dataclass(frozen=True)
class Contender:
    """An engine with one way to store its queue.

    Attributes:
        measures: the names of its measurements.
        packages: the packages that it needs.
    """

    title: str
    path: str
    packages: tuple[str, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    measures: tuple[str, ...] = ALL

    def create(self, storage: Storage) -> Engine:
        """Return the engine; its library is imported only here."""
        module, _, name = self.path.partition(":")
        engine = getattr(import_module(f"benchmarks.engines.{module}"), name)
        created: Engine = engine(storage, **self.arguments)
        return created


_BELLHOP, _DBOS, _HUEY, _PROCRASTINATE, _CELERY = (
    "bellhop_engine:BellhopEngine",
    "dbos_engine:DBOSEngine",
    "huey_engine:HueyEngine",
    "procrastinate_engine:ProcrastinateEngine",
    "celery_engine:CeleryEngine",
)
_SQLITE, _POSTGRESQL = {"database": "sqlite"}, {"database": "postgresql"}
CONTENDERS = {
    "bellhop-sqlite": Contender("Bellhop's lanes, SQLite", _BELLHOP, ("huey",), _SQLITE),
    "bellhop-postgresql": Contender(
        "Bellhop's lanes, PostgreSQL", _BELLHOP, ("huey",), _POSTGRESQL
    ),
    "huey-sqlite": Contender("Huey, SQLite", _HUEY, ("huey",), _SQLITE),
    "huey-postgresql": Contender("Huey, PostgreSQL", _HUEY, ("huey",), _POSTGRESQL),
    "dbos-sqlite": Contender("DBOS, SQLite", _DBOS, ("dbos",), _SQLITE),
    "dbos-postgresql": Contender("DBOS, PostgreSQL", _DBOS, ("dbos",), _POSTGRESQL),
    "dbos-sqlite-limiter": Contender(
        "DBOS, SQLite, its limiter", _DBOS, ("dbos",), {**_SQLITE, "limiter": True}, ("drain",)
    ),
    "dbos-postgresql-limiter": Contender(
        "DBOS, PostgreSQL, its limiter",
        _DBOS,
        ("dbos",),
        {**_POSTGRESQL, "limiter": True},
        ("drain",),
    ),
    "procrastinate": Contender("Procrastinate, PostgreSQL", _PROCRASTINATE, ("procrastinate",)),
    "celery-redis": Contender("Celery, Redis", _CELERY, ("celery", "redis"), {"broker": "redis"}),
    "celery-rabbitmq": Contender("Celery, RabbitMQ", _CELERY, ("celery",), {"broker": "rabbitmq"}),
    "celery-sqlite": Contender(
        "Celery, SQLAlchemy on SQLite", _CELERY, ("celery",), {"broker": "sqlite"}
    ),
}
