"""Many alerts that fire and end: one message for each group and channel, and none stays red."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import pytest

from bolt_app.severity import COLOURS
from tests.delivering import delivering, install_without_limits, quick_bellhop
from tests.people import ACME, GENERAL
from tests.running import Bellhop
from tests.senders.fixtures import fixture
from tests.web.calling import call_app

pytestmark = [pytest.mark.slow, pytest.mark.sqlite_only]

RANDOM = "C0ACME0002"
GROUPS = 20
# 1,000 cycles in all.
CYCLES_A_GROUP = 50
PATIENCE_SECONDS = 300


def body(state: str, group: int) -> bytes:
    """Return a recorded body as one of a group."""
    recorded: dict[str, Any] = fixture("alertmanager", state).body
    labels = {**recorded["commonLabels"], "alertname": f"Alert{group}"}
    changed = {**recorded, "groupKey": f"group {group}", "commonLabels": labels}
    return json.dumps(changed).encode()


def test_many_cycles_leave_one_green_message_a_group_and_channel(
    database_url: str, encryption_key: str
) -> None:
    with quick_bellhop(database_url, encryption_key) as bellhop:
        install_without_limits(bellhop)
        url = bellhop.services.webhooks.create(ACME, "alerts", [GENERAL, RANDOM])

        def cycle(group: int) -> None:
            bodies = [body(state, group) for state in ("firing", "resolved")]
            # The alerts of a group come one after the other, as Alertmanager sends them.
            for _ in range(CYCLES_A_GROUP):
                for one in bodies:
                    assert call_app(bellhop, "POST", url, one).text == "ok"

        with delivering(bellhop), ThreadPoolExecutor(GROUPS) as pool:
            list(pool.map(cycle, range(GROUPS)))
            ends = monotonic() + PATIENCE_SECONDS
            while not is_calm(bellhop):
                assert monotonic() < ends
                bellhop.slack.wait_for_change(bellhop.slack.version, 0.5)

        for channel_id in (GENERAL, RANDOM):
            messages = bellhop.slack.messages(channel_id)
            assert len(messages) <= GROUPS
            assert {one.attachments[0]["color"] for one in messages} == {COLOURS["success"]}


def is_calm(bellhop: Bellhop) -> bool:
    """Whether nothing is to be delivered any more."""
    with bellhop.services.database.reading_connection() as connection:
        rows = connection.exec_driver_sql(
            "SELECT count(*) FROM deliveries WHERE state IN ('waiting', 'sending', 'scheduled')"
        )
        return rows.scalar() == 0
