"""Notifications that are accepted while an uninstall erases their workspace: nothing stays."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bolt_app.db.models import Lane, WebhookBody
from bolt_app.lifecycle import erasure
from bolt_app.notifications.content.schema import NotificationRequest
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


SENDERS = [send_with_key, send_to_webhook, send_by_workflow]


def _notification() -> NotificationRequest:
    return NotificationRequest.model_validate({"to": [EMAIL], "text": "private words"})


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

    bellhop.slack.uninstall(ACME)
    bellhop.slack.deliver_due()
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


@pytest.mark.parametrize("make", SENDERS)
def test_nothing_is_stored_after_an_uninstall(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch, make: Callable[[Bellhop], Callable[[], Any]]
) -> None:
    bellhop.install(ANN)
    send, sent = make(bellhop), list[Future[Any]]()

    def erase_while_sending(
        connection: Connection, people: ErasedPeople, *given: Any, **named: Any
    ) -> Any:
        erased = erase_people(connection, people, *given, **named)
        if people.user_ids is None:
            sent.append(_begin(pool, send, connection))
        return erased

    bellhop.slack.uninstall(ACME)
    bellhop.slack.deliver_due()
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(erasure, "erase_people", erase_while_sending)
        bellhop.services.installation_checks.run()
        [running] = sent
        with pytest.raises(NotInstalledError):
            running.result(timeout=30)

    _require_erased(bellhop)
