"""A worker is killed while it uploads a file to Slack and posts its message."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from bolt_app.db.models import Delivery
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.delivery.file_links import SCOPE
from tests.delivering import quick_bellhop, wait_until
from tests.faults.load import DELAYS
from tests.faults.worker_process import Death, start_worker, working
from tests.people import ACME, ANN
from tests.running import Bellhop
from tests.web.methods.calling import method_caller
from tests.web.methods.uploading import share

START_SECONDS = 30
DATA = b"\0\xff" * 300_000


@pytest.fixture
def bellhop(database_url: str, encryption_key: str) -> Iterator[Bellhop]:
    """Run Bellhop in real time, with a bot that may upload files."""
    with quick_bellhop(database_url, encryption_key, delays=DELAYS) as running:
        running.slack.limits.enabled = False
        running.install(ANN, optional=[SCOPE])
        yield running


def is_sent(bellhop: Bellhop) -> bool:
    with bellhop.services.database.reading() as session:
        return session.scalars(select(Delivery.state)).one() == DeliveryState.SENT


# The checks before the three requests of a delivery with one file: the second comes after the
# bytes were sent, the third after the upload.
@pytest.mark.parametrize(
    "death",
    [Death("checked", 2), Death("checked", 3), Death("answered", 1)],
    ids=["before the upload is completed", "before the post", "after the post"],
)
def test_one_message_with_one_copy(bellhop: Bellhop, death: Death) -> None:
    [installation] = bellhop.slack.installations.values()
    members = [str(installation.bot_user_id)]
    channel = bellhop.slack.add_channel(ACME, "files", members=members)
    share(method_caller(bellhop), channel.id, DATA)

    worker = start_worker(bellhop.settings, death)
    worker.join(START_SECONDS)
    assert worker.exitcode == -signal.SIGKILL
    with working(bellhop.settings):
        wait_until(bellhop, lambda: is_sent(bellhop))

    [message] = bellhop.slack.messages(channel.id)
    [copy] = [file for file in bellhop.slack.files.values() if file.is_complete]
    assert copy.data == DATA
    assert message.text == f"<{bellhop.slack_url}/files/{copy.user_id}/{copy.id}|a.txt>"
