"""Sources: data shared by API keys and webhooks, and the scope of notification keys."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, select

from bolt_app.credentials.api_keys import Scope
from bolt_app.db.models import Channel, Incident
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from slack_sandbox import Fault
from tests.commands import assert_failed, run
from tests.notifications.hand import Hand
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop
from tests.web.calling import NOTIFICATIONS, Caller, caller, request

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

RANDOM = "C0ACME0002"
READER: tuple[Scope, ...] = (Scope.SEND, Scope.READ)


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def deliver(bellhop: Bellhop) -> None:
    bellhop.clock.advance(5)
    Hand(bellhop).deliver()


def sent(who: Caller, to: Any, **content: Any) -> str:
    answer = who.send({"to": to, "text": "x", **content})
    assert answer.status == 202, answer.text
    return str(answer.json()["id"])


def listed(who: Caller, query: str = "") -> set[str]:
    answer = who.get(NOTIFICATIONS + query)
    assert answer.status == 200, answer.text
    return {item["id"] for item in answer.json()["notifications"]}


def state(bellhop: Bellhop, notification_id: str) -> str | None:
    report = bellhop.services.history.find(ACME, notification_id)
    assert report is not None
    return None if report.incident is None else report.incident.state


class TestSeeing:
    def test_a_limited_key_sees_its_notifications_and_its_channels(
        self, installed: Bellhop
    ) -> None:
        other = caller(installed)
        limited = caller(installed, *READER, channels=["#random"])
        own = sent(limited, "#random")
        within = sent(other, RANDOM)
        # To two other channels, to nobody, and to a name that later means the key's channel.
        hidden = [
            sent(other, GENERAL),
            sent(other, [RANDOM, GENERAL]),
            sent(other, "topic:nobody"),
            sent(other, "@ann@acme.example"),
        ]
        by_name = sent(other, "#random")
        deliver(installed)

        assert listed(limited) == {own, within, by_name}
        for query in ("?state=sent", f"?to={RANDOM}", "?source=api_key:1", f"?id={hidden[0]}"):
            assert listed(limited, query).isdisjoint(hidden)
        for id_ in hidden:
            assert limited.get(f"{NOTIFICATIONS}/{id_}").status == 404
        for id_ in (own, within, by_name):
            assert limited.get(f"{NOTIFICATIONS}/{id_}").status == 200
        assert listed(other) == {own, within, by_name, *hidden}

    def test_a_topic_is_seen_where_it_went_to_its_channels_alone(self, installed: Bellhop) -> None:
        installed.services.subscriptions.subscribe(ACME, RANDOM, SubscriptionSpec("deploys"))
        other = caller(installed)
        limited = caller(installed, *READER, channels=[RANDOM])
        within = sent(other, "topic:deploys")
        installed.services.subscriptions.subscribe(ACME, GENERAL, SubscriptionSpec("deploys"))
        sent(other, "topic:deploys")

        assert listed(limited) == {within}

    def test_pages_of_few_among_many(self, installed: Bellhop) -> None:
        other, limited = caller(installed), caller(installed, *READER, channels=[RANDOM])
        own = [sent(limited, RANDOM)]
        other.send([{"to": GENERAL, "text": "x"}] * 30)
        installed.clock.advance(1)
        own.append(sent(limited, RANDOM))

        first = limited.get(f"{NOTIFICATIONS}?limit=1").json()
        rest = limited.get(f"{NOTIFICATIONS}?limit=1&cursor={first['next_cursor']}").json()

        found = [item["id"] for page in (first, rest) for item in page["notifications"]]
        assert found == own[::-1]

    def test_notifications_of_a_rotated_key_stay_with_its_source(self, installed: Bellhop) -> None:
        old = caller(installed, *READER, channels=[GENERAL], source="ci")
        id_ = sent(old, GENERAL, delay=60)
        installed.services.api_keys.revoke(1)
        new = caller(installed, *READER, channels=[GENERAL], source="ci")
        other = caller(installed, *READER, channels=[GENERAL])

        assert listed(new) == {id_}
        assert listed(caller(installed), "?source=ci") == {id_}
        assert other.call("DELETE", f"{NOTIFICATIONS}/{id_}").status == 403
        cancelled = new.call("DELETE", f"{NOTIFICATIONS}/{id_}")
        assert [item["state"] for item in cancelled.json()["cancelled"]] == ["cancelled"]

    def test_a_key_without_a_source_can_be_rotated_by_its_id(self, installed: Bellhop) -> None:
        id_ = sent(caller(installed), GENERAL, delay=60)
        new = caller(installed, source="api_key:1")

        assert new.call("DELETE", f"{NOTIFICATIONS}/{id_}").status == 200

    def test_a_limited_key_repeats_nothing_elsewhere(self, installed: Bellhop) -> None:
        wide = caller(installed, source="ci")
        limited = caller(installed, *READER, channels=[RANDOM], source="ci")
        id_ = sent(wide, GENERAL)

        for method, path in (("DELETE", ""), ("POST", "/retry")):
            assert limited.call(method, f"{NOTIFICATIONS}/{id_}{path}").status == 403

    @pytest.mark.parametrize("is_own", [True, False])
    @pytest.mark.parametrize("is_name_taken", [True, False])
    @pytest.mark.parametrize("ends", ["cancel", "retry"])
    def test_a_name_means_the_channel_that_has_it_now(
        self, installed: Bellhop, ends: str, *, is_own: bool, is_name_taken: bool
    ) -> None:
        old = installed.slack.add_channel(ACME, "ops").id
        limited, both = (
            caller(installed, *READER, channels=channels, source="ops")
            for channels in (["#ops"], ["#ops", old])
        )
        sender = limited if is_own else caller(installed, source="ops")
        fault = Fault("chat.postMessage", "api_error", error="restricted_action", times=1)
        installed.slack.faults.add(fault)
        failed = sent(sender, "#ops")
        deliver(installed)
        id_ = failed if ends == "retry" else sent(sender, "#ops", delay=60)
        call = ("POST", f"{NOTIFICATIONS}/{id_}/retry")
        if ends == "cancel":
            call = ("DELETE", f"{NOTIFICATIONS}/{id_}")
        installed.slack.channels[old].name = "leads-only"
        if is_name_taken:
            installed.slack.add_channel(ACME, "ops")
        workspace = installed.services.client.find_workspace(ACME)
        installed.services.channels.refresh_listing(workspace)

        refused = limited.call(*call)
        deliver(installed)

        assert refused.status == 403
        assert old not in refused.text
        assert installed.slack.messages(old) == []
        assert both.call(*call).status in (200, 202)

    @pytest.mark.parametrize("is_listed", [True, False])
    def test_a_name_means_its_channel_until_it_has_another(
        self, installed: Bellhop, *, is_listed: bool
    ) -> None:
        limited = caller(installed, *READER, channels=["#ops"])
        old = installed.slack.add_channel(ACME, "ops").id
        fault = Fault("chat.postMessage", "api_error", error="restricted_action", times=1)
        installed.slack.faults.add(fault)
        id_ = sent(limited, "#ops")
        deliver(installed)
        if not is_listed:
            with installed.services.database.writing() as session:
                session.execute(delete(Channel).where(Channel.channel_id == old))

        assert limited.call("POST", f"{NOTIFICATIONS}/{id_}/retry").status == 202

    def test_a_limited_key_may_send_and_nothing_else(self, installed: Bellhop) -> None:
        made = run(
            installed, "api-key", "create", "--team", ACME, "--name", "x", "--channel", GENERAL
        )
        limited = Caller(installed.url, made.stdout.splitlines()[-1])

        assert limited.send({"to": GENERAL, "text": "x"}).status == 202
        assert limited.get(NOTIFICATIONS).status == 403
        listing = run(installed, "api-key", "list", "--team", ACME).stdout
        assert listing == f"1  x: send, to {GENERAL}; active\n"


class TestKeys:
    def test_equal_keys_of_two_sources_are_two(self, installed: Bellhop) -> None:
        one, other = caller(installed), caller(installed)
        for who, text in ((one, "one"), (other, "other"), (one, "one again")):
            sent(who, GENERAL, text=text, key="disk")
            deliver(installed)

        assert [message.text for message in installed.slack.messages(GENERAL)] == [
            "one again",
            "other",
        ]

    def test_keys_and_webhooks_of_one_source_share_notifications(self, installed: Bellhop) -> None:
        one, other = (caller(installed, source="monitoring") for _ in range(2))
        sent(one, GENERAL, text="one", key="disk")
        deliver(installed)
        sent(other, GENERAL, text="other", key="disk")
        deliver(installed)

        assert [message.text for message in installed.slack.messages(GENERAL)] == ["other"]

    def test_it_is_shown_and_found_as_it_was_given(self, installed: Bellhop) -> None:
        one, other = caller(installed), caller(installed, source="ci")
        ids = {sent(who, GENERAL, key="disk|1") for who in (one, other)}

        assert listed(one, "?key=disk%7C1") == ids
        assert one.get(f"{NOTIFICATIONS}/{min(ids)}").json()["key"] == "disk|1"
        assert listed(one, "?key=disk") == set()

    @pytest.mark.parametrize("scopes", [("send",), ("send", "read"), ("send", "admin")])
    def test_another_source_cannot_resolve_an_incident(
        self, installed: Bellhop, scopes: tuple[Any, ...]
    ) -> None:
        id_ = sent(caller(installed), GENERAL, key="disk", actions=["resolve"])
        deliver(installed)
        other = caller(installed, *scopes, channels=[RANDOM])

        for key in ("disk", "api_key:1|disk", id_):
            sent(other, RANDOM, key=key)
        for source in ("api_key:1", "api_key:1|", ""):
            answer = other.send({"to": RANDOM, "text": "x", "key": "disk", "source": source})
            assert answer.status in (403, 422)
        deliver(installed)

        assert state(installed, id_) == "open"

    def test_a_key_without_admin_cannot_name_another_source(self, installed: Bellhop) -> None:
        id_ = sent(caller(installed), GENERAL, key="disk", actions=["resolve"])
        body = {"to": GENERAL, "text": "x", "key": "disk", "source": "api_key:1"}

        answer = caller(installed).send([{"to": GENERAL, "text": "x"}, body])

        assert (answer.status, state(installed, id_)) == (403, "open")
        assert "api_key:1" in answer.json()["detail"]
        assert "requires key" in caller(installed).send({**body, "key": None}).text

    def test_its_source_and_admins_end_an_incident(self, installed: Bellhop) -> None:
        one = caller(installed)
        for ending, source in (
            (one, {}),
            (caller(installed, Scope.ADMIN), {"source": "api_key:1"}),
        ):
            id_ = sent(one, GENERAL, key="disk", actions=["resolve"])
            deliver(installed)
            assert state(installed, id_) == "open"

            sent(ending, GENERAL, key="disk", **source)

            assert state(installed, id_) == "resolved"

    def test_the_command_line_ends_it_by_its_source(self, installed: Bellhop) -> None:
        id_ = sent(caller(installed), GENERAL, key="disk", actions=["resolve"])
        command = ["send", "--team", ACME, "--to", GENERAL, "--key", "disk"]

        assert run(installed, *command, "x").exit_code == 0
        assert state(installed, id_) == "open"
        assert run(installed, *command, "--source", "api_key:1", "x").exit_code == 0
        assert state(installed, id_) == "resolved"

    def test_it_belongs_to_the_source_that_opened_it(self, installed: Bellhop) -> None:
        sent(caller(installed, source="ci"), GENERAL, key="disk", actions=["resolve"])

        with installed.services.database.reading() as session:
            assert session.scalars(select(Incident.key)).all() == ["ci|disk"]


class TestNames:
    @pytest.mark.parametrize("name", ["", "a b", "a|b", "x" * 65, "ä"])
    def test_invalid_sources_are_rejected(self, installed: Bellhop, name: str) -> None:
        for command in (["api-key", "create", "--name", "x"], ["webhook", "create", "--to", "#a"]):
            done = run(installed, *command, "--team", ACME, "--source", name)
            assert_failed(done, "is not a source", status=2)

    def test_they_are_listed(self, installed: Bellhop) -> None:
        more = ["--team", ACME, "--source", "monitoring", "--allow-broadcast"]
        run(installed, "api-key", "create", "--name", "x", *more)
        made = run(installed, "webhook", "create", "--to", "#a", *more)

        keys = run(installed, "api-key", "list", "--team", ACME).stdout
        hooks = run(installed, "webhook", "list", "--team", ACME).stdout

        assert keys == "1  x: send, read; active; source monitoring; may broadcast\n"
        assert hooks == "1  to #a; active; source monitoring; may broadcast\n"
        assert request("POST", made.stdout.splitlines()[-1], b'{"text": "x"}').text == "ok"
