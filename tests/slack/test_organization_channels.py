"""An organization-wide installation: the senders of a workspace use no channels of another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from bolt_app.credentials.api_keys import Scope
from bolt_app.fair_limit import share_of_one
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.slack_api import SlackCallError
from bolt_app.web.methods import METHODS
from bolt_app.workspaces.channels import LISTING_LIFETIME
from bolt_app.workspaces.lookup_budgets import BUDGETS, Purpose
from slack_sandbox import Fault
from slack_sandbox.world import Channel
from tests.commands import run
from tests.notifications.hand import Hand, accept, deliveries, texts
from tests.people import ACME, ANN, GENERAL, NORTH, SOUTH, WES
from tests.running import Bellhop
from tests.slack.test_cross_tenant import install_everywhere
from tests.web.calling import caller, request
from tests.web.methods.calling import JSON, method_caller

pytestmark = pytest.mark.sqlite_only

INFO = "conversations.info"
NOT_FOUND = "channel_not_found"
# Calls that change nothing in a channel.
HARMLESS = {INFO}


@pytest.fixture
def grid(bellhop: Bellhop) -> Bellhop:
    install_everywhere(bellhop)
    return bellhop


@pytest.fixture(params=["public", "private"])
def south(grid: Bellhop, request: pytest.FixtureRequest) -> Channel:
    """A channel of another workspace, with the organization's bot in it."""
    is_private = request.param == "private"
    channel = grid.slack.add_channel(SOUTH, "payroll", members=[WES], is_private=is_private)
    grid.slack.invite_bot(WES, channel.id)
    return channel


@pytest.fixture
def public(grid: Bellhop) -> Channel:
    """A public channel of another workspace, which the bot could join."""
    return grid.slack.add_channel(SOUTH, "payroll", members=[WES])


@pytest.fixture
def north(grid: Bellhop) -> Channel:
    return grid.slack.add_channel(NORTH, "north", members=[WES])


@pytest.fixture
def untouched(grid: Bellhop) -> Iterator[list[str]]:
    """Ids of channels in which nothing may change."""
    ids: list[str] = []
    yield ids
    for call in grid.slack.calls:
        if call.method not in HARMLESS:
            assert call.arguments.get("channel") not in ids, call.method
    for channel_id in ids:
        assert [one.text for one in grid.slack.messages(channel_id) if one.bot_id] == []


def deliver(bellhop: Bellhop, seconds: float = 0) -> None:
    bellhop.clock.advance(seconds)
    Hand(bellhop).deliver()


def outcome(bellhop: Bellhop, id_: str) -> list[tuple[str, str | None]]:
    return [(one.state, one.error) for one in deliveries(bellhop, id_)]


def test_a_notification_by_id(grid: Bellhop, south: Channel, untouched: list[str]) -> None:
    untouched.append(south.id)
    answer = caller(grid, team_id=NORTH).send({"to": south.id, "text": "x"})

    deliver(grid)

    assert outcome(grid, answer.json()["id"]) == [("dead", NOT_FOUND)]


def test_a_public_channel_is_not_joined(
    grid: Bellhop, public: Channel, untouched: list[str]
) -> None:
    untouched.append(public.id)
    id_ = accept(grid, public.id, "x", team_id=NORTH)

    deliver(grid)

    assert outcome(grid, id_) == [("dead", NOT_FOUND)]


def test_no_method_reaches_it(grid: Bellhop, south: Channel, untouched: list[str]) -> None:
    untouched.append(south.id)
    key = method_caller(grid, *Scope, team_id=NORTH)
    target = key.ok("files.getUploadURLExternal", filename="a", length=1)
    request("POST", target["upload_url"], b"x")
    given = {
        "channel": south.id,
        "channel_id": south.id,
        "files": [{"id": target["file_id"]}],
        "user": WES,
        "text": "x",
        "ts": "1.000000",
        "message_ts": "1.000000",
        "timestamp": "1.000000",
        "name": "eyes",
        "post_at": str(int(grid.clock.timestamp()) + 60),
    }

    for name in sorted(METHODS):
        key.post(name, json.dumps(given).encode(), JSON)
        deliver(grid, 120)


@pytest.mark.parametrize("name", ["chat.postMessage", "chat.postEphemeral", "conversations.join"])
def test_slacks_error_says_so(grid: Bellhop, south: Channel, name: str) -> None:
    key = method_caller(grid, *Scope, team_id=NORTH)

    assert key.error(name, channel=south.id, user=WES, text="x") == NOT_FOUND


def test_a_webhook_a_subscription_and_an_escalation(
    grid: Bellhop, south: Channel, north: Channel, untouched: list[str]
) -> None:
    untouched.append(south.id)
    services = grid.services
    url = services.webhooks.create(NORTH, "x", [south.id])
    body = json.dumps({"text": "x"}).encode()
    sent = request("POST", url, body, {"Content-Type": "application/json"})
    assert sent.status == 200
    services.subscriptions.subscribe(NORTH, south.id, SubscriptionSpec("deploys"))
    ids = [
        accept(grid, "topic:deploys", "x", team_id=NORTH),
        accept(
            grid,
            north.id,
            "x",
            actions=["acknowledge"],
            escalate={"to": south.id, "after": 60},
            team_id=NORTH,
        ),
    ]

    deliver(grid)
    deliver(grid, 120)

    assert [outcome(grid, id_)[-1] for id_ in ids] == [("dead", NOT_FOUND)] * 2


def test_commands_say_so(grid: Bellhop, south: Channel, untouched: list[str]) -> None:
    untouched.append(south.id)

    result = run(grid, "topic", "subscribe", "--team", NORTH, "deploys", south.id)

    assert "does not exist" in result.stderr


@pytest.mark.parametrize("is_private", [True, False])
def test_its_own_channels_are_used(grid: Bellhop, is_private: bool) -> None:
    """Also those that were created after the last listing."""
    grid.services.channels.refresh_listing(grid.services.client.find_workspace(NORTH))
    channel = grid.slack.add_channel(NORTH, "new", members=[WES], is_private=is_private)
    grid.slack.invite_bot(WES, channel.id)
    key = method_caller(grid, *Scope, team_id=NORTH)

    assert key.ok("chat.postMessage", channel=channel.id, text="x")
    assert key.ok("chat.postEphemeral", channel=channel.id, user=WES, text="x")
    deliver(grid)

    assert texts(grid, channel.id) == ["x"]


@pytest.mark.parametrize("is_listed", [True, False])
@pytest.mark.parametrize("is_external", [True, False])
def test_channels_shared_with_it_are_used(
    grid: Bellhop, south: Channel, is_listed: bool, is_external: bool
) -> None:
    if not is_listed:
        grid.services.channels.refresh_listing(grid.services.client.find_workspace(NORTH))
    grid.slack.share_within_organization(south.id, NORTH)
    if is_external:
        grid.slack.share_channel(south.id, ANN)
    id_ = accept(grid, south.id, "x", team_id=NORTH)

    deliver(grid)

    assert outcome(grid, id_) == [("sent", None)]


def test_it_is_decided_at_delivery(grid: Bellhop, north: Channel, untouched: list[str]) -> None:
    later = (grid.clock() + LISTING_LIFETIME * 2).isoformat()
    id_ = accept(grid, north.id, "x", send_at=later, team_id=NORTH)
    deliver(grid)
    with grid.slack.edit():
        grid.slack.world.channels[north.id].team_id = SOUTH
    untouched.append(north.id)

    deliver(grid, LISTING_LIFETIME.total_seconds() * 2)

    assert outcome(grid, id_) == [("dead", NOT_FOUND)]


@pytest.mark.parametrize("fault", ["server_error", "rate_limited"])
def test_it_waits_until_slack_answers(grid: Bellhop, north: Channel, fault: Any) -> None:
    for method in (INFO, "conversations.list"):
        grid.slack.faults.add(Fault(method, fault))
    id_ = accept(grid, north.id, "x", team_id=NORTH)
    deliver(grid)
    assert outcome(grid, id_)[0][0] == "waiting"
    key = method_caller(grid, *Scope, team_id=NORTH)
    given = json.dumps({"channel": north.id, "user": WES, "text": "x"}).encode()
    assert key.post("chat.postEphemeral", given, JSON).status == 503
    assert key.ok("chat.postMessage", channel=north.id, text="x")

    grid.slack.faults.clear()
    deliver(grid, 120)

    assert outcome(grid, id_) == [("sent", None)]


def test_a_missing_scope_opens_nothing(grid: Bellhop, untouched: list[str]) -> None:
    channel = grid.slack.add_channel(SOUTH, "secret", members=[WES], is_private=True)
    grid.slack.invite_bot(WES, channel.id)
    untouched.append(channel.id)
    grid.slack.faults.add(Fault(INFO, "api_error", error="missing_scope"))
    id_ = accept(grid, channel.id, "x", team_id=NORTH)

    deliver(grid)

    assert outcome(grid, id_) == [("dead", NOT_FOUND)]


def test_a_look_for_an_attempt_in_doubt_joins_nothing(grid: Bellhop, public: Channel) -> None:
    """A worker that died before the check has begun the attempt."""
    id_ = accept(grid, public.id, "x", team_id=NORTH)
    dying = Hand(grid)
    dying.die_before_request()
    dying.deliver()

    other = Hand(grid)
    for _ in range(3):
        other.deliver()
        grid.clock.advance(60)

    assert grid.slack.calls_to("conversations.join") == []
    assert outcome(grid, id_) == [("unknown", NOT_FOUND)]


def test_nobody_greets_it(grid: Bellhop, south: Channel, untouched: list[str]) -> None:
    untouched.append(south.id)
    workspace = grid.services.client.find_workspace(NORTH)

    with pytest.raises(SlackCallError, match=NOT_FOUND):
        grid.services.greetings.hello(workspace, south.id, WES)


@pytest.mark.parametrize("team_id", [NORTH, SOUTH])
def test_people_choose_only_its_channels(grid: Bellhop, south: Channel, team_id: str) -> None:
    workspace = grid.services.client.find_workspace(team_id)
    expected = pytest.raises(SlackCallError, match=NOT_FOUND)

    with expected if team_id == NORTH else nullcontext():
        grid.services.channels.ensure_can_post(workspace, south.id)


def test_invented_ids_make_few_calls(grid: Bellhop) -> None:
    before = len(grid.slack.calls_to(INFO))
    for number in range(40):
        accept(grid, f"C0NOBODY{number:02}", "x", team_id=NORTH)

    deliver(grid)

    asked = len(grid.slack.calls_to(INFO)) - before
    assert asked == share_of_one(BUDGETS[INFO][Purpose.DELIVERY])


def test_a_flood_to_an_unlisted_channel_delays_nobody_else(grid: Bellhop) -> None:
    grid.services.channels.refresh_listing(grid.services.client.find_workspace(NORTH))
    channel = grid.slack.add_channel(NORTH, "new", members=[WES])
    flood, other = caller(grid, team_id=NORTH), caller(grid, team_id=NORTH)
    for number in range(3 * share_of_one(BUDGETS[INFO][Purpose.DELIVERY])):
        flood.send({"to": f"C0NOBODY{number:02}", "text": "x"})
    flooding = flood.send({"to": channel.id, "text": "x"}).json()["id"]
    deliver(grid)
    assert outcome(grid, flooding) == [("waiting", "ratelimited")]

    id_ = other.send({"to": channel.id, "text": "x"}).json()["id"]
    deliver(grid, 59)
    deliver(grid, 2)
    deliver(grid, 2)

    assert outcome(grid, id_) == [("sent", None)]


def test_a_workspaces_own_installation_asks_nothing(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    id_ = accept(bellhop, GENERAL, "x")
    deliver(bellhop)
    key = method_caller(bellhop, team_id=ACME)
    key.ok("chat.postEphemeral", channel=GENERAL, user=ANN, text="x")

    assert outcome(bellhop, id_) == [("sent", None)]
    assert bellhop.slack.calls_to(INFO) == []
