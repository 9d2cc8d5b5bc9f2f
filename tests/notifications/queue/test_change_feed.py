"""The change feed: each transaction that changes deliveries stamps them with its number."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import bolt_app
from bolt_app.credentials.sources import Credential, SourceKind
from bolt_app.db.models import Delivery, WorkspaceQueue
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.slack import ids
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop
from tests.sources import parsed

Operation = Callable[[Bellhop], object]
CI = Credential(SourceKind.API_KEY, 1)
ALL_ANSWERS: list[Any] = ["acknowledge", "assign", "resolve", "snooze", "mute"]

# The modules that write deliveries. UNNUMBERED ones write only columns that no owner has in memory:
# its own begins and finishes, positions of messages, and permalinks.
NUMBERED = {
    "intake/store.py",
    "delivery/transitions.py",
    "history/erasure.py",
    "history/service.py",
    "digests/hold.py",
    "incidents/messages.py",
    "messages/service.py",
    "messages/store.py",
    "queue/merged_subscriptions.py",
    "queue/moved_channels.py",
    "digests/release.py",
    "subscriptions/service.py",
}
UNNUMBERED = {
    "delivery/replaced_messages.py",
    "delivery/statements.py",
    "delivery/store.py",
    "history/permalinks.py",
}


def rows(bellhop: Bellhop) -> dict[int, tuple[Any, ...]]:
    with bellhop.services.database.reading() as session:
        columns = (Delivery.id, Delivery.seq, Delivery.state, Delivery.lane_id, Delivery.send_at)
        found = session.execute(select(*columns))
        return {row.id: tuple(row)[1:] for row in found}


def number(bellhop: Bellhop) -> int:
    with bellhop.services.database.reading() as session:
        mine = select(WorkspaceQueue.seq).where(WorkspaceQueue.team_id == ACME)
        return session.scalar(mine) or 0


@contextmanager
def numbered(bellhop: Bellhop) -> Iterator[None]:
    """Check that the block changes deliveries, and that each changed one has a new number."""
    before, seq = rows(bellhop), number(bellhop)
    yield
    changed = {id_: row for id_, row in rows(bellhop).items() if before.get(id_) != row}
    assert changed
    assert all(seq < row[0] <= number(bellhop) for row in changed.values()), (before, changed)


@pytest.fixture
def busy(bellhop: Bellhop) -> Bellhop:
    """Return a workspace with deliveries in every state that can change."""
    bellhop.install(ANN)
    services = bellhop.services
    for address in (GENERAL, ANN):
        services.subscriptions.subscribe(
            ACME, address, SubscriptionSpec("deploys", digest=Schedule())
        )
    accept(bellhop, GENERAL, "asks", key="cpu", actions=["acknowledge", "resolve"])
    Hand(bellhop).deliver()
    bellhop.clock.advance(1)
    services.intake.submit(Sender(ACME, CI.name), [request(GENERAL, "of a key")])
    accept(bellhop, "#random", "by name")
    accept(bellhop, "#nowhere", "to nobody")
    accept(bellhop, ANN, "to Ann", delay=3600)
    for title in ("one", "two"):
        accept(bellhop, "topic:deploys", title=title)
    return bellhop


def request(to: str, text: str) -> NotificationRequest:
    return NotificationRequest.model_validate({"to": to, "text": text})


def id_of(bellhop: Bellhop, state: str) -> str:
    with bellhop.services.database.reading() as session:
        mine = select(Delivery.notification_id).where(Delivery.state == state)
        return session.scalars(mine.order_by(Delivery.id)).first() or ""


def kill_one(bellhop: Bellhop) -> str:
    notification_id = id_of(bellhop, "waiting")
    with bellhop.services.database.writing() as session:
        for one in session.scalars(
            select(Delivery).where(Delivery.notification_id == notification_id)
        ):
            one.state = "dead"
    return notification_id


def move(bellhop: Bellhop) -> None:
    bellhop.slack.send_event(
        ACME,
        {
            "type": "channel_id_changed",
            "old_channel_id": GENERAL,
            "new_channel_id": "C0ACME0009",
            "event_ts": "1.0",
        },
    )


def unlink(bellhop: Bellhop) -> None:
    asked = bellhop.slack.send_command(ANN, GENERAL, "/profile", "unlink").message
    assert asked is not None
    assert bellhop.slack.click(ANN, asked, ids.UNLINK_PROFILE, confirmed=True).error is None


def due(bellhop: Bellhop) -> None:
    """Release held deliveries and promote scheduled ones, without beginning any."""
    bellhop.clock.advance(7200)
    Hand(bellhop).dispatcher._transitions.promote(range(64))


def named(bellhop: Bellhop) -> None:
    workspace = bellhop.services.client.find_workspace(ACME)
    listed_at = bellhop.services.channels.refresh_listing(workspace)
    Hand(bellhop).dispatcher._transitions.end_unlisted(ACME, listed_at)


OPERATIONS: dict[str, Operation] = {
    "accept": lambda bellhop: accept(bellhop, GENERAL, "new"),
    "hurry": lambda bellhop: [
        accept(bellhop, GENERAL, "first", key="db"),
        accept(bellhop, GENERAL, "then", key="db", severity="critical"),
    ],
    "cancel": lambda bellhop: bellhop.services.history.cancel(ACME, id_of(bellhop, "scheduled")),
    "cancel_all": lambda bellhop: bellhop.services.history.cancel_all(CI),
    "move": move,
    "due": due,
    "named": named,
    "unlink": unlink,
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
def test_operations_that_change_deliveries_are_numbered(
    busy: Bellhop, operation: Operation
) -> None:
    with numbered(busy):
        operation(busy)


def test_a_retry_is_numbered(busy: Bellhop) -> None:
    notification_id = kill_one(busy)

    with numbered(busy):
        busy.services.history.retry(ACME, notification_id)


def test_the_early_end_of_a_mute_is_numbered(busy: Bellhop) -> None:
    mute = busy.services.subscriptions.mute
    mute(ACME, GENERAL, busy.clock() + timedelta(days=1))
    due(busy)

    with numbered(busy):
        mute(ACME, GENERAL, None)


@pytest.mark.parametrize("is_posted", [False, True], ids=["waiting", "posted"])
@pytest.mark.parametrize("change", ["edit", "delete", "react"])
def test_changes_of_messages_are_numbered(bellhop: Bellhop, change: str, is_posted: bool) -> None:
    bellhop.install(ANN)
    bellhop.services.api_keys.create(ACME, "ci")
    sender, messages = Sender(ACME, CI.name), bellhop.services.messages
    first = request(GENERAL, "of a key")
    result = bellhop.services.intake.submit(sender, [first], as_messages=True)
    ts = str(result.notifications[0].deliveries[0].provisional_ts)
    if is_posted:
        Hand(bellhop).deliver()

    with numbered(bellhop):
        if change == "edit":
            messages.edit(sender, [GENERAL], ts, (), lambda _: request(GENERAL, "changed"))
        elif change == "delete":
            messages.delete(sender, [GENERAL], ts)
        else:
            messages.react(sender, [GENERAL], ts, "eyes")


@pytest.mark.parametrize("answer", ALL_ANSWERS)
def test_an_answer_is_numbered(busy: Bellhop, answer: IncidentAnswer) -> None:
    before = number(busy)
    notification_id = id_of(busy, "sent")

    changed = busy.services.incidents.answer(
        ACME, notification_id, ANN, answer, timedelta(minutes=5)
    )

    assert changed
    assert number(busy) > before


def test_the_sweep_knows_every_module_that_writes_deliveries() -> None:
    folder = Path(bolt_app.__file__).parent / "notifications"
    writing = {
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        if any(_writes_deliveries(node) for node in ast.walk(parsed(path)))
    }

    assert writing == NUMBERED | UNNUMBERED


def _writes_deliveries(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return False
    text = ast.unparse(node.args[0]) if node.args else ""
    is_delivery = text in ("Delivery", "_DELIVERIES", "Delivery.__table__")
    return node.func.id in ("update", "insert") and is_delivery
