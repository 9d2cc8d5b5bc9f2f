"""Validation rules, and the format of their errors.

A rule is a function of a value, its JSON pointer and the list of errors it appends to. Errors read
like Slack's: ``must be less than 3001 characters [json-pointer:/blocks/0/text/text]``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Rule = Callable[[Any, str, list[str]], None]


@dataclass(frozen=True)
class Field:
    """A property of an object: its rule, and whether it is required."""

    rule: Rule
    required: bool = False


def required(rule: Rule) -> Field:
    """A required property."""
    return Field(rule, required=True)


def add_error(errors: list[str], text: str, pointer: str) -> None:
    """Add an error about the value at ``pointer``."""
    errors.append(f"{text} [json-pointer:{pointer}]")


def string(maximum: int | None = None, minimum: int = 0) -> Rule:
    """A string with a length between ``minimum`` and ``maximum``."""

    def check(value: Any, pointer: str, errors: list[str]) -> None:
        if not isinstance(value, str):
            add_error(errors, "must provide a string", pointer)
        elif len(value) < minimum:
            add_error(errors, f"must be more than {minimum - 1} characters", pointer)
        elif maximum is not None and len(value) > maximum:
            add_error(errors, f"must be less than {maximum + 1} characters", pointer)

    return check


def url(maximum: int = 3000) -> Rule:
    """An http or https URL."""

    def check(value: Any, pointer: str, errors: list[str]) -> None:
        before = len(errors)
        string(maximum, 1)(value, pointer, errors)
        if len(errors) > before:
            return
        try:
            parts = urlsplit(value)
        except ValueError:
            parts = urlsplit("")
        spaced = any(character.isspace() for character in value)
        if parts.scheme not in ("http", "https") or not parts.hostname or spaced:
            add_error(errors, "invalid url", pointer)

    return check


def boolean(value: Any, pointer: str, errors: list[str]) -> None:
    """A boolean."""
    if not isinstance(value, bool):
        add_error(errors, "must provide a boolean", pointer)


def integer(minimum: int, maximum: int) -> Rule:
    """An integer between ``minimum`` and ``maximum``."""

    def check(value: Any, pointer: str, errors: list[str]) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            add_error(errors, "must provide an integer", pointer)
        elif value < minimum:
            add_error(errors, f"must be greater than {minimum - 1}", pointer)
        elif value > maximum:
            add_error(errors, f"must be less than {maximum + 1}", pointer)

    return check


def number(value: Any, pointer: str, errors: list[str]) -> None:
    """A number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        add_error(errors, "must provide a number", pointer)


def one_of(*options: str) -> Rule:
    """One of these strings."""

    def check(value: Any, pointer: str, errors: list[str]) -> None:
        if value not in options:
            add_error(errors, f"must be a valid enum value: {', '.join(options)}", pointer)

    return check


def anything(value: Any, pointer: str, errors: list[str]) -> None:
    """Any value."""


def array(rule: Rule, maximum: int | None = None, minimum: int = 0) -> Rule:
    """A list with a number of items between ``minimum`` and ``maximum``, each validated by
    ``rule``.
    """

    def check(value: Any, pointer: str, errors: list[str]) -> None:
        if not isinstance(value, list):
            add_error(errors, "must provide an array", pointer)
            return
        if len(value) < minimum:
            add_error(errors, f"no fewer than {minimum} items allowed", pointer)
        if maximum is not None and len(value) > maximum:
            add_error(errors, f"no more than {maximum} items allowed", pointer)
            return
        for index, item in enumerate(value):
            rule(item, f"{pointer}/{index}", errors)

    return check


def record(fields: Mapping[str, Field], *also: Rule) -> Rule:
    """An object with only these properties; rules in ``also`` validate the whole object."""

    def check(value: Any, pointer: str, errors: list[str]) -> None:
        if not isinstance(value, dict):
            add_error(errors, "must provide an object", pointer)
            return
        for name, field in fields.items():
            if field.required and value.get(name) is None:
                add_error(errors, f"missing required field: {name}", pointer)
        for name, inner in value.items():
            if name not in fields:
                add_error(errors, f"invalid additional property: {name}", pointer)
            elif inner is not None:
                fields[name].rule(inner, f"{pointer}/{name}", errors)
        for rule in also:
            rule(value, pointer, errors)

    return check


def either(*names: str) -> Rule:
    """Exactly one of these properties."""

    def check(value: Any, pointer: str, errors: list[str]) -> None:
        present = [name for name in names if value.get(name) is not None]
        if len(present) != 1:
            listed = ", ".join(f"`{name}`" for name in names)
            add_error(errors, f"must define exactly one of {listed}", pointer)

    return check


def at_least_one(*names: str) -> Rule:
    """At least one of these properties."""

    def check(value: Any, pointer: str, errors: list[str]) -> None:
        if not any(value.get(name) for name in names):
            listed = " or ".join(f"`{name}`" for name in names)
            add_error(errors, f"must define either {listed}", pointer)

    return check


def typed(rules: Mapping[str, Rule], allowed: Collection[str] | None = None) -> Rule:
    """An object whose ``type`` selects the rule."""

    def check(value: Any, pointer: str, errors: list[str]) -> None:
        if not isinstance(value, dict):
            add_error(errors, "must provide an object", pointer)
            return
        kind = value.get("type")
        if kind is None:
            add_error(errors, "missing required field: type", pointer)
        elif (
            not isinstance(kind, str)
            or kind not in rules
            or (allowed is not None and kind not in allowed)
        ):
            add_error(errors, f"unsupported type: {kind}", f"{pointer}/type")
        else:
            rules[kind](value, pointer, errors)

    return check
