"""Filters: which of a topic's notifications a subscription wants.

`severity>=warning service=api,web -label:bot` wants those of severity warning or worse, whose field
"service" is one of two, and whose field "label" is not "bot". All conditions must hold. Words with
spaces stand in double quotes; capitals do not matter.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, get_args

from bolt_app.notifications.plain_text import cut
from bolt_app.notifications.requests import Severity

SEVERITY = "severity"
SEVERITIES: Sequence[str] = get_args(Severity)
FILTER_LENGTH = 500
# What says nothing of its severity is for information.
DEFAULT_SEVERITY = "info"
_COMPARE: Mapping[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_WORD = r'(?:"[^"]*"|[^\s"=:<>!,]+)'
_VALUE = r'(?:"[^"]*"|[^\s",]+)'
_CONDITION = re.compile(
    rf"(?P<not>-)?(?P<name>{_WORD})\s*(?P<operator>>=|<=|!=|=|:|<|>)\s*"
    rf"(?P<values>{_VALUE}(?:,{_VALUE})*)(?=\s|$)"
)
_BARE = re.compile(r"[^\s\"=:<>!,-][^\s\"=:<>!,]*")


class FilterError(ValueError):
    """It is no filter; the sentence says what would be one."""


@dataclass(frozen=True)
class Condition:
    """One condition: `operator` is `=`, `!=`, or for the severity also `<`, `<=`, `>` or `>=`."""

    name: str
    operator: str
    values: Sequence[str]

    def __str__(self) -> str:
        return f"{_quoted(self.name)}{self.operator}{','.join(map(_quoted, self.values))}"

    def accepts(self, facts: Mapping[str, str]) -> bool:
        """Whether it holds for the fields of a notification."""
        if self.operator in _COMPARE:
            there, limit = (SEVERITIES.index(one) for one in (facts[SEVERITY], self.values[0]))
            return _COMPARE[self.operator](there, limit)
        return (facts.get(self.name) in self.values) is (self.operator == "=")


@dataclass(frozen=True)
class Filter:
    """What a subscription wants; without conditions, everything."""

    conditions: Sequence[Condition] = ()

    def __str__(self) -> str:
        return " ".join(map(str, self.conditions))

    def accepts(self, facts: Mapping[str, str], *, whatever_severity: bool = False) -> bool:
        """Whether a notification with these facts, as `facts_of` returns them, is wanted.

        Args:
            whatever_severity: leave conditions on the severity out.
        """
        return all(
            one.accepts(facts)
            for one in self.conditions
            if not (whatever_severity and one.name == SEVERITY)
        )


def facts_of(content: Mapping[str, Any]) -> dict[str, str]:
    """Return what filters look at in a stored content: the severity, and the fields by name."""
    fields = {_plain(one["name"]): _plain(one["value"]) for one in content.get("fields", ())}
    return {**fields, SEVERITY: content.get("severity", DEFAULT_SEVERITY)}


@lru_cache(maxsize=1024)
def parse_filter(text: str) -> Filter:
    """Return the filter that `text` describes.

    Raises:
        FilterError: it describes none.
    """
    if len(text) > FILTER_LENGTH:
        raise FilterError(f"A filter has up to {FILTER_LENGTH} characters.")
    # Phones write quotes in their own way.
    left = re.sub("[“”„]", '"', text).strip()
    conditions = []
    while left:
        match = _CONDITION.match(left)
        if match is None:
            raise FilterError(
                f"“{_first_word(left)}” is no condition: write them like `severity>=warning`, "
                "`service=api`, `service=api,web` or `-label:bot`."
            )
        conditions.append(_condition(match))
        left = left[match.end() :].lstrip()
    return Filter(tuple(dict.fromkeys(conditions)))


def _condition(match: re.Match[str]) -> Condition:
    name = _plain(match["name"].strip('"'))
    sign = "=" if match["operator"] == ":" else match["operator"]
    values = tuple(_plain(one.strip('"')) for one in re.findall(_VALUE, match["values"]))
    if match["not"]:
        if sign not in ("=", "!="):
            raise FilterError(f"“{match[0]}”: a minus goes with `=` or `:` alone.")
        sign = "!=" if sign == "=" else "="
    if not name or not all(values):
        raise FilterError(f"“{match[0]}” leaves out what is compared.")
    if name == SEVERITY:
        _check_severities(sign, values)
    elif sign in _COMPARE:
        raise FilterError(
            f"“{match[0]}”: only the severity has an order; write `{name}={values[0]}`."
        )
    return Condition(name, sign, values)


def _check_severities(sign: str, values: Sequence[str]) -> None:
    for value in values:
        if value not in SEVERITIES:
            near = get_close_matches(value, SEVERITIES, 1, 0.5)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            raise FilterError(f"“{value}” is no severity: {', '.join(SEVERITIES)}.{hint}")
    if sign in _COMPARE and len(values) > 1:
        raise FilterError(f"The severity is compared with one: `severity{sign}{values[0]}`.")


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _quoted(text: str) -> str:
    return text if _BARE.fullmatch(text) else f'"{text}"'


def _first_word(text: str) -> str:
    return cut(text.split(maxsplit=1)[0], 80)
