"""Greetings: destination, errors, limits, and a single post."""

from __future__ import annotations

import pytest

from bolt_app.slack_api import SlackCallError
from bolt_app.workspaces.client import BotWorkspace, NotInstalledError
from bolt_app.workspaces.greetings import MessageError
from slack_sandbox import Fault
from slack_sandbox.faults import FaultKind
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop


@pytest.fixture
def workspace(bellhop: Bellhop) -> BotWorkspace:
    bellhop.install(ANN)
    return bellhop.services.client.find_workspace(ACME)


def test_a_message_is_posted_to_the_channel_of_that_name(
    bellhop: Bellhop, workspace: BotWorkspace
) -> None:
    posted = bellhop.services.greetings.post(workspace, "#general", "The build is green again")

    message = bellhop.slack.messages(GENERAL)[-1]
    assert (message.text, message.ts) == ("The build is green again", posted.ts)
    assert posted.channel_id == GENERAL
    assert posted.permalink == (
        f"{bellhop.slack_url}/archives/{GENERAL}/p{posted.ts.replace('.', '')}"
    )


def test_the_bot_joins_a_public_channel_and_posts_once(
    bellhop: Bellhop, workspace: BotWorkspace
) -> None:
    channel = bellhop.slack.add_channel(ACME, "deploys-2")

    bellhop.services.greetings.post(workspace, "#deploys-2", "out")

    assert [message.text for message in bellhop.slack.messages(channel.id)] == ["out"]
    assert len(bellhop.slack.calls_to("conversations.join")) == 1


def test_a_private_channel_is_not_joined(bellhop: Bellhop, workspace: BotWorkspace) -> None:
    private = bellhop.slack.add_channel(ACME, "secret", members=[ANN], is_private=True)

    with pytest.raises(SlackCallError) as raised:
        bellhop.services.greetings.post(workspace, private.id, "psst")

    assert raised.value.code == "channel_not_found"
    assert raised.value.is_permanent


@pytest.mark.parametrize(("text", "said"), [("", "no text"), (" \n", "no text")])
def test_a_message_without_text_is_refused(
    bellhop: Bellhop, workspace: BotWorkspace, text: str, said: str
) -> None:
    with pytest.raises(MessageError, match=said):
        bellhop.services.greetings.post(workspace, "#general", text)


def test_text_is_refused_where_slack_would_cut_it(
    bellhop: Bellhop, workspace: BotWorkspace
) -> None:
    with pytest.raises(MessageError, match="40,001 characters, and Slack allows 40,000"):
        bellhop.services.greetings.post(workspace, "#general", "x" * 40_001)
    bellhop.services.greetings.post(workspace, "#general", "x" * 40_000)

    assert [len(message.text) for message in bellhop.slack.messages(GENERAL)] == [40_000]


@pytest.mark.parametrize("kind", ["lost_answer", "server_error"])
def test_a_possibly_accepted_message_is_not_sent_again(
    bellhop: Bellhop, workspace: BotWorkspace, kind: FaultKind
) -> None:
    bellhop.services.channels.join(workspace, GENERAL)
    bellhop.slack.faults.add(Fault("chat.postMessage", kind, times=1))

    with pytest.raises(SlackCallError) as raised:
        bellhop.services.greetings.post(workspace, GENERAL, "once")

    assert raised.value.ambiguous
    assert not raised.value.is_permanent
    assert len(bellhop.slack.messages(GENERAL)) == (1 if kind == "lost_answer" else 0)


def test_a_rate_limit_reports_the_wait(bellhop: Bellhop, workspace: BotWorkspace) -> None:
    bellhop.slack.faults.add(Fault("chat.postMessage", "rate_limited", retry_after=17))

    with pytest.raises(SlackCallError) as raised:
        bellhop.services.greetings.post(workspace, GENERAL, "wait")

    assert (raised.value.code, raised.value.retry_after) == ("ratelimited", 17)
    assert not raised.value.ambiguous


def test_a_link_that_fails_does_not_undo_the_message(
    bellhop: Bellhop, workspace: BotWorkspace
) -> None:
    bellhop.slack.faults.add(Fault("chat.getPermalink", "server_error"))

    assert bellhop.services.greetings.post(workspace, GENERAL, "posted").permalink is None
    assert len(bellhop.slack.messages(GENERAL)) == 1


def test_an_invalid_token_is_marked_and_not_used_again(
    bellhop: Bellhop, workspace: BotWorkspace
) -> None:
    before = len(bellhop.slack.calls_to("chat.postMessage"))
    bellhop.slack.faults.add(Fault("chat.postMessage", "api_error", error="token_revoked", times=1))

    for _ in range(2):
        with pytest.raises(SlackCallError) as raised:
            bellhop.services.greetings.post(workspace, GENERAL, "hello?")
        assert raised.value.code == "token_revoked"
    assert len(bellhop.slack.calls_to("chat.postMessage")) == before + 1


def test_after_an_uninstall_there_is_no_bot_to_post(
    bellhop: Bellhop, workspace: BotWorkspace
) -> None:
    bellhop.slack.uninstall(ACME)
    bellhop.settle()

    with pytest.raises(NotInstalledError):
        bellhop.services.greetings.post(workspace, GENERAL, "hello?")
