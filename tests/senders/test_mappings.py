"""Mappings of the known senders, by their recorded bodies."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bolt_app.notifications.content.schema import read_one
from bolt_app.senders.bodies import recognize
from bolt_app.senders.registry import known_senders
from tests.senders.fixtures import Fixture, fixtures

ALL = list(fixtures())
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def name_of(one: Fixture) -> str:
    return f"{one.sender}/{one.name}"


@pytest.mark.parametrize("sender", known_senders())
def test_every_sender_has_recorded_bodies(sender: str) -> None:
    assert any(one.sender == sender for one in ALL)


@pytest.mark.parametrize("one", ALL, ids=name_of)
def test_a_recorded_body_becomes_the_recorded_notifications(one: Fixture) -> None:
    found = known_senders()[one.sender].read(one.lower_headers, one.body)

    assert found == one.notifications


@pytest.mark.parametrize("one", ALL, ids=name_of)
def test_a_recorded_body_is_recognized_as_its_senders_and_no_others(one: Fixture) -> None:
    headers = one.lower_headers

    found = {
        name for name, sender in known_senders().items() if sender.recognizes(headers, one.body)
    }

    assert found == {one.sender}
    assert recognize(headers, one.body) == one.sender


@pytest.mark.parametrize("one", ALL, ids=name_of)
def test_the_notifications_are_valid(one: Fixture) -> None:
    for found in one.notifications:
        assert read_one({**found, "to": "#ops"}, NOW).content()


@pytest.mark.parametrize("sender", known_senders())
def test_what_asks_for_an_answer_is_ended_by_the_sender(sender: str) -> None:
    found = [one for fixture in fixtures(sender) for one in fixture.notifications]
    asking = {one["key"] for one in found if one.get("actions")}
    ending = {one["key"] for one in found if "key" in one and not one.get("actions")}

    assert asking <= ending
