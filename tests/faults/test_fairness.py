"""Ten thousand messages delay neither an urgent one of their workspace, nor another workspace."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from bolt_app.clock import utc_now
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.intake.sender import Sender
from tests.delivering import quick_bellhop
from tests.faults.load import posts, wait_until
from tests.faults.worker_process import working
from tests.notifications.hand import accept, texts
from tests.people import ACME, ANN, BETA, GENERAL
from tests.running import Bellhop

FLOOD, CHANNELS, BATCH = 10_000, 100, 100
# At the pace of production.
SOON_SECONDS = 2
FIRST = 20


@pytest.fixture
def flooded(database_url: str, encryption_key: str) -> Iterator[Bellhop]:
    """Return a workspace with a backlog, at Slack's pace."""
    pace = {"channel_per_minute": 60, "workspace_per_minute": 300}
    with quick_bellhop(database_url, encryption_key, **pace) as bellhop:
        bellhop.slack.limits.enabled = False
        bellhop.install(ANN)
        [installation] = bellhop.slack.installations.values()
        members = [str(installation.bot_user_id)]
        bellhop.install("U0ANN00002")
        channels = [
            bellhop.slack.add_channel(ACME, f"flood-{n}", members=members).id
            for n in range(CHANNELS)
        ]
        for _ in range(FLOOD // BATCH):
            requests = [
                NotificationRequest.model_validate({"to": one, "text": "flood"}) for one in channels
            ]
            bellhop.services.intake.submit(Sender(ACME, "command"), requests)
        yield bellhop


def is_delivered(bellhop: Bellhop, channel_id: str) -> bool:
    return bool(texts(bellhop, channel_id))


def test_the_urgent_and_other_workspaces_go_first(flooded: Bellhop) -> None:
    there = flooded.slack.add_channel(BETA, "there").id
    with working(flooded.settings):
        # More than it may post at once: from now on its pace is what keeps messages waiting.
        wait_until(lambda: posts(flooded) > FIRST)
        began = utc_now().timestamp()
        accept(flooded, GENERAL, "fire", severity="critical")
        accept(flooded, there, "calm", team_id=BETA)
        for channel_id in (GENERAL, there):
            wait_until(partial(is_delivered, flooded, channel_id), seconds=30)

    for channel_id in (GENERAL, there):
        [message] = flooded.slack.messages(channel_id)
        assert float(message.ts) - began < SOON_SECONDS
