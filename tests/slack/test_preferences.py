"""Notification preferences over signed HTTP: saved, shown, undone, deleted."""

from __future__ import annotations

import json
from datetime import time
from typing import Any

import pytest

from bolt_app.notifications.digests.preferences import NotificationPreferences
from bolt_app.notifications.subscriptions.schedules import QuietHours
from bolt_app.slack import ids
from slack_sandbox.interactions import InteractionResult
from tests.conftest import FakeClock
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop
from tests.slack.test_home import home, shown, text_of
from tests.slack.test_lifecycle import send
from tests.slack.test_notify_command import ask
from tests.slack.test_notify_command import text_of as message_text

pytestmark = pytest.mark.sqlite_only

NIGHT = QuietHours(time(22), time(7))


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def chosen(bellhop: Bellhop, user_id: str = ANN) -> tuple[QuietHours | None, str]:
    found = bellhop.services.preferences.find(ACME, user_id)
    return found.quiet, found.direct


def fill_in(
    bellhop: Bellhop, direct: str, *, quiet: bool, start: str = "22:00", end: str = "07:00"
) -> InteractionResult:
    """Click the button, fill in the modal and submit it."""
    bellhop.slack.click(ANN, shown(bellhop), ids.HOME_PREFERENCES)
    modal = bellhop.slack.open_modal(ANN)
    assert modal is not None
    values: dict[str, dict[str, Any]] = {
        "quiet": {"value": ["keep"] if quiet else []},
        "from": {"value": start},
        "until": {"value": end},
        "direct": {"value": direct},
        "daily": {"value": "08:15"},
    }
    result = bellhop.slack.submit_view(ANN, modal.id, values)
    if not result.errors:
        bellhop.wait_for_home(ACME, ANN, "Saved.")
    return result


class TestCommand:
    def test_only_the_person_sees_the_reply(self, installed: Bellhop) -> None:
        answer = ask(installed, "quiet 22:00-07:00")

        profile = installed.services.profiles.find(ACME, ANN)
        assert profile is not None
        assert answer.ephemeral_to == ANN
        assert f"quiet hours from 22:00 to 07:00 ({profile.tz})" in message_text(answer)
        assert chosen(installed) == (NIGHT, "now")
        assert "You have no quiet hours." in message_text(ask(installed, "quiet off"))
        assert chosen(installed) == (None, "now")

    def test_slack_is_asked_where_an_unlinked_person_lives(self, installed: Bellhop) -> None:
        ask(installed, "quiet 22-7", BEN)

        found = installed.services.preferences.find(ACME, BEN)
        assert found == NotificationPreferences(NIGHT, "now", str(installed.slack.users[BEN].tz))

    def test_it_is_undone_once(self, installed: Bellhop, clock: FakeClock) -> None:
        ask(installed, "quiet 22-7")
        clock.advance(1)
        answer = ask(installed, "quiet 20-8")

        installed.slack.click(ANN, answer, ids.UNDO_PREFERENCES)

        assert chosen(installed) == (NIGHT, "now")
        said_last = message_text(installed.slack.ephemerals(ANN)[-1])
        assert "You have quiet hours from 22:00 to 07:00" in said_last
        assert "You undid the change." in said_last

    def test_the_nearest_is_offered(self, installed: Bellhop) -> None:
        answer = message_text(ask(installed, "quiet tonight"))

        assert "Did you mean `/notify quiet 22:00-07:00`?" in answer


class TestHome:
    def test_it_is_chosen_shown_and_undone(self, installed: Bellhop) -> None:
        words = "You have no quiet hours. Direct notifications are delivered immediately."
        assert words in text_of(home(installed))

        assert fill_in(installed, "daily", quiet=True, end="06:30").error is None

        assert chosen(installed) == (QuietHours(time(22), time(6, 30)), "daily 08:15")
        text = text_of(shown(installed))
        assert "quiet hours from 22:00 to 06:30" in text
        assert "delivered every day at 08:15" in text
        installed.slack.click(ANN, shown(installed), ids.UNDO_PREFERENCES)
        assert chosen(installed) == (None, "now")
        assert "You undid the change." in text_of(shown(installed))

    def test_the_modal_begins_with_what_is_chosen(self, installed: Bellhop) -> None:
        home(installed)
        fill_in(installed, "off", quiet=True, start="21:00")

        installed.slack.click(ANN, shown(installed), ids.HOME_PREFERENCES)

        modal = installed.slack.open_modal(ANN)
        assert modal is not None
        text = json.dumps(modal.blocks)
        assert '"initial_time": "21:00"' in text
        assert '"initial_options"' in text
        chosen_option = next(one for one in modal.blocks if one.get("block_id") == "direct")
        assert chosen_option["element"]["initial_option"]["value"] == "off"

    def test_hours_without_length_are_refused(self, installed: Bellhop) -> None:
        home(installed)

        result = fill_in(installed, "hourly", quiet=True, start="07:00")

        assert "start and end at the same time" in result.errors["until"]
        assert chosen(installed) == (None, "now")
        assert fill_in(installed, "hourly", quiet=False, start="07:00").error is None
        assert chosen(installed) == (None, "hourly")


class TestForgetting:
    @pytest.fixture
    def both(self, installed: Bellhop) -> Bellhop:
        for user_id in (ANN, BEN):
            ask(installed, "quiet 22-7", user_id)
        return installed

    def test_with_the_link(self, both: Bellhop) -> None:
        result = both.slack.send_command(ANN, GENERAL, "/profile", "unlink")
        assert result.message is not None
        both.slack.click(ANN, result.message, ids.UNLINK_PROFILE, confirmed=True)

        assert chosen(both) == (None, "now")
        assert chosen(both, BEN) == (NIGHT, "now")

    def test_with_the_person(self, both: Bellhop) -> None:
        gone = {"id": BEN, "team_id": ACME, "deleted": True, "profile": {}}
        send(both, {"type": "user_change", "user": gone})

        assert chosen(both, BEN) == (None, "now")
        assert chosen(both) == (NIGHT, "now")

    def test_with_the_installation(self, both: Bellhop) -> None:
        both.slack.uninstall(ACME)
        both.settle()

        assert chosen(both) == chosen(both, BEN) == (None, "now")
