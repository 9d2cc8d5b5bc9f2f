"""Small rules that values are checked by, and the way they put a complaint.

A rule is a function of a value, its JSON pointer and a list that complaints are added to.
Complaints read like Slack's: ``must be less than 3001 characters
[json-pointer:/blocks/0/text/text]``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Rule = Callable[[Any, str, list[str]], None]


@dataclass(frozen=True)
class Field:
    """A property of an object: its rule, and whether it must be there."""

    rule: Rule
    required: bool = False


def required(rule: Rule) -> Field:
    """A property that must be there."""
    return Field(rule, required=True)


def complain(complaints: list[str], text: str, pointer: str) -> None:
    """Add a complaint about the value at ``pointer``."""
    complaints.append(f"{text} [json-pointer:{pointer}]")


def string(maximum: int | None = None, minimum: int = 0) -> Rule:
    """A string of a length."""

    def check(value: Any, pointer: str, complaints: list[str]) -> None:
        if not isinstance(value, str):
            complain(complaints, "must provide a string", pointer)
        elif len(value) < minimum:
            complain(complaints, f"must be more than {minimum - 1} characters", pointer)
        elif maximum is not None and len(value) > maximum:
            complain(complaints, f"must be less than {maximum + 1} characters", pointer)

    return check


def url(maximum: int = 3000) -> Rule:
    """A http or https address (or ``mailto:``/``slack:`` where ``maximum`` allows)."""

    def check(value: Any, pointer: str, complaints: list[str]) -> None:
        before = len(complaints)
        string(maximum, 1)(value, pointer, complaints)
        if len(complaints) > before:
            return
        try:
            parts = urlsplit(value)
        except ValueError:
            parts = urlsplit("")
        spaced = any(one.isspace() for one in value)
        if parts.scheme not in ("http", "https") or not parts.hostname or spaced:
            complain(complaints, "invalid url", pointer)

    return check


def boolean(value: Any, pointer: str, complaints: list[str]) -> None:
    """True or false."""
    if not isinstance(value, bool):
        complain(complaints, "must provide a boolean", pointer)


def integer(minimum: int, maximum: int) -> Rule:
    """A whole number between two others."""

    def check(value: Any, pointer: str, complaints: list[str]) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            complain(complaints, "must provide an integer", pointer)
        elif value < minimum:
            complain(complaints, f"must be greater than {minimum - 1}", pointer)
        elif value > maximum:
            complain(complaints, f"must be less than {maximum + 1}", pointer)

    return check


def one_of(*words: str) -> Rule:
    """One of some words."""

    def check(value: Any, pointer: str, complaints: list[str]) -> None:
        if value not in words:
            complain(complaints, f"must be a valid enum value: {', '.join(words)}", pointer)

    return check


def anything(value: Any, pointer: str, complaints: list[str]) -> None:
    """Whatever comes."""


def array(rule: Rule, maximum: int | None = None, minimum: int = 0) -> Rule:
    """A list of so many things that each keep a rule."""

    def check(value: Any, pointer: str, complaints: list[str]) -> None:
        if not isinstance(value, list):
            complain(complaints, "must provide an array", pointer)
            return
        if len(value) < minimum:
            complain(complaints, f"no fewer than {minimum} items allowed", pointer)
        if maximum is not None and len(value) > maximum:
            complain(complaints, f"no more than {maximum} items allowed", pointer)
            return
        for place, item in enumerate(value):
            rule(item, f"{pointer}/{place}", complaints)

    return check


def record(fields: Mapping[str, Field], *also: Rule) -> Rule:
    """An object with these properties and no others; ``also`` looks at it as a whole."""

    def check(value: Any, pointer: str, complaints: list[str]) -> None:
        if not isinstance(value, dict):
            complain(complaints, "must provide an object", pointer)
            return
        for name, one in fields.items():
            if one.required and value.get(name) is None:
                complain(complaints, f"missing required field: {name}", pointer)
        for name, inner in value.items():
            if name not in fields:
                complain(complaints, f"invalid additional property: {name}", pointer)
            elif inner is not None:
                fields[name].rule(inner, f"{pointer}/{name}", complaints)
        for rule in also:
            rule(value, pointer, complaints)

    return check


def either(*names: str) -> Rule:
    """Exactly one of these properties."""

    def check(value: Any, pointer: str, complaints: list[str]) -> None:
        given = [name for name in names if value.get(name) is not None]
        if len(given) != 1:
            words = ", ".join(f"`{name}`" for name in names)
            complain(complaints, f"must define exactly one of {words}", pointer)

    return check


def at_least_one(*names: str) -> Rule:
    """One of these properties, or several."""

    def check(value: Any, pointer: str, complaints: list[str]) -> None:
        if not any(value.get(name) for name in names):
            words = " or ".join(f"`{name}`" for name in names)
            complain(complaints, f"must define either {words}", pointer)

    return check


def typed(rules: Mapping[str, Rule], allowed: Collection[str] | None = None) -> Rule:
    """An object whose ``type`` says which rule it keeps."""

    def check(value: Any, pointer: str, complaints: list[str]) -> None:
        if not isinstance(value, dict):
            complain(complaints, "must provide an object", pointer)
            return
        kind = value.get("type")
        if kind is None:
            complain(complaints, "missing required field: type", pointer)
        elif (
            not isinstance(kind, str)
            or kind not in rules
            or (allowed is not None and kind not in allowed)
        ):
            complain(complaints, f"unsupported type: {kind}", f"{pointer}/type")
        else:
            rules[kind](value, pointer, complaints)

    return check
