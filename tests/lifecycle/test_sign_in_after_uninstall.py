"""A person signs in after an uninstall, before Bellhop gets Slack's report of it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from slack_sandbox.tokens import InstallKey
from tests.lifecycle.test_deletion import tidied, traces
from tests.lifecycle.test_joined_organization import AFTER, join
from tests.lifecycle.test_separate_bots import (
    ABOUT_WES,
    NIA,
    ORGANIZATION,
    add_person,
    serves_by_organization,
    status_of_key,
)
from tests.lifecycle.test_two_installations import sign_in
from tests.people import ACME, ANN, BEN, NORTH, PLAIN
from tests.running import Bellhop, Browser
from tests.slack.test_late_events import Event, can_see_profile, pending, send

WORKSPACE = InstallKey(None, ACME)
UNINSTALLED: Event = {"type": "app_uninstalled"}
REVOKED: Event = {"type": "tokens_revoked", "tokens": {"oauth": [ANN, BEN], "bot": ["U0BOT"]}}
ORDERS: dict[str, Sequence[Event]] = {
    "uninstalled": [UNINSTALLED],
    "uninstalled, revoked": [UNINSTALLED, REVOKED],
    "revoked, uninstalled": [REVOKED, UNINSTALLED],
}


def sign_in_to_acme(bellhop: Bellhop, user_id: str) -> Browser:
    """Sign a person in without the bot."""
    browser, _ = bellhop.install(user_id, query=f"?only=profile&team={ACME}")
    assert can_see_profile(browser)
    return browser


def uninstall_silently(bellhop: Bellhop, key: InstallKey) -> None:
    """Slack uninstalls, and its report comes later."""
    bellhop.clock.advance(60)
    bellhop.slack.tokens.uninstall(key)
    bellhop.clock.advance(60)


def report(bellhop: Bellhop, events: Sequence[Event]) -> None:
    bellhop.clock.advance(60)
    for event in events:
        send(bellhop, event, 120)
    bellhop.services.profiles.record_pending()
    bellhop.services.revocations.revoke_pending()
    bellhop.settle()  # Slack reports the revocations
    tidied(bellhop)
    bellhop.services.background.shutdown()


@pytest.mark.parametrize("events", ORDERS.values(), ids=ORDERS)
def test_it_keeps_that_person_only(bellhop: Bellhop, events: Sequence[Event]) -> None:
    services = bellhop.services
    browser, _ = bellhop.install(ANN)
    before = sign_in_to_acme(bellhop, BEN)
    key = services.api_keys.create(ACME, "monitoring")
    for user_id in (BEN, PLAIN):  # Pat has no linked profile
        spec = SubscriptionSpec("deploys", created_by=user_id)
        services.subscriptions.subscribe(ACME, user_id, spec)
    uninstall_silently(bellhop, WORKSPACE)
    after = sign_in_to_acme(bellhop, BEN)

    report(bellhop, events)

    assert status_of_key(bellhop, key) == 403
    assert traces(bellhop, ANN, PLAIN) == {}
    assert traces(bellhop, BEN).keys() == {"installations", "users"}
    assert services.profiles.find(ACME, BEN) is not None
    seen = [can_see_profile(one) for one in (browser, before, after)]
    assert seen == [False, False, True]
    assert [token.user_id for token in bellhop.slack.tokens.live(WORKSPACE, "user")] == [BEN]
    assert pending(bellhop) == []


def test_it_keeps_that_person_where_there_is_no_bot(bellhop: Bellhop) -> None:
    browsers = [sign_in_to_acme(bellhop, user_id) for user_id in (ANN, BEN)]
    uninstall_silently(bellhop, WORKSPACE)
    browsers.append(sign_in_to_acme(bellhop, BEN))

    report(bellhop, [UNINSTALLED])

    assert [can_see_profile(browser) for browser in browsers] == [False, False, True]
    assert traces(bellhop, ANN) == {}
    assert bellhop.services.profiles.find(ACME, BEN) is not None


def test_it_keeps_that_person_in_a_workspace_that_joined_an_organization(
    bellhop: Bellhop,
) -> None:
    """The organization has no installation."""
    before = [bellhop.install(user_id)[0] for user_id in (ANN, BEN)]
    join(bellhop)
    uninstall_silently(bellhop, AFTER)
    after = sign_in_to_acme(bellhop, BEN)

    report(bellhop, [UNINSTALLED])

    assert [can_see_profile(browser) for browser in (*before, after)] == [False, False, True]
    assert traces(bellhop, ANN) == {}
    assert bellhop.services.profiles.find(ACME, BEN) is not None


def test_it_keeps_nobody_whose_token_is_revoked_since(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    uninstall_silently(bellhop, WORKSPACE)
    sign_in_to_acme(bellhop, BEN)
    assert bellhop.slack.tokens.revoke(WORKSPACE, "user", BEN)

    report(bellhop, [UNINSTALLED])

    assert traces(bellhop, ANN, BEN) == {}


def test_it_keeps_that_person_in_an_organization(bellhop: Bellhop) -> None:
    browser = sign_in(bellhop, None)
    bellhop.settle()
    add_person(bellhop, NIA, "Nia")
    uninstall_silently(bellhop, ORGANIZATION)
    nia = bellhop.browser()
    to_slack = nia.get("/slack/install?only=profile").location
    assert nia.get(bellhop.slack.authorize(NIA, to_slack, whole_organization=True)).status == 303
    bellhop.clock.advance(60)

    installed = bellhop.slack.installations[ORGANIZATION]
    delivery = bellhop.slack.queue_event(NORTH, dict(UNINSTALLED), installed)
    happened = int(bellhop.clock.timestamp()) - 120
    delivery.body = json.dumps(delivery.payload | {"event_time": happened}).encode()
    bellhop.settle()
    bellhop.services.profiles.record_pending()
    tidied(bellhop)
    bellhop.services.background.shutdown()

    assert serves_by_organization(bellhop) is None
    assert not can_see_profile(browser)
    assert traces(bellhop, *ABOUT_WES) == {}
    assert can_see_profile(nia)
    assert [token.user_id for token in bellhop.slack.tokens.live(ORGANIZATION, "user")] == [NIA]
