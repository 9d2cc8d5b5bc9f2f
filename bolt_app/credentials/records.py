"""Fields shared by API keys and webhooks: source, permissions and rejected requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bolt_app.credentials.limits import LIMIT_WORDS
from bolt_app.credentials.sources import normal_source
from bolt_app.db.models import ApiKey, Hook


@dataclass(frozen=True)
class SenderUse:
    """Requests of a credential that exceeded a limit.

    Attributes:
        rejected: their total number.
        at: the time of the latest.
        reason: the limit that the latest exceeded, in words.
    """

    rejected: int = 0
    at: datetime | None = None
    reason: str = ""


def sender_columns(model: type[ApiKey | Hook]) -> tuple[Any, ...]:
    """Return the columns that `use_of` and the records read."""
    return (
        model.source,
        model.allow_broadcast,
        model.rejected,
        model.rejected_at,
        model.rejected_reason,
    )


def sender_row(source: str | None, *, allow_broadcast: bool) -> Mapping[str, Any]:
    """Return the values of a new credential.

    Raises:
        ValueError: `source` is not a valid source.
    """
    return {
        "source": None if source is None else normal_source(source),
        "allow_broadcast": allow_broadcast,
    }


def use_of(row: Any) -> SenderUse:
    """Return the rejected requests that a row counts."""
    reason = LIMIT_WORDS.get(row.rejected_reason, row.rejected_reason or "")
    return SenderUse(row.rejected, row.rejected_at, reason)
