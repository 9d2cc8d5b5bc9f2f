"""Replayed requests: a signed request that arrives twice has one effect.

The clock stands still, so the same body has the same signature each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from bolt_app.db.models import ApiKey, Base, EventReceipt, IdempotencyKey, Webhook
from bolt_app.installations.directory import InstallationDirectory
from bolt_app.notifications.digests.preferences import NotificationPreferences
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.slack import ids
from bolt_app.slack.subscriptions import parsing as notify_parsing
from slack_sandbox.world import Message
from tests.conftest import FakeClock
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop
from tests.slack.signing import post_signed
from tests.slack.test_credentials import home, hook_values, key_values, open_form
from tests.slack.test_preferences import fill_in

DEPLOYS = SubscriptionSpec("deploys")
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

# Cached from Slack, or for the next request: without effect.
CACHES = {"channels", "channel_listings", "event_receipts", "home_tabs", "rate_limits"}

Step = Callable[[Bellhop], object]


@dataclass(frozen=True)
class Scenario:
    """A request with an effect.

    Attributes:
        act: sends the request, as the last one.
        change: a change before the replay, so that the replay would have an effect.
    """

    act: Step
    change: Step = lambda _bellhop: None


def notify(words: str) -> Step:
    return lambda bellhop: _command(bellhop, f"{words}")


def _command(bellhop: Bellhop, words: str) -> Message:
    message = bellhop.slack.send_command(ANN, GENERAL, "/notify", words).message
    assert message is not None
    return message


def subscribe(bellhop: Bellhop) -> None:
    bellhop.services.subscriptions.subscribe(ACME, GENERAL, DEPLOYS)


def unsubscribe(bellhop: Bellhop) -> None:
    bellhop.services.subscriptions.unsubscribe(ACME, GENERAL, DEPLOYS.topic)


def with_subscription(step: Step) -> Step:
    def act(bellhop: Bellhop) -> None:
        subscribe(bellhop)
        step(bellhop)

    return act


def unmute(bellhop: Bellhop) -> None:
    bellhop.services.subscriptions.mute(ACME, GENERAL, None)


def mute(bellhop: Bellhop) -> None:
    bellhop.services.subscriptions.mute(ACME, GENERAL, bellhop.clock())


def unmute_after_muting(bellhop: Bellhop) -> None:
    mute(bellhop)
    _command(bellhop, "unmute")


def end_digest(bellhop: Bellhop) -> None:
    bellhop.services.subscriptions.digest(ACME, GENERAL, DEPLOYS.topic, None)


def end_quiet_hours(bellhop: Bellhop) -> None:
    bellhop.services.preferences.choose(ACME, ANN, NotificationPreferences())


def undo_subscription(bellhop: Bellhop) -> None:
    answer = _command(bellhop, "subscribe deploys")
    bellhop.slack.click(ANN, answer, ids.UNDO_SUBSCRIPTIONS)


def undo_preferences(bellhop: Bellhop) -> None:
    answer = _command(bellhop, "quiet 22-7")
    bellhop.slack.click(ANN, answer, ids.UNDO_PREFERENCES)


def quiet_again(bellhop: Bellhop) -> None:
    # At exactly the time in the button, because the clock stands still.
    _command(bellhop, "quiet 22-7")


def choose_in_menu(bellhop: Bellhop) -> None:
    subscribe(bellhop)
    answer = _command(bellhop, "list")
    [value] = [
        option["value"]
        for block in answer.blocks
        for option in block.get("accessory", {}).get("options", [])
        if "unsubscribe" in option["value"]
    ]
    bellhop.slack.select_option(ANN, answer, ids.CHANGE_SUBSCRIPTION, value)


def submit(bellhop: Bellhop, values: dict[str, dict[str, Any]]) -> None:
    modal = bellhop.slack.open_modal(ANN)
    assert modal is not None
    assert bellhop.slack.submit_view(ANN, modal.id, values).errors == {}


def subscribe_at_home(bellhop: Bellhop) -> None:
    bellhop.slack.click(ANN, home(bellhop), ids.HOME_SUBSCRIBE)
    submit(bellhop, {"topic": {"value": "deploys"}, "filter": {"value": ""}})


def unsubscribe_at_home(bellhop: Bellhop) -> None:
    bellhop.services.subscriptions.unsubscribe(ACME, ANN, DEPLOYS.topic)


def choose_preferences(bellhop: Bellhop) -> None:
    home(bellhop)
    fill_in(bellhop, "off", quiet=True)


def send_test(bellhop: Bellhop) -> None:
    bellhop.slack.click(ANN, home(bellhop), ids.HOME_TEST)


def create_key(bellhop: Bellhop) -> None:
    open_form(bellhop, ids.NEW_API_KEY)
    submit(bellhop, key_values())


def create_webhook(bellhop: Bellhop) -> None:
    open_form(bellhop, ids.NEW_WEBHOOK)
    submit(bellhop, hook_values())


def revoke_key(bellhop: Bellhop) -> None:
    bellhop.services.api_keys.create(ACME, "ci")
    bellhop.slack.click(ANN, home(bellhop), ids.REVOKE_API_KEY, confirmed=True)


def revoke_webhook(bellhop: Bellhop) -> None:
    bellhop.services.webhooks.create(ACME, "ci", [GENERAL])
    bellhop.slack.click(ANN, home(bellhop), ids.REVOKE_WEBHOOK, confirmed=True)


def make_valid_again(bellhop: Bellhop) -> None:
    with bellhop.services.database.writing() as session:
        for model in (ApiKey, Webhook):
            session.execute(update(model).values(revoked_at=None))


def fail_delivery(bellhop: Bellhop) -> None:
    Hand(bellhop).deliver()
    states = {one["state"] for one in rows(bellhop)["deliveries"]}
    assert states == {"dead"}


def retry_failed(bellhop: Bellhop) -> None:
    bellhop.slack.archive_channel(GENERAL)
    accept(bellhop, GENERAL, "x")
    fail_delivery(bellhop)
    bellhop.slack.click(ANN, home(bellhop), ids.RETRY_NOTIFICATION)


def unlink(bellhop: Bellhop) -> None:
    question = bellhop.slack.send_command(ANN, GENERAL, "/profile", "unlink").message
    assert question is not None
    bellhop.slack.click(ANN, question, ids.UNLINK_PROFILE, confirmed=True)


def link_again(bellhop: Bellhop) -> None:
    bellhop.install(ANN)


def press(bellhop: Bellhop, answer: str) -> None:
    # By now the rate limit of the channel allows another update.
    bellhop.clock.advance(2)
    Hand(bellhop).deliver()
    message = bellhop.slack.messages(GENERAL)[-1]
    action_id = f"incident.{answer}"
    if answer == "snooze":
        bellhop.slack.select_option(ANN, message, action_id, "60")
    else:
        bellhop.slack.click(ANN, message, action_id)


def answer_incident(answer: str, *before: str) -> Step:
    def act(bellhop: Bellhop) -> None:
        actions = ["acknowledge", "assign", "resolve", "snooze", "mute"]
        accept(bellhop, GENERAL, title="Disk full", key="disk", actions=actions)
        for one in (*before, answer):
            press(bellhop, one)

    return act


def answered(*answers: str) -> Step:
    """Answer an incident as others, so that the replayed request is not the last one."""

    def change(bellhop: Bellhop) -> None:
        [id_] = {one["id"] for one in rows(bellhop)["notifications"]}
        for answer in answers:
            bellhop.services.incidents.answer(ACME, id_, "U0OTHER", answer)  # type: ignore[arg-type]

    return change


# By the id of the listener, and for the command also by its first word.
EFFECTS = {
    "/notify subscribe": Scenario(notify("subscribe deploys"), unsubscribe),
    "/notify unsubscribe": Scenario(with_subscription(notify("unsubscribe deploys")), subscribe),
    "/notify mute": Scenario(with_subscription(notify("mute 2h")), unmute),
    "/notify unmute": Scenario(with_subscription(unmute_after_muting), mute),
    "/notify digest": Scenario(with_subscription(notify("digest hourly")), end_digest),
    "/notify quiet": Scenario(notify("quiet 22-7"), end_quiet_hours),
    "/notify test": Scenario(notify("test")),
    ids.HOME_TEST: Scenario(send_test),
    ids.SUBSCRIBE_VIEW: Scenario(subscribe_at_home, unsubscribe_at_home),
    ids.PREFERENCES_VIEW: Scenario(choose_preferences, end_quiet_hours),
    ids.UNDO_PREFERENCES: Scenario(undo_preferences, quiet_again),
    ids.UNDO_SUBSCRIPTIONS: Scenario(undo_subscription, subscribe),
    ids.CHANGE_SUBSCRIPTION: Scenario(choose_in_menu, subscribe),
    ids.NEW_API_KEY_VIEW: Scenario(create_key),
    ids.NEW_WEBHOOK_VIEW: Scenario(create_webhook),
    ids.REVOKE_API_KEY: Scenario(revoke_key, make_valid_again),
    ids.REVOKE_WEBHOOK: Scenario(revoke_webhook, make_valid_again),
    ids.RETRY_NOTIFICATION: Scenario(retry_failed, fail_delivery),
    ids.UNLINK_PROFILE: Scenario(unlink, link_again),
    "incident.acknowledge": Scenario(answer_incident("acknowledge"), answered("resolve", "reopen")),
    "incident.assign": Scenario(answer_incident("assign"), answered("assign")),
    "incident.resolve": Scenario(answer_incident("resolve"), answered("reopen")),
    "incident.reopen": Scenario(answer_incident("reopen", "resolve"), answered("resolve")),
    "incident.snooze": Scenario(answer_incident("snooze"), answered("wake")),
    "incident.wake": Scenario(answer_incident("wake", "snooze"), answered("snooze")),
    "incident.mute": Scenario(answer_incident("mute"), answered("unmute")),
    "incident.unmute": Scenario(answer_incident("unmute", "mute"), answered("mute")),
}
# They show something, open a modal or read from Slack; a step runs once per execution.
READS = {
    "/notify list",
    "/notify help",
    ids.PROFILE_COMMAND,
    ids.LINK_PROFILE,
    ids.REFRESH_PROFILE,
    ids.KEEP_PROFILE,
    ids.LINK_TO_NOTIFICATION,
    ids.HOME_SUBSCRIBE,
    ids.HOME_PREFERENCES,
    ids.NEW_API_KEY,
    ids.NEW_WEBHOOK,
    ids.SEND_STEP,
}


def rows(bellhop: Bellhop) -> dict[str, list[dict[str, Any]]]:
    """Return all stored data that has an effect."""
    with bellhop.services.database.reading_connection() as connection:
        return {
            table.name: [
                dict(row)
                for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()
            ]
            for table in Base.metadata.sorted_tables
            if table.name not in CACHES
        }


def last_request(bellhop: Bellhop) -> bytes:
    sent = [one for one in bellhop.slack.deliveries if one.kind in ("command", "interaction")]
    return sent[-1].body


def test_every_listener_is_here(database_url: str) -> None:
    constants = {value for name, value in vars(ids).items() if name.isupper()}
    named = constants - {ids.NOTIFY_COMMAND, ids.ACTIONS}
    words = {f"{ids.NOTIFY_COMMAND} {word}" for word in notify_parsing.COMMANDS}
    incident_answers = {one for one in EFFECTS if one.startswith("incident.")}

    assert named | words | incident_answers == EFFECTS.keys() | READS


@pytest.mark.parametrize("scenario", EFFECTS.values(), ids=EFFECTS.keys())
def test_a_replayed_request_has_no_second_effect(bellhop: Bellhop, scenario: Scenario) -> None:
    bellhop.install(ANN)
    scenario.act(bellhop)
    body = last_request(bellhop)
    scenario.change(bellhop)
    bellhop.slack.deliver_due()
    before = rows(bellhop)

    answer = post_signed(bellhop, body)

    assert answer.status == 200
    assert rows(bellhop) == before


@pytest.mark.parametrize("name", EFFECTS)
def test_a_request_has_no_effect_after_an_uninstall(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its transaction asks, because the person was authorized before; only unlinking does not."""
    scenario = EFFECTS[name]
    bellhop.install(ANN)
    scenario.act(bellhop)
    body = last_request(bellhop)
    scenario.change(bellhop)
    bellhop.slack.deliver_due()
    with bellhop.services.database.writing() as session:
        for model in (EventReceipt, IdempotencyKey):
            session.execute(delete(model))
    before = rows(bellhop)

    with monkeypatch.context() as patch:
        patch.setattr(InstallationDirectory, "has_bot_in", lambda *_: False)
        assert post_signed(bellhop, body).status == 200

    assert (rows(bellhop) != before) == (name == ids.UNLINK_PROFILE)
    assert post_signed(bellhop, body).status == 200
    assert rows(bellhop) != before


def test_a_repeated_command_is_not_a_replay(bellhop: Bellhop, clock: FakeClock) -> None:
    bellhop.install(ANN)
    for _ in range(2):
        _command(bellhop, "subscribe deploys")
        assert len(bellhop.services.subscriptions.of_address(ACME, GENERAL)) == 1
        _command(bellhop, "unsubscribe deploys")
        assert bellhop.services.subscriptions.of_address(ACME, GENERAL) == []


def test_reads_leave_no_receipt(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    home(bellhop)
    before = receipts(bellhop)
    for words in ("list", "help", "bogus"):
        _command(bellhop, words)
    bellhop.slack.send_command(ANN, GENERAL, "/profile", "")

    assert receipts(bellhop) == before


def receipts(bellhop: Bellhop) -> int:
    with bellhop.services.database.reading_connection() as connection:
        found = connection.exec_driver_sql("SELECT count(*) FROM event_receipts").scalar()
    return int(found or 0)
