"""Repeated PostgreSQL outages under load: nothing is lost, duplicated or overtaken."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest
from sqlalchemy import create_engine, make_url, text

from bolt_app.db import DATABASE_UNAVAILABLE
from tests.delivering import quick_bellhop
from tests.faults.load import (
    CHANNELS,
    DELAYS,
    MANY_EACH,
    Load,
    Result,
    posts,
    wait_until,
)
from tests.faults.tcp_proxy import TcpProxy
from tests.faults.worker_process import working

OUTAGES, OUTAGE_SECONDS = 5, 2
BREAK_OFF = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = :name"
)
pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
]


@contextmanager
def accepting(load: Load) -> Iterator[None]:
    """Submit everything meanwhile; unanswered requests are repeated, as by clients."""
    with ThreadPoolExecutor(1) as sender:
        done = sender.submit(accept_whatever_happens, load)
        yield
        done.result()


def accept_whatever_happens(load: Load) -> None:
    for number in load.numbers:
        wait_until(partial(is_accepted, load, number))


def is_accepted(load: Load, number: int) -> bool:
    try:
        load.accept_batch(number)
    except DATABASE_UNAVAILABLE:
        return False
    return True


def are_sent(load: Load, number: int) -> bool:
    try:
        return load.has_sent(number)
    except DATABASE_UNAVAILABLE:
        return False


def at_intervals(load: Load) -> Iterable[int]:
    """Return the numbers of sent deliveries at which something happens."""
    return range(load.total // 20, load.total, load.total // OUTAGES)


def test_terminated_connections(database_url: str, encryption_key: str) -> None:
    name = f"bellhop-{uuid.uuid4().hex}"
    url = make_url(database_url).update_query_dict({"application_name": name})
    server = create_engine(database_url)
    with quick_bellhop(
        url.render_as_string(hide_password=False), encryption_key, delays=DELAYS
    ) as bellhop:
        load = Load(bellhop)
        load.accept()
        with working(bellhop.settings):
            for number in at_intervals(load):
                wait_until(partial(are_sent, load, number))
                with server.connect() as connection:
                    assert connection.scalar(BREAK_OFF, {"name": name}) > 0
            wait_until(partial(are_sent, load, load.total))

        assert load.result() == Result()
    server.dispose()


@pytest.fixture
def tcp_proxy(database_url: str) -> Iterator[TcpProxy]:
    url = make_url(database_url)
    with TcpProxy(url.host or "127.0.0.1", url.port or 5432) as running:
        yield running


def through(tcp_proxy: TcpProxy, database_url: str) -> str:
    """Return the database's URL through `tcp_proxy`, unencrypted so that the proxy can read it."""
    url = make_url(database_url).set(host="127.0.0.1", port=tcp_proxy.port)
    return url.update_query_dict({"sslmode": "disable"}).render_as_string(hide_password=False)


def test_a_server_that_is_down_for_a_while(
    tcp_proxy: TcpProxy, database_url: str, encryption_key: str
) -> None:
    with quick_bellhop(through(tcp_proxy, database_url), encryption_key, delays=DELAYS) as bellhop:
        load = Load(bellhop)
        with working(bellhop.settings), accepting(load):
            load.wait_until_sent(CHANNELS)
            with tcp_proxy.outage():
                time.sleep(OUTAGE_SECONDS)
            load.wait_until_sent()

        assert load.result() == Result()


def test_broken_lock_sessions(tcp_proxy: TcpProxy, database_url: str, encryption_key: str) -> None:
    session_url = through(tcp_proxy, database_url)
    with quick_bellhop(
        database_url, encryption_key, delays=DELAYS, database_session_url=session_url
    ) as bellhop:
        load = Load(bellhop)
        load.accept()
        with working(bellhop.settings), working(bellhop.settings):
            for number in at_intervals(load):
                load.wait_until_sent(number)
                before = posts(bellhop)
                with tcp_proxy.outage():
                    time.sleep(OUTAGE_SECONDS)
                    # Requests in flight, and those whose last check had passed.
                    most = before + 2 * bellhop.settings.workspace_requests
                    assert posts(bellhop) <= most
            load.wait_until_settled()

        assert load.result() == Result()


def test_unconfirmed_commits(tcp_proxy: TcpProxy, database_url: str, encryption_key: str) -> None:
    with quick_bellhop(through(tcp_proxy, database_url), encryption_key, delays=DELAYS) as bellhop:
        load = Load(bellhop, messages_each=MANY_EACH)
        losing = tcp_proxy.losing_answers(b"COMMIT\0", every=30)
        # It ends first, so that the worker can end.
        with working(bellhop.settings), losing, accepting(load):
            load.wait_until_sent()

        assert load.result() == Result()
        assert tcp_proxy.lost > 2
