"""Events: payloads, signatures, subscriptions and retries."""

from __future__ import annotations

import pytest
from slack_sdk import WebClient

from slack_sandbox import Sandbox
from slack_sandbox.seed import ACME, ANN, BEN, NORTH, WES
from tests.slack_sandbox.conftest import FakeClock, Installer, MakeServer
from tests.slack_sandbox.fake_app import Answer, FakeApp, Received


def test_an_event_is_wrapped_and_signed(
    bot: WebClient, slack: Sandbox, app: FakeApp, clock: FakeClock
) -> None:
    delivery = slack.send_event(ACME, {"type": "team_rename", "name": "Ajax"})
    assert delivery.state == "delivered"
    received = app.received[-1]
    assert received.is_signed(clock.now)
    body = received.payload()
    assert body["type"] == "event_callback"
    assert body["event"]["name"] == "Ajax"
    assert body["event_id"].startswith("Ev")
    assert body["authorizations"][0]["is_bot"] is True
    assert body["authorizations"][0]["team_id"] == ACME
    assert "x-slack-retry-num" not in received.headers


def test_an_event_has_three_retries(
    bot: WebClient, slack: Sandbox, app: FakeApp, clock: FakeClock
) -> None:
    app.answer = lambda received: Answer(status=500)
    delivery = slack.send_event(ACME, {"type": "team_rename", "name": "Ajax"})
    slack.deliver_due()
    assert len(delivery.attempts) == 2
    clock.move(59)
    slack.deliver_due()
    assert len(delivery.attempts) == 2
    clock.move(1)
    slack.deliver_due()
    assert len(delivery.attempts) == 3
    clock.move(300)
    slack.deliver_due()
    assert len(delivery.attempts) == 4
    assert delivery.state == "failed"
    clock.move(3_600)
    slack.deliver_due()
    assert len(app.received) == 4

    numbers = [request.headers.get("x-slack-retry-num") for request in app.received]
    reasons = {request.headers.get("x-slack-retry-reason") for request in app.received[1:]}
    assert numbers == [None, "1", "2", "3"]
    assert reasons == {"http_error"}
    assert len({request.payload()["event_id"] for request in app.received}) == 1


def test_x_slack_no_retry_stops_retries(bot: WebClient, slack: Sandbox, app: FakeApp) -> None:
    app.answer = lambda received: Answer(status=500, headers={"X-Slack-No-Retry": "1"})
    delivery = slack.send_event(ACME, {"type": "team_rename", "name": "Ajax"})
    slack.deliver_due()
    assert (delivery.state, len(delivery.attempts)) == ("failed", 1)


def test_an_event_reaches_an_app_that_was_down(
    bot: WebClient, slack: Sandbox, app: FakeApp, clock: FakeClock
) -> None:
    slack.set_app_url("http://127.0.0.1:9")
    delivery = slack.send_event(ACME, {"type": "team_rename", "name": "Ajax"})
    slack.deliver_due()
    assert [attempt.reason for attempt in delivery.attempts] == ["connection_failed"] * 2
    delivery.url = f"{app.url}/slack/events"
    clock.move(60)
    slack.deliver_due()
    assert delivery.state == "delivered"
    assert app.received[-1].headers["x-slack-retry-reason"] == "connection_failed"


def test_a_running_server_sends_events_in_the_background(
    bot: WebClient, slack: Sandbox, app: FakeApp
) -> None:
    slack.rename_team(ACME, "Ajax")
    delivery = slack.deliveries[-1]
    assert delivery.wait(5)
    assert app.events("team_rename")[0]["name"] == "Ajax"


def test_changes_at_slack_send_events(bot: WebClient, slack: Sandbox, app: FakeApp) -> None:
    channel = slack.add_channel(ACME, "fresh")
    slack.update_user(ANN, title="Manager", real_name="Ann Archer-Lee")
    slack.change_domain(ACME, "ajax")
    slack.rename_channel(channel.id, "stale")
    slack.archive_channel(channel.id)
    slack.deliver_due()
    user = app.events("user_change")[0]["user"]
    assert user["profile"]["title"] == "Manager"
    assert user["profile"]["email"] == "ann@acme.example"
    assert app.events("team_domain_change")[0]["domain"] == "ajax"
    assert app.events("channel_rename")[0]["channel"]["name"] == "stale"
    assert app.events("channel_archive")[0]["channel"] == channel.id
    # not subscribed to
    assert app.events("channel_created") == []


def test_events_need_the_scope_and_the_installation(
    installer: Installer, slack: Sandbox, app: FakeApp
) -> None:
    slack.update_user(ANN, title="Manager")
    installer.install(scope="commands")
    slack.update_user(ANN, title="Porter")
    slack.deliver_due()
    assert app.received == []


def test_message_events_need_membership(
    bot: WebClient, slack: Sandbox, app: FakeApp, general: str
) -> None:
    slack.post_as(BEN, general, "before")
    slack.invite_bot(ANN, general)
    slack.post_as(BEN, general, "after")
    slack.deliver_due()
    assert [event["text"] for event in app.events("message")] == ["after"]


@pytest.mark.parametrize("uninstalled_first", [True, False])
def test_uninstalling_sends_events_in_either_order(
    installer: Installer, slack: Sandbox, app: FakeApp, uninstalled_first: bool
) -> None:
    answer = installer.install()
    slack.uninstall(ACME, uninstalled_first=uninstalled_first)
    kinds = [delivery.name for delivery in slack.deliveries]
    expected = ["app_uninstalled", "tokens_revoked"]
    assert kinds == (expected if uninstalled_first else expected[::-1])
    slack.deliver_due()
    tokens = app.events("tokens_revoked")[0]["tokens"]
    assert tokens == {"oauth": [ANN], "bot": [answer["bot_user_id"]]}


def test_revoking_one_persons_token(installer: Installer, slack: Sandbox, app: FakeApp) -> None:
    installer.install(ANN)
    installer.install(BEN)
    slack.revoke_tokens(ACME, users=[BEN])
    slack.deliver_due()
    assert app.events("tokens_revoked")[0]["tokens"] == {"oauth": [BEN], "bot": []}
    assert slack.is_installed(ACME)


def test_events_of_an_organization_contain_the_workspace(
    installer: Installer, slack: Sandbox, app: FakeApp
) -> None:
    installer.install(WES, org=True)
    slack.rename_team(NORTH, "Norther")
    slack.deliver_due()
    body = app.received[-1].payload()
    assert (body["team_id"], body["enterprise_id"]) == (NORTH, "E0GRID0001")
    assert body["authorizations"][0]["is_enterprise_install"] is True
    assert body["authorizations"][0]["team_id"] is None


def test_reset_deletes_waiting_events(
    bot: WebClient, slack: Sandbox, app: FakeApp, clock: FakeClock, make_server: MakeServer
) -> None:
    answers: list[Received] = []

    def fail(received: Received) -> Answer:
        answers.append(received)
        return Answer(status=503)

    app.answer = fail
    slack.send_event(ACME, {"type": "team_rename", "name": "Ajax"})
    slack.deliver_due()
    slack.reset()
    clock.move(3_600)
    slack.deliver_due()
    assert len(answers) == 2
    assert slack.deliveries == []
