"""Clock jumps: nothing is lost or duplicated, and waits stored by a wrong clock are capped."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.notifications.hand import Hand, accept, states, texts
from tests.people import ANN, GENERAL
from tests.running import Bellhop

HOUR, YEAR = 3600, 365 * 86_400


@pytest.fixture(autouse=True)
def slack_without_pace(bellhop: Bellhop) -> None:
    """The stand-in has the test's clock, whose jumps it must tolerate."""
    bellhop.install(ANN)
    bellhop.slack.limits.enabled = False


def test_back(bellhop: Bellhop) -> None:
    # The clock is an hour ahead, while this is accepted and the first of it sent.
    bellhop.clock.advance(HOUR)
    ids = [accept(bellhop, GENERAL, str(number)) for number in range(2)]
    soon = accept(bellhop, GENERAL, "soon", send_at=bellhop.clock() + timedelta(minutes=10))
    Hand(bellhop).deliver()
    assert states(bellhop, *ids, soon) == ["sent", "waiting", "waiting"]

    bellhop.clock.advance(-HOUR)
    hand = Hand(bellhop)
    hand.deliver()
    bellhop.clock.advance(1)
    hand.deliver()

    assert states(bellhop, *ids, soon) == ["sent", "sent", "waiting"]


def test_a_stored_wait_from_a_wrong_clock_is_capped(bellhop: Bellhop) -> None:
    bellhop.clock.advance(YEAR)
    for number in range(2):
        accept(bellhop, GENERAL, str(number))
    Hand(bellhop).deliver()
    bellhop.clock.advance(-YEAR)

    hand = Hand(bellhop)
    hand.deliver()
    bellhop.clock.advance(1)
    hand.deliver()

    assert texts(bellhop, GENERAL) == ["0", "1"]
