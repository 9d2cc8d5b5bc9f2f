"""Readiness of workers and web processes, by whether shards have owners."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import cast
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from bolt_app.config import Settings
from bolt_app.db import Database
from bolt_app.db.models import SHARD_COUNT
from bolt_app.health_server import serving_health
from bolt_app.notifications.delivery.ownership import Ownership
from bolt_app.readiness import Readiness
from bolt_app.worker import create_ownership
from tests.notifications.delivery.conftest import DELAYS


class FakeMonotonic:
    """A clock that only moves by hand."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def monotonic() -> FakeMonotonic:
    return FakeMonotonic()


@pytest.fixture
def readiness(database: Database, monotonic: FakeMonotonic) -> Readiness:
    return Readiness(database, DELAYS, monotonic=monotonic)


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def ownership(settings: Settings, database: Database, loop: asyncio.Runner) -> Iterator[Ownership]:
    one = create_ownership(settings, database)
    yield one
    loop.run(one.leave())


def test_a_web_process_reports_shards_without_an_owner_and_is_ready(
    readiness: Readiness, ownership: Ownership, monotonic: FakeMonotonic, loop: asyncio.Runner
) -> None:
    assert readiness.check() == ({"status": "ok", "shards_without_owner": SHARD_COUNT}, 200)

    loop.run(ownership.step(monotonic()))
    assert readiness.check() == ({"status": "ok", "shards_without_owner": 0}, 200)

    monotonic.now += 10 * DELAYS.unowned_alarm
    assert readiness.check()[1] == 200


def test_a_worker_is_not_ready_while_a_shard_has_no_owner_for_long(
    readiness: Readiness, ownership: Ownership, monotonic: FakeMonotonic, loop: asyncio.Runner
) -> None:
    readiness.watch(ownership)
    monotonic.now += DELAYS.unowned_alarm - 0.5
    assert readiness.check()[1] == 200

    monotonic.now += 1
    body, status = readiness.check()
    assert (status, body["status"], body["shards_without_owner"]) == (503, "unavailable", 64)
    assert re.search("no worker for [34] seconds", str(body["reason"]))

    loop.run(ownership.step(monotonic()))
    assert readiness.check() == ({"status": "ok", "shards_without_owner": 0}, 200)


def test_a_worker_whose_loop_has_stopped_is_not_ready(
    readiness: Readiness, ownership: Ownership, monotonic: FakeMonotonic, loop: asyncio.Runner
) -> None:
    readiness.watch(ownership)
    loop.run(ownership.step(monotonic()))

    monotonic.now += DELAYS.unowned_alarm + 1

    assert readiness.check()[1] == 503


@pytest.mark.sqlite_only
def test_an_owner_without_a_sign_of_life_is_reported(
    readiness: Readiness, ownership: Ownership, monotonic: FakeMonotonic, loop: asyncio.Runner
) -> None:
    loop.run(ownership.step(monotonic()))
    assert readiness.check()[0]["shards_without_owner"] == 0

    time.sleep(DELAYS.owner_silence)

    assert readiness.check()[0]["shards_without_owner"] == SHARD_COUNT


def get(port: int, path: str) -> tuple[int, object]:
    try:
        answer = urlopen(f"http://127.0.0.1:{port}{path}", timeout=20)
    except HTTPError as error:
        answer = error
    with answer:
        return answer.status, json.loads(answer.read())


def test_a_worker_serves_its_health(
    readiness: Readiness, ownership: Ownership, monotonic: FakeMonotonic
) -> None:
    readiness.watch(ownership)
    with serving_health(readiness, "127.0.0.1", 0) as port:
        assert get(port, "/healthz") == (200, {"status": "ok"})
        assert get(port, "/readyz")[0] == 200
        monotonic.now += DELAYS.unowned_alarm + 1
        assert get(port, "/readyz")[0] == 503
        assert get(port, "/metrics")[0] == 404


@dataclass
class Checked:
    """Readiness that fails like a bug, or whose client has gone when it is known."""

    check: Callable[[], tuple[dict[str, object], int]]


def request_readiness(checked: Checked, client: socket.socket) -> None:
    """Request `/readyz`, and wait for the thread that answers."""
    with serving_health(cast(Readiness, checked), "127.0.0.1", 0) as port:
        client.connect(("127.0.0.1", port))
        client.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
        with suppress(OSError):
            while client.recv(4096):
                pass
        for thread in threading.enumerate():
            if "process_request" in thread.name:
                thread.join(20)


def test_an_error_of_a_workers_health_check_is_logged_without_its_message(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> tuple[dict[str, object], int]:
        raise RuntimeError("private words")

    with socket.socket() as client:
        request_readiness(Checked(fail), client)

    assert [one.getMessage() for one in caplog.records] == ["a health check could not be answered"]
    assert capfd.readouterr().err == ""


def test_a_client_that_resets_a_health_check_is_not_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as client:

        def reset() -> tuple[dict[str, object], int]:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # Half of it wakes the client's thread, which still reads.
            client.shutdown(socket.SHUT_RD)
            client.close()
            return {"status": "ok"}, 200

        request_readiness(Checked(reset), client)

    assert caplog.records == []
    assert capfd.readouterr().err == ""


def test_a_database_outage_makes_it_unready(encryption_key: str) -> None:
    database = Database("postgresql+psycopg://bell:sesame@127.0.0.1:9/bellhop", [encryption_key])

    body, status = Readiness(database, DELAYS).check()

    assert status == 503
    assert body == {"status": "unavailable", "reason": "The database is not answering."}
    database.close()
