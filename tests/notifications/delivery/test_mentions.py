"""Notifications that mention people."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bolt_app.fair_limit import share_of_one
from bolt_app.notifications.delivery.sender import MENTION_SKIPPED, MENTION_WAITS
from bolt_app.workspaces.lookup_budgets import BUDGETS, Purpose
from slack_sandbox.faults import Fault
from tests.notifications.hand import Hand, accept, deliveries, states
from tests.notifications.lookups import use_up
from tests.people import ANN, BEN, GENERAL
from tests.running import Bellhop
from tests.web.calling import NOTIFICATIONS, caller

pytestmark = pytest.mark.sqlite_only

LINKED, KNOWN, NOBODY = "@Ann@acme.example", "@ben@acme.example", "@nobody@acme.example"
LOOK_UP = "users.lookupByEmail"
RANDOM = "C0ACME0002"
MENTIONS = BUDGETS[LOOK_UP][Purpose.MENTION]


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def posted(bellhop: Bellhop, **given: Any) -> Any:
    accept(bellhop, GENERAL, **{"text": "Look at this", **given})
    bellhop.clock.advance(5)
    Hand(bellhop).deliver()
    return bellhop.slack.messages(GENERAL)[-1]


def test_people_are_mentioned_at_the_end(installed: Bellhop) -> None:
    message = posted(installed, mentions=[KNOWN, LINKED, ANN])

    assert message.text == f"Look at this\n<@{BEN}> <@{ANN}>"
    assert len(installed.slack.calls_to(LOOK_UP)) == 1


@pytest.mark.parametrize("given", [{"severity": "critical"}, {"title": "Disk full"}])
def test_they_are_notified(installed: Bellhop, given: dict[str, str]) -> None:
    message = posted(installed, mentions=[LINKED], **given)

    # In an attachment nobody is.
    assert f"<@{ANN}>" in json.dumps(message.blocks)


def test_the_senders_blocks_mention_people_too(installed: Bellhop) -> None:
    blocks = [{"type": "divider"}]
    message = posted(installed, mentions=[LINKED], blocks=blocks)

    assert message.blocks[-1]["text"]["text"] == f"<@{ANN}>"


def test_unknown_people_are_left_out(installed: Bellhop) -> None:
    assert posted(installed, mentions=[NOBODY]).text == "Look at this"
    assert posted(installed, mentions=[NOBODY, KNOWN]).text == f"Look at this\n<@{BEN}>"


@pytest.mark.parametrize("kind", ["rate_limited", "server_error"])
def test_it_waits_until_slack_answers_the_lookup(installed: Bellhop, kind: Any) -> None:
    number = len(installed.slack.messages(GENERAL))
    installed.slack.faults.add(Fault(LOOK_UP, kind, times=1))
    id_ = accept(installed, GENERAL, "Look at this", mentions=[KNOWN])
    Hand(installed).deliver()
    assert states(installed, id_) == ["waiting"]
    assert len(installed.slack.messages(GENERAL)) == number

    installed.clock.advance(60)
    Hand(installed).deliver()
    assert installed.slack.messages(GENERAL)[-1].text == f"Look at this\n<@{BEN}>"


def unknown_people(number: int) -> list[str]:
    return [f"@stranger-{number}-{one}@acme.example" for one in range(20)]


def test_invented_addresses_cost_few_calls_and_delay_nothing(installed: Bellhop) -> None:
    ids = [accept(installed, GENERAL, "x", mentions=unknown_people(number)) for number in range(5)]
    for _ in ids:
        installed.clock.advance(2)
        Hand(installed).deliver()

    assert states(installed, *ids) == ["sent"] * 5
    assert len(installed.slack.calls_to(LOOK_UP)) == share_of_one(MENTIONS)


def test_a_message_without_a_mention_says_so(installed: Bellhop) -> None:
    sender = caller(installed)
    body = {"to": GENERAL, "text": "x", "mentions": unknown_people(1)}
    id_ = sender.send(body).json()["id"]
    Hand(installed).deliver()

    [delivery] = sender.get(f"{NOTIFICATIONS}/{id_}").json()["deliveries"]
    assert (delivery["state"], delivery["error"]["code"]) == ("sent", MENTION_SKIPPED)
    assert "not mentioned" in delivery["error"]["sentence"]


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_a_flood_takes_no_mention_from_other_senders(installed: Bellhop) -> None:
    installed.slack.invite_bot(ANN, RANDOM)
    flood, other = caller(installed, channels=[GENERAL]), caller(installed, channels=[RANDOM])
    hand = Hand(installed)
    for second in range(0, 360, 2):
        mentions = unknown_people(second)
        assert flood.send({"to": GENERAL, "text": "x", "mentions": mentions}).status == 202
        if second % 120 == 60:
            other.send({"to": RANDOM, "text": "Down", "mentions": [KNOWN]})
        hand.deliver()
        installed.clock.advance(2)

    texts = [message.text for message in installed.slack.messages(RANDOM)]
    assert texts == [f"Down\n<@{BEN}>"] * 3


def test_a_mention_waits_for_lookups_that_others_have_used_up(installed: Bellhop) -> None:
    use_up(installed, LOOK_UP, Purpose.MENTION)
    id_ = accept(installed, GENERAL, "Look at this", mentions=[KNOWN])
    Hand(installed).deliver()
    assert states(installed, id_) == ["waiting"]

    installed.clock.advance(60)
    Hand(installed).deliver()
    assert installed.slack.messages(GENERAL)[-1].text == f"Look at this\n<@{BEN}>"


def test_mentions_hold_a_channel_up_seldom(installed: Bellhop) -> None:
    hand = Hand(installed)
    ids = [accept(installed, GENERAL, "x", mentions=[KNOWN]) for _ in range(4)]
    waits = 0
    for _ in range(10):
        use_up(installed, LOOK_UP, Purpose.MENTION)
        hand.deliver()
        waits += states(installed, ids[0]) == ["waiting"]
        installed.clock.advance(60)

    assert waits == MENTION_WAITS
    notes = [(one.state, one.error) for id_ in ids for one in deliveries(installed, id_)]
    assert notes == [("sent", MENTION_SKIPPED)] * 4


def test_an_unknown_address_is_remembered_for_a_while(installed: Bellhop) -> None:
    for _ in range(3):
        posted(installed, mentions=[NOBODY])
    assert len(installed.slack.calls_to(LOOK_UP)) == 1

    installed.clock.advance(300)
    posted(installed, mentions=[NOBODY])
    assert len(installed.slack.calls_to(LOOK_UP)) == 2


def test_mentions_delay_no_message_to_an_address(installed: Bellhop) -> None:
    for number in range(2):
        posted(installed, mentions=unknown_people(number))
    id_ = accept(installed, KNOWN, "For Ben")
    Hand(installed).deliver()

    assert states(installed, id_) == ["sent"]


def test_deactivated_people_are_left_out(installed: Bellhop) -> None:
    installed.slack.update_user(BEN, deleted=True)

    assert posted(installed, mentions=[KNOWN]).text == "Look at this"


@pytest.mark.parametrize(
    ("given", "field", "detail"),
    [
        ({"mentions": ["#general"]}, "mentions[0]", "is not a person: use @e-mail"),
        ({"mentions": [ANN] * 21}, "mentions", "20"),
        ({"mentions": [ANN], "mrkdwn": False}, "mentions", "cannot be combined with mrkdwn false"),
    ],
)
def test_invalid_mentions_are_refused(
    bellhop: Bellhop, given: dict[str, Any], field: str, detail: str
) -> None:
    answer = caller(bellhop).send({"to": "#general", "text": "x", **given})

    assert answer.status == 422
    [error] = answer.json()["errors"]
    assert error["field"] == field
    assert detail in error["detail"]
