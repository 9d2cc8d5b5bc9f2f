"""Filters: conditions on a topic's notifications, by which a subscription selects some of them.

`severity>=warning service=api,web -label:bot` selects notifications of severity warning or worse
whose field "service" has one of two values, and whose field "label" is not "bot". All conditions
must hold. Words with spaces are quoted; names and values are compared by `comparable`. Spellings of
other tools are accepted: `+label:x`, `—label:x` with a dash, `a==b`, `severity=>error`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from bolt_app.blockkit.text import cut
from bolt_app.notifications.content.meaning import fields_of, severity_of
from bolt_app.notifications.subscriptions.errors import FilterError
from bolt_app.severity import SEVERITIES, Severity
from bolt_app.text_forms import comparable, typed

SEVERITY = "severity"
FILTER_LENGTH = 500
# The severity of a notification without one.
DEFAULT_SEVERITY = Severity.INFO
_COMPARE: Mapping[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
# Other spellings of the operators: programming languages, mathematics, GitHub's search.
_SPELLINGS: Mapping[str, str] = {
    ":": "=",
    "==": "=",
    "<>": "!=",
    "≠": "!=",
    "=>": ">=",
    "≥": ">=",
    "=<": "<=",
    "≤": "<=",
}
_OPERATOR = r":?(?:>=|=>|<=|=<|!=|<>|==|[≥≤≠=><])|:"
_BARE_VALUE = r'[^\s",`]+'
# Possessive: nothing that follows a name begins with a character of it.
_WORD = r'(?:"[^"]*"|[^\s"=:<>!,`≥≤≠]++)'
# Atomic: a quoted value is also a bare one, and trying both for each of several values takes twice
# the time for each further value.
_VALUE = rf"(?>\"[^\"]*\"|'[^'\"]*'(?=[\s,]|$)|{_BARE_VALUE})"
_CONDITION = re.compile(
    # In documentation and messages conditions are between backticks.
    rf"`?(?:\+|(?P<minus>-++))?(?P<name>{_WORD})\s*(?P<operator>{_OPERATOR})\s*"
    rf"(?P<values>{_VALUE}(?:,{_VALUE})*+)`?(?=\s|$)"
)
_BARE = re.compile(r"[^\s\"'=:<>!,`≥≤≠+-][^\s\"=:<>!,`≥≤≠]*")
# A name this similar to "severity" is probably a misspelling.
_NEAR_SEVERITY = 0.8


@dataclass(frozen=True)
class Condition:
    """One condition: `operator` is `=`, `!=`, or for the severity also `<`, `<=`, `>` or `>=`."""

    name: str = field(repr=False)
    operator: str
    values: Sequence[str] = field(repr=False)

    def __str__(self) -> str:
        return f"{_quoted(self.name)}{self.operator}{','.join(map(_quoted, self.values))}"

    def accepts(self, facts: Mapping[str, str]) -> bool:
        """Whether it holds for a notification with these facts."""
        if self.operator in _COMPARE:
            severity, limit = map(SEVERITIES.index, (facts[SEVERITY], self.values[0]))
            return _COMPARE[self.operator](severity, limit)
        return (facts.get(self.name) in self.values) is (self.operator == "=")


@dataclass(frozen=True)
class Filter:
    """The conditions of a subscription; without any, it selects everything."""

    conditions: Sequence[Condition] = ()

    def __str__(self) -> str:
        return " ".join(map(str, self.conditions))

    def accepts(self, facts: Mapping[str, str], *, any_severity: bool = False) -> bool:
        """Whether a notification with these facts, as `facts_of` returns them, is selected.

        Args:
            any_severity: ignore conditions on the severity.
        """
        return all(
            condition.accepts(facts)
            for condition in self.conditions
            if not (any_severity and condition.name == SEVERITY)
        )


def facts_of(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the facts that filters test in a stored content: severity, and fields by name."""
    fields = {comparable(field["name"]): comparable(field["value"]) for field in fields_of(content)}
    return {**fields, SEVERITY: severity_of(content) or DEFAULT_SEVERITY}


@lru_cache(maxsize=1024)
def parse_filter(text: str) -> Filter:
    """Return the filter that a text, typed or stored, describes.

    Raises:
        FilterError: the text is not a filter.
    """
    found = Filter(tuple(dict.fromkeys(_condition(match) for match in _conditions(text))))
    # It is stored in this form, and parsed again.
    if len(str(found)) > FILTER_LENGTH:
        raise FilterError(
            f"A filter has up to {FILTER_LENGTH} characters, with the quotes that its values need."
        )
    return found


def parse_typed_filter(text: str) -> Filter:
    """Return the filter that a person typed.

    A field name that looks like a misspelled "severity" is rejected unless it is quoted.

    Raises:
        FilterError: the text is not a filter, or probably not the intended one.
    """
    for match in _conditions(text):
        _check_spelling(match, _condition(match))
    return parse_filter(text)


def _conditions(text: str) -> Iterator[re.Match[str]]:
    if len(text) > FILTER_LENGTH:
        raise FilterError(f"A filter has up to {FILTER_LENGTH} characters.")
    left = typed(text)
    while left:
        match = _CONDITION.match(left)
        if match is None:
            raise FilterError(
                f"“{_first_word(left)}” is not a condition. Examples: `severity>=warning`, "
                "`service=api`, `service=api,web`, `-label:bot`."
            )
        yield match
        left = left[match.end() :].lstrip()


def _condition(match: re.Match[str]) -> Condition:
    name = comparable(match["name"].strip('"'))
    written = match["operator"]
    written = written if written == ":" else written.removeprefix(":")
    sign = _SPELLINGS.get(written, written)
    values = tuple(comparable(_unquoted(value)) for value in re.findall(_VALUE, match["values"]))
    if match["minus"]:
        if sign not in ("=", "!="):
            raise FilterError(f"“{match[0]}”: a minus works only with `=` or `:`.")
        sign = "!=" if sign == "=" else "="
    if not name or not all(values):
        raise FilterError(f"“{match[0]}”: the field name or a value is missing.")
    if name == SEVERITY:
        _check_severities(sign, values)
    elif sign in _COMPARE:
        meant = f"severity{sign}" if values[0] in SEVERITIES else f"{name}="
        raise FilterError(
            f"“{match[0]}”: only the severity can be ordered; write `{meant}{values[0]}`."
        )
    return Condition(name, sign, values)


def _check_spelling(match: re.Match[str], condition: Condition) -> None:
    is_quoted = match["name"].startswith('"')
    if condition.name == SEVERITY or is_quoted or not set(condition.values) & set(SEVERITIES):
        return
    if get_close_matches(condition.name, [SEVERITY], 1, _NEAR_SEVERITY):
        meant = Condition(SEVERITY, condition.operator, condition.values)
        raise FilterError(
            f"“{match[0]}”: did you mean `{meant}`? For a field with that name, quote the name."
        )


def _check_severities(sign: str, values: Sequence[str]) -> None:
    for value in values:
        if value not in SEVERITIES:
            near = get_close_matches(value, SEVERITIES, 1, 0.5)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            raise FilterError(
                f"“{value}” is not a severity. Severities: {', '.join(SEVERITIES)}.{hint}"
            )
    if sign in _COMPARE and len(values) > 1:
        raise FilterError(f"Compare the severity with one value: `severity{sign}{values[0]}`.")


def _unquoted(value: str) -> str:
    quote = value[0]
    return value[1:-1] if quote in "\"'" and len(value) > 1 and value[-1] == quote else value


def _quoted(text: str) -> str:
    return text if _BARE.fullmatch(text) else f'"{text}"'


def _first_word(text: str) -> str:
    return cut(text.split(maxsplit=1)[0], 80)
