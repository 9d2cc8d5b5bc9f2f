"""Clicks without a valid signed value have no effect.

Slack delivers clicks in messages of the app regardless of the author of the blocks. Each test here
shows that a sender, or a button used in the wrong place, has no effect.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from itertools import product
from typing import Any

import pytest

from bolt_app.blockkit.foreign_ids import PREFIX
from bolt_app.blockkit.signed_values import ValueSigner, home_of, shown_to
from bolt_app.notifications.digests.preferences import NotificationPreferences
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.slack import ids
from bolt_app.slack.signed_actions import OWN_ACTIONS, form_action
from slack_sandbox.blocks.check import elements_of
from slack_sandbox.world import Message
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, BEA, BEN, BETA, GENERAL
from tests.running import SESSION_SECRET, Bellhop
from tests.slack.interacting import VIEW, deliver, in_message, in_view, payload, rows
from tests.slack.registered import registered_listeners
from tests.slack.signing import interaction_body, post, signed
from tests.slack.test_home import choose_from_menu, home, text_of
from tests.slack.test_notify_command import ask
from tests.web.calling import request

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

RANDOM = "C0ACME0002"
FORMS = (ids.SUBSCRIBE_VIEW, ids.PREFERENCES_VIEW, ids.NEW_API_KEY_VIEW, ids.NEW_WEBHOOK_VIEW)
EVERY_ID = sorted(OWN_ACTIONS | {ids.LINK_PROFILE} | set(FORMS) | {ids.LINK_TO_NOTIFICATION})
SIGNER = ValueSigner(SESSION_SECRET)
OUTDATED = "This button is outdated"


@pytest.fixture
def busy(bellhop: Bellhop) -> Bellhop:
    """Bellhop, with one of everything that a button can change, all of Ann, an admin."""
    bellhop.begin(use)
    return bellhop


def use(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    services = bellhop.services
    services.api_keys.create(ACME, "ci")
    services.webhooks.create(ACME, "alerts", [GENERAL])
    for address in (GENERAL, ANN):
        services.subscriptions.subscribe(ACME, address, SubscriptionSpec("deploys", created_by=ANN))
    accept(bellhop, GENERAL, "x", key="disk", title="Disk full", actions=["resolve", "mute"])
    Hand(bellhop).deliver()
    home(bellhop)


def incident_message(bellhop: Bellhop) -> Any:
    return next(one for one in bellhop.slack.messages(GENERAL) if "Disk full" in one.text)


def fields_of(bellhop: Bellhop) -> dict[str, Any]:
    """Return fields with which each action would have an effect if they were trusted."""
    message = incident_message(bellhop)
    found = bellhop.services.history.find_by_message(ACME, GENERAL, message.ts)
    return {
        "key": 1,
        "hook": 1,
        "topic": "deploys",
        "notification": found,
        "changes": [{"topic": "deploys", "at": changed_at(bellhop)}],
        "user": ANN,
    }


def changed_at(bellhop: Bellhop) -> str:
    [one] = bellhop.services.subscriptions.of_address(ACME, GENERAL)
    return one.changed_at.isoformat()


def click(action_id: str, value: object, kind: str = "button") -> dict[str, Any]:
    carried = {"value": value} if kind == "button" else {"block_id": value}
    return {
        "type": kind,
        "action_id": action_id,
        "block_id": "b",
        "selected_option": {"value": "unsubscribe" if kind == "overflow" else "30"},
        **carried,
    }


class TestSendersOwnBlocks:
    """A webhook that posts Bellhop's ids under another label."""

    def test_an_admins_click_has_no_effect(self, busy: Bellhop) -> None:
        for own_id in EVERY_ID:
            self.check(busy, own_id)

    def check(self, busy: Bellhop, own_id: str) -> None:
        button = {
            "type": "button",
            "action_id": own_id,
            "text": {"type": "plain_text", "text": "View dashboard"},
            "value": "1",
        }
        menu = {
            "type": "static_select",
            "action_id": own_id,
            "placeholder": {"type": "plain_text", "text": "Choose"},
            "options": [{"text": {"type": "plain_text", "text": "30"}, "value": "30"}],
        }
        blocks = [
            {"type": "actions", "block_id": own_id, "elements": [button]},
            {
                "type": "section",
                "text": {"type": "plain_text", "text": "Dashboard"},
                "accessory": menu,
            },
        ]
        content = {"blocks": blocks, "attachments": [{"blocks": blocks}]}
        assert self.post(busy, {"text": "Dashboard", **content}) == 200
        Hand(busy).deliver()
        message = busy.slack.messages(GENERAL)[-1]
        before, calls = rows(busy), effects(busy)

        sent = [*message.blocks, *message.attachments[0]["blocks"]]
        elements = [one for _, one in elements_of(sent)]
        assert len(elements) == 4
        assert own_id not in [one["action_id"] for one in elements]
        assert own_id not in [one.get("block_id") for one in sent]
        for one in elements:
            value = "30" if one["type"] == "static_select" else None
            act = busy.slack.select_option if value else busy.slack.click
            result = act(ANN, message, one["action_id"], *filter(None, [value]))
            assert (result.status, result.error) == (200, None)

        assert rows(busy) == before
        assert effects(busy) == calls
        assert busy.slack.ephemerals(ANN) == []

    def test_a_link_keeps_leading_where_it_leads(self, busy: Bellhop) -> None:
        url = "https://grafana.example.com/d/1"
        button = {
            "type": "button",
            "action_id": "open",
            "text": {"type": "plain_text", "text": "View dashboard"},
            "url": url,
        }
        self.post(busy, {"text": "x", "blocks": [{"type": "actions", "elements": [button]}]})
        Hand(busy).deliver()
        message = busy.slack.messages(GENERAL)[-1]
        [(_, sent)] = elements_of(message.blocks)

        assert sent["url"] == url
        assert sent["action_id"].startswith(PREFIX)
        assert busy.slack.click(ANN, message, sent["action_id"]).status == 200

    def test_ids_in_stored_notifications_are_replaced_when_posted(self, busy: Bellhop) -> None:
        """Ids are replaced when a message is created, which covers rows of earlier releases."""
        text = {"type": "plain_text", "text": "View"}
        button = {"type": "button", "action_id": ids.UNLINK_PROFILE, "text": text}
        busy.clock.advance(5)
        accept(busy, GENERAL, "x", blocks=[{"type": "actions", "elements": [button]}])
        assert ids.UNLINK_PROFILE in json.dumps(rows(busy)["notifications"])
        Hand(busy).deliver()

        assert ids.UNLINK_PROFILE not in json.dumps(busy.slack.messages(GENERAL)[-1].blocks)

    def post(self, bellhop: Bellhop, content: Mapping[str, Any]) -> int:
        url = bellhop.services.webhooks.create(ACME, "a sender", [GENERAL])
        bellhop.clock.advance(5)
        headers = {"Content-Type": "application/json"}
        return request("POST", url, json.dumps(content).encode(), headers).status


def effects(bellhop: Bellhop) -> list[int]:
    """Count the calls with which a click could show something, other than home refreshes."""
    return [len(bellhop.slack.calls_to(one)) for one in ("views.open", "chat.postMessage")]


# Values that no button of Bellhop carries, created from the action id, an address where it is not
# used, and fields that would have an effect.
FORGERIES: Mapping[str, Callable[[str, str, str, Mapping[str, Any]], object]] = {
    "nothing": lambda *_: None,
    "no text": lambda *_: {"key": 1},
    "a row": lambda *_: "1",
    "unsigned": lambda action, there, elsewhere, fields: json.dumps(fields),
    "positional": lambda action, there, elsewhere, fields: json.dumps(list(fields.values())),
    "another version": lambda action, there, elsewhere, fields: (
        "v0" + SIGNER.sign(action, ACME, there, fields)[2:]
    ),
    "changed": lambda action, there, elsewhere, fields: SIGNER.sign(
        action, ACME, there, {**fields, "key": 2}
    ).replace('"key":2', '"key":1'),
    "another secret": lambda action, there, elsewhere, fields: ValueSigner("x" * 40).sign(
        action, ACME, there, fields
    ),
    "another workspace": lambda action, there, elsewhere, fields: SIGNER.sign(
        action, BETA, there, fields
    ),
    "another address": lambda action, there, elsewhere, fields: SIGNER.sign(
        action, ACME, elsewhere, fields
    ),
    "a form": lambda action, there, elsewhere, fields: SIGNER.sign(
        form_action(action), ACME, there, fields
    ),
}


def test_forged_clicks_are_logged_and_counted_without_what_they_carry(
    busy: Bellhop, caplog: pytest.LogCaptureFixture
) -> None:
    for carried in ("some words", SIGNER.sign(ids.HOME_TEST, ACME, GENERAL, {"some": "words"})):
        actions = [click(ids.UNDO_SUBSCRIPTIONS, carried)]
        deliver(busy, payload("block_actions", actions=actions, **in_message()))
    form = {**VIEW, "type": "modal", "callback_id": "some words", "private_metadata": "some words"}
    deliver(busy, payload("view_submission", view=form))
    forged = {"value": "some words"}
    own = SIGNER.sign("incident.snooze", ACME, GENERAL, {"notification": "some words"})
    snooze = {**click("incident.snooze", own, "static_select"), "selected_option": forged}
    deliver(busy, payload("block_actions", actions=[snooze], **in_message()))

    lines = [vars(one) for one in caplog.records if "forged or outdated" in one.message]
    assert [one["rejected"] for one in lines] == [1, 2, 3, 4]
    assert {(one["team_id"], one["user_id"]) for one in lines} == {(ACME, ANN)}
    assert "some words" not in repr(lines)


@pytest.mark.slow
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_value_has_no_effect(busy: Bellhop, forgery: str) -> None:
    fields, before = fields_of(busy), rows(busy)
    in_channel = in_message(ts=incident_message(busy).ts)
    for action_id in sorted(OWN_ACTIONS):
        for place, there, elsewhere in (
            (in_channel, GENERAL, RANDOM),
            (in_view("home"), home_of(ANN), home_of(BEN)),
        ):
            value = FORGERIES[forgery](action_id, there, elsewhere, fields)
            for kind in ("button", "overflow"):
                actions = [click(action_id, value, kind)]
                page = deliver(busy, payload("block_actions", actions=actions, **place))
                assert page.status == 200

    assert rows(busy) == before
    assert busy.slack.open_modal(ANN) is None


def test_a_value_of_another_action_has_no_effect(busy: Bellhop) -> None:
    fields, before = fields_of(busy), rows(busy)
    there = in_message(ts=incident_message(busy).ts)
    actions = sorted(OWN_ACTIONS)
    for number, action_id in enumerate(actions):
        for other in (actions[number - 1], actions[number - 2], "incident.mute"):
            if other != action_id:
                value = SIGNER.sign(other, ACME, GENERAL, fields)
                pressed = [click(action_id, value)]
                deliver(busy, payload("block_actions", actions=pressed, **there))

    assert rows(busy) == before
    assert busy.slack.open_modal(ANN) is None


def test_a_value_of_the_home_is_invalid_in_a_message(busy: Bellhop) -> None:
    before, fields = rows(busy), fields_of(busy)
    places = [in_message(), in_message(busy.slack.app_dm(ACME, ANN).id), in_view("modal")]
    # A message that claims to be a home.
    places.append({**in_message(), "view": {**VIEW, "type": "home"}})
    for place, action_id in product(places, sorted(OWN_ACTIONS)):
        value = SIGNER.sign(action_id, ACME, home_of(ANN), fields)
        for kind in ("button", "overflow"):
            body = payload("block_actions", actions=[click(action_id, value, kind)], **place)
            assert deliver(busy, body).status == 200

    assert rows(busy) == before


def ephemeral(place: dict[str, Any]) -> dict[str, Any]:
    """Return the container of a click in a message that only one person sees."""
    return {**place, "container": {**place["container"], "is_ephemeral": True}}


def offering(message: Message, action: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message as Slack sends it with a click on one of its actions."""
    block = {"type": "actions", "block_id": action["block_id"], "elements": [action]}
    return {"message": {**message.as_slack(), "blocks": [block]}}


@pytest.mark.parametrize(
    ("signed_for", "who", "is_ephemeral"),
    [
        (shown_to(ANN, GENERAL), ANN, False),
        (shown_to(ANN, GENERAL), BEN, True),
        (shown_to(ANN, RANDOM), ANN, True),
        (GENERAL, ANN, True),
    ],
    ids=["for all", "of another person", "of another channel", "of a message for all"],
)
def test_what_one_person_was_shown_counts_for_them_alone(
    busy: Bellhop, signed_for: str, who: str, is_ephemeral: bool
) -> None:
    fields, before, message = fields_of(busy), rows(busy), incident_message(busy)
    place = in_message(ts=message.ts)
    for action_id, kind in product(sorted(OWN_ACTIONS), ("button", "overflow")):
        value = SIGNER.sign(action_id, ACME, signed_for, fields)
        action = click(action_id, value, kind)
        there = ephemeral(place) if is_ephemeral else place | offering(message, action)
        assert deliver(busy, payload("block_actions", who, actions=[action], **there)).status == 200

    assert rows(busy) == before
    assert busy.slack.open_modal(who) is None


class TestMovedButtons:
    """A button of Bellhop, clicked as if it were in another message of the same channel."""

    def moved(self, bellhop: Bellhop, message: Message, action_id: str, value: object) -> None:
        channel = bellhop.slack.get_channel(GENERAL)
        with bellhop.slack.lock:
            url = bellhop.slack.new_response_url("actions", ANN, channel, message)
        place = {**in_message(ts=message.ts), "message": message.as_slack(), "response_url": url}
        deliver(bellhop, payload("block_actions", actions=[click(action_id, value)], **place))

    def value_in(self, message: Message, action_id: str) -> str:
        [value] = [
            one["value"] for _, one in elements_of(message.blocks) if one["action_id"] == action_id
        ]
        return str(value)

    @pytest.mark.parametrize("action_id", [ids.REFRESH_PROFILE, ids.KEEP_PROFILE])
    def test_a_private_reply_never_replaces_a_channel_message(
        self, busy: Bellhop, action_id: str
    ) -> None:
        words = "unlink" if action_id == ids.KEEP_PROFILE else ""
        own = busy.slack.send_command(ANN, GENERAL, "/profile", words).message
        assert own is not None
        message = incident_message(busy)
        before = deepcopy(message)

        self.moved(busy, message, action_id, self.value_in(own, action_id))

        busy.wait_for_ephemeral(ANN, OUTDATED)
        assert (message.text, message.blocks) == (before.text, before.blocks)
        assert not message.deleted

    def test_an_undo_replaces_only_its_own_message(self, busy: Bellhop) -> None:
        answer = ask(busy, "unsubscribe deploys")
        message, before = incident_message(busy), rows(busy)

        value = self.value_in(answer, ids.UNDO_SUBSCRIPTIONS)
        self.moved(busy, message, ids.UNDO_SUBSCRIPTIONS, value)

        busy.wait_for_ephemeral(ANN, OUTDATED)
        assert rows(busy) == before
        assert "Disk full" in message.text


@pytest.mark.parametrize("action_id", [ids.REVOKE_API_KEY, ids.REVOKE_WEBHOOK])
@pytest.mark.parametrize("address", [GENERAL, ANN])
def test_nothing_is_revoked_from_a_message(busy: Bellhop, action_id: str, address: str) -> None:
    """Not even with a button that was signed for it."""
    before = rows(busy)
    channel_id = busy.slack.app_dm(ACME, ANN).id if address == ANN else address
    value = SIGNER.sign(action_id, ACME, address, {"key": 1, "hook": 1})

    body = payload("block_actions", actions=[click(action_id, value)], **in_message(channel_id))
    deliver(busy, body)

    assert rows(busy) == before


def test_a_valid_value_has_its_effect(busy: Bellhop) -> None:
    """Without their forgery, the clicks above have their effects."""
    fields, there = fields_of(busy), in_message(ts=incident_message(busy).ts)
    for action_id in ("incident.mute", ids.UNDO_SUBSCRIPTIONS):
        action = click(action_id, SIGNER.sign(action_id, ACME, GENERAL, fields))
        before = rows(busy)
        there |= offering(incident_message(busy), action)
        deliver(busy, payload("block_actions", actions=[action], **there))
        assert rows(busy) != before
    for action_id in (ids.REVOKE_API_KEY, ids.REVOKE_WEBHOOK):
        value = SIGNER.sign(action_id, ACME, home_of(ANN), fields)
        before = rows(busy)
        body = payload("block_actions", actions=[click(action_id, value)], **in_view("home"))
        deliver(busy, body)
        assert rows(busy) != before


@pytest.mark.parametrize(
    "kind",
    [
        "interactive_message",
        "dialog_submission",
        "dialog_cancellation",
        "dialog_suggestion",
        "block_suggestion",
        "workflow_step_edit",
        "view_closed",
        "view_submission",
    ],
)
def test_another_kind_of_interaction_has_no_effect(busy: Bellhop, kind: str) -> None:
    before, fields = rows(busy), fields_of(busy)
    for own_id in EVERY_ID:
        value = SIGNER.sign(own_id, ACME, GENERAL, fields)
        actions = [{"name": own_id, "type": "button", "value": value}]
        given: dict[str, Any] = {"callback_id": own_id, "action_id": own_id, "workflow_step": {}}
        body = payload(kind, actions=actions, **given, **in_message())
        if kind.startswith("view"):
            body = payload(kind, view={**VIEW, "type": "modal", "callback_id": own_id})
        assert deliver(busy, body).status == 200

    assert rows(busy) == before
    assert busy.slack.open_modal(ANN) is None


STATES: Mapping[str, Mapping[str, Any]] = {
    ids.SUBSCRIBE_VIEW: {"topic": {"value": "other"}, "filter": {"value": ""}},
    ids.PREFERENCES_VIEW: {
        "quiet": {"selected_options": [{"value": "keep"}]},
        "from": {"selected_time": "22:00"},
        "until": {"selected_time": "07:00"},
        "daily": {"selected_time": "09:00"},
        "direct": {"selected_option": {"value": "off"}},
    },
    ids.NEW_API_KEY_VIEW: {
        "name": {"value": "mine"},
        "scopes": {"selected_options": [{"value": "admin"}]},
        "channels": {"value": ""},
        "lifetime": {"selected_option": {"value": "never"}},
    },
    ids.NEW_WEBHOOK_VIEW: {
        "name": {"value": "mine"},
        "target": {"selected_conversation": GENERAL},
        "sender": {"selected_option": {"value": "auto"}},
        "key_field": {"value": None},
        "signing_secret": {"value": None},
    },
}


def form(callback_id: str, metadata: object) -> dict[str, Any]:
    values = {block_id: {"value": state} for block_id, state in STATES[callback_id].items()}
    view = {
        **VIEW,
        "type": "modal",
        "callback_id": callback_id,
        "state": {"values": values},
        "blocks": [{"type": "input", "block_id": block_id} for block_id in values],
    }
    return view if metadata is None else {**view, "private_metadata": metadata}


@pytest.mark.parametrize("callback_id", FORMS)
def test_a_forged_form_has_no_effect(busy: Bellhop, callback_id: str) -> None:
    before, action = rows(busy), form_action(callback_id)
    forged = [
        None,
        "",
        "{}",
        SIGNER.sign(action, ACME, BEN),
        SIGNER.sign(action, ACME, home_of(ANN)),
        SIGNER.sign(callback_id, ACME, ANN),
        ValueSigner("x" * 40).sign(action, ACME, ANN),
        *(SIGNER.sign(form_action(one), ACME, ANN) for one in FORMS if one != callback_id),
    ]
    for metadata in forged:
        page = deliver(busy, payload("view_submission", view=form(callback_id, metadata)))
        assert "This form is outdated" in page.text
    # A value of another workspace is valid only there, where Bellhop is not installed.
    elsewhere = form(callback_id, SIGNER.sign(action, BETA, ANN))
    page = deliver(busy, payload("view_submission", view=elsewhere))
    assert "no longer works" in page.text

    assert rows(busy) == before
    good = form(callback_id, SIGNER.sign(action, ACME, ANN))
    assert deliver(busy, payload("view_submission", view=good)).status == 200
    assert rows(busy) != before


@pytest.mark.parametrize(
    ("callback_id", "block_id", "state"),
    [
        (ids.NEW_API_KEY_VIEW, "lifetime", {"selected_option": {"value": "99999999"}}),
        (ids.NEW_API_KEY_VIEW, "lifetime", {"selected_option": None}),
        (ids.NEW_API_KEY_VIEW, "scopes", {"selected_options": [{"value": {}}]}),
        (ids.NEW_API_KEY_VIEW, "name", {"value": 3}),
        (ids.NEW_WEBHOOK_VIEW, "target", {"selected_conversation": "topic:deploys"}),
        (ids.NEW_WEBHOOK_VIEW, "target", {"selected_conversation": BEN}),
        (ids.NEW_WEBHOOK_VIEW, "target", {"selected_conversation": None}),
        (ids.NEW_WEBHOOK_VIEW, "sender", {"selected_option": {"value": "nagios"}}),
        (ids.NEW_WEBHOOK_VIEW, "sender", {"selected_option": {"value": ["auto"]}}),
        (ids.NEW_WEBHOOK_VIEW, "sender", {"selected_option": None}),
        (ids.PREFERENCES_VIEW, "direct", {"selected_option": {"value": "hourly 25"}}),
        (ids.PREFERENCES_VIEW, "from", {"selected_time": "25:00"}),
        (ids.PREFERENCES_VIEW, "from", {}),
        (ids.SUBSCRIBE_VIEW, "topic", {"value": ["deploys"]}),
    ],
)
def test_what_a_form_does_not_offer_is_refused(
    busy: Bellhop, callback_id: str, block_id: str, state: Any
) -> None:
    """A person can submit values that the form does not offer."""
    before = rows(busy)
    view = form(callback_id, SIGNER.sign(form_action(callback_id), ACME, ANN))
    view["state"]["values"][block_id]["value"] = state

    page = deliver(busy, payload("view_submission", view=view))

    assert "This form is outdated" in page.text
    assert rows(busy) == before


def test_a_shortcut_finds_nothing_elsewhere(busy: Bellhop) -> None:
    busy.install(BEA)
    before, ts = rows(busy), incident_message(busy).ts
    link = f"{busy.url}/notifications/"
    for user_id, team_id, channel_id, at, is_found in (
        (ANN, ACME, GENERAL, ts, True),
        (BEA, BETA, GENERAL, ts, False),
        (ANN, ACME, RANDOM, ts, False),
        (ANN, ACME, GENERAL, "1.1", False),
    ):
        place = {"channel": {"id": channel_id}, "message_ts": at, "message": {"ts": at}}
        body = payload("message_action", user_id, team_id, **place)
        deliver(busy, {**body, "callback_id": ids.LINK_TO_NOTIFICATION})
        assert (link in repr(busy.slack.calls_to("views.open")[-1].arguments)) == is_found

    assert rows(busy) == before


class TestEveryListener:
    """Fails for a new listener that is not covered here."""

    SIGNED = (
        *(("action", id_) for id_ in sorted(OWN_ACTIONS)),
        *(("view", id_) for id_ in FORMS),
    )
    UNSIGNED = (
        ("message_shortcut", ids.LINK_TO_NOTIFICATION),
        ("command", ids.PROFILE_COMMAND),
        ("command", ids.NOTIFY_COMMAND),
    )
    # Nobody clicks them.
    EVENTS = ("event", "function")

    def test_each_is_signed_or_known_to_need_no_signature(self, busy: Bellhop) -> None:
        for listener in registered_listeners(busy.services):
            is_covered = any(listener.serves(*one) for one in (*self.SIGNED, *self.UNSIGNED))
            assert is_covered or listener.kind in self.EVENTS, listener

    def test_each_own_action_has_a_listener(self, busy: Bellhop) -> None:
        listeners = registered_listeners(busy.services)
        for one in self.SIGNED:
            assert any(listener.serves(*one) for listener in listeners), one


class TestOutdatedButtons:
    """Buttons that were posted by a release without signatures."""

    @pytest.fixture
    def installed(self, bellhop: Bellhop) -> Bellhop:
        bellhop.install(ANN)
        return bellhop

    def test_an_outdated_button_in_a_message_is_reported(self, installed: Bellhop) -> None:
        answer = ask(installed, "subscribe deploys")
        old = deepcopy(answer)
        for _, element in elements_of(old.blocks):
            element["value"] = json.dumps({"address": GENERAL, "changes": []})
        before = rows(installed)

        assert installed.slack.click(ANN, old, ids.UNDO_SUBSCRIPTIONS).error is None

        installed.wait_for_ephemeral(ANN, OUTDATED)
        assert rows(installed) == before
        assert "subscribed this channel" in answer.text

    def test_an_outdated_button_in_the_home_is_reported_and_replaced(self, busy: Bellhop) -> None:
        old = deepcopy(home(busy))
        for _, element in elements_of(old.blocks):
            element.pop("value", None)
        before = rows(busy)

        busy.slack.click(ANN, old, ids.REVOKE_API_KEY, confirmed=True)

        busy.wait_for_home(ACME, ANN, OUTDATED)
        assert rows(busy) == before
        busy.slack.click(ANN, home(busy), ids.REVOKE_API_KEY, confirmed=True)
        assert "revoked the API key" in text_of(home_now(busy))

    def test_the_buttons_under_an_incident_are_renewed(self, busy: Bellhop) -> None:
        message = incident_message(busy)
        value = message.attachments[0]["blocks"][-1]["elements"][0]["value"]
        old = deepcopy(message)
        for block, element in elements_of(old.attachments[0]["blocks"]):
            block["block_id"] = "incident.0123.1700000000"
            del element["value"]
        before = rows(busy)["incidents"]
        for _ in range(3):
            busy.slack.click(ANN, old, "incident.resolve")

        busy.wait_for_ephemeral(ANN, "The message gets new buttons")
        assert rows(busy)["incidents"] == before
        busy.clock.advance(5)
        assert Hand(busy).deliver() == 1
        assert message.attachments[0]["blocks"][-1]["elements"][0]["value"] == value
        busy.slack.click(BEN, message, "incident.resolve")
        assert rows(busy)["incidents"] != before

    @pytest.mark.parametrize("who", [BEA, "U0DEE00001"], ids=["external", "deactivated"])
    def test_nothing_is_renewed_for_people_outside_the_channel(
        self, busy: Bellhop, who: str
    ) -> None:
        busy.slack.share_channel(GENERAL, BEA)
        before = rows(busy)
        action = {**click("incident.resolve", "forged"), "block_id": "incident.x"}
        there = in_message(ts=incident_message(busy).ts)

        deliver(busy, payload("block_actions", who, actions=[action], **there))

        assert rows(busy) == before

    def test_a_replayed_click_renews_nothing(self, busy: Bellhop) -> None:
        action = {**click("incident.resolve", "forged"), "block_id": "incident.x"}
        there = in_message(ts=incident_message(busy).ts)
        body = interaction_body(payload("block_actions", actions=[action], **there))
        headers = list(signed(busy, body).items())
        post(busy, body, headers)
        busy.clock.advance(5)
        assert Hand(busy).deliver() == 1
        before = rows(busy)

        assert post(busy, body, headers).status == 200

        assert rows(busy) == before

    def test_clicks_again_and_again_leave_the_channel_its_turns(self, busy: Bellhop) -> None:
        there = in_message(ts=incident_message(busy).ts)
        for number in range(12):
            action = {**click("incident.resolve", f"x{number}"), "block_id": "incident.x"}
            deliver(busy, payload("block_actions", actions=[action], **there))
            busy.clock.advance(1)
            Hand(busy).deliver()

        assert len(busy.slack.calls_to("chat.update")) <= 4

    def test_nothing_else_is_renewed(self, busy: Bellhop) -> None:
        busy.clock.advance(5)
        accept(busy, GENERAL, "y", key="cpu", title="Hot")
        Hand(busy).deliver()
        before = rows(busy)
        action = {**click("incident.resolve", None), "block_id": "incident.0123.1700000000"}
        for ts in (busy.slack.messages(GENERAL)[-1].ts, "1.1"):
            deliver(busy, payload("block_actions", actions=[action], **in_message(ts=ts)))

        assert rows(busy) == before

    def test_an_outdated_menu_in_a_list_is_reported(self, installed: Bellhop) -> None:
        ask(installed, "subscribe deploys")
        old = deepcopy(ask(installed, "list"))
        for block, _ in elements_of(old.blocks):
            block["block_id"] = "abc"
        before = rows(installed)

        choose_from_menu(installed, old, "unsubscribe", "deploys")

        installed.wait_for_ephemeral(ANN, OUTDATED)
        assert rows(installed) == before


def home_now(bellhop: Bellhop) -> Any:
    return bellhop.slack.home_view(ACME, ANN)


class TestIncidentButtons:
    """An answer is valid if the message offers it."""

    def test_one_that_the_sender_did_not_offer_has_no_effect(self, busy: Bellhop) -> None:
        before = rows(busy)
        message, fields = incident_message(busy), fields_of(busy)
        for answer in ("acknowledge", "assign", "snooze", "wake"):
            action_id = f"incident.{answer}"
            value = SIGNER.sign(action_id, ACME, GENERAL, fields)
            kind = "static_select" if answer == "snooze" else "button"
            actions = [click(action_id, value, kind)]
            there = in_message(ts=message.ts)
            deliver(busy, payload("block_actions", actions=actions, **there))

        assert rows(busy) == before

    def test_a_message_about_something_else_offers_nothing(self, busy: Bellhop) -> None:
        fields = fields_of(busy)
        busy.clock.advance(5)
        accept(busy, GENERAL, "y", key="cpu", title="Hot", actions=["resolve", "mute"])
        Hand(busy).deliver()
        before = rows(busy)
        value = SIGNER.sign("incident.resolve", ACME, GENERAL, fields)
        for ts in (busy.slack.messages(GENERAL)[-1].ts, "1.000001"):
            actions = [click("incident.resolve", value)]
            deliver(busy, payload("block_actions", actions=actions, **in_message(ts=ts)))

        assert rows(busy) == before

    @pytest.mark.parametrize("minutes", ["31", "-5", "1e3", "99999999999", "", None])
    def test_a_snooze_outside_the_menu_is_rejected(
        self, busy: Bellhop, minutes: str | None
    ) -> None:
        busy.clock.advance(5)
        accept(busy, GENERAL, "y", key="cpu", title="Hot", actions=["snooze"])
        Hand(busy).deliver()
        message = busy.slack.messages(GENERAL)[-1]
        menus = [(b, e) for b, e in elements_of(message.attachments[0]["blocks"])]
        [(block, _)] = menus
        before = rows(busy)
        action = click("incident.snooze", block["block_id"], "static_select")
        action["selected_option"] = {"value": minutes}
        deliver(busy, payload("block_actions", actions=[action], **in_message(ts=message.ts)))

        assert rows(busy) == before

    def test_an_incident_that_its_sender_ended_is_not_reopened(self, busy: Bellhop) -> None:
        message, fields = incident_message(busy), fields_of(busy)
        busy.clock.advance(5)
        accept(busy, GENERAL, "Fine", key="disk", mode="thread")
        Hand(busy).deliver()
        before = rows(busy)
        value = SIGNER.sign("incident.reopen", ACME, GENERAL, fields)
        actions = [click("incident.reopen", value)]
        deliver(busy, payload("block_actions", actions=actions, **in_message(ts=message.ts)))

        assert rows(busy) == before

    def test_it_is_answered_in_a_direct_message(self, busy: Bellhop) -> None:
        accept(busy, ANN, "y", key="cpu", title="Hot", actions=["resolve"])
        Hand(busy).deliver()
        message = busy.slack.messages(busy.slack.app_dm(ACME, ANN).id)[-1]

        busy.slack.click(ANN, message, "incident.resolve")
        busy.clock.advance(5)
        Hand(busy).deliver()

        assert "Resolved by" in json.dumps(message.attachments)

    def test_it_counts_while_the_message_is_still_being_written_down(self, busy: Bellhop) -> None:
        busy.clock.advance(5)
        accept(busy, GENERAL, "y", key="cpu", title="Hot", actions=["resolve"])
        hand, before = Hand(busy), rows(busy)
        hand.die_after_request()
        hand.deliver()

        busy.slack.click(ANN, busy.slack.messages(GENERAL)[-1], "incident.resolve")

        assert rows(busy)["incidents"] != before["incidents"]


def test_an_undo_of_another_person_is_rejected(busy: Bellhop) -> None:
    """The fields of a button are validated again after their signature."""
    preferences = busy.services.preferences
    preferences.choose(ACME, ANN, NotificationPreferences(direct="off"))
    before = rows(busy)
    for fields in (
        {"user": BEN},
        {},
        {"user": ANN, "at": "yesterday"},
        {"user": ANN, "direct": "never"},
        {"user": ANN, "quiet_from": "25:00"},
    ):
        value = SIGNER.sign(ids.UNDO_PREFERENCES, ACME, GENERAL, fields)
        actions = [click(ids.UNDO_PREFERENCES, value)]
        deliver(busy, payload("block_actions", actions=actions, **in_message()))

    assert rows(busy) == before


@pytest.mark.parametrize(
    "change",
    [
        {"topic": "no topic"},
        {"topic": "deploys", "before": {"filter": "(((("}},
        {"topic": "deploys", "before": {"mode": "loud"}},
        {"topic": "deploys", "before": {"created_by": "nobody"}},
        {"topic": "deploys", "before": {"digest": "weekly"}},
        {"topic": 3},
        "deploys",
    ],
)
def test_an_undo_without_changes_is_rejected(busy: Bellhop, change: object) -> None:
    if isinstance(change, dict):
        change = {**change, "at": changed_at(busy)}
    before = rows(busy)
    value = SIGNER.sign(ids.UNDO_SUBSCRIPTIONS, ACME, GENERAL, {"changes": [change]})
    actions = [click(ids.UNDO_SUBSCRIPTIONS, value)]
    deliver(busy, payload("block_actions", actions=actions, **in_message()))

    assert rows(busy) == before
