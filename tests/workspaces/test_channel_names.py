"""Channels that share a name: every part of Bellhop chooses the same one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

import bolt_app
from bolt_app.db.models import Lane, Subscription
from bolt_app.notifications.history.visibility import _at_their_channels
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from tests.notifications.hand import Hand, accept, deliveries
from tests.people import ACME, ANN
from tests.running import Bellhop

NAME = "#incidents"


@pytest.fixture
def meant(bellhop: Bellhop) -> str:
    """Four channels with the same name in the listing; returns the id of the chosen one."""
    bellhop.install(ANN)
    names = ["one", "two", "three", "four"]
    archived, private, public, later = (
        bellhop.slack.add_channel(ACME, name, members=[ANN], is_private=name == "two")
        for name in names
    )
    bellhop.slack.invite_bot(ANN, private.id)
    bellhop.slack.archive_channel(archived.id)
    assert archived.id < private.id < public.id < later.id
    with bellhop.slack.edit():
        for channel in (archived, private, public, later):
            channel.name = NAME[1:]
    return public.id


def listed(bellhop: Bellhop) -> None:
    bellhop.services.channels.refresh_listing(bellhop.services.client.find_workspace(ACME))


def by_search(bellhop: Bellhop) -> str | None:
    return bellhop.services.channels.find(bellhop.services.client.find_workspace(ACME), NAME)


def by_intake(bellhop: Bellhop) -> str | None:
    listed(bellhop)
    [delivery] = deliveries(bellhop, accept(bellhop, NAME, "x"))
    with bellhop.services.database.reading() as session:
        return session.scalar(select(Lane.address).where(Lane.id == delivery.lane_id))


def by_resolver(bellhop: Bellhop) -> str | None:
    id_ = accept(bellhop, NAME, "x")
    Hand(bellhop).deliver()
    return deliveries(bellhop, id_)[0].channel_id


def by_listing(bellhop: Bellhop) -> str | None:
    id_ = accept(bellhop, NAME, "x")
    workspace = bellhop.services.client.find_workspace(ACME)
    at = bellhop.services.channels.refresh_listing(workspace)
    hand = Hand(bellhop)
    hand.dispatcher._transitions.refuse_unlisted(ACME, at)
    hand.deliver()
    return deliveries(bellhop, id_)[0].channel_id


def by_subscription(bellhop: Bellhop) -> str | None:
    bellhop.services.subscriptions.subscribe(ACME, NAME, SubscriptionSpec("deploys"))
    listed(bellhop)
    with bellhop.services.database.reading() as session:
        return session.scalar(select(Subscription.address))


def by_key_limit(bellhop: Bellhop) -> str | None:
    listed(bellhop)
    seen = bellhop.services.history.visible_to(ACME, "api_key:1", [NAME])
    return [*(seen.addresses or ())][-1]


def by_viewing(bellhop: Bellhop) -> str | None:
    listed(bellhop)
    with bellhop.services.database.reading_connection() as connection:
        return _at_their_channels(connection, ACME, {1: NAME})[1]


@pytest.mark.parametrize(
    "decide",
    [by_search, by_intake, by_resolver, by_listing, by_subscription, by_key_limit, by_viewing],
)
def test_every_part_means_the_same(
    bellhop: Bellhop, meant: str, decide: Callable[[Bellhop], str | None]
) -> None:
    assert decide(bellhop) == meant


def test_one_module_decides() -> None:
    root = Path(bolt_app.__file__).parent
    deciding = {
        path.name
        for path in root.rglob("*.py")
        if re.search(r"order_by\([^)]*Channel\.is_(archived|private)", path.read_text())
    }
    assert deciding == {"channel_names.py"}
