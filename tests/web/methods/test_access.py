"""Every method of the Slack-compatible Web API, called by everyone who may not use it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bolt_app.credentials.api_keys import Scope
from bolt_app.db.models import Delivery, File, Notification
from bolt_app.web.methods import METHODS
from bolt_app.web.methods.identity import API_TEST
from bolt_app.workspaces.people import PROFILE_FIELDS
from slack_sandbox import Fault
from tests.notifications.hand import Hand
from tests.people import ACME, ANN, BEA, BEN, BETA, GENERAL
from tests.running import Bellhop
from tests.web.methods.calling import JSON, MethodCaller, method_caller
from tests.web.methods.test_messages import grant_reactions
from tests.web.methods.uploading import upload

pytestmark = pytest.mark.sqlite_only

RANDOM, LEADS = "C0ACME0002", "C0ACME0006"
SECRET = "confidential"
OWNER = "owner"
LATER = 3600
NOT_FOUND = ("message_not_found", "missing_scope")


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.begin(install)
    return bellhop


def install(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    bellhop.install(BEA)
    grant_reactions(bellhop)
    bellhop.slack.invite_bot(ANN, LEADS)
    bellhop.slack.invite_bot(ANN, GENERAL)


class Target:
    """Messages of an owner in #general: one in Slack, one that waits, and one that is scheduled."""

    def __init__(self, bellhop: Bellhop) -> None:
        self._bellhop = bellhop
        owner = method_caller(bellhop, source=OWNER)
        key = bellhop.services.api_keys.find(owner.key)
        assert key is not None
        self._credential = key.credential.name
        self.posted = owner.ok("chat.postMessage", channel=GENERAL, text=SECRET)["ts"]
        Hand(bellhop).deliver()
        self.waiting = owner.ok("chat.postMessage", channel=GENERAL, text=SECRET)["ts"]
        at = int(bellhop.clock.timestamp()) + LATER
        scheduled = owner.ok("chat.scheduleMessage", channel=GENERAL, text=SECRET, post_at=at)
        self.scheduled = scheduled["scheduled_message_id"]
        [message] = bellhop.slack.messages(GENERAL)
        self.in_slack = message.ts
        self.file = upload(owner)

    def facts(self) -> Any:
        """Return everything of the owner that a call could change."""
        columns = (Delivery.id, Delivery.mode, Delivery.state, Delivery.provisional_ts)
        statement = (
            select(*columns, Notification.content)
            .join(Notification)
            .where(Notification.source == self._credential, Notification.team_id == ACME)
            .order_by(Delivery.id)
        )
        with self._bellhop.services.database.reading() as session:
            rows = [tuple(row) for row in session.execute(statement)]
            owned = select(File.id, File.shared_at).where(File.source == self._credential)
            rows += [tuple(row) for row in session.execute(owned)]
        return rows, [one.text for one in self._bellhop.slack.messages(GENERAL)]


def arguments(bellhop: Bellhop, target: Target, ts: str) -> Mapping[str, dict[str, Any]]:
    """Return the arguments of each method: the owner's messages, and a person."""
    at = int(bellhop.clock.timestamp()) + LATER
    there = {"channel": GENERAL}
    return {
        "auth.test": {},
        "chat.delete": {**there, "ts": ts},
        "chat.deleteScheduledMessage": {**there, "scheduled_message_id": target.scheduled},
        "chat.getPermalink": {**there, "message_ts": ts},
        "chat.postEphemeral": {**there, "text": "x", "user": BEN},
        "chat.postMessage": {**there, "text": "x", "thread_ts": ts},
        "chat.scheduleMessage": {**there, "text": "x", "post_at": at, "thread_ts": ts},
        "chat.scheduledMessages.list": {},
        "chat.update": {**there, "ts": ts, "text": "x"},
        "conversations.info": there,
        "conversations.join": there,
        "conversations.list": {"types": "public_channel,private_channel"},
        "conversations.open": {"users": BEN},
        "files.completeUploadExternal": {"files": [{"id": target.file}], "channel_id": GENERAL},
        "files.getUploadURLExternal": {"filename": "a", "length": 1},
        "reactions.add": {**there, "timestamp": ts, "name": "eyes"},
        "team.info": {},
        "users.conversations": {"types": "public_channel,private_channel"},
        "users.info": {"user": BEN},
        "users.list": {},
        "users.lookupByEmail": {"email": "ben@acme.example"},
    }


def nobody(bellhop: Bellhop) -> MethodCaller:
    return MethodCaller(bellhop.url, "")


def wrong(bellhop: Bellhop) -> MethodCaller:
    return MethodCaller(bellhop.url, "bh_wrong")


def revoked(bellhop: Bellhop) -> MethodCaller:
    who = method_caller(bellhop, *Scope)
    who.ok("chat.postMessage", channel=RANDOM, text="x")
    key = bellhop.services.api_keys.find(who.key)
    assert key is not None
    bellhop.services.api_keys.revoke(key.id)
    return who


def expired(bellhop: Bellhop) -> MethodCaller:
    who = method_caller(bellhop, *Scope, lifetime=timedelta(minutes=1))
    bellhop.clock.advance(60)
    return who


def uninstalled(bellhop: Bellhop) -> MethodCaller:
    who = method_caller(bellhop, *Scope)
    who.ok("chat.postMessage", channel=RANDOM, text="x")
    bellhop.slack.uninstall(ACME)
    bellhop.settle()
    return who


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (nobody, "not_authed"),
        (wrong, "invalid_auth"),
        (revoked, "token_revoked"),
        (expired, "token_expired"),
        (uninstalled, "account_inactive"),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_without_a_valid_key_nothing_happens(
    installed: Bellhop, make: Callable[[Bellhop], MethodCaller], error: str
) -> None:
    target = Target(installed)
    who = make(installed)
    before, calls = target.facts(), len(installed.slack.calls)

    for name, given in arguments(installed, target, target.posted).items():
        assert who.error(name, **given) == error, name

    assert target.facts() == before
    assert len(installed.slack.calls) == calls


def test_every_method_is_swept(installed: Bellhop) -> None:
    assert set(arguments(installed, Target(installed), "1.1")) == set(METHODS)
    assert API_TEST not in METHODS


@pytest.mark.parametrize("named", ["posted", "in_slack", "waiting"])
class TestAnotherKey:
    """Keys with every scope, but of another source, workspace, or channel."""

    def sweep(
        self, bellhop: Bellhop, who: MethodCaller, named: str, expected: Mapping[str, str]
    ) -> None:
        target = Target(bellhop)
        before = target.facts()
        for name, given in arguments(bellhop, target, getattr(target, named)).items():
            answer = who.call(name, **given)
            error = answer.get("error", "")
            assert error == expected.get(name, ""), (name, answer)
            assert SECRET not in str(answer)
        assert target.facts() == before

    def test_of_another_source(self, installed: Bellhop, named: str) -> None:
        who = method_caller(installed, *Scope, source="other")

        self.sweep(
            installed,
            who,
            named,
            {
                **dict.fromkeys(
                    ("chat.update", "chat.delete", "chat.getPermalink", "reactions.add"),
                    "message_not_found",
                ),
                **dict.fromkeys(("chat.postMessage", "chat.scheduleMessage"), "thread_not_found"),
                "chat.deleteScheduledMessage": "invalid_scheduled_message_id",
                "files.completeUploadExternal": "file_not_found",
            },
        )

    def test_limited_to_another_channel(self, installed: Bellhop, named: str) -> None:
        # The same source: only the channel differs.
        who = method_caller(
            installed, Scope.SEND, Scope.READ, Scope.ADMIN, source=OWNER, channels=["#random"]
        )
        installed.services.channels.refresh_listing(installed.services.client.find_workspace(ACME))
        about_channels = [name for name in METHODS if name.startswith(("chat.", "conversations."))]

        self.sweep(
            installed,
            who,
            named,
            {
                **dict.fromkeys((*about_channels, "reactions.add"), "restricted_action"),
                "files.completeUploadExternal": "restricted_action",
                **dict.fromkeys(("conversations.list", "chat.scheduledMessages.list"), ""),
                **dict.fromkeys(
                    ("users.info", "users.list", "users.lookupByEmail"), "missing_scope"
                ),
            },
        )

    def test_of_another_workspace(self, installed: Bellhop, named: str) -> None:
        who = method_caller(installed, *Scope, team_id=BETA)
        target = Target(installed)
        before = target.facts()

        for name, given in arguments(installed, target, getattr(target, named)).items():
            answer = who.call(name, **given)
            assert not answer["ok"] or name in (
                "auth.test",
                "chat.scheduledMessages.list",
                "conversations.list",
                "files.getUploadURLExternal",
                "team.info",
                "users.conversations",
                "users.list",
            ), (name, answer)
            assert SECRET not in str(answer)
            assert ACME not in str(answer)
        assert target.facts() == before


def contents(bellhop: Bellhop) -> list[Any]:
    """Return all deliveries, each with its state and content."""
    of_it = Notification.id == Delivery.notification_id
    rows = select(Delivery.id, Delivery.state, Notification.content).join(Notification, of_it)
    with bellhop.services.database.reading_connection() as connection:
        return [tuple(row) for row in connection.execute(rows.order_by(Delivery.id))]


class TestALimitedKey:
    """A key for #random sees and does no more here than in the HTTP API."""

    @pytest.fixture
    def limited(self, installed: Bellhop) -> MethodCaller:
        installed.services.channels.refresh_listing(installed.services.client.find_workspace(ACME))
        return method_caller(installed, Scope.SEND, Scope.READ, channels=["#random"])

    @pytest.mark.parametrize("channel", [RANDOM, "#random", "random"])
    def test_uses_its_channel_by_id_and_name(self, limited: MethodCaller, channel: str) -> None:
        answer = limited.ok("chat.postMessage", channel=channel, text="x")
        assert answer["channel"] == RANDOM

        limited.ok("chat.update", channel=channel, ts=answer["ts"], text="y")
        limited.ok("chat.delete", channel=channel, ts=answer["ts"])

    @pytest.mark.parametrize("channel", [GENERAL, "#general", LEADS, BEN, "#nowhere", "C0NOWHERE1"])
    def test_learns_nothing_of_others(self, limited: MethodCaller, channel: str) -> None:
        for name in ("chat.postMessage", "conversations.info", "conversations.join"):
            assert limited.error(name, channel=channel, text="x") == "restricted_action"

    def test_lists_its_channel_only(self, limited: MethodCaller) -> None:
        listed = limited.ok("conversations.list", types="public_channel,private_channel")

        assert [one["id"] for one in listed["channels"]] == [RANDOM]

    @pytest.mark.parametrize("is_in_slack", [True, False])
    def test_a_name_means_the_channel_that_has_it_now(
        self, installed: Bellhop, limited: MethodCaller, *, is_in_slack: bool
    ) -> None:
        at = int(installed.clock.timestamp()) + LATER
        planned = {"channel": "#random", "text": "planned", "post_at": at}
        scheduled = limited.ok("chat.scheduleMessage", **planned)["scheduled_message_id"]
        message = {"channel": "#random", "text": "x"}
        message["ts"] = limited.ok("chat.postMessage", **message)["ts"]
        if is_in_slack:
            Hand(installed).deliver()
        installed.slack.channels[RANDOM].name = "board"
        new = installed.slack.add_channel(ACME, "random", members=[BEN])
        workspace = installed.services.client.find_workspace(ACME)
        installed.services.channels.refresh_listing(workspace)
        before = contents(installed)

        for channel in ("#random", new.id):
            given = {**message, "channel": channel}
            for name in ("chat.update", "chat.delete"):
                assert limited.error(name, **given) == "message_not_found"
            reaction = {"timestamp": message["ts"], "name": "eyes"}
            assert limited.error("reactions.add", channel=channel, **reaction) in NOT_FOUND
            listed = limited.ok("chat.scheduledMessages.list", channel=channel)
            assert listed["scheduled_messages"] == []
            end = {"channel": channel, "scheduled_message_id": scheduled}
            error = limited.error("chat.deleteScheduledMessage", **end)
            assert error == "invalid_scheduled_message_id"
        assert limited.ok("chat.scheduledMessages.list")["scheduled_messages"] == []
        assert limited.error("chat.update", channel=RANDOM, ts=message["ts"]) == (
            "restricted_action"
        )
        assert contents(installed) == before

    def test_a_direct_message_belongs_to_its_person(self, installed: Bellhop) -> None:
        who = method_caller(installed, Scope.SEND, channels=[BEN])
        conversation = who.ok("conversations.open", users=[BEN])["channel"]["id"]

        who.ok("chat.postMessage", channel=conversation, text="x")
        other = installed.slack.app_dm(ACME, ANN).id

        assert who.error("chat.postMessage", channel=other, text="x") == "restricted_action"


class TestAKeyThatAPersonMade:
    def test_sees_public_channels_only(self, installed: Bellhop) -> None:
        who = method_caller(installed, Scope.SEND, Scope.READ, created_by=ANN)

        listed = who.ok("conversations.list", types="public_channel,private_channel")["channels"]
        assert GENERAL in [one["id"] for one in listed]
        assert LEADS not in [one["id"] for one in listed]
        assert who.error("conversations.info", channel=LEADS) == "channel_not_found"

    @pytest.mark.parametrize("channels", [(), ("#leads", "#none")], ids=["unlimited", "limited"])
    def test_learns_nothing_from_the_name_of_a_private_channel(
        self, installed: Bellhop, channels: tuple[str, ...], subtests: pytest.Subtests
    ) -> None:
        """Every method answers as for a channel that does not exist, and names no id."""
        method_caller(installed, Scope.READ).ok("conversations.list")
        for name in sorted(METHODS):
            with subtests.test(name):
                who = method_caller(installed, Scope.ADMIN, created_by=ANN, channels=channels)

                answers = [self.named(installed, who, name, one) for one in ("leads", "none")]

                assert LEADS not in json.dumps(answers)
                codes = [(answer["ok"], answer.get("error")) for answer in answers]
                assert codes[0] == codes[1]

    def test_learns_nothing_from_it_while_nothing_is_sent(self, installed: Bellhop) -> None:
        """A scheduled message waits, whether the channel exists or not."""
        method_caller(installed, Scope.READ).ok("conversations.list")
        names = ("#leads", "#none", "#garbage")
        who = method_caller(installed, Scope.SEND, created_by=ANN, channels=names)
        at = int(installed.clock.timestamp()) + LATER
        for name in names[:2]:
            who.ok("chat.scheduleMessage", channel=name, text="x", post_at=at)
        installed.clock.advance(120)
        who.call("chat.postMessage", channel="#garbage", text="x")
        Hand(installed).deliver()

        assert states_of(installed) == ["dead", "scheduled", "scheduled"]
        installed.clock.advance(LATER)
        Hand(installed).deliver()
        installed.clock.advance(120)
        Hand(installed).deliver()
        assert states_of(installed) == ["dead", "dead", "sent"]

    def named(self, bellhop: Bellhop, who: MethodCaller, name: str, channel: str) -> dict[str, Any]:
        """Return the answer of a method whose arguments name a channel."""
        files = [{"id": upload(who)}] if name.startswith("files.") else []
        at = int(bellhop.clock.timestamp()) + LATER
        arguments = {"channel": f"#{channel}", "channel_id": channel, "files": files, "text": "x"}
        times = {"ts": "1.1", "message_ts": "1.1", "timestamp": "1.1", "post_at": at}
        more = {"user": ANN, "name": "eyes", "scheduled_message_id": "Q1"}
        answer = who.call(name, **arguments, **times, **more, types="private_channel")
        if name == "chat.scheduleMessage":
            return {**answer, "listed": who.ok("chat.scheduledMessages.list")}
        return answer

    @pytest.mark.parametrize("channels", [(), ("#leads",)], ids=["unlimited", "limited"])
    def test_sends_to_a_private_channel_by_its_id(
        self, installed: Bellhop, channels: tuple[str, ...]
    ) -> None:
        method_caller(installed, Scope.READ).ok("conversations.list")
        who = method_caller(installed, Scope.SEND, created_by=ANN, channels=channels)

        ts = who.ok("chat.postMessage", channel=LEADS, text="x")["ts"]

        assert who.ok("chat.update", channel=LEADS, ts=ts, text="y")["channel"] == LEADS

    def test_limited_to_a_private_channel_it_sends_there_by_name(self, installed: Bellhop) -> None:
        method_caller(installed, Scope.READ).ok("conversations.list")
        who = method_caller(installed, Scope.SEND, created_by=ANN, channels=["#leads"])

        ts = who.ok("chat.postMessage", channel="#leads", text="x")["ts"]
        Hand(installed).deliver()

        assert [message.text for message in installed.slack.messages(LEADS)] == ["x"]
        answer = who.ok("chat.update", channel="#leads", ts=ts, text="y")
        installed.clock.advance(2)
        Hand(installed).deliver()
        assert [message.text for message in installed.slack.messages(LEADS)] == ["y"]
        assert LEADS not in json.dumps(answer)

    def test_limited_to_an_id_it_learns_no_name(self, installed: Bellhop) -> None:
        method_caller(installed, Scope.READ).ok("conversations.list")
        who = method_caller(installed, Scope.SEND, created_by=ANN, channels=[LEADS])

        for name in ("#leads", "#none"):
            error = who.error("chat.postMessage", channel=name, text="x")
            assert error == "restricted_action"

    @pytest.mark.parametrize("scopes", [(Scope.ADMIN,), (Scope.SEND, Scope.READ, Scope.ADMIN)])
    def test_admin_does_not_include_personal_data(
        self, installed: Bellhop, scopes: tuple[Scope, ...]
    ) -> None:
        who = method_caller(installed, *scopes, created_by=ANN)

        for name in ("users.info", "users.list", "users.lookupByEmail"):
            assert who.error(name, user=BEN, email="ben@acme.example") == "missing_scope"


def test_broadcasts_need_permission(installed: Bellhop) -> None:
    who = method_caller(installed)
    allowed = method_caller(installed, allow_broadcast=True)
    ts = who.ok("chat.postMessage", channel=RANDOM, text="x")["ts"]
    who.ok("chat.update", channel=RANDOM, ts=ts, text="<!channel> one")
    allowed.ok("chat.postMessage", channel=RANDOM, text="<!channel> two")

    hand = Hand(installed)
    hand.deliver()
    installed.clock.advance(1)
    hand.deliver()

    one, two = [message.text for message in installed.slack.messages(RANDOM)]
    assert "<!channel>" not in one
    assert two == "<!channel> two"


class TestPeople:
    @pytest.fixture
    def reader(self, installed: Bellhop) -> MethodCaller:
        return method_caller(installed, Scope.USERS)

    def test_of_another_organization_in_a_shared_channel_are_unknown(
        self, installed: Bellhop, reader: MethodCaller
    ) -> None:
        installed.slack.share_channel(GENERAL, BEA)

        assert reader.error("users.info", user=BEA) == "user_not_found"
        assert reader.error("users.lookupByEmail", email="bea@beta.example") == "users_not_found"
        assert BEA not in str(reader.ok("users.list"))

    def test_only_some_fields_are_passed_on(self, installed: Bellhop, reader: MethodCaller) -> None:
        user = reader.ok("users.info", user=ANN)["user"]

        assert (user["id"], user["profile"]["email"]) == (ANN, "ann@acme.example")
        assert set(user["profile"]) <= set(PROFILE_FIELDS)

    @pytest.mark.parametrize(
        ("method", "arguments", "error"),
        [
            ("users.info", {"user": "U0NOBODY01"}, "user_not_found"),
            ("users.info", {"user": "../x"}, "user_not_found"),
            ("users.info", {}, "invalid_arguments"),
            ("users.list", {"cursor": "x" * 500}, "invalid_cursor"),
            ("users.list", {"limit": "many"}, "invalid_arguments"),
            ("users.lookupByEmail", {"email": "nobody@acme.example"}, "users_not_found"),
            ("users.lookupByEmail", {"email": "x" * 400}, "users_not_found"),
        ],
    )
    def test_an_unknown_person(
        self, reader: MethodCaller, method: str, arguments: dict[str, Any], error: str
    ) -> None:
        assert reader.error(method, **arguments) == error

    def test_linked_people_are_found_without_slack(
        self, installed: Bellhop, reader: MethodCaller
    ) -> None:
        asked = len(installed.slack.calls_to("users.info"))
        installed.slack.faults.add(Fault("*", "server_error"))

        by_id = reader.ok("users.info", user=ANN)["user"]
        by_email = reader.ok("users.lookupByEmail", email="Ann@acme.example")["user"]

        assert by_id == by_email
        shown = (by_id["team_id"], by_id["name"], by_id["is_admin"], by_id["is_restricted"])
        assert shown == (ACME, "ann", True, False)
        assert by_id["profile"]["real_name"] == "Ann Archer"
        assert by_id["profile"]["image_72"]
        assert len(installed.slack.calls_to("users.info")) == asked

    def test_slacks_limit_is_overload(self, installed: Bellhop, reader: MethodCaller) -> None:
        installed.slack.faults.add(Fault("users.info", "rate_limited", retry_after=7))

        answer = reader.post("users.info", b'{"user": "U0BEN00001"}', JSON)

        assert (answer.status, answer.json()["error"]) == (503, "service_unavailable")
        assert answer.headers["Retry-After"] == "7"

    def test_answers_are_cached(self, installed: Bellhop, reader: MethodCaller) -> None:
        for _ in range(3):
            reader.ok("users.info", user=BEN)
            reader.ok("users.list", limit=2)
        assert len(installed.slack.calls_to("users.list")) == 1

        installed.clock.advance(301)
        reader.ok("users.list", limit=2)

        assert len(installed.slack.calls_to("users.list")) == 2


def states_of(bellhop: Bellhop) -> list[str]:
    with bellhop.services.database.reading_connection() as connection:
        return sorted(connection.scalars(select(Delivery.state)))
