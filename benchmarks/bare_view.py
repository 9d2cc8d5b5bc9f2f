"""A minimal Flask view that inserts one row, as a baseline for accepting a notification.

It is the obvious first version: SQLAlchemy, one table, the text unchanged, no key, no validation
and no delivery. On SQLite it is as durable as Bellhop (WAL, synchronous=FULL).
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, jsonify, request
from sqlalchemy import JSON, DateTime, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    """The bare view's one table."""


class Row(Base):
    """A notification."""

    __tablename__ = "bare_rows"

    id: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


def create_bare_view() -> Flask:
    """Build the WSGI application for the database in the environment."""
    engine = create_engine(os.environ["BARE_DATABASE_URL"], pool_size=16)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
    Base.metadata.create_all(engine)
    app = Flask(__name__)

    @app.post("/rows")
    def insert() -> tuple[Response, int]:
        with Session(engine) as session:
            row = Row(content=request.get_json(), created_at=datetime.now(UTC))
            session.add(row)
            session.commit()
            return jsonify(id=row.id), 202

    app.add_url_rule("/healthz", "healthz", lambda: "ok")
    return app


def _prepare(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
