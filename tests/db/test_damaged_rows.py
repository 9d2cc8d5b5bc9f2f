"""Damaged values: an unreadable stored value affects only its owner, who is notified.

Every column that is parsed when it is read is damaged in turn, in one row among healthy ones. Then
everything that reads such rows is done for others: it works, and the log has no content.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import time
from io import StringIO
from itertools import zip_longest
from typing import Any

import pytest
from sqlalchemy import text

from bolt_app.db.content import UNREADABLE
from bolt_app.db.models import Base
from bolt_app.db.types import JsonObject, TimeOfDay, UTCDateTime
from bolt_app.notifications.content.modes import Mode
from bolt_app.notifications.digests.preferences import NotificationPreferences
from bolt_app.notifications.history.search import HistoryQuery
from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.notifications.subscriptions.schedules import QuietHours, Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionChange, SubscriptionSpec
from bolt_app.slack import ids
from tests.commands import run
from tests.notifications.hand import Hand, accept, states
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop, Browser

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

DEPLOYS = "C0ACME0003"
# This must not appear in the log.
SECRET = "s3cr3t"
GARBAGE = f"(((( {SECRET}"
# Columns that are parsed, although their type does not show it.
TEXTS: dict[tuple[str, str], list[str]] = {
    ("subscriptions", "topic"): [GARBAGE, ""],
    ("subscriptions", "address"): [GARBAGE, "", "topic:x"],
    ("subscriptions", "filter"): [GARBAGE, f'"{SECRET}', "severity>=apocalyptic"],
    ("subscriptions", "mode"): [SECRET],
    ("subscriptions", "digest"): [SECRET, "daily 99:99", "weekly"],
    ("subscriptions", "digest_tz"): [f"Mars/{SECRET}", "", "../../etc/passwd"],
    ("subscriptions", "paused"): [SECRET],
    ("preferences", "direct"): [SECRET, "", "daily", "daily 99:99"],
    ("preferences", "tz"): [f"Mars/{SECRET}", ""],
    ("users", "tz"): [f"Mars/{SECRET}"],
    ("users", "images"): ['{"x": 1}', '{"72": 1}'],
    ("notifications", "content"): [
        "[]",
        '"x"',
        "{}",
        '{"severity": "apocalyptic"}',
        '{"severity": 5}',
        '{"title": 1, "text": ["x"]}',
        '{"fields": "x"}',
        '{"fields": [{"name": 1}]}',
        '{"text": "x", "blocks": 1, "attachments": ["x"], "mentions": 5, "actions": 1}',
        '{"text": "x", "link": 5, "image_url": {}, "mrkdwn": "no"}',
    ],
    ("notifications", "source"): [GARBAGE, "api_key:x", "hook:", "slack"],
    ("notifications", "topics"): [GARBAGE],
    ("deliveries", "state"): [SECRET],
    ("deliveries", "mode"): [SECRET],
    ("deliveries", "on_unknown"): [SECRET],
    ("deliveries", "error"): [GARBAGE],
    ("incidents", "state"): [SECRET],
    ("api_keys", "scopes"): [GARBAGE],
    ("api_keys", "channels"): [GARBAGE],
    ("webhooks", "target"): [GARBAGE, ""],
    ("callbacks", "body"): [GARBAGE, "{}"],
    ("callback_endpoints", "url"): [GARBAGE],
    ("callback_endpoints", "secret"): [GARBAGE],
    ("token_revocations", "token"): [GARBAGE],
}
TYPES = (UTCDateTime, TimeOfDay, JsonObject)
# The rows that are damaged, and then read while others are served.
ROWS = {
    "subscriptions": "id = 1",  # Ann's
    "preferences": f"user_id = '{BEN}'",
    "users": f"user_id = '{ANN}'",
    "memberships": "id = 1",
    "notifications": "id IN (SELECT notification_id FROM deliveries WHERE target = 'C0ACME0003')",
    "deliveries": "target = 'C0ACME0003'",
    "incidents": "key LIKE '%|damaged'",
    "api_keys": "name = 'damaged'",
    "webhooks": "name = 'damaged'",
    "callbacks": "id = 1",
    "callback_endpoints": "api_key_id = 1",
    "token_revocations": "id = 1",
}


@dataclass(frozen=True)
class Damage:
    """A value in some columns of a table's damaged row."""

    table: str
    columns: tuple[str, ...]
    value: str


def damages() -> Iterator[Damage]:
    """Yield every damage."""
    for (name, column), values in TEXTS.items():
        yield from (Damage(name, (column,), value) for value in values)
    for table in Base.metadata.sorted_tables:
        columns = tuple(item.name for item in table.columns if isinstance(item.type, TYPES))
        if table.name in ROWS and columns:
            yield Damage(table.name, columns, GARBAGE)


def sets_of_damages() -> list[list[Damage]]:
    """Return every damage once; those of a set are in different tables, so that none hides another.

    A running app for each of them would take a minute.
    """
    by_table: dict[str, list[Damage]] = {}
    for one in damages():
        by_table.setdefault(one.table, []).append(one)
    return [[one for one in row if one is not None] for row in zip_longest(*by_table.values())]


SETS = sets_of_damages()


@pytest.fixture
def world(bellhop: Bellhop) -> Bellhop:
    """A row of each kind to damage, and an intact one beside it."""
    services = bellhop.services
    bellhop.install(ANN)
    for name in ("damaged", "healthy"):
        services.api_keys.create(ACME, name)
        services.webhooks.create(ACME, name, [GENERAL])
    for key_id in (1, 2):
        services.callback_endpoints.set(key_id, "http://127.0.0.1:9/callback")
    wish = SubscriptionSpec(
        "deploys", "severity>=info", Mode.THREAD, digest=Schedule(time(9), "Europe/Helsinki")
    )
    services.subscriptions.subscribe(ACME, ANN, wish)
    services.subscriptions.subscribe(ACME, GENERAL, SubscriptionSpec("deploys"))
    services.subscriptions.subscribe(ACME, DEPLOYS, SubscriptionSpec("held", digest=Schedule()))
    quiet = QuietHours(time(22), time(7))
    services.preferences.choose(
        ACME, BEN, NotificationPreferences(quiet, "daily 09:00", "Europe/Helsinki")
    )
    accept(bellhop, DEPLOYS, title="x", severity="info", key="damaged", actions=["acknowledge"])
    accept(bellhop, DEPLOYS, title="y")
    with services.database.writing_connection() as connection:
        now = services.clock().isoformat(" ")
        connection.execute(
            text(
                "INSERT INTO callbacks"
                " (api_key_id, message_id, body, attempts, next_at, created_at)"
                " VALUES (1, 'm1', '{}', 0, :now, :now), (2, 'm2', '{}', 0, :now, :now)"
            ),
            {"now": now},
        )
        connection.execute(
            text("INSERT INTO token_revocations (token, created_at) VALUES ('x', :now)"),
            {"now": now},
        )
    return bellhop


def damage(bellhop: Bellhop, table: str, column: str, value: str) -> int:
    statement = f"UPDATE {table} SET {column} = :value WHERE {ROWS[table]}"  # noqa: S608
    with bellhop.services.database.writing_connection() as connection:
        return connection.execute(text(statement), {"value": value}).rowcount


def damage_all(bellhop: Bellhop, damages: Sequence[Damage]) -> None:
    for one in damages:
        for column in one.columns:
            assert damage(bellhop, one.table, column, one.value), one


def home(bellhop: Bellhop, user_id: str) -> str:
    before = len(bellhop.slack.calls_to("views.publish"))
    bellhop.slack.open_home(user_id, ACME)
    bellhop.slack.deliver_due()
    assert len(bellhop.slack.calls_to("views.publish")) > before
    view = bellhop.slack.home_view(ACME, user_id)
    assert view is not None
    return json.dumps(view.blocks, ensure_ascii=False)


def ask(bellhop: Bellhop, user_id: str, words: str, channel_id: str | None = None) -> str:
    where = channel_id or bellhop.slack.app_dm(ACME, user_id).id
    message = bellhop.slack.send_command(user_id, where, "/notify", words).message
    assert message is not None
    said = json.dumps([message.text, message.blocks], ensure_ascii=False)
    assert "Something went wrong" not in said
    return said


def live(bellhop: Bellhop, browser: Browser, ids: list[str]) -> None:
    """Do everything that reads rows."""
    services = bellhop.services
    sent = accept(bellhop, ["topic:deploys", BEN], title="All is well", severity="warning")
    # Signed requests use the test's clock: held deliveries are an hour old.
    bellhop.clock.advance(-3600)
    for title in ("One", "Two"):
        accept(bellhop, "topic:held", title=title)
    bellhop.clock.advance(3600)
    worker = Hand(bellhop)
    for _ in range(5):
        worker.deliver()
        bellhop.clock.advance(2)
    report = services.history.find(ACME, sent)
    assert report is not None
    assert {delivery.to: delivery.state for delivery in report.deliveries}[GENERAL] == "sent"
    for user_id in (ANN, BEN):
        home(bellhop, user_id)
        ask(bellhop, user_id, "list")
    ask(bellhop, BEN, "subscribe deploys", DEPLOYS)
    ask(bellhop, BEN, "unsubscribe deploys", DEPLOYS)
    for command in ("topic", "api-key", "webhook"):
        arguments = [command, "list", "--team", ACME]
        result = run(bellhop, *arguments)
        assert result.exit_code == 0, (command, result.output, result.exception)
    services.history.search(ACME, HistoryQuery())
    assert [browser.get(f"/notifications/{item}").status for item in [sent, *ids]] == [200] * 3
    assert browser.get("/profile").status == 200
    services.incidents.answer(ACME, ids[0], BEN, IncidentAnswer.ACKNOWLEDGE)
    services.callback_sender.send_due()
    services.revocations.revoke_pending()


@pytest.mark.slow
@pytest.mark.parametrize("damages", SETS, ids=range(len(SETS)))
def test_a_damaged_value_does_not_affect_others(world: Bellhop, damages: list[Damage]) -> None:
    browser, _ = world.install(BEN, query="?only=profile")
    with world.services.database.reading_connection() as connection:
        found = connection.execute(text("SELECT id FROM notifications ORDER BY id LIMIT 2"))
        ids = [row.id for row in found]
    damage_all(world, damages)

    with logged() as log:
        live(world, browser, ids)

    assert log.getvalue()
    assert SECRET not in log.getvalue()


@contextmanager
def logged() -> Iterator[StringIO]:
    """Log to a text: with `caplog` no install would be restored."""
    log = StringIO()
    handler, root = logging.StreamHandler(log), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield log
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


@pytest.mark.slow
@pytest.mark.parametrize("damages", SETS, ids=range(len(SETS)))
def test_a_damaged_value_does_not_block_deletion(world: Bellhop, damages: list[Damage]) -> None:
    world.install(BEN, query="?only=profile")
    damage_all(world, damages)
    asked = world.slack.send_command(BEN, GENERAL, "/profile", "unlink").message
    assert asked is not None
    world.slack.click(BEN, asked, ids.UNLINK_PROFILE, confirmed=True)
    assert world.services.profiles.find(ACME, BEN) is None

    world.slack.uninstall(ACME)
    world.settle()

    assert world.services.profiles.find(ACME, ANN) is None


# Its owner is notified.


def test_an_unreadable_subscription_is_reported(world: Bellhop) -> None:
    damage(world, "subscriptions", "filter", GARBAGE)

    for shown in (home(world, ANN), ask(world, ANN, "list")):
        assert "not used: its filter is damaged" in shown
    listed = run(world, "topic", "list", "--team", ACME).output
    assert "not used, damaged: filter" in listed
    ask(world, ANN, "subscribe deploys")
    assert "is damaged" not in home(world, ANN)


def test_preferences_that_cannot_be_read_say_so(world: Bellhop) -> None:
    damage(world, "preferences", "direct", GARBAGE)

    shown = home(world, BEN)

    assert "is damaged and not used: direct notifications" in shown
    assert "quiet hours from 22:00" in shown


def test_unreadable_content_is_reported(world: Bellhop) -> None:
    browser, _ = world.install(BEN, query="?only=profile")
    id_ = accept(world, GENERAL, title="x")
    with world.services.database.writing_connection() as connection:
        connection.execute(
            text("UPDATE notifications SET content = 'x' WHERE id = :id"), {"id": id_}
        )

    assert UNREADABLE in browser.get(f"/notifications/{id_}").text
    Hand(world).deliver()
    assert states(world, id_) == ["sent"]


@pytest.mark.parametrize("target", [GARBAGE, "", "topic:(("])
def test_a_webhook_with_an_unreadable_destination_rejects(world: Bellhop, target: str) -> None:
    url = world.services.webhooks.create(ACME, "mine", [GENERAL])
    with world.services.database.writing_connection() as connection:
        connection.execute(
            text("UPDATE webhooks SET target = :target WHERE name = 'mine'"), {"target": target}
        )

    page = world.browser().post(url, {"payload": '{"text": "x"}'})

    assert page.status < 500


def test_an_unreadable_installation_does_not_block_others(
    world: Bellhop,
) -> None:
    world.install(BEN, query="?only=profile")
    with world.services.database.writing_connection() as connection:
        connection.execute(text("UPDATE installations SET profile_recorded_at = NULL"))
        connection.execute(
            text("UPDATE installations SET user_token = 'x' WHERE user_id = :user_id"),
            {"user_id": ANN},
        )

    assert world.services.profiles.record_pending() == (1, [])


def test_a_button_brings_back_nothing_that_cannot_be_read(world: Bellhop) -> None:
    subscriptions = world.services.subscriptions
    [stored] = subscriptions.of_address(ACME, GENERAL)
    bad: list[dict[str, Any]] = [
        {"filter": GARBAGE},
        {"mode": "shout"},
        {"digest": Schedule(None, "Mars/Phobos")},
        {"topic": "a b"},
    ]
    for given in bad:
        before = SubscriptionSpec(**{"topic": "deploys", **given})
        change = SubscriptionChange("deploys", before, stored.changed_at, stored.id)
        assert subscriptions.undo(ACME, GENERAL, [change]) is False
    assert subscriptions.of_address(ACME, GENERAL) == [stored]
