"""Severities of notifications: their order, their colors and their emoji."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Severity(StrEnum):
    """Severity of a notification, the least severe first."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


SEVERITIES = tuple(Severity)
# Each stands out from Slack's light and dark backgrounds.
COLOURS: Mapping[str, str] = {
    Severity.INFO: "#3a7bc2",
    Severity.SUCCESS: "#2e9e5b",
    Severity.WARNING: "#bf7d0b",
    Severity.ERROR: "#cf3a3a",
    Severity.CRITICAL: "#cc2a7f",
}
SIGNS: Mapping[str, str] = {
    Severity.INFO: "\N{INFORMATION SOURCE}\ufe0f",
    Severity.SUCCESS: "\N{WHITE HEAVY CHECK MARK}",
    Severity.WARNING: "\N{WARNING SIGN}\ufe0f",
    Severity.ERROR: "\N{CROSS MARK}",
    Severity.CRITICAL: "\N{POLICE CARS REVOLVING LIGHT}",
}


def known_severity(value: object) -> Severity | None:
    """Return the severity that a stored value names; None if it names none."""
    return Severity(value) if isinstance(value, str) and value in SEVERITIES else None
