"""Addresses of PostgreSQL for connections that are opened without SQLAlchemy."""

from __future__ import annotations

from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL


def libpq_address(url: URL) -> str:
    """Return the connection string of a PostgreSQL URL, with its password.

    A rendered URL is none: SQLAlchemy writes a space as `+`, which libpq does not read as a space
    (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS).
    """
    dialect = url.set(drivername="postgresql+psycopg").get_dialect()()
    _, parameters = dialect.create_connect_args(url)
    return make_conninfo(**parameters)
