"""E-mail addresses of people who leave: they lead to a person in each workspace of an organization.

A membership is recorded in the person's first workspace, and in others once Slack reports them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from slack_sandbox import Fault
from tests.lifecycle.test_deletion import tidied, traces
from tests.lifecycle.test_separate_bots import NIA, add_person, uninstall_organization
from tests.lifecycle.test_two_installations import NEEDLES, settled, sign_in
from tests.notifications.hand import Hand, accept, deliveries
from tests.people import ACME, ANN, BEN, NORTH, SOUTH, WES
from tests.running import Bellhop
from tests.web.forms import send_form

ADDRESS = "@wes@globex.example"


def scheduled(bellhop: Bellhop, team_id: str) -> None:
    """A notification to the address is scheduled."""
    later = (bellhop.clock() + timedelta(hours=1)).isoformat()
    accept(bellhop, ADDRESS, "later", team_id=team_id, send_at=later)
    Hand(bellhop).deliver()


def failed(bellhop: Bellhop, team_id: str) -> None:
    """A notification to the address failed, because Slack refused to look it up."""
    bellhop.slack.faults.add(Fault("users.lookupByEmail", "api_error", error="missing_scope"))
    id_ = accept(bellhop, ADDRESS, "lost", team_id=team_id)
    Hand(bellhop).deliver()
    assert [one.error for one in deliveries(bellhop, id_)] == ["missing_scope"]


def subscribed(bellhop: Bellhop, team_id: str) -> None:
    """An operator has subscribed the address."""
    bellhop.services.subscriptions.subscribe(team_id, ADDRESS, SubscriptionSpec("deploys"))


def delivered_and_tidied(bellhop: Bellhop) -> None:
    worker = Hand(bellhop)
    for seconds in (3700, 5, 1300):
        bellhop.clock.advance(seconds)
        worker.deliver()
    settled(bellhop)


@pytest.mark.parametrize(
    ("team_id", "leave_traces"),
    [(NORTH, scheduled), (SOUTH, scheduled), (SOUTH, failed), (SOUTH, subscribed)],
)
def test_an_unlink_erases_the_address_in_each_workspace(
    bellhop: Bellhop, team_id: str, leave_traces: Callable[[Bellhop, str], None]
) -> None:
    organization = sign_in(bellhop, None)
    bellhop.settle()
    leave_traces(bellhop, team_id)
    assert traces(bellhop, ADDRESS) != {}

    assert send_form(organization, "/profile/unlink").status == 303
    delivered_and_tidied(bellhop)

    assert traces(bellhop, *NEEDLES) == {}


@pytest.mark.parametrize("leave_traces", [failed, subscribed])
def test_an_uninstall_erases_the_address_where_another_bot_stays(
    bellhop: Bellhop, leave_traces: Callable[[Bellhop, str], None]
) -> None:
    wes = bellhop.slack.users[WES]
    wes.team_id, wes.team_ids = SOUTH, (SOUTH, NORTH)
    add_person(bellhop, NIA, "Nia")
    assert bellhop.install(NIA, team_id=NORTH)[1].status == 303
    sign_in(bellhop, None)
    bellhop.settle()
    leave_traces(bellhop, NORTH)

    uninstall_organization(bellhop, [WES], "app_uninstalled")
    delivered_and_tidied(bellhop)

    assert bellhop.services.profiles.find(NORTH, NIA) is not None
    assert traces(bellhop, *NEEDLES) == {}


def test_a_deactivation_erases_the_address_of_a_person_who_never_linked(bellhop: Bellhop) -> None:
    bellhop.install(BEN)
    email = "ann@acme.example"
    bellhop.services.subscriptions.subscribe(ACME, f"@{email}", SubscriptionSpec("deploys"))
    bellhop.slack.faults.add(Fault("users.lookupByEmail", "api_error", error="missing_scope"))
    accept(bellhop, f"@{email}", "lost")
    Hand(bellhop).deliver()
    assert {"lanes", "deliveries", "subscriptions"} <= traces(bellhop, email).keys()
    bellhop.clock.advance(60)

    bellhop.slack.update_user(ANN, deleted=True)
    bellhop.settle()
    tidied(bellhop)

    assert traces(bellhop, email) == {}
