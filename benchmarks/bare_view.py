"""What accepting a notification is measured beside: a Flask view that inserts one row.

It is what somebody would write first: SQLAlchemy, one table, the text as it came, no key, no
validation, nobody who delivers it. On SQLite it has the same safety (WAL, synchronous=FULL).
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
    """What was sent."""

    __tablename__ = "bare_rows"

    id: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


def create_bare_view() -> Flask:
    """Build the WSGI application; the environment says which database."""
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
