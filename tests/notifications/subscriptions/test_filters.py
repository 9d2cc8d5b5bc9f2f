"""Filters: their meaning, also after a round trip through text."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bolt_app.notifications.content.schema import read_one
from bolt_app.notifications.content.topics import matches, normal_pattern, patterns_for
from bolt_app.notifications.subscriptions.errors import FilterError
from bolt_app.notifications.subscriptions.filters import facts_of, parse_filter, parse_typed_filter
from bolt_app.text_forms import comparable, typed
from tests.conftest import FakeClock


def facts(severity: str | None = None, /, **fields: str) -> dict[str, str]:
    said: dict[str, Any] = {"to": "#x", "text": "x"}
    said["fields"] = [{"name": name, "value": value} for name, value in fields.items()]
    if severity is not None:
        said["severity"] = severity
    return facts_of(read_one(said, FakeClock()()).content())


@pytest.mark.parametrize(
    ("words", "severity", "fields", "accepts"),
    [
        ("", None, {}, True),
        ("severity>=warning", "warning", {}, True),
        ("severity>=warning", "critical", {}, True),
        ("severity>=warning", "success", {}, False),
        ("severity>warning", "warning", {}, False),
        ("severity<error", "error", {}, False),
        ("severity<=error", "error", {}, True),
        ("Severity = Error,critical", "critical", {}, True),
        ("severity!=info", None, {}, False),
        ("severity>=info", None, {}, True),
        ("service=api", "info", {"Service": "API"}, True),
        ("service=api,web", "info", {"service": "web"}, True),
        ("service=api", "info", {}, False),
        ("service:api", "info", {"service": "api"}, True),
        ("-label:bot", "info", {"label": "bot"}, False),
        ("-label:bot", "info", {"label": "human"}, True),
        ("-label:bot", "info", {}, True),
        ("label!=bot,test", "info", {"label": "test"}, False),
        ("-label!=bot", "info", {"label": "bot"}, True),
        ('"on call"="ann archer"', "info", {"On  call": "Ann Archer"}, True),
        ("“on call”=ann", "info", {"on call": "ann"}, True),
        ("severity>=error service=api", "error", {"service": "web"}, False),
        ("url=https://x.example/a?b=c", "info", {"url": "https://x.example/a?b=c"}, True),
        # Spellings of other tools, and autocorrection of phones.
        ("\N{EN DASH}label:bot", "info", {"label": "bot"}, False),
        ("—label:bot", "info", {"label": "human"}, True),
        ("\N{MINUS SIGN}label=bot", "info", {"label": "bot"}, False),
        ("--label:bot", "info", {"label": "bot"}, False),
        ('+label:"x y"', "info", {"label": "x y"}, True),
        ("+label:x", "info", {"label": "y"}, False),
        ("service==api", "info", {"service": "api"}, True),
        ("service<>api", "info", {"service": "api"}, False),
        ("service≠api", "info", {"service": "api"}, False),
        ("severity=>error", "warning", {}, False),
        ("severity≥error", "critical", {}, True),
        ("severity:>=error", "critical", {}, True),
        ("severity≤warning", "critical", {}, False),
        ("`service=api` `-label:bot`", "info", {"service": "api", "label": "bot"}, False),
        ("`service=api`", "info", {"service": "api"}, True),
        ("label='x y'", "info", {"label": "x y"}, True),
        ("city='s-hertogenbosch", "info", {"city": "'s-Hertogenbosch"}, True),
        ("place=it\N{RIGHT SINGLE QUOTATION MARK}s", "info", {"place": "it's"}, True),
        ("host=api\N{EN DASH}eu", "info", {"host": "api-eu"}, True),
        # What looks the same is the same.
        ("place=cafe\u0301", "info", {"place": "caf\u00e9"}, True),
        ("place=caf\u00e9", "info", {"place": "cafe\u0301"}, True),
        ("plac\u00ade=x\u200by", "info", {"place": "xy"}, True),
        ("place=xy", "info", {"pl\u200bace": "x\ufeffy"}, True),
        ("straße=x", "info", {"STRASSE": "X"}, True),
        # A field of that name is not the severity.
        ("severity=error", "info", {"severity": "error"}, False),
    ],
)
def test_conditions(words: str, severity: str, fields: dict[str, str], accepts: bool) -> None:
    assert parse_filter(words).accepts(facts(severity, **fields)) is accepts


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("api", "“api” is not a condition. Examples:"),
        ("service=", "is not a condition"),
        ("level>=warning", "only the severity can be ordered; write `severity>=warning`"),
        ('service="', "is not a condition"),
        ("=api", "is not a condition"),
        ("service=api,", "is not a condition"),
        ("service>=api", "only the severity can be ordered; write `service=api`"),
        (
            "severity>=eror",
            "“eror” is not a severity. Severities: info, success, warning, error, critical. Did",
        ),
        ("severity>=error,critical", "Compare the severity with one value: `severity>=error`"),
        ("-severity>=error", "a minus works only with `=` or `:`"),
        ('service=""', "the field name or a value is missing"),
        ("a=" + "b" * 500, "up to 500 characters"),
        ("a=" + ",".join(["-b"] * 120), "up to 500 characters, with the quotes"),
    ],
)
def test_invalid_filters_are_explained(words: str, sentence: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(words)

    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("severty>=warning", "severity>=warning"),
        ("severty=error", "severity=error"),
        ("-severitiy:info", "severity!=info"),
    ],
)
def test_a_misspelled_severity_is_rejected_with_a_suggestion(words: str, meant: str) -> None:
    with pytest.raises(FilterError, match=f"`{meant}`"):
        parse_typed_filter(words)


@pytest.mark.parametrize(
    "words", ['"severty"=warning', "severity>=warning", "severed=yes", "env=x"]
)
def test_a_quoted_name_is_accepted(words: str) -> None:
    assert parse_typed_filter(words) == parse_filter(words)


WORDS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1)
WORDS = WORDS.filter(lambda word: comparable(word) and '"' not in typed(word))
COMPARABLE = WORDS.map(comparable).filter(lambda word: comparable(word) == word and '"' not in word)
VALUES = st.lists(COMPARABLE, min_size=1, max_size=3)


@given(
    st.lists(
        st.tuples(
            WORDS.filter(lambda word: comparable(word) != "severity"),
            st.sampled_from(["=", "!="]),
            VALUES,
        ),
        max_size=4,
    )
)
def test_a_written_filter_is_read_back(conditions: Any) -> None:
    words = " ".join(
        f'"{name}"{sign}' + ",".join(f'"{one}"' for one in values)
        for name, sign, values in conditions
    )
    if len(words) > 400:
        return
    meant = parse_filter(words)

    assert parse_filter(str(meant)) == meant
    assert len(meant.conditions) <= len(conditions)


@given(st.text(max_size=600))
@example("“")
@example("-=:,")
def test_any_text_is_parsed_or_rejected(words: str) -> None:
    try:
        meant = parse_filter(words)
    except FilterError:
        return
    assert parse_filter(str(meant)) == meant


class TestTopics:
    def test_patterns_of_a_topic(self) -> None:
        assert patterns_for("a/b/c") == ["a/b/c", "a/*", "a/b/*", "*"]
        assert patterns_for("a") == ["a", "*"]

    def test_they_match_it_alone(self) -> None:
        topics = ("a", "a/b", "a/b/c", "ab", "ab/c", "b")
        patterns = {pattern for topic in topics for pattern in patterns_for(topic)}
        for pattern, topic in product(sorted(patterns), topics):
            assert matches(pattern, topic) is (pattern in patterns_for(topic))

    @pytest.mark.parametrize(
        ("written", "stored"),
        [("Deploys", "deploys"), ("topic:deploys", "deploys"), ("A/B/*", "a/b/*"), ("*", "*")],
    )
    def test_they_are_normalized(self, written: str, stored: str) -> None:
        assert normal_pattern(written) == stored

    @pytest.mark.parametrize("written", ["", "de*", "*/a", "a/*/b", "a b", "a" * 81, "**"])
    def test_what_is_none_is_refused(self, written: str) -> None:
        with pytest.raises(ValueError, match=r"topic|star|characters"):
            normal_pattern(written)
