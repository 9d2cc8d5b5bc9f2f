"""Values that were read before an erasure are not stored after it."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, update

from bolt_app.credentials.api_keys import PERSONAL_SCOPES
from bolt_app.db.models import ApiKey, Channel, Delivery, HomeTab, Notification, Webhook
from bolt_app.installations.checks import CheckKind, request_check
from bolt_app.lifecycle.events import EventOrigin
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.intake import service as intake_service
from bolt_app.notifications.intake.planning import plan_deliveries
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.queue.moved_channels import move_channel
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.slack.home import view as home
from bolt_app.slack.listeners.events import channels as channel_events
from bolt_app.workspaces.client import NotInstalledError, WorkspaceClient
from tests.lifecycle.test_deletion import (
    PACKAGE,
    delivered,
    needles,
    tidied,
    traces,
    uninstall,
    unlink,
)
from tests.notifications.hand import Hand, accept, deliveries, states
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop
from tests.sources import parsed
from tests.web.calling import NOTIFICATIONS, WEBHOOKS, Caller

Step = Callable[[Bellhop], object]

# SQLite has one writer at a time.
ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
MOVED = "C0ACME0099"


def unlink_now(bellhop: Bellhop) -> None:
    """Unlink without a request, which a listener would answer in Slack."""
    stored = bellhop.services.installations.find(enterprise_id=None, team_id=ACME, user_id=ANN)
    assert stored is not None
    bellhop.services.lifecycle.profiles.unlink(stored)


def uninstall_now(bellhop: Bellhop) -> None:
    bellhop.slack.uninstall(ACME)
    with bellhop.services.database.writing() as session:
        request_check(session, CheckKind.INSTALLATION, None, ACME, at=bellhop.clock())
    bellhop.services.installation_checks.run()
    assert bellhop.services.installations.find_bot(ACME) is None


def unsubscribe(bellhop: Bellhop) -> None:
    assert bellhop.services.subscriptions.unsubscribe(ACME, ANN, "deploys")


def deactivate(bellhop: Bellhop) -> None:
    bellhop.clock.advance(60)
    now = bellhop.clock()
    facts = {"id": ANN, "team_id": ACME, "updated": int(now.timestamp()), "deleted": True}
    origin = EventOrigin("Ev0DEACTIVATED", None, ACME, False, now)
    bellhop.services.lifecycle.profiles.user_changed(origin, facts)


def once(act: Callable[[], object]) -> Callable[[], None]:
    """Return a function that acts when it is first called."""
    waiting = [act]

    def act_once() -> None:
        while waiting:
            waiting.pop()()

    return act_once


@pytest.fixture
def linked(bellhop: Bellhop) -> Bellhop:
    bellhop.install(BEN)
    bellhop.install(ANN)
    return bellhop


def uninstall_and_install(bellhop: Bellhop) -> None:
    uninstall(bellhop)
    bellhop.clock.advance(60)
    bellhop.install(BEN)


@pytest.mark.parametrize("leave", [unlink, uninstall_and_install])
def test_a_remembered_key_does_not_name_its_former_creator(linked: Bellhop, leave: Step) -> None:
    keys = linked.services.api_keys
    key = keys.create(ACME, "ci", scopes=PERSONAL_SCOPES, created_by=ANN)
    who = Caller(linked.url, key)
    assert who.call("POST", NOTIFICATIONS, {"to": GENERAL, "text": "x"}).status == 202
    leave(linked)
    linked.services.background.shutdown()
    remembered = keys.remembered(key)
    assert remembered is not None
    assert remembered.created_by == ANN

    assert who.call("POST", WEBHOOKS, {"name": "backups", "to": [GENERAL]}).status == 201

    with linked.services.database.reading() as session:
        assert session.scalars(select(Webhook.created_by)).all() == ["deleted"]
    assert linked.services.audit.find(action="webhook_created")[0].user_id == "deleted"


def _during_planning(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]
) -> None:
    """Let something change after the deliveries of the next notification were planned."""
    changes = once(change)

    def plan_then_change(*given: Any) -> Any:
        planned = plan_deliveries(*given)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(changes).result(timeout=30)
        return planned

    monkeypatch.setattr(intake_service, "plan_deliveries", plan_then_change)


def _submit(bellhop: Bellhop, *to: str) -> str:
    key = bellhop.services.api_keys.find(bellhop.services.api_keys.create(ACME, "ci"))
    assert key is not None
    request = NotificationRequest.model_validate({"to": to, "text": "private words"})
    [sent] = bellhop.services.intake.submit(Sender.of(key), [request]).notifications
    with bellhop.services.database.reading() as session:
        is_unrouted = session.scalar(select(Notification.is_unrouted).filter_by(id=sent.id))
        assert is_unrouted == sent.is_unrouted
        # The charge was made before, and tells the sender nothing.
        [charged] = session.scalars(select(ApiKey.open_at_most).filter_by(id=key.id))
        assert charged == len(to)
    return sent.id


@ON_POSTGRESQL
@pytest.mark.parametrize("change", [unlink_now, unsubscribe, deactivate])
def test_a_planned_delivery_is_not_stored_after_its_subscription_ended(
    linked: Bellhop, monkeypatch: pytest.MonkeyPatch, change: Step
) -> None:
    subscribe, search = linked.services.subscriptions.subscribe, needles(linked)
    subscribe(ACME, ANN, SubscriptionSpec("deploys", created_by=ANN))
    subscribe(ACME, GENERAL, SubscriptionSpec("deploys"))

    _during_planning(linked, monkeypatch, lambda: change(linked))
    id_ = _submit(linked, "topic:deploys")

    assert [one.target for one in deliveries(linked, id_)] == [GENERAL]
    delivered(linked)
    tidied(linked)
    if change is unlink_now:
        assert traces(linked, *search) == {}


@ON_POSTGRESQL
@pytest.mark.parametrize("named", [False, True])
def test_the_only_subscription_ends_after_planning(
    linked: Bellhop, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    linked.services.subscriptions.subscribe(ACME, ANN, SubscriptionSpec("deploys"))
    to = [*([GENERAL] if named else []), "topic:deploys"]

    _during_planning(linked, monkeypatch, lambda: unlink_now(linked))
    id_ = _submit(linked, *to)

    assert [one.target for one in deliveries(linked, id_)] == to[:-1]


@ON_POSTGRESQL
def test_a_channel_that_moves_after_planning_gets_the_notification(
    linked: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its two subscriptions, of both ids, become one."""
    subscribe = linked.services.subscriptions.subscribe
    subscribe(ACME, GENERAL, SubscriptionSpec("deploys"))
    linked.clock.advance(1)

    def move() -> None:
        subscribe(ACME, MOVED, SubscriptionSpec("deploys"))
        with linked.services.database.writing_connection() as connection:
            move_channel(connection, ACME, GENERAL, MOVED, linked.clock())

    _during_planning(linked, monkeypatch, move)
    id_ = _submit(linked, "topic:deploys")

    assert [one.target for one in deliveries(linked, id_)] == [MOVED]


def test_a_home_that_is_opened_during_an_uninstall_is_not_recorded(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    bellhop.install(BEN)
    find, uninstalls = home._person, once(lambda: uninstall_now(bellhop))

    def find_then_uninstall(*given: Any) -> Any:
        person = find(*given)
        uninstalls()
        return person

    monkeypatch.setattr(home, "_person", find_then_uninstall)
    bellhop.slack.open_home(ANN, ACME)
    bellhop.slack.deliver_due()

    assert bellhop.services.installations.find_bot(ACME) is None
    with bellhop.services.database.reading() as session:
        assert session.scalars(select(HomeTab)).all() == []


def test_channels_that_were_listed_during_an_uninstall_are_not_stored(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    bellhop.install(BEN)
    workspace = bellhop.services.client.find_workspace(ACME)
    pages, uninstalls = WorkspaceClient.pages_as_bot, once(lambda: uninstall_now(bellhop))

    def list_then_uninstall(*given: Any, **named: Any) -> Any:
        found = list(pages(*given, **named))
        uninstalls()
        return iter(found)

    monkeypatch.setattr(WorkspaceClient, "pages_as_bot", list_then_uninstall)
    bellhop.clock.advance(3600)
    with pytest.raises(NotInstalledError):
        bellhop.services.channels.refresh_listing(workspace)

    with bellhop.services.database.reading() as session:
        assert session.scalars(select(Channel)).all() == []


# How an uninstall does not miss what is inserted at the same time.
INSTALLATION = "the transaction has locked the installation"
CREDENTIAL = "the transaction has locked a credential, and asked for the installation"
QUEUE = "the transaction has locked the queue, and asked for the installation"
NOBODY = "names nobody"
INSERTS = {
    "access/audit.py": "the audit log is kept",
    "access/sessions.py": "refers to the person's installation",
    "credentials/api_keys.py": INSTALLATION,
    "credentials/webhook_bodies.py": QUEUE,
    "credentials/webhooks.py": f"{INSTALLATION}, or {CREDENTIAL}",
    "db/audit.py": "the audit log is kept",
    "db/receipts.py": NOBODY,
    "db/upsert.py": "for the others",
    "installations/checks.py": "deleted when the check ends",
    "installations/directory.py": NOBODY,
    "installations/removals.py": "deleted when the token is revoked",
    "installations/rows.py": NOBODY,
    "installations/serving.py": NOBODY,
    "installations/state.py": NOBODY,
    "installations/store.py": INSTALLATION,
    "notifications/delivery/sqlite_ownership.py": NOBODY,
    "notifications/digests/preferences.py": INSTALLATION,
    "notifications/digests/release.py": "from rows under the lock of the queue",
    "notifications/files/store.py": QUEUE,
    "notifications/incidents/callbacks.py": CREDENTIAL,
    "notifications/incidents/messages.py": "from rows under the lock of the queue",
    "notifications/incidents/service.py": QUEUE,
    "notifications/intake/idempotency.py": QUEUE,
    "notifications/intake/store.py": QUEUE,
    "notifications/messages/service.py": QUEUE,
    "notifications/queue/change_feed.py": NOBODY,
    "notifications/queue/lanes.py": QUEUE,
    "notifications/queue/moved_channels.py": NOBODY,
    "notifications/subscriptions/service.py": INSTALLATION,
    "profiles/store.py": INSTALLATION,
    "workspaces/channels.py": INSTALLATION,
    "workspaces/home_tabs.py": INSTALLATION,
    "workspaces/rate_limits.py": NOBODY,
}
INSERTING = {"insert", "upsert", "insert_new", "count_up"}


def test_every_insert_is_looked_at() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(parsed(path)):
            match node:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                    if name in INSERTING:
                        found.add(path.relative_to(PACKAGE).as_posix())

    assert {one for one in found if not one.startswith("db/migrations/")} == INSERTS.keys()


def _look_after(
    bellhop: Bellhop,
    monkeypatch: pytest.MonkeyPatch,
    id_: str,
    ask: str,
    then: Step,
    *,
    answer: Any = None,
    **values: Any,
) -> None:
    """Take a second look at a delivery; let something happen once Slack has answered.

    Args:
        ask: the method of the sender that asks Slack.
        answer: what it returns, instead of Slack's answer.
        values: of the delivery.
    """
    values["second_look_at"] = bellhop.clock()
    with bellhop.services.database.writing() as session:
        session.execute(update(Delivery).filter_by(notification_id=id_).values(values))
    hand, happens = Hand(bellhop), once(lambda: then(bellhop))
    sender = hand.dispatcher._sender
    asked = getattr(sender, ask)

    async def ask_and_wait(*given: Any, **named: Any) -> Any:
        found = await asked(*given, **named)
        await asyncio.to_thread(happens)
        return answer or found

    monkeypatch.setattr(sender, ask, ask_and_wait)
    bellhop.clock.advance(120)
    hand.deliver()


@pytest.mark.parametrize("kind", ["channel_archive", "channel_left", "channel_deleted"])
@pytest.mark.parametrize("leave", [unlink_now, deactivate])
def test_a_creator_who_leaves_while_slack_is_asked_is_not_notified(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch, kind: str, leave: Step
) -> None:
    bellhop.install(BEN)
    if leave is unlink_now:
        bellhop.install(ANN)
    for topic, user_id in (("a", ANN), ("b", BEN)):
        wish = SubscriptionSpec(topic, created_by=user_id)
        bellhop.services.subscriptions.subscribe(ACME, GENERAL, wish)
    sees, leaves = channel_events._sees, once(lambda: leave(bellhop))

    def ask_then_leave(*given: Any) -> bool:
        found = sees(*given)
        leaves()
        return found

    search = needles(bellhop)
    monkeypatch.setattr(channel_events, "_sees", ask_then_leave)
    event: dict[str, Any] = {"type": kind, "channel": GENERAL, "user": BEN, "actor_id": BEN}
    bellhop.slack.send_event(ACME, event)
    delivered(bellhop)
    tidied(bellhop)
    bellhop.services.background.shutdown()

    assert traces(bellhop, *search) == {}
    [*_, notice] = bellhop.slack.messages(bellhop.slack.app_dm(ACME, BEN).id)
    assert "Your subscription there (`b`)" in notice.text


def stay(_bellhop: Bellhop) -> None:
    """Change nothing."""


@pytest.mark.parametrize(("then", "state"), [(stay, "sent"), (unlink_now, "unknown")])
def test_a_message_that_is_found_is_recorded_unless_its_person_has_left(
    linked: Bellhop, monkeypatch: pytest.MonkeyPatch, then: Step, state: str
) -> None:
    search, id_ = needles(linked), accept(linked, ANN, "private")
    delivered(linked)

    # As after a search that Slack did not answer: posted, but not known to be.
    _look_after(linked, monkeypatch, id_, "look_again", then, state="unknown", ts=None)

    assert states(linked, id_) == [state]
    if then is unlink_now:
        tidied(linked)
        linked.services.background.shutdown()
        assert traces(linked, *search) == {}


@pytest.mark.parametrize("then", [stay, unlink_now])
def test_an_older_content_is_repaired_unless_its_person_has_left(
    linked: Bellhop, monkeypatch: pytest.MonkeyPatch, then: Step
) -> None:
    search, id_ = needles(linked), accept(linked, ANN, "private", key="disk")
    delivered(linked)

    _look_after(linked, monkeypatch, id_, "mark_at", then, answer="an older content")

    refreshes = [one for one in deliveries(linked, id_) if one.mode == "refresh"]
    assert len(refreshes) == (then is stay)
    if then is unlink_now:
        tidied(linked)
        linked.services.background.shutdown()
        assert traces(linked, *search) == {}
