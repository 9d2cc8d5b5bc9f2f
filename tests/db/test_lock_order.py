"""Transactions lock rows in one order (`credentials/limits.py`), so that none wait for each other.

SQLite has one writer at a time, and needs no order.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.orm import Session

from bolt_app.credentials.api_keys import ApiKeyRecord
from bolt_app.credentials.records import revoke_all
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.history.erasure import ErasedPeople, erase_people
from bolt_app.notifications.incidents import callbacks
from bolt_app.notifications.intake import service as intake_service
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.queue.change_feed import begin_acceptance, begin_change
from bolt_app.notifications.queue.moved_channels import move_channel
from bolt_app.notifications.subscriptions import service as subscriptions_service
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.profiles import slack_changes
from bolt_app.profiles.store import separate_accounts
from tests.faults.load import wait_until
from tests.locks import is_waited_for
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop
from tests.statements import statements_of

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

NEW_ID = "C0ACME0099"
ORDER = (
    "installation_revisions",
    "bots",
    "installations",
    "sessions",
    "users",
    "memberships",
    "preferences",
    "channel_listings",
    "channels",
    "api_keys",
    "webhooks",
    "subscriptions",
    "workspace_queues",
)
_LOCKS = re.compile(
    r"^(?:SELECT .*\sFROM (\w+)\s.*FOR (?:(?:NO KEY )?UPDATE|(?:KEY )?SHARE).*"
    r"|UPDATE (\w+)\s.*|DELETE FROM (\w+)\s.*|INSERT INTO (\w+)\s.*ON CONFLICT.*)$",
    re.DOTALL,
)


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    """A workspace with keys, webhooks and subscriptions that concern one person and channel."""
    bellhop.install(ANN)
    services = bellhop.services
    for name in ("one", "two"):
        services.api_keys.create(ACME, name, channels=[GENERAL], created_by=ANN)
        services.webhooks.create(ACME, name, [GENERAL], created_by=ANN)
        for address in (GENERAL, ANN):
            services.subscriptions.subscribe(ACME, address, SubscriptionSpec(name, created_by=ANN))
    return bellhop


def key_of(bellhop: Bellhop) -> ApiKeyRecord:
    return bellhop.services.api_keys.of_team(ACME)[0]


def senders_of(bellhop: Bellhop) -> Sequence[Sender]:
    webhook = bellhop.services.webhooks.find_by_id(1)
    assert webhook is not None
    return Sender.of(key_of(bellhop)), Sender.of(webhook)


def move(bellhop: Bellhop) -> None:
    with bellhop.services.database.writing_connection() as connection:
        move_channel(connection, ACME, GENERAL, NEW_ID, bellhop.clock())


def erase(bellhop: Bellhop) -> None:
    with bellhop.services.database.writing_connection() as connection:
        people = [ErasedPeople([ACME], [ANN])]
        erase_people(connection, people, bellhop.clock(), refreshes=False)


def unlink(bellhop: Bellhop) -> None:
    stored = bellhop.services.installations.find(enterprise_id=None, team_id=ACME, user_id=ANN)
    assert stored is not None
    bellhop.services.lifecycle.profiles.unlink(stored)


def uninstall(bellhop: Bellhop) -> None:
    bellhop.slack.uninstall(ACME)
    bellhop.settle()


def take_token_back(bellhop: Bellhop) -> None:
    bellhop.slack.revoke_tokens(ACME, users=[ANN])
    bellhop.settle()


def rename_person(bellhop: Bellhop) -> None:
    bellhop.slack.update_user(ANN, real_name="Ann Other", is_admin=False)
    bellhop.settle()


def deactivate(bellhop: Bellhop) -> None:
    """A person who is linked, and one who is not."""
    choose(bellhop)
    bellhop.services.subscriptions.subscribe(ACME, BEN, SubscriptionSpec("one", created_by=BEN))
    bellhop.clock.advance(60)
    for user_id in (ANN, BEN):
        bellhop.slack.update_user(user_id, deleted=True)
    bellhop.settle()


def record(bellhop: Bellhop) -> None:
    """Record the profile of a person who is linked and deactivated."""
    bellhop.slack.users[ANN].deleted = True
    stored = bellhop.services.installations.find(enterprise_id=None, team_id=ACME, user_id=ANN)
    assert stored is not None
    bellhop.services.profiles.record(stored)


def list_channels(bellhop: Bellhop) -> None:
    bellhop.clock.advance(3600)
    workspace = bellhop.services.client.find_workspace(ACME)
    bellhop.services.channels.refresh_listing(workspace)


def archive(bellhop: Bellhop) -> None:
    bellhop.slack.archive_channel(GENERAL)
    bellhop.slack.deliver_due()


def choose(bellhop: Bellhop) -> None:
    bellhop.slack.send_command(BEN, GENERAL, "/notify", "quiet 22-7")


def revoke(bellhop: Bellhop) -> None:
    with bellhop.services.database.writing() as session:
        revoke_all(session, ACME, bellhop.clock())


def send(bellhop: Bellhop) -> None:
    for sender in senders_of(bellhop):
        bellhop.services.intake.submit(sender, [_notification()])


def undo(bellhop: Bellhop) -> None:
    subscriptions = bellhop.services.subscriptions
    removed = subscriptions.unsubscribe(ACME, GENERAL, "two", by=ANN)
    assert removed is not None
    assert subscriptions.undo(ACME, GENERAL, [removed], by=ANN)


def find_name(bellhop: Bellhop) -> None:
    services = bellhop.services
    for address in ("#later", GENERAL):
        services.subscriptions.subscribe(ACME, address, SubscriptionSpec("one"))
    bellhop.slack.rename_channel(GENERAL, "later")
    services.channels.refresh_listing(services.client.find_workspace(ACME))


def unmute(bellhop: Bellhop) -> None:
    mute = bellhop.services.subscriptions.mute
    mute(ACME, GENERAL, bellhop.clock() + timedelta(days=1), by=ANN)
    mute(ACME, GENERAL, None, by=ANN)


def announce(bellhop: Bellhop) -> None:
    bellhop.services.files.open_upload(ACME, key_of(bellhop).credential, "a.txt", 5)


def _notification() -> NotificationRequest:
    return NotificationRequest.model_validate({"to": [GENERAL, "topic:one"], "text": "x"})


@pytest.mark.parametrize(
    "change",
    [
        *(move, erase, unlink, uninstall, take_token_back, rename_person, deactivate, revoke),
        *(send, undo, unmute, find_name, announce, record, list_channels, archive, choose),
    ],
)
def test_rows_are_locked_in_one_order(
    installed: Bellhop, change: Callable[[Bellhop], None]
) -> None:
    # By connection: each transaction has its own.
    transactions: dict[Connection, list[int]] = defaultdict(list)

    def keep(connection: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        found = _LOCKS.match(statement)
        [table] = filter(None, found.groups()) if found is not None else [""]
        # Only the first statement about a table may wait.
        if table in ORDER and ORDER.index(table) not in transactions[connection]:
            transactions[connection].append(ORDER.index(table))

    engine = installed.services.database.engine
    event.listen(engine, "before_cursor_execute", keep)
    try:
        change(installed)
    finally:
        event.remove(engine, "before_cursor_execute", keep)

    orders = list(transactions.values())
    assert any(len(locked) > 1 for locked in orders)
    assert orders == [sorted(locked) for locked in orders]


@pytest.mark.parametrize("change", [erase, move, revoke])
def test_credentials_are_locked_by_id_before_they_change(
    installed: Bellhop, change: Callable[[Bellhop], None]
) -> None:
    with statements_of(installed.services.database) as statements:
        change(installed)

    for table in ("api_keys", "webhooks"):
        changes = (f"UPDATE {table} ", f"SELECT {table}.id")
        first = next(one for one in statements if one.startswith(changes))
        assert re.search(rf"ORDER BY {table}\.id FOR NO KEY UPDATE$", first)


def _begin(pool: ThreadPoolExecutor, other: Any, connection: Any, *given: Any) -> Future[Any]:
    """Begin another transaction; wait until it ends, or waits for the one of the connection."""
    running = pool.submit(other, *given)
    wait_until(lambda: running.done() or is_waited_for(connection), seconds=30)
    return running


@pytest.mark.parametrize("sender", [0, 1], ids=["key", "webhook"])
def test_a_channel_moves_while_a_notification_is_accepted(
    installed: Bellhop, monkeypatch: pytest.MonkeyPatch, sender: int
) -> None:
    moves: list[Future[Any]] = []

    def begin_during_move(connection: Connection, *given: Any) -> Any:
        moves.append(_begin(pool, move, connection, installed))
        return begin_acceptance(connection, *given)

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(intake_service, "begin_acceptance", begin_during_move)
        installed.services.intake.submit(senders_of(installed)[sender], [_notification()])
        moves[0].result(timeout=30)

    assert NEW_ID in key_of(installed).channels


@pytest.mark.parametrize("deleted", [False, True])
def test_a_person_unlinks_while_their_profile_changes(
    installed: Bellhop, monkeypatch: pytest.MonkeyPatch, deleted: bool
) -> None:
    unlinks: list[Future[Any]] = []

    def separate_during_unlink(session: Session, row_id: int) -> None:
        separate_accounts(session, row_id)
        unlinks.append(_begin(pool, unlink, session, installed))

    installed.clock.advance(60)
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(slack_changes, "separate_accounts", separate_during_unlink)
        installed.slack.update_user(ANN, real_name="Ann Other", deleted=deleted)
        installed.slack.deliver_due()
        unlinks[0].result(timeout=30)

    assert len(unlinks) == 1
    assert installed.services.profiles.find(ACME, ANN) is None


@pytest.mark.parametrize("change", [move, erase])
def test_a_subscription_is_restored_during_another_change(
    installed: Bellhop, monkeypatch: pytest.MonkeyPatch, change: Callable[[Bellhop], None]
) -> None:
    subscriptions = installed.services.subscriptions
    address = GENERAL if change is move else ANN
    removed = subscriptions.unsubscribe(ACME, address, "two", by=ANN)
    assert removed is not None
    others: list[Future[Any]] = []

    def begin_during_other(connection: Connection, *given: Any) -> Any:
        others.append(_begin(pool, change, connection, installed))
        return begin_change(connection, *given)

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(subscriptions_service, "begin_change", begin_during_other)
        assert subscriptions.undo(ACME, address, [removed], by=ANN)
        others[0].result(timeout=30)


def test_a_key_that_is_revoked_meanwhile_keeps_no_callback_address(
    installed: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    services, key_id = installed.services, key_of(installed).id
    revocations: list[Future[Any]] = []
    monkeypatch.setattr(services.callback_endpoints, "_problem", lambda _url: None)
    require = callbacks._require_key

    def require_and_revoke(session: Any, *given: Any, **named: Any) -> None:
        require(session, *given, **named)
        if named:
            revoke = services.api_keys.revoke
            revocations.append(_begin(pool, revoke, session, key_id))

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(callbacks, "_require_key", require_and_revoke)
        services.callback_endpoints.set(key_id, "https://callbacks.example/x")
        assert revocations[0].result(timeout=30) == "one"

    assert services.callback_endpoints.hosts(ACME) == {}
