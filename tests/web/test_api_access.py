"""Every route of the HTTP API, called by everyone who may not use it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from bolt_app.credentials.api_keys import Scope
from bolt_app.db.models import Channel, Delivery, Notification, User
from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.web.api import API_PATH
from tests.notifications.hand import Hand, accept, deliveries
from tests.people import ACME, ANN, BEA, BEN, BETA, GENERAL
from tests.running import Bellhop
from tests.web.calling import NOTIFICATIONS, WEBHOOKS, Caller, caller, request
from tests.web.methods.calling import method_caller
from tests.web.methods.test_messages import grant_reactions

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

RANDOM, LEADS = "C0ACME0002", "C0ACME0006"
PAT, BENS = "U0PAT00001", "@ben@acme.example"
OPEN = {f"{API_PATH}/docs", f"{API_PATH}/openapi.json"}
ALL: tuple[Scope, ...] = (Scope.SEND, Scope.READ, Scope.ADMIN)
BODY = {"to": GENERAL, "text": "x", "key": "disk"}


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    bellhop.install(BEA)
    return bellhop


def routes(bellhop: Bellhop) -> list[tuple[str, str]]:
    """Return each method and path of the API that needs a key."""
    return sorted(
        (method, rule.rule)
        for rule in bellhop.app.url_map.iter_rules()
        if rule.rule.startswith(API_PATH) and rule.rule not in OPEN
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    )


def nobody(bellhop: Bellhop) -> Caller:
    return Caller(bellhop.url, "")


def wrong(bellhop: Bellhop) -> Caller:
    return Caller(bellhop.url, "bh_wrong")


def revoked(bellhop: Bellhop) -> Caller:
    who = caller(bellhop, *ALL)
    assert who.get(NOTIFICATIONS).status == 200
    assert who.send({"to": RANDOM, "text": "x"}).status == 202
    key = bellhop.services.api_keys.find(who.key)
    assert key is not None
    bellhop.services.api_keys.revoke(key.id)
    return who


def expired(bellhop: Bellhop) -> Caller:
    who = caller(bellhop, *ALL, lifetime=timedelta(minutes=1))
    bellhop.clock.advance(60)
    return who


def limited(bellhop: Bellhop) -> Caller:
    return caller(bellhop, *ALL, channels=[RANDOM])


def of_another_workspace(bellhop: Bellhop) -> Caller:
    return caller(bellhop, *ALL, team_id=BETA)


def of_another_source(bellhop: Bellhop) -> Caller:
    return caller(bellhop, Scope.SEND, Scope.READ, source="other")


def uninstalled(bellhop: Bellhop) -> Caller:
    who = caller(bellhop, *ALL)
    assert who.get(NOTIFICATIONS).status == 200
    assert who.send({"to": RANDOM, "text": "x"}).status == 202
    bellhop.slack.uninstall(ACME)
    bellhop.settle()
    return who


ACCEPT, LIST = ("POST", NOTIFICATIONS), ("GET", NOTIFICATIONS)
FIND = ("GET", f"{NOTIFICATIONS}/<notification_id>")
CANCEL = ("DELETE", f"{NOTIFICATIONS}/<notification_id>")
RETRY = ("POST", f"{NOTIFICATIONS}/<notification_id>/retry")
CREATE_WEBHOOK = ("POST", WEBHOOKS)
ROUTES = [ACCEPT, CANCEL, FIND, LIST, RETRY, CREATE_WEBHOOK]
CALLERS: list[tuple[Callable[[Bellhop], Caller], dict[Any, int]]] = [
    (nobody, dict.fromkeys(ROUTES, 401)),
    (wrong, dict.fromkeys(ROUTES, 401)),
    (revoked, dict.fromkeys(ROUTES, 401)),
    (expired, dict.fromkeys(ROUTES, 401)),
    (uninstalled, dict.fromkeys(ROUTES, 403)),
    # They may list, but find nothing.
    (
        limited,
        {ACCEPT: 403, LIST: 200, FIND: 404, CANCEL: 404, RETRY: 404, CREATE_WEBHOOK: 403},
    ),
    # It sends in its own workspace.
    (
        of_another_workspace,
        {ACCEPT: 202, LIST: 200, FIND: 404, CANCEL: 404, RETRY: 404, CREATE_WEBHOOK: 201},
    ),
    # It may read its workspace, and its notifications have a separate key.
    (
        of_another_source,
        {ACCEPT: 202, LIST: 200, FIND: 200, CANCEL: 403, RETRY: 403, CREATE_WEBHOOK: 403},
    ),
]


def facts(bellhop: Bellhop, notification_id: str) -> Any:
    with bellhop.services.database.reading() as session:
        deliveries = select(Delivery.state).where(Delivery.notification_id == notification_id)
        report = bellhop.services.history.find(ACME, notification_id)
        assert report is not None
        assert report.incident is not None
        return session.scalars(deliveries).all(), report.incident.state


def test_every_route_is_swept(installed: Bellhop) -> None:
    assert routes(installed) == sorted(ROUTES)


@pytest.mark.parametrize(("make", "expected"), CALLERS, ids=[one[0].__name__ for one in CALLERS])
def test_nobody_has_an_effect_that_is_not_theirs(
    installed: Bellhop, make: Callable[[Bellhop], Caller], expected: dict[Any, int]
) -> None:
    owner = caller(installed)
    body = {"to": GENERAL, "text": "secret", "key": "disk", "actions": ["resolve"]}
    target = owner.send(body).json()["id"]
    before = facts(installed, target)
    who = make(installed)

    for method, path in routes(installed):
        sent = {ACCEPT: BODY, CREATE_WEBHOOK: {"to": GENERAL}}.get((method, path))
        answer = who.call(method, path.replace("<notification_id>", target), sent)

        assert answer.status == expected[method, path], f"{method} {path}: {answer.text}"
        if answer.status >= 400:
            assert answer.headers["Content-Type"] == "application/problem+json"
        if (method, path) == LIST and answer.status == 200 and make is not of_another_source:
            assert answer.json()["notifications"] == []
        if make is not of_another_source and (method, path) != CREATE_WEBHOOK:
            assert "secret" not in answer.text
    assert facts(installed, target) == before
    assert installed.services.webhooks.of_team(ACME) == []
    with installed.services.database.reading() as session:
        accepted = select(Notification.content).where(
            Notification.team_id == ACME, Notification.source != "api_key:1"
        )
        texts = [one["text"] for one in session.scalars(accepted)]
    assert all(text == "x" for text in texts)


def test_a_webhook_of_an_uninstalled_workspace_is_rejected(installed: Bellhop) -> None:
    url = installed.services.webhooks.create(ACME, "alerts", [GENERAL])
    data = json.dumps({"text": "x"}).encode()
    assert request("POST", url, data).text == "ok"

    installed.slack.uninstall(ACME)
    installed.settle()

    answer = request("POST", url, data)
    assert (answer.status, answer.text) == (403, "action_prohibited")
    installed.install(ANN)
    assert request("POST", url, data).text == "ok"


def test_a_key_is_rejected_with_the_reason_after_an_uninstall(installed: Bellhop) -> None:
    who = uninstalled(installed)

    detail = who.send(BODY).json()["detail"]

    assert detail.startswith(f"Bellhop is not installed in the workspace {ACME}")


@pytest.mark.parametrize("is_archived", [True, False], ids=["archived", "private"])
def test_a_name_stands_for_one_channel(installed: Bellhop, is_archived: bool) -> None:
    """Slack keeps names unique, but the listing may predate a channel of the same name."""
    sent = {to: accept(installed, to, "x") for to in (GENERAL, LEADS)}
    shared = {"team_id": ACME, "name": "general", "is_member": True, "member_count": 1}
    with installed.services.database.writing() as session:
        session.merge(Channel(channel_id=GENERAL, is_archived=False, is_private=False, **shared))
        other = {"is_archived": is_archived, "is_private": not is_archived}
        session.merge(Channel(channel_id=LEADS, **other, **shared))
    who = caller(installed, Scope.READ, channels=["#general"])

    found = {one["id"] for one in who.get(NOTIFICATIONS).json()["notifications"]}

    assert found == {sent[GENERAL]}


class TestAKeyLimitedToAPerson:
    """Of the direct messages of others it reads those that are for its person."""

    @pytest.fixture(params=[BEN, BENS])
    def limit(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def limited(self, installed: Bellhop, limit: str) -> Caller:
        installed.install(BEN)
        return caller(installed, channels=[limit])

    def test_reads_what_was_sent_to_them(self, installed: Bellhop, limited: Caller) -> None:
        sent = [accept(installed, to, "x") for to in (BEN, BENS)]
        hidden = [accept(installed, to, "x") for to in (ANN, [BEN, ANN], [BENS, GENERAL])]
        before = found_by(limited, sent + hidden)

        Hand(installed).deliver()

        assert before == {sent[0]}
        assert found_by(limited, sent + hidden) == set(sent)

    @pytest.mark.parametrize("is_in_their_lane", [True, False])
    @pytest.mark.parametrize("leads_to", ["nobody", PAT])
    def test_reads_nothing_that_may_be_for_another_person(
        self, installed: Bellhop, limited: Caller, leads_to: str, *, is_in_their_lane: bool
    ) -> None:
        due = (installed.clock() + timedelta(hours=3)).isoformat()
        id_ = accept(installed, BENS, "Salary of Pat", send_at=due)
        if is_in_their_lane:
            accept(installed, BENS, "Welcome")
            Hand(installed).deliver()
        before = found_by(limited, [id_])
        # The events about it are lost.
        installed.slack.users[BEN].email = "ben.baker@acme.example"
        installed.slack.users[PAT].email = BENS[1:] if leads_to == PAT else "pat@acme.example"
        installed.clock.advance(4 * 3600)
        Hand(installed).deliver()

        [delivery] = deliveries(installed, id_)
        assert delivery.recipient_id == ("nobody" if is_in_their_lane else leads_to)
        assert (before, found_by(limited, [id_])) == (set(), set())

    @pytest.mark.parametrize("is_lost", [True, False])
    def test_an_address_means_the_person_who_has_it_now(
        self, installed: Bellhop, limited: Caller, limit: str, *, is_lost: bool
    ) -> None:
        id_ = accept(installed, BENS, "x")
        Hand(installed).deliver()
        assert found_by(limited, [id_]) == {id_}
        if is_lost:
            installed.clock.advance(3600)
        else:
            with installed.services.database.writing() as session:
                is_ben = User.user_id == BEN
                session.execute(update(User).where(is_ben).values(email="b@acme.example"))

        assert found_by(limited, [id_]) == ({id_} if limit == BEN else set())


def test_a_key_limited_to_an_unknown_name_reads_its_own_notifications(installed: Bellhop) -> None:
    """The name may be that of another channel later."""
    limited = caller(installed, channels=["#unknown"])
    own = limited.send({"to": "#unknown", "text": "x"}).json()["id"]
    ids = [own, accept(installed, "#unknown", "x")]
    waiting = found_by(limited, ids)
    for _ in range(3):
        Hand(installed).deliver()
        installed.clock.advance(61)

    assert [one.state for id_ in ids for one in deliveries(installed, id_)] == ["dead"] * 2
    assert (waiting, found_by(limited, ids)) == ({own}, {own})


def found_by(who: Caller, ids: list[str]) -> set[str]:
    """Return the notifications that a key finds, among some, and lists."""
    found = {id_ for id_ in ids if who.get(f"{NOTIFICATIONS}/{id_}").status == 200}
    for query in ("", "?state=dead", f"?to={BENS}"):
        listed = who.get(NOTIFICATIONS + query).json()["notifications"]
        assert {one["id"] for one in listed} & set(ids) <= found
    listed = who.get(NOTIFICATIONS).json()["notifications"]
    assert {one["id"] for one in listed} & set(ids) == found
    return found


class TestAKeyThatAPersonMade:
    """A personal key reads no more than every member may; the operator's key reads everything."""

    @pytest.fixture
    def sent(self, installed: Bellhop) -> dict[str, str]:
        """Return notifications of others by destination."""
        installed.slack.invite_bot(ANN, LEADS)
        later = (installed.clock() + timedelta(hours=1)).isoformat()
        withdrawn = accept(installed, GENERAL, "withdrawn", send_at=later)
        installed.services.history.cancel(ACME, withdrawn)
        escalate = {"to": GENERAL, "after": 600}
        return {
            "withdrawn": withdrawn,
            "unanswered": accept(
                installed, "topic:board", "x", actions=["acknowledge"], escalate=escalate
            ),
            "public": accept(installed, GENERAL, "in general"),
            "private": accept(installed, LEADS, "in leads"),
            "both": accept(installed, [GENERAL, LEADS], "in both"),
            "person": accept(installed, BEN, "to Ben"),
            "nowhere": accept(installed, "#nowhere", "to nobody"),
        }

    @pytest.mark.parametrize("scope", ["read", "admin"])
    @pytest.mark.parametrize(
        ("channels", "seen"),
        [((), {"public"}), ((LEADS,), set()), ((GENERAL, LEADS), {"public"})],
        ids=["unlimited", "private", "limited"],
    )
    def test_reads_notifications_in_public_channels(
        self,
        installed: Bellhop,
        sent: dict[str, str],
        scope: Scope,
        channels: tuple[str, ...],
        seen: set[str],
    ) -> None:
        who = caller(installed, scope, Scope.SEND, channels=channels, created_by=ANN)

        found = {one["id"] for one in who.get(NOTIFICATIONS).json()["notifications"]}

        assert found == {sent[name] for name in seen}
        for name, id_ in sent.items():
            status = who.get(f"{NOTIFICATIONS}/{id_}").status
            assert status == (200 if name in seen else 404), name
            if name not in seen:
                assert who.call("DELETE", f"{NOTIFICATIONS}/{id_}").status == 404

    @pytest.mark.parametrize("made_by", [ANN, None])
    def test_reads_nothing_that_was_withdrawn(
        self, installed: Bellhop, made_by: str | None
    ) -> None:
        """Neither does an operator's key that is limited to the channel."""
        writer = method_caller(installed, Scope.SEND)
        ts = writer.ok("chat.postMessage", channel=GENERAL, text="Salaries")["ts"]
        grant_reactions(installed)
        writer.ok("reactions.add", channel=GENERAL, timestamp=ts, name="eyes")
        writer.ok("chat.update", channel=GENERAL, ts=ts, text="News")
        who = caller(installed, channels=[GENERAL], created_by=made_by)

        page = who.get(NOTIFICATIONS)

        assert "News" in page.text
        assert "Salaries" not in page.text
        with installed.services.database.reading_connection() as connection:
            ids = connection.scalars(select(Notification.id)).all()
        texts = [who.get(f"{NOTIFICATIONS}/{id_}") for id_ in ids]
        assert sorted(one.status for one in texts) == [200, 404]
        assert "Salaries" not in "".join(one.text for one in texts)

    def test_reads_its_own_notifications(self, installed: Bellhop, sent: dict[str, str]) -> None:
        who = caller(installed, created_by=ANN)
        own = who.send({"to": LEADS, "text": "x"}).json()["id"]

        assert who.get(f"{NOTIFICATIONS}/{own}").status == 200

    def test_shares_no_incident_of_another_source(
        self, installed: Bellhop, sent: dict[str, str]
    ) -> None:
        """Its own notification would show the incident, or end it, in a channel unknown to Ann."""
        incident = {"text": "x", "key": "disk", "actions": ["mute"]}
        target = caller(installed, source="ci").send({"to": LEADS, **incident}).json()["id"]
        installed.services.incidents.answer(ACME, target, BEN, IncidentAnswer.MUTE)
        before = facts(installed, target)
        who = caller(installed, Scope.ADMIN, created_by=ANN)

        for actions in (["mute"], []):
            answer = who.send({"to": GENERAL, **incident, "source": "ci", "actions": actions})

            assert answer.status == 403
        own = who.send({"to": GENERAL, **incident}).json()
        assert [one["state"] for one in own["deliveries"]] == ["waiting"]
        assert who.get(f"{NOTIFICATIONS}/{own['id']}").json()["incident"]["muted_by"] is None
        assert facts(installed, target) == before

    def test_reads_no_more_once_its_maker_has_left(
        self, installed: Bellhop, sent: dict[str, str]
    ) -> None:
        who = caller(installed, created_by=ANN)
        installed.slack.uninstall(ACME)
        installed.slack.deliver_due()
        installed.install(ANN)
        installed.slack.invite_bot(ANN, LEADS)

        assert who.get(f"{NOTIFICATIONS}/{sent['public']}").status == 200
        assert who.get(f"{NOTIFICATIONS}/{sent['private']}").status == 404

    def test_a_channel_that_became_private_is_hidden(
        self, installed: Bellhop, sent: dict[str, str]
    ) -> None:
        who = caller(installed, created_by=ANN)
        assert who.get(f"{NOTIFICATIONS}/{sent['public']}").status == 200

        installed.slack.channels[GENERAL].is_private = True
        installed.clock.advance(301)

        assert who.get(f"{NOTIFICATIONS}/{sent['public']}").status == 404

    def test_the_operators_key_reads_everything(
        self, installed: Bellhop, sent: dict[str, str]
    ) -> None:
        found = caller(installed).get(NOTIFICATIONS).json()["notifications"]

        assert {one["id"] for one in found} == set(sent.values())
