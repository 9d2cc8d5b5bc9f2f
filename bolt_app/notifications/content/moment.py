"""The type of a moment in the HTTP API."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

Moment = Annotated[AwareDatetime, Field(examples=["2026-01-31T09:30:00Z"])]
