"""Signed values: valid only for the action, workspace and address they were signed for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolt_app.blockkit.signed_values import (
    VALUE_LENGTH,
    OutdatedError,
    ValueSigner,
    fits,
    home_of,
)

SIGNER = ValueSigner("a secret")
FIELDS = {"topic": "deploys", "at": None}
PLACE = ("incident.mute", "T1", "C1")


def test_a_signed_value_is_read() -> None:
    value = SIGNER.sign(*PLACE, FIELDS)

    assert SIGNER.read(value, "incident.mute", "T1", ["D1", "C1"]) == FIELDS
    assert ValueSigner("a secret").read(value, "incident.mute", "T1", ["C1"]) == FIELDS


@pytest.mark.parametrize(
    "other",
    [
        ("incident.unmute", "T1", "C1"),
        ("incident.mute", "T2", "C1"),
        ("incident.mute", "T1", "C2"),
        ("incident.mute", "T1", home_of("C1")),
        ("incident.mute", "T1C", "1"),
    ],
)
def test_it_is_bound_to_action_workspace_and_address(other: tuple[str, str, str]) -> None:
    action, team_id, address = other

    with pytest.raises(OutdatedError):
        SIGNER.read(SIGNER.sign(*PLACE, FIELDS), action, team_id, [address])


@pytest.mark.parametrize("value", [None, 3, "", ".", "..", "v1..{}", "3", '{"key":1}', "v1.é.{}"])
def test_an_unsigned_value_is_rejected(value: object) -> None:
    with pytest.raises(OutdatedError):
        SIGNER.read(value, "incident.mute", "T1", ["C1"])


def test_it_counts_without_an_address_nowhere() -> None:
    with pytest.raises(OutdatedError):
        SIGNER.read(SIGNER.sign(*PLACE, FIELDS), "incident.mute", "T1", [])


def test_another_secret_or_version_is_rejected() -> None:
    value = ValueSigner("another secret").sign(*PLACE, FIELDS)
    with pytest.raises(OutdatedError):
        SIGNER.read(value, "incident.mute", "T1", ["C1"])
    with pytest.raises(OutdatedError):
        SIGNER.read("v2" + SIGNER.sign(*PLACE, FIELDS)[2:], "incident.mute", "T1", ["C1"])


@given(at=st.integers(0, 59), character=st.characters())
def test_a_changed_character_is_noticed(at: int, character: str) -> None:
    value = SIGNER.sign(*PLACE, {"topic": "deploys/production"})
    changed = value[:at] + character + value[at + 1 :]

    if changed != value:
        with pytest.raises(OutdatedError):
            SIGNER.read(changed, "incident.mute", "T1", ["C1"])


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_value_has_nothing_that_slack_escapes(topic: str, filter_: str) -> None:
    fields = {"topic": topic, "filter": filter_}
    value = SIGNER.sign(*PLACE, fields)

    assert value.isascii()
    assert not set("&<>") & set(value)
    assert SIGNER.read(value, "incident.mute", "T1", ["C1"]) == fields


@given(st.integers(0, 2100))
def test_a_fitting_value_is_within_slacks_limit(length: int) -> None:
    fields = {"x": "y" * length}

    value = SIGNER.sign("incident.mute", "T" * 32, "C1", fields)

    assert fits(fields) == (len(value) <= VALUE_LENGTH)


def test_buttons_and_menus_are_signed_where_they_stand() -> None:
    button = {"type": "button", "action_id": "press", "value": {"key": 1}}
    bare = {"type": "button", "action_id": "bare"}
    menu = {"type": "static_select", "action_id": "choose", "options": [{"value": "30"}]}
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": "x"}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}]},
        {"type": "actions", "block_id": {"id": 7}, "elements": [button, menu, bare]},
        {"type": "section", "block_id": {"topic": "t"}, "accessory": {**menu, "type": "overflow"}},
        {"type": "actions", "elements": [bare]},
    ]
    before = json.dumps(blocks)

    signed = SIGNER.sign_blocks(blocks, "T1", "C1")

    assert json.dumps(blocks) == before
    assert signed[:2] == blocks[:2]
    elements = signed[2]["elements"]
    assert SIGNER.read(elements[0]["value"], "press", "T1", ["C1"]) == {"key": 1}
    assert elements[1] == menu
    assert SIGNER.read(elements[2]["value"], "bare", "T1", ["C1"]) == {}
    assert SIGNER.read(signed[2]["block_id"], "choose", "T1", ["C1"]) == {"id": 7}
    assert SIGNER.read(signed[3]["block_id"], "choose", "T1", ["C1"]) == {"topic": "t"}
    assert "block_id" not in signed[4]
