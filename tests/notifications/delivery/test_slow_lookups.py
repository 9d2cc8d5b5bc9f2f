"""Lookups that Slack does not answer delay no deliveries of other workspaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from bolt_app.application import LOOKUP_THREADS_OF_ONE
from bolt_app.db.models import BotInstallation
from bolt_app.delays import Delays
from bolt_app.installations.rows import InstallationRows
from bolt_app.notifications.delivery.store import MOST_BYTES
from slack_sandbox import Fault
from tests.delivering import LONG_ENOUGH, delivering, quick_bellhop, wait_until
from tests.notifications.hand import accept, states
from tests.people import ACME, ANN, ANN_AT_BETA, BEA, BETA
from tests.running import CLIENT_ID, PATIENCE_SECONDS, Bellhop

pytestmark = pytest.mark.sqlite_only

# As many as a workspace may have in progress.
MANY = 8
INFO, LOOKUP, REFRESH = "users.info", "users.lookupByEmail", "oauth.v2.access"
# Slack answers nothing for as long as a test waits.
NEVER = 2 * LONG_ENOUGH


@pytest.fixture
def bellhop(database_url: str, encryption_key: str) -> Iterator[Bellhop]:
    """Bellhop in two workspaces, with two threads that use the database."""
    delays = replace(Delays(), slack_timeout=NEVER, message_result=0)
    quick = quick_bellhop(database_url, encryption_key, worker_threads=2, delays=delays)
    with quick as bellhop:
        bellhop.slack.limits.enabled = False
        bellhop.install(ANN)
        bellhop.install(ANN_AT_BETA)
        yield bellhop


@contextmanager
def unanswered(bellhop: Bellhop, method: str) -> Iterator[Callable[[], int]]:
    """Let Slack answer no calls of a method; yield a reader of their number."""
    faults = bellhop.slack.faults
    faults.add(Fault(method, "latency", seconds=NEVER))
    try:
        yield lambda: faults.taken(method)
    finally:
        faults.clear()


def to_people(bellhop: Bellhop) -> None:
    for number in range(MANY):
        accept(bellhop, f"U0NOBODY{number:02}", "x")


def large_to_people(bellhop: Bellhop) -> None:
    """Send contents that use up the bytes that may be in progress."""
    for number in range(MANY):
        attachments = [{"text": "x" * (MOST_BYTES // 4)}]
        accept(bellhop, f"U0NOBODY{number:02}", "x", attachments=attachments)


def with_mentions(bellhop: Bellhop) -> None:
    for number, channel_id in enumerate(channels(bellhop, ACME)):
        accept(bellhop, channel_id, "x", mentions=[f"@nobody-{number}@acme.example"])


def to_addresses(bellhop: Bellhop) -> None:
    """Send to addresses of each workspace, of which one at a time is looked up."""
    for team_id in (ACME, BETA):
        for number in range(MANY):
            accept(bellhop, f"@nobody-{number}@acme.example", "x", team_id=team_id)


def with_an_expired_token(bellhop: Bellhop) -> None:
    addresses = channels(bellhop, ACME)
    with bellhop.services.database.writing() as session:
        InstallationRows(CLIENT_ID).bump_revision(session, None, ACME)
        bot = session.scalars(select(BotInstallation).filter_by(team_id=ACME)).one()
        bot.bot_refresh_token = "xoxe-1"
        bot.bot_token_expires_at = bellhop.clock() - timedelta(hours=1)
    for address in addresses:
        accept(bellhop, address, "x")


def channels(bellhop: Bellhop, team_id: str) -> list[str]:
    """Add channels with the bot in them."""
    workspace = bellhop.services.client.find_workspace(team_id)
    added = [bellhop.slack.add_channel(team_id, f"channel-{n}").id for n in range(MANY)]
    for channel_id in added:
        bellhop.services.channels.join(workspace, channel_id)
    return added


@pytest.mark.parametrize(
    ("send", "method", "hanging"),
    [
        (to_people, INFO, LOOKUP_THREADS_OF_ONE),
        (large_to_people, INFO, 3),
        (with_mentions, LOOKUP, LOOKUP_THREADS_OF_ONE),
        (to_addresses, LOOKUP, 2),
        (with_an_expired_token, REFRESH, 1),
    ],
)
def test_other_workspaces_wait_for_no_lookup(
    bellhop: Bellhop, send: Callable[[Bellhop], None], method: str, hanging: int
) -> None:
    plain, markdown, *_ = channels(bellhop, BETA)
    with delivering(bellhop), unanswered(bellhop, method) as taken:
        send(bellhop)
        wait_until(bellhop, lambda: taken() >= hanging)

        sent = [
            accept(bellhop, plain, "x", team_id=BETA),
            accept(bellhop, markdown, "*x*", team_id=BETA, format="markdown"),
        ]
        if method != INFO:
            sent.append(accept(bellhop, BEA, "x", team_id=BETA))
        wait_until(bellhop, lambda: set(states(bellhop, *sent)) == {"sent"})

        assert taken() == hanging


def test_lookups_in_progress_end_with_the_app(bellhop: Bellhop) -> None:
    services = bellhop.services
    workspace, threads = services.client.find_workspace(ACME), services.lookup_threads
    calls = [
        threads.run(ACME, lambda: services.client.as_bot(workspace, INFO, user=ANN))
        for _ in range(MANY)
    ]
    with ThreadPoolExecutor(1) as closing, unanswered(bellhop, INFO) as taken:
        lookups = [services.http.submit(call) for call in calls]
        wait_until(bellhop, lambda: taken() == LOOKUP_THREADS_OF_ONE)

        closing.submit(services.close).result(PATIENCE_SECONDS)

        assert all(lookup.done() for lookup in lookups)
        assert taken() == LOOKUP_THREADS_OF_ONE
