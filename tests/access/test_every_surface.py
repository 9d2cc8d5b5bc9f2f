"""Authorization of every listener and every route, for every kind of person.

The tables name them all: a listener or route that is missing here fails the first tests, so that
its author decides who may use it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from slack_bolt import App, BoltRequest, BoltResponse
from slack_sdk.signature import SignatureVerifier

import bolt_app
from bolt_app.access.authorization import Action, Person, Role
from bolt_app.blockkit.signed_values import home_of
from bolt_app.notifications.digests.preferences import NotificationPreferences, PreferenceChange
from bolt_app.notifications.incidents.blocks import PREFIX
from bolt_app.notifications.subscriptions.service import SubscriptionChange, SubscriptionSpec
from bolt_app.slack import ids
from bolt_app.slack.preferences.blocks import undo_preference_fields
from bolt_app.slack.signed_actions import form_action
from bolt_app.slack.subscriptions.blocks import undo_fields
from tests.notifications.hand import accept
from tests.people import ACME, ANN, BEA, BEN, BETA, GENERAL
from tests.running import SIGNING_SECRET, Bellhop
from tests.slack.registered import registered_listeners

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

GUEST, DEACTIVATED, ELSEWHERE = "U0GUS00001", "U0DEE00001", "U0ANN00002"
DEPLOYS = "C0ACME0003"
PEOPLE: Mapping[str, Role] = {
    ANN: Role.ADMIN,
    BEN: Role.MEMBER,
    GUEST: Role.GUEST,
    DEACTIVATED: Role.DEACTIVATED,
    BEA: Role.EXTERNAL,  # of another organisation, in a channel that both share
    ELSEWHERE: Role.EXTERNAL,  # of another workspace, and in no channel of this one
}
OURS = {Role.ADMIN, Role.MEMBER, Role.GUEST}
MEMBERS = {Role.ADMIN, Role.MEMBER}
ADMINS = {Role.ADMIN}


@dataclass(frozen=True)
class Case:
    """A request to a listener, and the roles whose request is not denied."""

    listener: str
    allowed: set[Role]
    kind: str  # command, action, view or shortcut
    name: str
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name of the case."""
        return f"{self.listener} {self.given.get('text', '')}".strip()


def profile(text: str, allowed: set[Role]) -> Case:
    return Case(
        "commands.profile.answer_profile_command", allowed, "command", "/profile", {"text": text}
    )


def notify(text: str, allowed: set[Role]) -> Case:
    given = {"text": text, "channel_id": DEPLOYS}
    return Case("commands.notify.answer_notify_command", allowed, "command", "/notify", given)


def action(listener: str, allowed: set[Role], name: str, /, **given: Any) -> Case:
    return Case(f"actions.{listener}", allowed, "action", name, given)


def view(listener: str, allowed: set[Role], name: str, /, **inputs: Any) -> Case:
    return Case(f"actions.{listener}", allowed, "view", name, inputs)


def typed(value: str) -> dict[str, Any]:
    return {"type": "plain_text_input", "value": value}


def chosen(value: str) -> dict[str, Any]:
    return {"type": "static_select", "selected_option": {"value": value}}


UNDO = PreferenceChange(NotificationPreferences(), None)
# Open to everyone in the workspace: their own data, and notifications sent to them.
CASES = [
    profile("", OURS),
    profile("help", OURS),
    profile("refresh", OURS),
    profile("<@U0PAT00001>", MEMBERS),
    notify("help", OURS),
    notify("list", OURS),
    notify("quiet 22:00-07:00", OURS),
    notify("test", MEMBERS),
    notify("subscribe *", MEMBERS),
    notify("unsubscribe *", MEMBERS),
    notify("mute 2h", MEMBERS),
    notify("unmute", MEMBERS),
    notify("digest deploys hourly", MEMBERS),
    action("home.send_test", OURS, ids.HOME_TEST, home=True),
    action("home.retry", ADMINS, ids.RETRY_NOTIFICATION, home=True, fields={"notification": "x"}),
    action("home.ask", MEMBERS, ids.HOME_SUBSCRIBE, home=True),
    view("home.subscribe", MEMBERS, ids.SUBSCRIBE_VIEW, topic=typed("*"), filter=typed("")),
    action("incidents.answer", OURS, f"{PREFIX}acknowledge", block_id="incident"),
    action("credentials.ask_for_key", ADMINS, ids.NEW_API_KEY, home=True),
    action("credentials.ask_for_webhook", ADMINS, ids.NEW_WEBHOOK, home=True),
    view(
        "credentials.create_key",
        ADMINS,
        ids.NEW_API_KEY_VIEW,
        name=typed("x"),
        scopes={"type": "checkboxes", "selected_options": [{"value": "send"}]},
        channels=typed(""),
        lifetime=chosen("never"),
    ),
    view(
        "credentials.create_webhook",
        ADMINS,
        ids.NEW_WEBHOOK_VIEW,
        name=typed("x"),
        target={"type": "conversations_select", "selected_conversation": DEPLOYS},
        sender=chosen("github"),
        key_field=typed(""),
        signing_secret=typed(""),
    ),
    action("credentials.revoke_key", ADMINS, ids.REVOKE_API_KEY, home=True, fields={"key": 1}),
    action("credentials.revoke_webhook", ADMINS, ids.REVOKE_WEBHOOK, home=True, fields={"hook": 1}),
    action("preferences.ask", OURS, ids.HOME_PREFERENCES, home=True),
    view(
        "preferences.choose",
        OURS,
        ids.PREFERENCES_VIEW,
        quiet={"type": "checkboxes", "selected_options": []},
        until={"type": "timepicker", "selected_time": "07:00"},
        daily={"type": "timepicker", "selected_time": "09:00"},
        direct=chosen("now"),
        **{"from": {"type": "timepicker", "selected_time": "22:00"}},
    ),
    action("preferences.undo", OURS, ids.UNDO_PREFERENCES, home=True, fields="own"),
    action(
        "subscriptions.undo",
        MEMBERS,
        ids.UNDO_SUBSCRIPTIONS,
        fields=undo_fields([SubscriptionChange("deploys", None, None)]),
    ),
    action(
        "subscriptions.change",
        MEMBERS,
        ids.CHANGE_SUBSCRIPTION,
        type="overflow",
        fields={"topic": "deploys"},
        selected_option={"value": "mute-hour"},
    ),
    Case("shortcuts.notification.link", OURS, "shortcut", ids.LINK_TO_NOTIFICATION),
    action("profile.refresh", OURS, ids.REFRESH_PROFILE),
    action("profile.keep", OURS, ids.KEEP_PROFILE),
    action("profile.unlink", OURS, ids.UNLINK_PROFILE),
]
# Events of Slack without a requesting person. Tests below check the data they show to people.
EVENTS = {
    "events.channels.archived",
    "events.channels.unarchived",
    "events.channels.left",
    "events.channels.deleted",
    "events.channels.renamed",
    "events.channels.moved",
    "events.channels.joined",
    "events.channels.member_left",
    "events.home.show_home",
    "events.lifecycle.tokens_revoked",
    "events.lifecycle.app_uninstalled",
    "events.lifecycle.team_access_changed",
    "events.lifecycle.user_change",
    "events.lifecycle.team_rename",
    "events.lifecycle.team_domain_change",
    "events.links.unfurl",
    # A step of a workflow that someone in the workspace built.
    "functions.send.send",
}
ANYONE = "anyone"
KEY = "holders of an API key or webhook"
UPLOAD = "holders of an upload URL, once"
SLACK = "Slack, by its signature"
SIGNED_IN = "signed-in people who are not deactivated, for their own data"
PERSON = "signed-in people, for what they may see"
ADMIN = "signed-in admins, for their workspace"
ROUTES = {
    "pages.static": ANYONE,
    "pages.home": ANYONE,
    "pages.signout": ANYONE,
    "pages.profile": SIGNED_IN,
    "pages.channels": PERSON,
    "pages.hello": PERSON,
    "pages.join": SIGNED_IN,
    "pages.data": SIGNED_IN,
    "pages.unlink": SIGNED_IN,
    "notifications.notification": PERSON,
    "webhook_pages.webhook": ADMIN,
    "webhook_pages.change": ADMIN,
    "files.file": PERSON,
    "files.download": PERSON,
    "api.openapi": ANYONE,
    "api.docs": ANYONE,
    "api.accept": KEY,
    "api.search": KEY,
    "api.find": KEY,
    "api.cancel": KEY,
    "api.retry": KEY,
    # `tests/web/methods/test_access.py` has the methods.
    "methods.call": KEY,
    "api.create_webhook": KEY,
    "uploads.take": UPLOAD,
    "webhooks.take": KEY,
    "health.healthz": ANYONE,
    "health.readyz": ANYONE,
    "slack.finish_install": ANYONE,
    "slack.install": ANYONE,
    "slack.receive": SLACK,
}


def bolt_of(bellhop: Bellhop) -> App:
    app: App = bellhop.app.extensions["bolt"]
    return app


def listener_names(bellhop: Bellhop) -> set[str]:
    found = set()
    for listener in registered_listeners(bellhop.services):
        function = listener.function
        module = function.__module__.removeprefix("bolt_app.slack.listeners.")
        found.add(f"{module}.{function.__name__}")
    return found


def test_every_listener_is_in_the_table(bellhop: Bellhop) -> None:
    named = {one.listener for one in CASES} | EVENTS

    assert listener_names(bellhop) == named


def test_every_route_is_in_the_table(bellhop: Bellhop) -> None:
    found = {rule.endpoint for rule in bellhop.app.url_map.iter_rules()}

    assert found == set(ROUTES)


def test_every_module_that_reads_channels_leaves_private_ones_out(database_url: str) -> None:
    """A new module here must show only `IS_PUBLIC` channels, or channels to their members."""
    sources = Path(bolt_app.__file__).parent.rglob("*.py")
    reading = {
        str(one.relative_to(Path(bolt_app.__file__).parent))
        for one in sources
        if re.search(r"db\.models import[^)]*?\bChannel\b", one.read_text(encoding="utf-8"))
    }

    assert reading == {
        # Search and names of public channels: IS_PUBLIC; pages for API keys, where only keys
        # that an operator made see private ones.
        "workspaces/channels.py",
        "notifications/history/routes.py",  # previews: IS_PUBLIC
        "workspaces/channel_names.py",  # the channel that a sender's name means
        "notifications/queue/moved_channels.py",  # follows events
        "notifications/subscriptions/channel_sync.py",  # follows events
        "notifications/history/statistics.py",  # IS_PUBLIC
        "notifications/history/search.py",  # IS_PUBLIC, for API keys that people created
        "notifications/subscriptions/routing.py",  # where a sender's names lead
        "profiles/removal.py",  # deletes
    }


def test_every_action_has_roles_and_a_sentence(bellhop: Bellhop) -> None:
    access = bellhop.services.access
    for one in Action:
        assert access.allowed(one) <= OURS | {Role.COLLEAGUE}
        for role in set(Role) - access.allowed(one):
            person = Person(ACME, ANN, role, access)
            assert len(str(access.denial(person, one))) > 20


def interaction(bellhop: Bellhop, case: Case, user_id: str, notification_id: str) -> dict[str, Any]:
    signer = bellhop.services.signer
    home_team = BETA if user_id in (BEA, ELSEWHERE) else ACME
    body: dict[str, Any] = {
        "user": {"id": user_id, "username": "x", "name": "x", "team_id": home_team},
        "team": {"id": ACME, "domain": "acme"},
        "enterprise": None,
        "is_enterprise_install": False,
        "api_app_id": "A0BELLHOP01",
        "trigger_id": "1.2.3",
    }
    if case.kind == "view":
        values = {name: {"value": state} for name, state in case.given.items()}
        blocks = [{"type": "input", "block_id": name} for name in values]
        modal = {
            "id": f"V{user_id}",
            "type": "modal",
            "callback_id": case.name,
            "blocks": blocks,
            "private_metadata": signer.sign(form_action(case.name), ACME, user_id),
        }
        state = {"values": values}
        return {**body, "type": "view_submission", "view": {**modal, "state": state}}
    where: dict[str, Any] = {
        "channel": {"id": DEPLOYS, "name": "deploys"},
        "message": {"ts": "1.1"},
    }
    if case.kind == "shortcut":
        return {
            **body,
            **where,
            "type": "message_action",
            "callback_id": case.name,
            "message_ts": "1.1",
        }
    given, address = dict(case.given), DEPLOYS
    if given.pop("home", False):
        where = {"view": {"type": "home", "id": "V1"}, "container": {"type": "view"}}
        address = home_of(user_id)
    if given.get("block_id") == "incident":
        given["block_id"] = f"{PREFIX}{notification_id}.0"
    fields = given.pop("fields", None)
    if fields == "own":
        fields = undo_preference_fields(user_id, UNDO)
    signed = signer.sign(case.name, ACME, address, fields)
    carried = {"block_id": signed} if given.get("type") == "overflow" else {"value": signed}
    pressed = {"block_id": "b", "type": "button", "action_id": case.name, **carried, **given}
    block = {"type": "actions", "block_id": pressed["block_id"], "elements": [pressed]}
    there = {**where, "message": {"blocks": [block]}}
    return {**body, **there, "type": "block_actions", "actions": [pressed]}


def send(bellhop: Bellhop, case: Case, user_id: str, notification_id: str) -> BoltResponse:
    if case.kind == "command":
        form = {
            "command": case.name,
            "team_id": ACME,
            "user_id": user_id,
            "channel_id": DEPLOYS,
            "trigger_id": "1.2.3",
            **case.given,
        }
    else:
        form = {"payload": json.dumps(interaction(bellhop, case, user_id, notification_id))}
    body, stamp = urlencode(form), str(int(bellhop.clock.timestamp()))
    signature = SignatureVerifier(SIGNING_SECRET).generate_signature(timestamp=stamp, body=body)
    headers: dict[str, Any] = {
        "content-type": "application/x-www-form-urlencoded",
        "x-slack-request-timestamp": stamp,
        "x-slack-signature": signature,
    }
    return bolt_of(bellhop).dispatch(BoltRequest(body=body, headers=headers))


@pytest.mark.parametrize("user_id", PEOPLE, ids=[f"{one}-{PEOPLE[one]}" for one in PEOPLE])
def test_every_listener_for(
    bellhop: Bellhop, user_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    bellhop.install(ANN)
    bellhop.slack.share_channel(GENERAL, BEA)
    if user_id in (BEN, GUEST):
        bellhop.install(user_id, query="?only=profile")
    bellhop.services.subscriptions.subscribe(ACME, DEPLOYS, SubscriptionSpec("deploys"))
    id_ = accept(bellhop, DEPLOYS, title="Disk full", actions=["acknowledge"])
    caplog.set_level("INFO", "bolt_app.access.authorization")
    wrong = []
    for case in CASES:
        caplog.clear()
        response = send(bellhop, case, user_id, id_)
        denials = [vars(one) for one in caplog.records if one.message == "access denied"]
        is_denied = bool(denials)
        assert all((one["team_id"], one["user_id"]) == (ACME, user_id) for one in denials)
        if response.status != 200 or is_denied is (PEOPLE[user_id] in case.allowed):
            wrong.append((case.label, response.status, "denied" if is_denied else "allowed"))
    assert wrong == []
