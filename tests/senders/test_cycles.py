"""Many alerts that fire and end: one message for each group and channel, and none stays red."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import select

from bolt_app.db.models import IS_OPEN, Delivery
from bolt_app.severity import COLOURS
from tests.delivering import delivering, install_without_limits, quick_bellhop
from tests.people import ACME, GENERAL
from tests.running import Bellhop
from tests.senders.fixtures import fixture
from tests.web.calling import call_app

pytestmark = [pytest.mark.slow, pytest.mark.sqlite_only]

RANDOM = "C0ACME0002"
GROUPS = 20
# The others go to one channel: most of the time is that of the deliveries.
GROUPS_IN_TWO_CHANNELS = 4
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
        create = bellhop.services.webhooks.create
        to_one, to_two = (create(ACME, "alerts", to) for to in ([GENERAL], [GENERAL, RANDOM]))

        def cycle(group: int) -> None:
            url = to_two if group < GROUPS_IN_TWO_CHANNELS else to_one
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

        for channel_id, groups in ((GENERAL, GROUPS), (RANDOM, GROUPS_IN_TWO_CHANNELS)):
            messages = bellhop.slack.messages(channel_id)
            assert len(messages) <= groups
            assert {one.attachments[0]["color"] for one in messages} == {COLOURS["success"]}


def is_calm(bellhop: Bellhop) -> bool:
    """Whether nothing is to be delivered any more."""
    with bellhop.services.database.reading_connection() as connection:
        return connection.execute(select(Delivery.id).where(IS_OPEN).limit(1)).first() is None
