"""Settings that are URLs of databases."""

from __future__ import annotations

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from bolt_app.config.reader import SettingReader

_DATABASE_URL_HELP = (
    "{name} is not a database URL: use postgresql://user:password@host/database "
    "or sqlite:////path/to/file.db."
)


def read_database_url(reader: SettingReader, name: str = "DATABASE_URL") -> str:
    """Return the URL of a database, with SQLAlchemy's name of the driver."""
    value = reader.text(name)
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        reader.problem(_DATABASE_URL_HELP.format(name=name))
        return ""
    backend = url.get_backend_name()
    if backend == "postgres" or url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    elif url.drivername not in ("postgresql+psycopg", "sqlite", "sqlite+pysqlite"):
        reader.problem(_DATABASE_URL_HELP.format(name=name))
        return ""
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        reader.problem(
            f"{name} names an SQLite database in memory, which loses all data: "
            "use a file, such as sqlite:////srv/bellhop/bellhop.db."
        )
    return url.render_as_string(hide_password=False)


def read_database_session_url(reader: SettingReader, embedded: bool) -> str:
    """Return the URL for connections that need a session that lasts; empty if not set."""
    if not reader.text("DATABASE_SESSION_URL"):
        return ""
    url = read_database_url(reader, "DATABASE_SESSION_URL")
    if embedded or url.startswith("sqlite"):
        reader.problem(
            "DATABASE_SESSION_URL is for PostgreSQL behind a transaction pooler: use the "
            "direct URL of PostgreSQL, or remove it if you use SQLite."
        )
    return url
