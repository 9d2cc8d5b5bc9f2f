"""Safe access to untrusted values: an app may send anything in attachments."""

from __future__ import annotations

from typing import Any

JsonDict = dict[str, Any]


def string(value: object) -> str:
    """A string, or a number as a string; otherwise empty."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)


def record(value: object) -> JsonDict:
    """An object; empty for any other value."""
    return value if isinstance(value, dict) else {}


def records(value: object) -> list[JsonDict]:
    """The objects in a list; empty for any other value."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def strings(value: object) -> list[str]:
    """The strings in a list; empty for any other value."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def whole_number(value: object) -> int | None:
    """A number or numeric string as an integer; None for any other value."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return int(float(value))
    except (ValueError, OverflowError):
        return None
