"""What every table shares: named constraints, moments in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, MetaData, String
from sqlalchemy.orm import DeclarativeBase

from bolt_app.db.types import UTCDateTime

SlackId = String(64)
# In place of the id of a person whose data was deleted: a record of what they did stays, and names
# nobody. Slack has no such id.
DELETED_PERSON = "deleted"
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
    type_annotation_map = {datetime: UTCDateTime, dict[str, Any]: JSON}  # noqa: RUF012
