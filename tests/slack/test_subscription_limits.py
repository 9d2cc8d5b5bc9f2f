"""Limits on subscriptions, and the roles that may create them, on every surface."""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Barrier, Thread
from typing import Any

import pytest

from bolt_app.db import Database
from bolt_app.notifications.subscriptions.errors import TooManySubscriptionsError
from bolt_app.notifications.subscriptions.service import (
    SubscriptionLimits,
    Subscriptions,
    SubscriptionSpec,
)
from bolt_app.slack import ids
from tests.commands import assert_failed, run
from tests.conftest import FakeClock
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop, Repetition, running_bellhop

DEPLOYS = "C0ACME0003"


@pytest.fixture
def limited(
    database_url: str, encryption_key: str, clock: FakeClock, restoring: Repetition | None
) -> Iterator[Bellhop]:
    """Bellhop with small limits."""
    small: dict[str, Any] = {"subscriptions_per_destination": 2, "subscriptions_per_workspace": 3}
    with running_bellhop(database_url, encryption_key, clock, restoring, **small) as running:
        running.install(ANN)
        yield running


def ask(bellhop: Bellhop, words: str, channel_id: str = GENERAL, user_id: str = ANN) -> str:
    message = bellhop.slack.send_command(user_id, channel_id, "/notify", words).message
    assert message is not None
    return json.dumps([message.text, message.blocks])


def topics(bellhop: Bellhop, address: str) -> set[str]:
    return {one.spec.topic for one in bellhop.services.subscriptions.of_address(ACME, address)}


@pytest.mark.sqlite_only
def test_a_channel_has_so_many(limited: Bellhop) -> None:
    for topic in ("a", "b"):
        ask(limited, f"subscribe {topic}")

    assert "This channel has reached the limit of 2 subscriptions" in ask(limited, "subscribe c")
    assert topics(limited, GENERAL) == {"a", "b"}
    assert "has 2 subscriptions" not in ask(limited, "subscribe a severity>=error")
    ask(limited, "unsubscribe b")
    ask(limited, "subscribe c")
    assert topics(limited, GENERAL) == {"a", "c"}


@pytest.mark.sqlite_only
def test_a_workspace_has_so_many(limited: Bellhop) -> None:
    for topic in ("a", "b"):
        ask(limited, f"subscribe {topic}")
    ask(limited, "subscribe a", DEPLOYS)

    refused = ask(limited, "subscribe b", DEPLOYS)

    assert "This workspace has reached the limit of 3 subscriptions" in refused
    assert topics(limited, DEPLOYS) == {"a"}


@pytest.mark.sqlite_only
def test_an_undo_brings_no_more_than_there_may_be(limited: Bellhop) -> None:
    for topic in ("a", "b"):
        ask(limited, f"subscribe {topic}")
    ended = limited.slack.send_command(ANN, GENERAL, "/notify", "unsubscribe b").message
    assert ended is not None
    ask(limited, "subscribe c")

    limited.slack.click(ANN, ended, ids.UNDO_SUBSCRIPTIONS)

    limited.wait_for_ephemeral(ANN, "This channel has reached the limit of 2 subscriptions")
    assert topics(limited, GENERAL) == {"a", "c"}


@pytest.mark.sqlite_only
def test_on_the_command_line_too(limited: Bellhop) -> None:
    for topic in ("a", "b"):
        limited.services.subscriptions.subscribe(ACME, ANN, SubscriptionSpec(topic))

    refused = run(limited, "topic", "subscribe", "--team", ACME, "c", ANN)

    assert_failed(refused, "This person has reached the limit of 2 subscriptions")


@pytest.mark.sqlite_only
def test_in_the_form_of_the_app_home_too(limited: Bellhop) -> None:
    for topic in ("a", "b"):
        limited.services.subscriptions.subscribe(ACME, ANN, SubscriptionSpec(topic))
    limited.slack.open_home(ANN, ACME)
    limited.slack.deliver_due()
    home = limited.slack.home_view(ACME, ANN)
    assert home is not None
    limited.slack.click(ANN, home, ids.HOME_SUBSCRIBE)
    limited.wait_for_modal(ANN, "opic")
    modal = limited.slack.open_modal(ANN)
    assert modal is not None
    values = {"topic": {"value": "c"}, "filter": {"value": ""}}
    assert limited.slack.submit_view(ANN, modal.id, values).errors == {}

    limited.wait_for_home(ACME, ANN, "This person has reached the limit of 2 subscriptions")


def test_concurrent_subscriptions_stay_within_the_limit(
    database: Database, clock: FakeClock
) -> None:
    subscriptions = Subscriptions(database, limits=SubscriptionLimits(3, 100), clock=clock)
    barrier, refused = Barrier(8), []

    def subscribe(number: int) -> None:
        barrier.wait()
        try:
            subscriptions.subscribe(ACME, GENERAL, SubscriptionSpec(f"topic-{number}"))
        except TooManySubscriptionsError as error:
            refused.append(error)

    threads = [Thread(target=subscribe, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(subscriptions.of_address(ACME, GENERAL)) == 3
    assert len(refused) == 5


# A remembered role must not allow a lasting change.


@pytest.mark.sqlite_only
@pytest.mark.parametrize("channel_id", [GENERAL, None])
@pytest.mark.parametrize("words", ["subscribe a", "mute 2h", "unsubscribe z"])
def test_a_subscription_is_changed_by_who_may_now(
    bellhop: Bellhop, channel_id: str | None, words: str
) -> None:
    """Ben is a guest, but the event reached another process; this one remembers a member."""
    bellhop.install(ANN)
    where = channel_id or bellhop.slack.app_dm(ACME, BEN).id
    bellhop.services.subscriptions.subscribe(ACME, channel_id or BEN, SubscriptionSpec("z"))
    assert bellhop.services.access.person(ACME, BEN).role.value == "member"
    bellhop.slack.users[BEN].is_restricted = True

    answer = ask(bellhop, words, where, BEN)

    # A guest may mute and end their subscriptions, but not create them.
    is_allowed = channel_id is None and words != "subscribe a"
    assert ("uests" in answer) is not is_allowed
    left = bellhop.services.subscriptions.of_address(ACME, channel_id or BEN)
    is_unchanged = [one.spec.topic for one in left if one.spec.muted_until is None] == ["z"]
    assert is_unchanged is not is_allowed
