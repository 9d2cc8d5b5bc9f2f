"""Clicks and forms in an organization, where Slack does not name the workspace."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bolt_app.blockkit.signed_values import ValueSigner, home_of
from bolt_app.slack import ids
from bolt_app.slack.request_workspace import with_workspace
from bolt_app.slack.signed_actions import form_action
from tests.notifications.hand import Hand, accept
from tests.people import NORTH, SOUTH, WES
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only
SIGNER = ValueSigner("a secret")


@pytest.fixture(params=[NORTH, SOUTH])
def organization(bellhop: Bellhop, request: pytest.FixtureRequest) -> Bellhop:
    """Bellhop, installed for an organization by Wes in its workspace `north`."""
    bellhop.install(WES, whole_organization=True)
    bellhop.slack.users[WES].team_id = request.param
    return bellhop


def test_a_form_counts_for_the_workspace_whose_home_it_was_opened_from(
    organization: Bellhop,
) -> None:
    slack = organization.slack
    slack.open_home(WES, NORTH)
    slack.deliver_due()
    home = slack.home_view(NORTH, WES)
    assert home is not None
    slack.click(WES, home, ids.HOME_SUBSCRIBE)
    modal = slack.open_modal(WES)
    assert modal is not None

    values = {"topic": {"value": "deploys"}, "filter": {"value": ""}}
    assert slack.submit_view(WES, modal.id, values).error is None

    [subscribed] = organization.services.subscriptions.of_address(NORTH, WES)
    assert subscribed.spec.topic == "deploys"


def test_an_answer_counts_in_the_workspace_of_its_message(organization: Bellhop) -> None:
    channel = organization.slack.add_channel(NORTH, "disks", members=[WES])
    organization.slack.invite_bot(WES, channel.id)
    id_ = accept(organization, channel.id, title="Full", actions=["acknowledge"], team_id=NORTH)
    Hand(organization).deliver()
    [message] = [one for one in organization.slack.messages(channel.id) if one.blocks]

    organization.slack.click(WES, message, "incident.acknowledge")

    report = organization.services.history.find(NORTH, id_)
    assert report is not None
    assert report.incident is not None
    assert report.incident.state_by == WES


def interaction(team_id: str, **more: Any) -> dict[str, Any]:
    return {"user": {"id": WES}, "team": {"id": team_id, "domain": "x"}, **more}


def test_the_home_of_one_workspace_is_not_that_of_another_with_the_app() -> None:
    """Slack names the workspace that had the app first (bolt-python 1229)."""
    value = SIGNER.sign(ids.HOME_TEST, SOUTH, home_of(WES))
    body = interaction(
        NORTH,
        type="block_actions",
        view={"type": "home", "app_installed_team_id": NORTH},
        container={"type": "view"},
        actions=[{"type": "button", "action_id": ids.HOME_TEST, "value": value}],
    )

    placed = with_workspace(body, SIGNER)

    assert placed["team"]["id"] == placed["view"]["app_installed_team_id"] == SOUTH


@pytest.mark.parametrize("change", [{"value": "v1.T1.x.{}"}, {"action_id": ids.HOME_SUBSCRIBE}])
def test_an_unsigned_value_sets_no_workspace(change: dict[str, str]) -> None:
    value = SIGNER.sign(ids.HOME_TEST, SOUTH, home_of(WES))
    action = {"type": "button", "action_id": ids.HOME_TEST, "value": value, **change}
    body = interaction(
        NORTH,
        type="block_actions",
        view={"type": "home", "app_installed_team_id": NORTH},
        container={"type": "view"},
        actions=[action],
    )

    assert with_workspace(json.loads(json.dumps(body)), SIGNER) == body


def test_a_form_of_another_person_sets_no_workspace() -> None:
    metadata = SIGNER.sign(form_action(ids.SUBSCRIBE_VIEW), SOUTH, "W0OTHER001")
    view = {"callback_id": ids.SUBSCRIBE_VIEW, "private_metadata": metadata}
    body = interaction(NORTH, type="view_submission", view=view)

    assert with_workspace(body, SIGNER) == body
