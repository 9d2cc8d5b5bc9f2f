"""The base of all tables: named constraints, and timestamps in UTC."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from sqlalchemy import MetaData, String
from sqlalchemy.orm import DeclarativeBase

from bolt_app.db.types import JsonObject, TimeOfDay, UTCDateTime

SlackId = String(64)
# Replaces the address of a deleted person; the leading `@` marks it as a person's.
DELETED_ADDRESS = "@deleted"


class Base(DeclarativeBase):
    """The declarative base; it names every constraint, so that migrations can refer to it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012
        datetime: UTCDateTime,
        time: TimeOfDay,
        dict[str, Any]: JsonObject,
    }
