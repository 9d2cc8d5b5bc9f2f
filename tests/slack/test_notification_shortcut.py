"""The message shortcut “Link to notification”, over signed HTTP."""

from __future__ import annotations

import json

import pytest

from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.slack import ids
from slack_sandbox import SandboxError
from slack_sandbox.world import Message
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, ANN_AT_BETA, BEN, GENERAL
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def shown(bellhop: Bellhop, message: Message, user_id: str = BEN) -> str:
    """Use the shortcut, and return the text of the modal."""
    assert bellhop.slack.use_shortcut(user_id, message, ids.LINK_TO_NOTIFICATION).error is None
    modal = bellhop.slack.open_modal(user_id)
    assert modal is not None
    return json.dumps(modal.blocks)


def posted(bellhop: Bellhop, channel_id: str = GENERAL) -> Message:
    bellhop.clock.advance(5)
    Hand(bellhop).deliver()
    return bellhop.slack.messages(channel_id)[-1]


def test_a_notification_has_a_link_to_its_page(installed: Bellhop) -> None:
    id_ = accept(installed, GENERAL, "hello")

    text = shown(installed, posted(installed))

    assert f"```{installed.url}/notifications/{id_}```" in text


def test_in_a_direct_message_too(installed: Bellhop) -> None:
    id_ = accept(installed, BEN, "hello")
    Hand(installed).deliver()
    channel = installed.slack.app_dm(ACME, BEN)

    assert id_ in shown(installed, posted(installed, channel.id))


def test_a_message_that_changed_is_what_it_shows_now(installed: Bellhop) -> None:
    first = accept(installed, GENERAL, "red", key="build", actions=["acknowledge"])
    message = posted(installed)
    second = accept(installed, GENERAL, "redder", key="build", actions=["acknowledge"])
    assert posted(installed).ts == message.ts
    installed.services.incidents.answer(ACME, second, ANN, IncidentAnswer.ACKNOWLEDGE)

    text = shown(installed, posted(installed))

    assert second in text
    assert first not in text


def test_a_thread_reply_is_a_separate_notification(installed: Bellhop) -> None:
    accept(installed, GENERAL, "red", key="build", mode="thread")
    posted(installed)
    second = accept(installed, GENERAL, "still red", key="build", mode="thread")

    assert second in shown(installed, posted(installed))


def test_another_message_gets_a_friendly_explanation(installed: Bellhop) -> None:
    accept(installed, GENERAL, "hello")
    posted(installed)
    text = shown(installed, installed.slack.post_as(ANN, GENERAL, "good morning"))

    assert "not a notification" in text
    assert "/notifications/" not in text


def test_a_message_of_another_workspace_is_not_found(installed: Bellhop) -> None:
    installed.install(ANN_AT_BETA)
    accept(installed, GENERAL, "hello")
    message = posted(installed)

    found = installed.services.history.find_by_message("T0BETA0001", GENERAL, message.ts)
    assert found is None


def test_a_message_only_one_person_sees_has_no_menu(installed: Bellhop) -> None:
    installed.slack.send_command(ANN, GENERAL, "/profile")
    [message] = installed.slack.ephemerals(ANN)

    with pytest.raises(SandboxError, match="only one person"):
        installed.slack.use_shortcut(ANN, message, ids.LINK_TO_NOTIFICATION)
