"""Subscriptions store one address for a channel or person, however it was given."""

from __future__ import annotations

import json

import pytest

from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.workspaces.lookup_budgets import LookupShare
from slack_sandbox import Fault
from tests.commands import run
from tests.notifications.hand import Hand, accept, states, texts
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop

TEAM = ["--team", ACME]
SHARE = LookupShare.of_call("command")
EMAIL = "@ann@acme.example"


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def addresses(bellhop: Bellhop) -> list[str]:
    return [one.address for one in bellhop.services.subscriptions.of_team(ACME)]


def ask(bellhop: Bellhop, words: str) -> str:
    message = bellhop.slack.send_command(ANN, GENERAL, "/notify", words).message
    assert message is not None
    return json.dumps([message.text, message.blocks])


@pytest.mark.sqlite_only
@pytest.mark.parametrize("address", ["#general", "#General", " #general ", GENERAL])
class TestChannels:
    def test_notify_lists_what_the_command_line_subscribed(
        self, installed: Bellhop, address: str
    ) -> None:
        run(installed, "topic", "subscribe", *TEAM, "deploys", address)

        assert addresses(installed) == [GENERAL]
        assert "deploys" in ask(installed, "list")

    def test_notify_mutes_it(self, installed: Bellhop, address: str) -> None:
        run(installed, "topic", "subscribe", *TEAM, "deploys", address)

        ask(installed, "mute 1h")

        [found] = installed.services.subscriptions.of_team(ACME)
        assert found.spec.muted_until is not None

    def test_notify_ends_it(self, installed: Bellhop, address: str) -> None:
        run(installed, "topic", "subscribe", *TEAM, "deploys", address)

        ask(installed, "unsubscribe deploys")

        assert addresses(installed) == []

    def test_the_command_line_changes_and_ends_what_notify_subscribed(
        self, installed: Bellhop, address: str
    ) -> None:
        ask(installed, "subscribe deploys")

        changed = run(installed, "topic", "subscribe", *TEAM, "deploys", address, "service=api")
        assert "Changed the subscription" in changed.stdout
        assert addresses(installed) == [GENERAL]

        run(installed, "topic", "unsubscribe", *TEAM, "deploys", address)
        assert addresses(installed) == []


@pytest.mark.sqlite_only
@pytest.mark.parametrize("address", [EMAIL, EMAIL.upper().replace("@ANN@", "@Ann@"), ANN])
def test_the_app_home_shows_what_the_command_line_subscribed(
    installed: Bellhop, address: str
) -> None:
    run(installed, "topic", "subscribe", *TEAM, "deploys", address)

    installed.slack.open_home(ANN, ACME)

    assert addresses(installed) == [ANN]
    installed.wait_for_home(ACME, ANN, "`deploys`")


@pytest.mark.sqlite_only
def test_a_name_gets_its_id_once_the_channel_exists(installed: Bellhop) -> None:
    run(installed, "topic", "subscribe", *TEAM, "deploys", "#later")
    assert addresses(installed) == ["#later"]
    channel = installed.slack.add_channel(ACME, "later")

    run(installed, "topic", "subscribe", *TEAM, "alerts", "#later")

    assert addresses(installed) == [channel.id, channel.id]


@pytest.mark.sqlite_only
def test_an_email_address_gets_the_id_once_slack_gives_it(installed: Bellhop) -> None:
    installed.slack.faults.add(Fault("users.lookupByEmail", "server_error"))
    run(installed, "topic", "subscribe", *TEAM, "deploys", "@ben@acme.example")
    assert addresses(installed) == ["@ben@acme.example"]
    installed.slack.faults.clear()

    workspace = installed.services.client.find_workspace(ACME)
    user_id = installed.services.users.find(workspace, "ben@acme.example", SHARE)

    assert addresses(installed) == [user_id]


@pytest.mark.parametrize("is_name_later", [True, False])
def test_of_two_the_kept_one_takes_over_what_is_held(
    installed: Bellhop, is_name_later: bool
) -> None:
    services, hourly = installed.services, SubscriptionSpec("deploys", digest=Schedule())
    services.subscriptions.subscribe(ACME, GENERAL, hourly)
    services.subscriptions.subscribe(ACME, "#later", hourly)
    held = accept(installed, "topic:deploys", "held")
    installed.clock.advance(1)
    services.subscriptions.subscribe(ACME, "#later" if is_name_later else GENERAL, hourly)

    installed.slack.rename_channel(GENERAL, "later")
    services.channels.refresh_listing(services.client.find_workspace(ACME))
    installed.clock.advance(3600)
    hand = Hand(installed)
    for _ in range(3):
        hand.deliver()
        installed.clock.advance(5)

    [kept] = services.subscriptions.of_team(ACME)
    assert kept.address == GENERAL
    assert sorted(states(installed, held)) == ["cancelled", "sent"]
    assert texts(installed, GENERAL) == ["held"]


@pytest.mark.parametrize("is_name_later", [True, False])
def test_of_two_the_one_changed_last_is_kept(installed: Bellhop, is_name_later: bool) -> None:
    services = installed.services
    pair = [(GENERAL, "service=id"), ("#general", "service=name")]
    for address, filter_ in pair if is_name_later else reversed(pair):
        installed.clock.advance(1)
        services.subscriptions.subscribe(ACME, address, SubscriptionSpec("deploys", filter_))

    services.channels.find(services.client.find_workspace(ACME), "#general")

    [found] = services.subscriptions.of_team(ACME)
    expected = "service=name" if is_name_later else "service=id"
    assert (found.address, found.spec.filter) == (GENERAL, expected)
