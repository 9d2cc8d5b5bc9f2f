"""Turns of sources whose messages upload files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import func, select

from bolt_app.db.models import Delivery
from bolt_app.notifications.delivery.errors import UploadsBusyError
from bolt_app.notifications.delivery.file_links import SCOPE
from bolt_app.notifications.delivery.upload_turns import UploadTurns
from slack_sandbox import Fault
from tests.conftest import FakeClock
from tests.delivering import delivering, quick_bellhop, wait_until
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop
from tests.web.methods.calling import method_caller
from tests.web.methods.uploading import share

PATIENCE_SECONDS = 300


class Uploads:
    """Messages that ask for places, and keep them until they are ended."""

    def __init__(self, clock: FakeClock, most: int = 1) -> None:
        self.turns = UploadTurns(most, patience=PATIENCE_SECONDS, monotonic=clock.timestamp)
        self.places: dict[tuple[str, int], ExitStack] = {}

    def ask(self, source: str, number: int = 1, team_id: str = ACME) -> bool | None:
        """Return whether a message uploads now; None if it has to wait."""
        place = ExitStack()
        try:
            has_place = place.enter_context(self.turns.enter(team_id, source, number))
        except UploadsBusyError:
            return None
        if has_place:
            self.places[source, number] = place
        return has_place

    def end(self, source: str, number: int = 1) -> None:
        self.places.pop((source, number)).close()


@pytest.fixture
def uploads(clock: FakeClock) -> Iterator[Uploads]:
    uploads = Uploads(clock)
    yield uploads
    assert uploads.places == {}


def test_sources_take_turns(uploads: Uploads) -> None:
    assert uploads.ask("a", 0)
    waiting = [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2), ("c", 1), ("c", 2)]
    assert {uploads.ask(*message) for message in waiting} == {None}
    current, order = ("a", 0), ""

    while waiting:
        uploads.end(*current)
        # The messages of one source always ask first.
        current = next(message for message in waiting if uploads.ask(*message))
        waiting.remove(current)
        order += current[0]

    uploads.end(*current)
    assert order == "abcabca"


def test_a_new_source_waits_for_one_message_of_each_other(uploads: Uploads) -> None:
    assert uploads.ask("a", 1)
    assert uploads.ask("a", 2) is uploads.ask("b") is None
    uploads.end("a", 1)
    assert uploads.ask("a", 2)
    assert uploads.ask("a", 3) is uploads.ask("b") is None
    uploads.end("a", 2)

    assert uploads.ask("a", 3) is None
    assert uploads.ask("b")
    uploads.end("b")


def test_a_second_place_is_for_another_source(clock: FakeClock) -> None:
    uploads = Uploads(clock, most=2)
    assert uploads.ask("a", 1)
    assert uploads.ask("a", 2)
    assert uploads.ask("a", 3) is uploads.ask("b") is None
    uploads.end("a", 1)

    assert uploads.ask("a", 3) is None
    assert uploads.ask("b")
    uploads.end("b")
    assert uploads.ask("a", 3)


def test_a_source_alone_has_all_places(clock: FakeClock) -> None:
    uploads = Uploads(clock, most=3)

    assert [uploads.ask("a", number) for number in range(4)] == [True, True, True, None]


def test_a_message_that_asks_no_more_is_not_waited_for(uploads: Uploads, clock: FakeClock) -> None:
    assert uploads.ask("a", 1)
    assert uploads.ask("b") is None
    uploads.end("a", 1)
    assert uploads.ask("a", 2)
    assert uploads.ask("b") is None
    uploads.end("a", 2)
    assert uploads.ask("a", 3) is None

    clock.advance(10)

    assert uploads.ask("a", 3)
    uploads.end("a", 3)


def test_a_message_waits_for_a_time(uploads: Uploads, clock: FakeClock) -> None:
    assert uploads.ask("a", 1)
    assert uploads.ask("a", 2) is None
    for _ in range(PATIENCE_SECONDS - 1):
        clock.advance(1)
        assert uploads.ask("a", 2) is None

    clock.advance(1)

    assert uploads.ask("a", 2) is False
    uploads.end("a", 1)


def test_many_messages_of_a_source_ask_seldom(uploads: Uploads) -> None:
    assert uploads.ask("a", 0)
    waits = []
    for number in range(1, 101):
        with pytest.raises(UploadsBusyError) as raised, uploads.turns.enter(ACME, "a", number):
            pass
        waits.append(raised.value.wait)
    with pytest.raises(UploadsBusyError) as raised, uploads.turns.enter(ACME, "b", 1):
        pass
    uploads.end("a", 0)

    assert (waits[0], waits[-1], raised.value.wait) == (1.0, 10.0, 1.0)


def test_other_workspaces_do_not_wait(uploads: Uploads) -> None:
    assert uploads.ask("a")

    assert uploads.ask("b", team_id="T0OTHER001")
    uploads.end("a")
    uploads.end("b")


@pytest.mark.sqlite_only
def test_many_files_of_one_sender_do_not_delay_anothers(
    database_url: str, encryption_key: str
) -> None:
    with quick_bellhop(database_url, encryption_key, workspace_requests=4) as bellhop:
        bellhop.slack.limits.enabled = False
        bellhop.install(ANN, optional=[SCOPE])
        many, other = method_caller(bellhop), method_caller(bellhop)
        channels = [bellhop.slack.add_channel(ACME, f"files-{n}").id for n in range(8)]
        bellhop.slack.faults.add(Fault("upload"))
        with delivering(bellhop):
            for channel_id in channels:
                share(many, channel_id)
            wait_until(bellhop, lambda: bellhop.slack.faults.taken("upload") > 0)
            share(other, GENERAL)
            wait_until(bellhop, lambda: not_begun(bellhop) == 0)

            bellhop.slack.faults.clear()
            bellhop.slack.faults.add(Fault("upload", seconds=0.3))
            wait_until(bellhop, lambda: bool(bellhop.slack.messages(GENERAL)))

            before = sum(bool(bellhop.slack.messages(channel_id)) for channel_id in channels)
            # The one in progress, and one more if it asks first.
            assert before <= 2


def not_begun(bellhop: Bellhop) -> int:
    with bellhop.services.database.reading() as session:
        begun = select(func.count()).where(Delivery.attempt_number == 0)
        return session.scalars(begun).one()
