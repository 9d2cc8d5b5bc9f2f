"""What every table shares: named constraints, moments in UTC."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from sqlalchemy import MetaData, String
from sqlalchemy.orm import DeclarativeBase

from bolt_app.db.types import JsonObject, TimeOfDay, UTCDateTime

SlackId = String(64)
# Likewise in place of their address; an `@` in front keeps it a person's.
DELETED_ADDRESS = "@deleted"


class Base(DeclarativeBase):
    """Names every constraint, so that a migration can name it too."""

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
