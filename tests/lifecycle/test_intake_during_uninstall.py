"""Notifications that are accepted while an uninstall erases their workspace: nothing stays."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from io import BytesIO
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select

from bolt_app.db.models import File, InstallationCheck, Lane, Notification, WebhookBody
from bolt_app.installations.checks import CheckKind
from bolt_app.lifecycle import erasure
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.files import service as files_service
from bolt_app.notifications.files.service import OpenedUpload
from bolt_app.notifications.history.erasure import ErasedPeople, erase_people
from bolt_app.notifications.intake import service
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.queue.change_feed import begin_acceptance
from bolt_app.workspaces.client import NotInstalledError
from tests.faults.load import wait_until
from tests.locks import is_waited_for
from tests.people import ACME, ANN
from tests.running import Bellhop

# SQLite has one writer at a time.
pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

EMAIL = "@ben@acme.example"


def send_with_key(bellhop: Bellhop) -> Callable[[], Any]:
    key = bellhop.services.api_keys.find(bellhop.services.api_keys.create(ACME, "ci"))
    assert key is not None
    return partial(bellhop.services.intake.submit, Sender.of(key), [_notification()])


def send_to_webhook(bellhop: Bellhop) -> Callable[[], Any]:
    services = bellhop.services
    services.webhooks.create(ACME, "alerts", [EMAIL])
    webhook = services.webhooks.find_by_id(1)
    assert webhook is not None
    body = services.webhook_bodies.seal(1, {"text": "private words"})
    return partial(services.intake.submit, Sender.of(webhook), [_notification()], body=body)


def send_by_workflow(bellhop: Bellhop) -> Callable[[], Any]:
    sender = Sender(ACME, "workflow")
    return partial(bellhop.services.intake.submit, sender, [_notification()], idempotency_key="F1")


def announce_file(bellhop: Bellhop) -> Callable[[], OpenedUpload]:
    services = bellhop.services
    key = services.api_keys.find(services.api_keys.create(ACME, "ci"))
    assert key is not None
    return partial(services.files.open_upload, ACME, key.credential, "private name", 5)


SENDERS = [send_with_key, send_to_webhook, send_by_workflow]


def _notification() -> NotificationRequest:
    return NotificationRequest.model_validate({"to": [EMAIL], "text": "private words"})


def _uninstall(bellhop: Bellhop) -> None:
    """Uninstall in Slack, and request a check, which the test runs.

    The report about the token of the bot, whose check may end first, is not received.
    """
    checks = bellhop.services.installation_checks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "run_in_background", lambda _executor: None)
        bellhop.slack.uninstall(ACME)
        bellhop.slack.deliver_due()
    is_other = InstallationCheck.kind != CheckKind.INSTALLATION
    with bellhop.services.database.writing() as session:
        session.execute(delete(InstallationCheck).where(is_other))


def _require_erased(bellhop: Bellhop) -> None:
    assert bellhop.services.installations.find_bot(ACME) is None
    with bellhop.services.database.reading() as session:
        # A lane with an open delivery is erased when that ends, which needs the bot.
        assert session.scalars(select(Lane).where(~Lane.is_erasable)).all() == []
        assert session.scalars(select(WebhookBody)).all() == []


def _begin(
    pool: ThreadPoolExecutor, other: Callable[[], Any], connection: Connection
) -> Future[Any]:
    """Begin another transaction; wait until it ends, or waits for the one of the connection."""
    running = pool.submit(other)
    wait_until(lambda: running.done() or is_waited_for(connection), seconds=30)
    return running


@pytest.mark.parametrize("make", SENDERS)
def test_an_uninstall_erases_what_an_earlier_transaction_stores(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch, make: Callable[[Bellhop], Callable[[], Any]]
) -> None:
    bellhop.install(ANN)
    send, uninstalls = make(bellhop), list[Future[Any]]()

    def begin_during_uninstall(connection: Connection, *given: Any) -> Any:
        if not uninstalls:
            uninstalls.append(_begin(pool, bellhop.services.installation_checks.run, connection))
        return begin_acceptance(connection, *given)

    _uninstall(bellhop)
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(service, "begin_acceptance", begin_during_uninstall)
        if make is send_by_workflow:
            # It has no credential that the uninstall waits for.
            with pytest.raises(NotInstalledError):
                send()
        else:
            send()
        [uninstall] = uninstalls
        uninstall.result(timeout=30)

    _require_erased(bellhop)


def _require_rejected(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch, send: Callable[[], Any]
) -> None:
    """Uninstall, and send when the workspace was just erased: nothing may be stored."""
    sent = list[Future[Any]]()

    def erase_while_sending(
        connection: Connection, erased: Collection[ErasedPeople], *given: Any, **named: Any
    ) -> Any:
        opened = erase_people(connection, erased, *given, **named)
        if any(people.user_ids is None for people in erased):
            sent.append(_begin(pool, send, connection))
        return opened

    _uninstall(bellhop)
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(erasure, "erase_people", erase_while_sending)
        bellhop.services.installation_checks.run()
        [running] = sent
        with pytest.raises(NotInstalledError):
            running.result(timeout=30)

    _require_erased(bellhop)


@pytest.mark.parametrize("make", SENDERS)
def test_nothing_is_stored_after_an_uninstall(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch, make: Callable[[Bellhop], Callable[[], Any]]
) -> None:
    bellhop.install(ANN)
    _require_rejected(bellhop, monkeypatch, make(bellhop))


LATE_SENDERS: list[Callable[[Bellhop], Callable[[], Any]]] = [
    send_with_key,
    send_to_webhook,
    announce_file,
]


@pytest.mark.parametrize("make", LATE_SENDERS)
def test_a_credential_that_is_created_during_an_uninstall_stores_nothing(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch, make: Callable[[Bellhop], Callable[[], Any]]
) -> None:
    """The uninstall has locked the credentials that there were."""
    bellhop.install(ANN)
    _require_rejected(bellhop, monkeypatch, lambda: make(bellhop)())
    with bellhop.services.database.reading() as session:
        assert session.scalars(select(Notification)).all() == []
        assert session.scalars(select(File)).all() == []


def test_an_uninstall_waits_for_an_upload_and_erases_it(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    bellhop.install(ANN)
    files, uninstalls = bellhop.services.files, list[Future[Any]]()
    secret = announce_file(bellhop)().url.rpartition("/")[2]
    insert = files_service._insert_chunks

    def insert_during_uninstall(connection: Connection, *given: Any) -> int:
        uninstalls.append(_begin(pool, bellhop.services.installation_checks.run, connection))
        return insert(connection, *given)

    _uninstall(bellhop)
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(files_service, "_insert_chunks", insert_during_uninstall)
        files.receive(secret, files.find_announced(secret), BytesIO(b"Hello"))
        [uninstall] = uninstalls
        _, errors = uninstall.result(timeout=30)

    assert (errors, bellhop.services.lifecycle.installations.pending_checks()) == ([], [])
    _require_erased(bellhop)
    with bellhop.services.database.reading() as session:
        assert session.scalars(select(File)).all() == []
