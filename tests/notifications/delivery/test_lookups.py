"""Lookups that deliveries need: no sender uses up those of the others."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bolt_app.credentials.api_keys import Scope
from bolt_app.fair_limit import share_of_one
from bolt_app.workspaces.lookup_budgets import BUDGETS, Purpose
from slack_sandbox import Fault
from tests.conftest import FakeClock
from tests.notifications.hand import Hand, accept, deliveries, states
from tests.notifications.lookups import use_up
from tests.people import ACME, ANN, BEN
from tests.running import Bellhop, running_bellhop
from tests.web.calling import caller
from tests.web.methods.calling import JSON, method_caller
from tests.workspaces.test_lookup_budgets import SLACKS

pytestmark = pytest.mark.sqlite_only

LOOK_UP, JOIN = "users.lookupByEmail", "conversations.join"
KNOWN = "@ben@acme.example"
HOUR = 3600.0
# Addresses that a sender can invent, each of which costs a call to Slack.
INVENTED = ["@nobody-{}@acme.example", "D0NOBODY{:03}", "U0NOBODY{:03}"]


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def conversation_of(bellhop: Bellhop) -> str:
    return str(bellhop.slack.app_dm(ACME, BEN).id)


def send(bellhop: Bellhop, *to: str) -> Callable[[], list[str]]:
    """Send to addresses as a new API key; return a reader of the states."""
    sender = caller(bellhop)
    ids = [sender.send({"to": one, "text": "x", "key": None}).json()["id"] for one in to]
    return lambda: states(bellhop, *ids)


@pytest.mark.slow
@pytest.mark.parametrize("invented", INVENTED)
def test_a_flood_delays_nobody_else(installed: Bellhop, invented: str) -> None:
    wanted = {"@": KNOWN, "D": conversation_of(installed), "U": BEN}[invented[0]]
    flood = send(installed, *(invented.format(number) for number in range(100)))
    Hand(installed).deliver()
    other = send(installed, wanted)
    Hand(installed).deliver()

    assert other() == ["sent"]
    assert "waiting" in flood()
    for _ in range(10):
        installed.clock.advance(60)
        Hand(installed).deliver()
    assert set(flood()) == {"dead"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("invented", "known", "method"), [("@", KNOWN, LOOK_UP), ("U", BEN, "users.info")]
)
def test_a_flood_to_the_same_address_delays_nobody_else(
    installed: Bellhop, invented: str, known: str, method: str
) -> None:
    """The first delivery in the queue of an address is not the only one that counts."""
    [name] = [one for one in INVENTED if one[0] == invented]
    most = 3 * share_of_one(BUDGETS[method][Purpose.DELIVERY])
    flood = send(installed, *(name.format(number) for number in range(most)), known)
    Hand(installed).deliver()
    assert flood()[-1] == "waiting"

    other = send(installed, known)
    installed.clock.advance(59)
    for _ in range(3):
        Hand(installed).deliver()
        installed.clock.advance(1)

    assert other() == ["sent"]


@pytest.mark.slow
def test_a_flood_to_channels_without_the_bot_delays_nobody_else(installed: Bellhop) -> None:
    most = SLACKS[JOIN] + 1
    *flooded, wanted = [one.id for one in installed.slack.add_channels(ACME, most + 1)]
    send(installed, *flooded)
    for _ in range(most):
        Hand(installed).deliver()
        installed.clock.advance(0.5)

    other = send(installed, wanted)
    Hand(installed).deliver()

    assert other() == ["sent"]
    assert len(installed.slack.calls_to(JOIN)) == share_of_one(BUDGETS[JOIN][Purpose.DELIVERY]) + 1


@pytest.mark.slow
@pytest.mark.parametrize("is_limited", [True, False])
def test_api_calls_delay_no_message(installed: Bellhop, is_limited: bool) -> None:
    who = method_caller(installed, *Scope, channels=[ANN] if is_limited else [])
    for number in range(60):
        calls = {
            "chat.postMessage": {"channel": f"D0NOBODY{number:03}", "text": "x"},
            "conversations.open": {"users": f"U0NOBODY{number:03}"},
            LOOK_UP: {"email": f"nobody-{number}@acme.example"},
        }
        for name, given in calls.items() if is_limited else list(calls.items())[1:]:
            who.post(name, json.dumps(given).encode(), JSON)

    others = send(installed, KNOWN, conversation_of(installed), BEN)
    for _ in range(3):
        Hand(installed).deliver()
        installed.clock.advance(2)

    assert set(others()) == {"sent"}


@pytest.mark.parametrize(
    ("address", "method"),
    [(KNOWN, LOOK_UP), ("D", "conversations.open"), (KNOWN, "users.info"), (BEN, "users.info")],
)
def test_bellhops_own_limit_is_no_failure(
    database_url: str, encryption_key: str, clock: FakeClock, address: str, method: str
) -> None:
    with running_bellhop(database_url, encryption_key, clock, retry_hours=2) as bellhop:
        bellhop.install(ANN)
        hand = Hand(bellhop)
        id_ = accept(bellhop, conversation_of(bellhop) if address == "D" else address, "x")
        for _ in range(6):
            use_up(bellhop, method, Purpose.DELIVERY)
            hand.deliver()
            [one] = deliveries(bellhop, id_)
            assert (one.state, one.error) == ("waiting", "ratelimited")
            clock.advance(HOUR)

        hand.deliver()
        [one] = deliveries(bellhop, id_)
        assert (one.state, one.error) == ("sent", None)


def test_slacks_own_limit_is_one(database_url: str, encryption_key: str, clock: FakeClock) -> None:
    with running_bellhop(database_url, encryption_key, clock, retry_hours=2) as bellhop:
        bellhop.install(ANN)
        bellhop.slack.faults.add(Fault(LOOK_UP, "rate_limited"))
        hand, id_ = Hand(bellhop), accept(bellhop, KNOWN, "x")
        for _ in range(4):
            hand.deliver()
            clock.advance(HOUR)

        assert states(bellhop, id_) == ["dead"]
