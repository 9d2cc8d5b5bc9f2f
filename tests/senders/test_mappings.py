"""Mappings of the known senders, by their example bodies."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from bolt_app.notifications.content.schema import read_one
from bolt_app.senders.bodies import recognize
from bolt_app.senders.registry import known_senders
from tests.senders.fixtures import FOLDER, ORIGINS, Fixture, fixtures

ALL = list(fixtures())
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
MOST_BYTES = 30 * 1024
_EMAIL = re.compile(r"[\w.+-]+@([\w-]+\.)+[a-z]{2,}")
# Reserved for examples, or addresses that nobody reads. `git@` is an SSH address.
_HARMLESS = re.compile(r"git@.*|.*@([\w-]+\.)*(example(\.\w+)?|invalid|localhost)|.*noreply.*")


@pytest.mark.parametrize("sender", known_senders())
def test_every_sender_has_example_bodies(sender: str) -> None:
    assert any(one.sender == sender for one in ALL)


@pytest.fixture(params=known_senders())
def of_sender(request: pytest.FixtureRequest) -> list[Fixture]:
    """The example bodies of one sender."""
    return [one for one in ALL if one.sender == request.param]


def test_an_example_body_names_its_origin(
    of_sender: list[Fixture], subtests: pytest.Subtests
) -> None:
    for one in of_sender:
        with subtests.test(one.name):
            assert one.origin.kind in ORIGINS
            assert one.origin.source.strip()


def test_an_example_body_is_small_and_has_nobodys_address(subtests: pytest.Subtests) -> None:
    for path in sorted(FOLDER.glob("*/fixtures/*.json")):
        with subtests.test(path.stem):
            written = path.read_text(encoding="utf-8")

            assert len(written.encode()) <= MOST_BYTES
            found = {one.group().lower() for one in _EMAIL.finditer(written)}
            assert {one for one in found if not _HARMLESS.fullmatch(one)} == set()


def test_an_example_body_becomes_the_expected_notifications(
    of_sender: list[Fixture], subtests: pytest.Subtests
) -> None:
    for one in of_sender:
        with subtests.test(one.name):
            found = known_senders()[one.sender].read(one.lower_headers, one.body)

            assert found == one.notifications


def test_an_example_body_is_recognized_as_its_senders_and_no_others(
    of_sender: list[Fixture], subtests: pytest.Subtests
) -> None:
    for one in of_sender:
        with subtests.test(one.name):
            headers = one.lower_headers

            found = {
                name
                for name, sender in known_senders().items()
                if sender.recognizes(headers, one.body)
            }

            assert found == {one.sender}
            assert recognize(headers, one.body) == one.sender


def test_the_notifications_are_valid(of_sender: list[Fixture], subtests: pytest.Subtests) -> None:
    for one in of_sender:
        with subtests.test(one.name):
            for found in one.notifications:
                assert read_one({**found, "to": "#ops"}, NOW).content()


@pytest.mark.parametrize("sender", known_senders())
def test_what_asks_for_an_answer_is_ended_by_the_sender(sender: str) -> None:
    found = [one for fixture in fixtures(sender) for one in fixture.notifications]
    asking = {one["key"] for one in found if one.get("actions")}
    ending = {one["key"] for one in found if "key" in one and not one.get("actions")}

    assert asking <= ending
