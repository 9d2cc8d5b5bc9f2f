"""Commands for keys, hooks and topics."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from slack_sandbox import Fault
from tests.commands import assert_failed, run
from tests.people import ACME, ANN, BETA, GENERAL
from tests.running import Bellhop
from tests.web.calling import NOTIFICATIONS, Caller, request

pytestmark = pytest.mark.sqlite_only

TEAM = ["--team", ACME]


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


@pytest.mark.parametrize("address", ["#nothere", "@nobody@acme.example", "C0NOTHERE1"])
@pytest.mark.parametrize(
    "command",
    [
        ["webhook", "create", *TEAM, "--to", GENERAL, "--to"],
        ["api-key", "create", *TEAM, "--name", "x", "--channel"],
        ["topic", "subscribe", *TEAM, "deploys"],
    ],
)
def test_a_recipient_that_slack_does_not_know_is_warned_of(
    installed: Bellhop, command: list[str], address: str
) -> None:
    done = run(installed, *command, address)

    # It may come to be later.
    assert done.exit_code == 0
    assert done.stderr.count("\n") == 1
    assert f"nothing can be delivered to {address} now" in done.stderr


@pytest.mark.parametrize("address", ["#general", GENERAL, "topic:deploys", ANN])
def test_a_recipient_that_is_known_is_not_warned_of(installed: Bellhop, address: str) -> None:
    assert run(installed, "webhook", "create", *TEAM, "--to", address).stderr == ""


def test_a_recipient_is_stored_while_slack_does_not_answer(installed: Bellhop) -> None:
    installed.slack.faults.add(Fault("*", "server_error"))

    assert run(installed, "webhook", "create", *TEAM, "--to", "#nothere").stderr == ""
    assert len(installed.services.webhooks.of_team(ACME)) == 1


class TestApiKeys:
    def test_the_last_line_is_the_key(self, installed: Bellhop) -> None:
        done = run(installed, "api-key", "create", *TEAM, "--name", "ci")

        ci = Caller(installed.url, done.stdout.splitlines()[-1])
        assert ci.key.startswith("bh_")
        assert ci.send({"to": "#general", "text": "x"}).status == 202
        assert ci.get(NOTIFICATIONS).status == 200

    def test_it_can_be_limited(self, installed: Bellhop) -> None:
        limits = ["--scope", "send", "--channel", "#OPS", "--channel", "topic:a"]
        days = ["--expires-in-days", "1"]
        done = run(installed, "api-key", "create", *TEAM, "--name", "ops", *limits, *days)

        ops = Caller(installed.url, done.stdout.splitlines()[-1])
        assert ops.send({"to": ["#ops", "topic:a"], "text": "x"}).status == 202
        assert ops.send({"to": "#general", "text": "x"}).status == 403
        assert ops.get(NOTIFICATIONS).status == 403
        installed.clock.advance(86_400)
        assert ops.send({"to": "#ops", "text": "x"}).status == 401

    def test_they_are_listed_without_their_text_and_revoked(self, installed: Bellhop) -> None:
        key = run(installed, "api-key", "create", *TEAM, "--name", "ci").stdout.splitlines()[-1]
        run(installed, "api-key", "create", *TEAM, "--name", "ops", "--channel", "#ops")
        ci = Caller(installed.url, key)
        assert ci.send({"to": "#general", "text": "x"}).status == 202

        revoked = run(installed, "api-key", "revoke", "1")
        shown = run(installed, "api-key", "list", *TEAM)

        assert (revoked.exit_code, revoked.stdout) == (0, "Key 1 is revoked.\n")
        assert ci.send({"to": "#general", "text": "x"}).status == 401
        assert shown.stdout == "1  ci: send, read; revoked\n2  ops: send, to #ops; active\n"
        assert run(installed, "api-key", "list", "--team", BETA).stdout == ""
        assert_failed(run(installed, "api-key", "revoke", "1"), "There is no key 1, or it is revok")

    def test_what_cannot_be_is_said(self, installed: Bellhop) -> None:
        create = ["api-key", "create", "--name", "x"]

        nowhere = run(installed, *create, "--team", BETA)
        malformed = run(installed, *create, *TEAM, "--channel", "ops")

        assert_failed(nowhere, f"not installed in the workspace {BETA}")
        assert_failed(malformed, "'ops' is not a recipient", status=2)


class TestHooks:
    def test_the_last_line_is_the_address(self, installed: Bellhop) -> None:
        to = ["--to", "#ops", "--to", "topic:alerts"]
        done = run(installed, "webhook", "create", *TEAM, *to, "--name", "alertmanager")

        url = done.stdout.splitlines()[-1]
        assert url.startswith(f"{installed.url}/hooks/")
        assert request("POST", url, b'{"text": "x"}').text == "ok"
        shown = run(installed, "webhook", "list", *TEAM)
        assert shown.stdout == "1  alertmanager, to #ops, topic:alerts; active\n"
        assert run(installed, "webhook", "revoke", "1").stdout == "Hook 1 is revoked.\n"
        assert request("POST", url, b'{"text": "x"}').text == "no_service"
        assert run(installed, "webhook", "list", *TEAM).stdout.endswith("; revoked\n")
        assert_failed(
            run(installed, "webhook", "revoke", "1"), "There is no hook 1, or it is revoked"
        )

    def test_what_cannot_be_is_said(self, installed: Bellhop) -> None:
        nowhere = run(installed, "webhook", "create", "--team", BETA, "--to", "#ops")
        malformed = run(installed, "webhook", "create", *TEAM, "--to", "ops")

        assert_failed(nowhere, f"not installed in the workspace {BETA}")
        assert_failed(malformed, "'ops' is not a recipient", status=2)


class TestTopics:
    def test_who_subscribed_is_listed(self, installed: Bellhop) -> None:
        subscribed = run(installed, "topic", "subscribe", *TEAM, "Deploys", "#Ops")
        again = run(installed, "topic", "subscribe", *TEAM, "deploys", "#ops")
        run(installed, "topic", "subscribe", *TEAM, "alerts", "@ann@acme.example")

        shown = run(installed, "topic", "list", *TEAM)

        assert subscribed.stdout == "#Ops gets what is sent to deploys.\n"
        assert again.stdout == "#ops gets what is sent to deploys, as changed now.\n"
        assert shown.stdout == f"alerts  {ANN}\ndeploys  #ops\n"
        gone = run(installed, "topic", "unsubscribe", *TEAM, "deploys", "#ops")
        assert gone.stdout == "#ops gets nothing more of what is sent to deploys.\n"
        assert "#ops" not in run(installed, "topic", "list", *TEAM).stdout

    def test_muted_and_paused_ones_say_so(self, installed: Bellhop) -> None:
        subscriptions, now = installed.services.subscriptions, installed.clock()
        for topic, muted in (("a", now + timedelta(hours=1)), ("b", now), ("c", None)):
            subscriptions.subscribe(ACME, GENERAL, SubscriptionSpec(topic))
            subscriptions.mute(ACME, GENERAL, muted, topic)
        installed.slack.archive_channel(GENERAL)
        installed.slack.deliver_due()

        shown = run(installed, "topic", "list", *TEAM).stdout.splitlines()

        muted = f"muted until {now + timedelta(hours=1):%Y-%m-%d %H:%M} UTC"
        assert shown == [
            f"a  {GENERAL}  {muted}  paused: archived",
            f"b  {GENERAL}  paused: archived",
            f"c  {GENERAL}  paused: archived",
        ]

    def test_what_cannot_be_is_said(self, installed: Bellhop) -> None:
        for arguments, sentence, status in (
            (["subscribe", *TEAM, "two words", "#ops"], "'two words' is not a topic", 2),
            (["subscribe", *TEAM, "deploys", "ops"], "'ops' is not a recipient", 2),
            (["subscribe", *TEAM, "deploys", "topic:x"], "cannot be sent on to a topic", 2),
            (["subscribe", "--team", BETA, "deploys", "#ops"], "not installed", 1),
            (["unsubscribe", *TEAM, "deploys", "ops"], "'ops' is not a recipient", 2),
            (["unsubscribe", *TEAM, "deploys", "#ops"], "#ops gets nothing of what", 1),
        ):
            assert_failed(run(installed, "topic", *arguments), sentence, status=status)
