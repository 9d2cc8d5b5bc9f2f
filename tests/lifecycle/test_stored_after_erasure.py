"""Values that were read before an erasure are not stored after it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from bolt_app.credentials.api_keys import PERSONAL_SCOPES
from bolt_app.db.models import Webhook
from bolt_app.installations.checks import CheckKind, request_check
from tests.lifecycle.test_deletion import (
    uninstall,
    unlink,
)
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop
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
    bellhop.slack.update_user(ANN, deleted=True)
    bellhop.slack.deliver_due()


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
