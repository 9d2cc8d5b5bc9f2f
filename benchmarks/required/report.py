"""Measured values and requirements, as Markdown tables."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Requirement:
    """A measured result.

    Attributes:
        limit: the greatest value, or where `is_least` the smallest; None: measured only.
        unit: the unit of the value.
        digits: decimal places.
    """

    name: str
    unit: str
    limit: float | None = None
    is_least: bool = False
    digits: int = 2

    def show(self, value: float | None) -> str:
        """Return a value; bold where it does not meet the limit."""
        if value is None:
            return ""
        text = f"{value:.{self.digits}f}{self.unit}"
        return text if self.is_met(value) else f"**{text}**"

    def is_met(self, value: float) -> bool:
        """Return whether a value meets the limit."""
        if self.limit is None:
            return True
        return value >= self.limit if self.is_least else value <= self.limit

    @property
    def required(self) -> str:
        """The limit as text."""
        if self.limit is None:
            return ""
        return f"{'at least' if self.is_least else 'at most'} {self.limit:g}{self.unit}"


# By the name of the column.
Values = dict[str, dict[Requirement, float]]


def table(requirements: Sequence[Requirement], values: Values) -> Iterator[str]:
    """Yield the lines of a table with one column for each set of values."""
    yield "| | required | " + " | ".join(values) + " |"
    yield "| --- | --- |" + " ---: |" * len(values)
    for one in requirements:
        cells = (one.show(column.get(one)) for column in values.values())
        yield f"| {one.name} | {one.required} | " + " | ".join(cells) + " |"


def unmet(values: Values) -> Iterator[str]:
    """Yield a line for each value that does not meet its limit."""
    for column, found in values.items():
        for one, value in found.items():
            if not one.is_met(value):
                yield f"{column}: {one.name}: {one.show(value)}, required {one.required}"


def quantile(values: Sequence[float], percent: float) -> float:
    """Return a percentile."""
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


def say(words: str) -> None:
    """Print progress."""
    print(words, file=sys.stderr, flush=True)


Measure = Callable[[str], dict[Requirement, float]]
