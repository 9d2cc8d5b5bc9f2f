"""Senders wait while a person is erased: only where there is data of them, and not for long."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from sqlalchemy import delete, insert, select

from bolt_app.db.models import Callback, Membership, Team, WorkspaceQueue
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.notifications.intake.sender import Sender
from tests.lifecycle.test_two_installations import sign_in
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, BEN, GENERAL, GRID, NORTH, WES
from tests.running import Bellhop
from tests.statements import statements_of

WORKSPACES = 50


def unlink(bellhop: Bellhop, user_id: str, team_id: str | None = None) -> None:
    stored = bellhop.services.installations.find(
        enterprise_id=None if team_id else GRID,
        team_id=team_id,
        user_id=user_id,
        is_enterprise_install=team_id is None,
    )
    assert stored is not None
    bellhop.services.lifecycle.profiles.unlink(stored)


def deactivate(bellhop: Bellhop, user_id: str) -> None:
    """Deactivate someone who is not linked."""
    with bellhop.services.database.writing() as session:
        session.execute(delete(Membership))
    bellhop.clock.advance(60)
    bellhop.slack.update_user(user_id, deleted=True)
    bellhop.slack.deliver_due()


@pytest.mark.parametrize("leave", [unlink, deactivate])
def test_a_workspace_without_data_of_the_person_is_not_visited(
    bellhop: Bellhop, leave: Callable[[Bellhop, str], None]
) -> None:
    sign_in(bellhop, None)
    bellhop.settle()
    accept(bellhop, WES, "For Wes", team_id=NORTH)
    empty = [f"T0MANY{number:05}" for number in range(WORKSPACES)]
    rows = [{"team_id": id_, "enterprise_id": GRID, "created_at": bellhop.clock()} for id_ in empty]
    with bellhop.services.database.writing_connection() as connection:
        connection.execute(insert(Team), rows)

    with statements_of(bellhop.services.database) as statements:
        leave(bellhop, WES)

    assert max(map(statements.count, statements)) < WORKSPACES
    with bellhop.services.database.reading() as session:
        queues = set(session.scalars(select(WorkspaceQueue.team_id)))
    assert queues.isdisjoint(empty)


def answer_incidents(bellhop: Bellhop, user_id: str, number: int) -> None:
    """Let a person answer incidents, whose sender's system is not reached."""
    services, worker = bellhop.services, Hand(bellhop)
    key = services.api_keys.find(services.api_keys.create(ACME, f"key of {user_id}"))
    assert key is not None
    services.callback_endpoints.set(key.id, "https://127.0.0.1:9/told")
    for name in range(number):
        asked = NotificationRequest.model_validate(
            {"to": GENERAL, "text": "x", "key": f"disk{name}", "actions": ["acknowledge"]}
        )
        [accepted] = services.intake.submit(Sender.of(key), [asked]).notifications
        deliver(bellhop, worker)
        assert services.incidents.answer(ACME, accepted.id, user_id, IncidentAnswer.ACKNOWLEDGE)
        deliver(bellhop, worker)


def deliver(bellhop: Bellhop, worker: Hand) -> None:
    bellhop.clock.advance(5)
    worker.deliver()


def test_many_answered_incidents_need_no_more_statements(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    bellhop.install(BEN)
    for user_id, number in ((ANN, 2), (BEN, 7)):
        answer_incidents(bellhop, user_id, number)
    assert sum(is_named(text) for text in shown(bellhop)) == 9
    numbers = []

    for user_id in (ANN, BEN):
        with statements_of(bellhop.services.database) as statements:
            unlink(bellhop, user_id, ACME)
        numbers.append(sum("deliveries" in one or "callbacks" in one for one in statements))

    assert numbers[0] == numbers[1]
    with bellhop.services.database.reading() as session:
        bodies = [json.loads(body)["data"] for body in session.scalars(select(Callback.body))]
    answered_by = {(one["by"]["user_id"], one["incident"]["state_by"]) for one in bodies}
    assert (len(bodies), answered_by) == (9, {("deleted", "deleted")})
    worker = Hand(bellhop)
    for _ in range(9):
        deliver(bellhop, worker)
    assert not any(is_named(text) for text in shown(bellhop))


def shown(bellhop: Bellhop) -> list[str]:
    messages = bellhop.slack.messages(GENERAL)
    return [json.dumps([one.text, one.blocks, one.attachments]) for one in messages]


def is_named(text: str) -> bool:
    return "Ann Archer" in text or "Ben Baker" in text
