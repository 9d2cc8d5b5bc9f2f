"""Commands for API keys, webhooks and topics."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from slack_sandbox import Fault
from tests.commands import assert_failed, run
from tests.people import ACME, ANN, BETA, GENERAL
from tests.running import Bellhop
from tests.senders.test_sns import TOPIC
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
def test_an_unknown_recipient_causes_a_warning(
    installed: Bellhop, command: list[str], address: str
) -> None:
    done = run(installed, *command, address)

    # It may exist later.
    assert done.exit_code == 0
    assert done.stderr.count("\n") == 1
    assert f"{address} cannot receive notifications now" in done.stderr


@pytest.mark.parametrize("address", ["#general", GENERAL, "topic:deploys", ANN])
def test_a_known_recipient_causes_no_warning(installed: Bellhop, address: str) -> None:
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


@pytest.mark.parametrize(
    ("group", "options", "to", "noun"),
    [("api-key", ["--name", "x"], "--channel", "Key"), ("webhook", [], "--to", "Webhook")],
)
class TestBothKinds:
    def test_a_revoked_one_cannot_be_revoked_again(
        self, installed: Bellhop, group: str, options: list[str], to: str, noun: str
    ) -> None:
        run(installed, group, "create", *TEAM, *options, to, "#ops")

        assert run(installed, group, "revoke", "1").stdout == f"{noun} 1 is revoked.\n"

        again = run(installed, group, "revoke", "1")
        assert_failed(again, f"{noun} 1 does not exist or is already revoked")

    def test_errors_are_reported(
        self, installed: Bellhop, group: str, options: list[str], to: str, noun: str
    ) -> None:
        nowhere = run(installed, group, "create", *options, "--team", BETA, to, "#ops")
        malformed = run(installed, group, "create", *options, *TEAM, to, "ops")
        listed = run(installed, group, "list", "--team", BETA)

        for unknown in (nowhere, listed):
            assert_failed(unknown, f"not installed in the workspace {BETA}")
        assert_failed(malformed, "'ops' is not a recipient", status=2)


class TestWebhooks:
    def test_the_last_line_is_the_address(self, installed: Bellhop) -> None:
        to = ["--to", "#ops", "--to", "topic:alerts"]
        done = run(installed, "webhook", "create", *TEAM, *to, "--name", "alertmanager")

        url = done.stdout.splitlines()[-1]
        assert url.startswith(f"{installed.url}/hooks/")
        assert request("POST", url, b'{"text": "x"}').text == "ok"
        shown = run(installed, "webhook", "list", *TEAM)
        assert shown.stdout == "1  alertmanager, to #ops, topic:alerts; active\n"
        assert run(installed, "webhook", "revoke", "1").stdout == "Webhook 1 is revoked.\n"
        assert request("POST", url, b'{"text": "x"}').text == "no_service"
        assert run(installed, "webhook", "list", *TEAM).stdout.endswith("; revoked\n")

    def test_a_sender_that_signs_gets_a_secret(self, installed: Bellhop) -> None:
        done = run(installed, "webhook", "create", *TEAM, "--to", "#ops", "--from", "github")

        secret, _, url = done.stdout.splitlines()[-3:]
        webhook = installed.services.webhooks.find(url.rpartition("/")[2])
        assert webhook is not None
        assert (webhook.sender, webhook.signing_secret) == ("github", secret)
        assert "paste into GitHub" in done.stdout
        shown = run(installed, "webhook", "list", *TEAM).stdout
        assert shown == "1  to #ops; active; from github, signed\n"
        assert request("POST", url, b"{}").text == "invalid_signature"

    def test_a_senders_own_secret_is_stored(self, installed: Bellhop) -> None:
        to = ["--to", "#ops", "--from", "sentry"]
        created = run(installed, "webhook", "create", *TEAM, *to).stdout
        url = created.splitlines()[-1]
        assert "`webhook secret 1` is run with the secret that Sentry shows" in created
        assert request("POST", url, b'{"text": "x"}').text == "ok"
        shown = run(installed, "webhook", "list", *TEAM).stdout
        assert shown == "1  to #ops; active; from sentry, not signed yet\n"

        done = run(installed, "webhook", "secret", "1", input="of Sentry\n")

        assert done.exit_code == 0
        assert "of Sentry" not in done.output
        assert "; from sentry, signed\n" in run(installed, "webhook", "list", *TEAM).stdout
        assert request("POST", url, b'{"text": "x"}').text == "invalid_signature"

    def test_a_webhook_without_a_sender_takes_no_secret(self, installed: Bellhop) -> None:
        run(installed, "webhook", "create", *TEAM, "--to", "#ops")

        for webhook_id in ("1", "2"):
            done = run(installed, "webhook", "secret", webhook_id, input="x\n")
            assert done.exit_code == 1
            assert "its sender does not sign" in done.stderr

    def test_a_topic_of_amazon_sns_is_shown(self, installed: Bellhop) -> None:
        create = ("webhook", "create", *TEAM, "--to", "#ops", "--topic")

        assert run(installed, *create, TOPIC, "--from", "aws-sns").exit_code == 0

        shown = run(installed, "webhook", "list", *TEAM).stdout
        assert shown == f"1  to #ops; active; from aws-sns, signed, topic {TOPIC}\n"

    def test_a_topic_is_an_arn_of_a_webhook_for_amazon_sns(self, installed: Bellhop) -> None:
        create = ("webhook", "create", *TEAM, "--to", "#ops", "--topic")

        assert_failed(run(installed, *create, TOPIC), "requires --from aws-sns", status=2)
        wrong = run(installed, *create, "alerts", "--from", "aws-sns")
        assert_failed(wrong, "must be an ARN", status=2)
        assert installed.services.webhooks.of_team(ACME) == []

    def test_an_unknown_sender_is_refused(self, installed: Bellhop) -> None:
        done = run(installed, "webhook", "create", *TEAM, "--to", "#ops", "--from", "nagios")

        assert done.exit_code == 2
        assert "alertmanager" in done.stderr

    def test_bodies_in_an_unknown_format_are_counted(self, installed: Bellhop) -> None:
        done = run(installed, "webhook", "create", *TEAM, "--to", "#ops")
        url = done.stdout.splitlines()[-1]
        request("POST", url, b'{"disk": "full"}')
        request("POST", url, b"disk full")

        shown = run(installed, "webhook", "list", *TEAM).stdout

        last = f"{installed.clock():%Y-%m-%d %H:%M} UTC"
        assert shown == f"1  to #ops; active; 2 in an unknown format, last {last}\n"


class TestTopics:
    def test_subscriptions_are_listed(self, installed: Bellhop) -> None:
        subscribed = run(installed, "topic", "subscribe", *TEAM, "Deploys", "#Ops")
        again = run(installed, "topic", "subscribe", *TEAM, "deploys", "#ops")
        run(installed, "topic", "subscribe", *TEAM, "alerts", "@ann@acme.example")

        shown = run(installed, "topic", "list", *TEAM)

        assert subscribed.stdout == "Subscribed #Ops to deploys.\n"
        assert again.stdout == "Changed the subscription of #ops to deploys.\n"
        assert shown.stdout == f"alerts  {ANN}\ndeploys  #ops\n"
        gone = run(installed, "topic", "unsubscribe", *TEAM, "deploys", "#ops")
        assert gone.stdout == "Unsubscribed #ops from deploys.\n"
        assert "#ops" not in run(installed, "topic", "list", *TEAM).stdout

    def test_muted_and_paused_subscriptions_are_marked(self, installed: Bellhop) -> None:
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

    def test_errors_are_reported(self, installed: Bellhop) -> None:
        for arguments, sentence, status in (
            (["subscribe", *TEAM, "two words", "#ops"], "'two words' is not a topic", 2),
            (["subscribe", *TEAM, "deploys", "ops"], "'ops' is not a recipient", 2),
            (["subscribe", *TEAM, "deploys", "topic:x"], "cannot subscribe to a topic", 2),
            (["subscribe", "--team", BETA, "deploys", "#ops"], "not installed", 1),
            (["unsubscribe", *TEAM, "deploys", "ops"], "'ops' is not a recipient", 2),
            (["unsubscribe", *TEAM, "deploys", "#ops"], "#ops is not subscribed to deploys", 1),
        ):
            assert_failed(run(installed, "topic", *arguments), sentence, status=status)
