"""Notifications that mention people."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bolt_app.workspaces.users import LOOKUPS_PER_MINUTE
from slack_sandbox.faults import Fault
from tests.notifications.hand import Hand, accept, states
from tests.people import ANN, BEN, GENERAL
from tests.running import Bellhop
from tests.web.calling import caller

LINKED, KNOWN, NOBODY = "@Ann@acme.example", "@ben@acme.example", "@nobody@acme.example"
LOOK_UP = "users.lookupByEmail"


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
    assert len(installed.slack.calls_to(LOOK_UP)) == LOOKUPS_PER_MINUTE


def test_an_unknown_address_is_remembered_for_a_while(installed: Bellhop) -> None:
    for _ in range(3):
        posted(installed, mentions=[NOBODY])
    assert len(installed.slack.calls_to(LOOK_UP)) == 1

    installed.clock.advance(300)
    posted(installed, mentions=[NOBODY])
    assert len(installed.slack.calls_to(LOOK_UP)) == 2


def test_a_message_to_an_address_waits_for_its_lookup(installed: Bellhop) -> None:
    for number in range(2):
        posted(installed, mentions=unknown_people(number))
    id_ = accept(installed, KNOWN, "For Ben")
    Hand(installed).deliver()
    assert states(installed, id_) == ["waiting"]

    installed.clock.advance(60)
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
