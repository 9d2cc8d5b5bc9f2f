"""A rate limit that several sources share."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolt_app.fair_limit import FairLimit, share_of_one
from tests.conftest import FakeClock

MINUTE = timedelta(minutes=1)
MOST = 20


@pytest.fixture
def limit(clock: FakeClock) -> FairLimit:
    return FairLimit(MOST, MINUTE, clock=clock)


def taken(limit: FairLimit, *sources: str, key: str = "team") -> int:
    """Take as often as the limit allows; return how often."""
    number = 0
    while limit.take(key, sources) is None:
        number += 1
    return number


def test_one_source_leaves_a_quarter(limit: FairLimit) -> None:
    assert taken(limit, "one") == share_of_one(MOST) == 15


def test_each_further_source_finds_something_left(limit: FairLimit) -> None:
    assert [taken(limit, name) for name in ("a", "b", "c")] == [15, 4, 1]


@pytest.mark.parametrize(("most", "shares"), [(1, [1, 0]), (2, [1, 1]), (3, [2, 1])])
def test_of_a_few_one_source_leaves_one(clock: FakeClock, most: int, shares: list[int]) -> None:
    limit = FairLimit(most, MINUTE, clock=clock)

    assert [taken(limit, name) for name in ("a", "b")] == shares
    assert share_of_one(most) == shares[0]


def test_keys_are_separate(limit: FairLimit) -> None:
    assert taken(limit, "one") == taken(limit, "one", key="other team")


def test_the_window_slides(limit: FairLimit, clock: FakeClock) -> None:
    taken(limit, "one")
    clock.advance(59)
    refused = limit.take("team", ["one"])
    assert refused is not None
    assert refused.wait == 1

    clock.advance(1)
    assert taken(limit, "one") == 15


def test_an_event_for_several_takes_from_the_one_that_used_least(limit: FairLimit) -> None:
    taken(limit, "flood")

    assert limit.take("team", ["flood", "other"]) is None


def test_a_source_learns_whether_it_has_had_its_share(limit: FairLimit) -> None:
    for name in "abc":
        taken(limit, name)

    refusals = [limit.take("team", [name]) for name in ("a", "c", "late")]

    assert [refused and refused.had_share for refused in refusals] == [True, False, False]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 20)), max_size=200))
def test_the_limit_holds_and_one_source_never_gets_more_than_its_share(
    events: list[tuple[str, int]],
) -> None:
    clock = FakeClock()
    limit = FairLimit(MOST, MINUTE, clock=clock)
    allowed: list[tuple[float, str]] = []
    for source, seconds in events:
        clock.advance(seconds)
        now = clock.timestamp()
        if limit.take("team", [source]) is None:
            allowed.append((now, source))
        within = [name for at, name in allowed if at > now - 60]
        assert len(within) <= MOST
        assert within.count(source) <= share_of_one(MOST)
