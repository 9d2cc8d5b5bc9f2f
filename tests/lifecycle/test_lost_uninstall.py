"""An uninstall is not reported, or only in part, and Bellhop is installed again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from slack_sandbox import Fault
from slack_sandbox.tokens import InstallKey
from tests.lifecycle.test_deletion import tidied, traces
from tests.people import ACME, ANN, BEN
from tests.running import Bellhop, Browser
from tests.slack.test_late_events import Event, can_see_profile, pending, send

WORKSPACE = InstallKey(None, ACME)
REVOKED_BOT: Event = {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": ["U0BOT"]}}


def uninstall(bellhop: Bellhop, reported: Sequence[Event]) -> None:
    """Slack uninstalls, and only some events arrive; without any, a call finds out."""
    installation = bellhop.slack.installation_for(ACME)
    bellhop.clock.advance(60)
    bellhop.slack.tokens.uninstall(WORKSPACE)
    for event in reported:
        bellhop.slack.queue_event(ACME, dict(event), installation)
    bellhop.settle()
    if not reported:
        client = bellhop.services.client
        assert not client.verify_bot(client.find_workspace(ACME))
    bellhop.clock.advance(60)


@pytest.fixture
def ben(bellhop: Bellhop) -> Browser:
    bellhop.install(ANN)
    return bellhop.install(BEN)[0]


@pytest.mark.parametrize("reported", [[], [REVOKED_BOT]], ids=["nothing", "the bot's token"])
def test_the_next_install_removes_people_whose_tokens_are_dead(
    bellhop: Bellhop, ben: Browser, reported: Sequence[Event]
) -> None:
    uninstall(bellhop, reported)
    ann, _ = bellhop.install(ANN)

    bellhop.settle()
    tidied(bellhop)
    bellhop.services.background.shutdown()

    assert not can_see_profile(ben)
    assert traces(bellhop, BEN, "ben@acme.example") == {}
    assert can_see_profile(ann)
    assert pending(bellhop) == []


@pytest.mark.parametrize("is_uninstalled", [True, False])
@pytest.mark.parametrize(
    "silence",
    [
        Fault("auth.test", "rate_limited", times=2),
        Fault("auth.test", "api_error", error="token_expired", times=2),
    ],
    ids=["a limit", "an expired token"],
)
def test_slack_does_not_say_whether_the_replaced_bot_was_uninstalled(
    bellhop: Bellhop, ben: Browser, silence: Fault, is_uninstalled: bool
) -> None:
    bellhop.clock.advance(60)
    if is_uninstalled:
        bellhop.slack.tokens.uninstall(WORKSPACE)
    # The new bot, then the one that it replaces.
    bellhop.slack.faults.add(silence)

    ann, _ = bellhop.install(ANN)
    bellhop.settle()

    assert can_see_profile(ben) is not is_uninstalled
    assert can_see_profile(ann)
    assert pending(bellhop) == []


def test_people_whose_tokens_work_stay_signed_in(bellhop: Bellhop, ben: Browser) -> None:
    """Only the bot's token was revoked."""
    again, _ = bellhop.install(BEN)
    bot_user_id = bellhop.slack.installations[WORKSPACE].bot_user_id
    assert bot_user_id is not None
    assert bellhop.slack.tokens.revoke(WORKSPACE, "bot", bot_user_id)
    send(bellhop, REVOKED_BOT, 0)
    bellhop.clock.advance(60)

    bellhop.install(ANN)
    bellhop.settle()

    assert [can_see_profile(browser) for browser in (ben, again)] == [True, True]
    assert bellhop.services.profiles.find(ACME, BEN) is not None


def test_a_person_whose_token_cannot_be_read_is_kept(bellhop: Bellhop, ben: Browser) -> None:
    """Slack reported nothing about the person."""
    uninstall(bellhop, [REVOKED_BOT])
    with bellhop.services.database.writing_connection() as connection:
        connection.exec_driver_sql("UPDATE installations SET user_token = 'unreadable'")

    bellhop.install(ANN)
    bellhop.settle()

    assert bellhop.services.profiles.find(ACME, BEN) is not None
    assert pending(bellhop) == []


def test_an_install_while_the_bot_works_asks_about_nobody(bellhop: Bellhop, ben: Browser) -> None:
    bellhop.install(ANN)

    assert pending(bellhop) == []
    assert can_see_profile(ben)
