"""Calls to Slack that calls of the Slack-compatible Web API cause."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from itertools import islice, product
from typing import Any

import pytest

from bolt_app.application import create_app
from bolt_app.credentials.api_keys import Scope
from bolt_app.fair_limit import share_of_one
from bolt_app.web.methods import METHODS
from bolt_app.web.methods.files import MOST_CHANNELS
from bolt_app.workspaces.lookup_budgets import BUDGETS, YIELD_FOR, Purpose
from slack_sandbox import Fault
from tests.conftest import FakeClock
from tests.notifications.hand import Hand, accept, states
from tests.people import ACME, ANN, BEN
from tests.running import Bellhop, running_bellhop, serving
from tests.statements import statements_of
from tests.web.methods.calling import JSON, MethodCaller, method_caller
from tests.web.methods.uploading import upload
from tests.workspaces.test_lookup_budgets import SLACKS

pytestmark = pytest.mark.sqlite_only

RANDOM = "C0ACME0002"
INFO, OPEN, LIST = "users.info", "conversations.open", "users.list"
LOOK_UP = "users.lookupByEmail"


def test_invented_people_do_not_use_up_slacks_limit(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    who = method_caller(bellhop, Scope.USERS)
    for number in range(share_of_one(BUDGETS[INFO][Purpose.CALL])):
        assert who.error(INFO, user=f"U0NOBODY{number}") == "user_not_found"

    answer = who.post(INFO, json.dumps({"user": BEN}).encode(), JSON)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
    before = len(bellhop.slack.calls_to(INFO))
    bellhop.services.access.person_changed(BEN)
    assert bellhop.services.access.person(ACME, BEN).role is not None
    assert len(bellhop.slack.calls_to(INFO)) == before + 1
    bellhop.clock.advance(60)
    assert who.ok(INFO, user=BEN)["user"]["id"] == BEN


def test_a_limited_key_causes_no_calls_for_others_direct_messages(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    limited = method_caller(bellhop, channels=["#random"])
    before = len(bellhop.slack.calls_to(OPEN))

    for number in range(3):
        error = limited.error("chat.postMessage", channel=f"D0NOBODY{number}", text="x")
        assert error == "restricted_action"

    assert len(bellhop.slack.calls_to(OPEN)) == before


def test_the_names_of_a_limited_key_are_resolved_once_for_a_call(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    channels = bellhop.slack.add_channels(ACME, 200)
    names = [f"#{channel.name}" for channel in channels] + [f"#unknown-{n}" for n in range(100)]
    limited = method_caller(bellhop, Scope.SEND, Scope.READ, channels=names)
    limited.ok("conversations.list")

    def reads(method: str, **arguments: Any) -> int:
        with statements_of(bellhop.services.database) as statements:
            limited.ok(method, **arguments)
        return sum("FROM channels" in statement for statement in statements)

    def share_in(number: int) -> int:
        files, given = [{"id": upload(limited)}], [channel.id for channel in channels[:number]]
        return reads("files.completeUploadExternal", files=files, channels=",".join(given))

    assert share_in(MOST_CHANNELS) == share_in(1) <= 2
    assert reads("conversations.list") <= 3


@pytest.mark.parametrize("method", ["conversations.list", "users.conversations"])
def test_a_listing_that_slack_does_not_answer_holds_a_quarter_of_the_threads(
    database_url: str, encryption_key: str, clock: FakeClock, method: str
) -> None:
    with running_bellhop(database_url, encryption_key, clock, web_threads=4) as bellhop:
        bellhop.install(ANN)
        who = method_caller(bellhop)
        bellhop.slack.faults.add(Fault("conversations.list", "timeout"))
        with ThreadPoolExecutor(2) as threads:
            running = [threads.submit(who.post, method, b"{}", JSON) for _ in range(2)]
            refused = next(as_completed(running)).result()
            bellhop.slack.faults.clear()

        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")


def test_a_key_for_people_asks_about_them_only(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    limited = method_caller(bellhop, channels=[ANN])
    before = len(bellhop.slack.calls_to(OPEN))

    for number in range(40):
        error = limited.error("chat.postMessage", channel=f"D0NOBODY{number}", text="x")
        assert error == "restricted_action"

    assert len(bellhop.slack.calls_to(OPEN)) == before + 1
    conversation = bellhop.slack.app_dm(ACME, ANN).id
    assert limited.ok("chat.postMessage", channel=conversation, text="x")["channel"]


# Arguments that a program can invent, by method. A call of any method with them makes no more calls
# to Slack than the budget of API calls allows one key.
INVENTED: dict[str, Any] = {
    "channel": "D0NOBODY{}",
    "user": "U0NOBODY{}",
    "email": "nobody-{}@acme.example",
    "cursor": "invented{}",
    "text": "x",
}
INVENTED_PEOPLE = {**INVENTED, "channel": "", "users": "U0NOBODY{}"}
INVENTED_CHANNELS = {**INVENTED, "channel": "C0NOBODY{}"}
# Public channels without the bot.
EXISTING_CHANNELS = {**INVENTED, "channel": "#channel-{}"}
FLOOD = 24


@pytest.mark.slow
@pytest.mark.parametrize("invented", [INVENTED, INVENTED_PEOPLE, INVENTED_CHANNELS])
def test_no_method_uses_up_slacks_limits(
    bellhop: Bellhop, invented: dict[str, str], subtests: pytest.Subtests
) -> None:
    bellhop.install(ANN)
    for first, name in enumerate(sorted(METHODS)):
        with subtests.test(name):
            check_limits(bellhop, name, invented, first * FLOOD + 1)
        # The budget of the next method is unused.
        bellhop.clock.advance(120)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(METHODS))
def test_no_method_uses_up_slacks_limits_with_channels_to_join(bellhop: Bellhop, name: str) -> None:
    bellhop.install(ANN)
    bellhop.slack.add_channels(ACME, FLOOD)

    check_limits(bellhop, name, EXISTING_CHANNELS, 1)


def check_limits(bellhop: Bellhop, name: str, invented: dict[str, str], first: int) -> None:
    """Call a method with many arguments, numbered from `first` on, and count the calls to Slack."""
    flood = method_caller(bellhop, *Scope)
    before = Counter(call.method for call in bellhop.slack.calls)

    for number in range(first, first + FLOOD):
        given = {key: text.format(number) for key, text in invented.items() if text}
        flood.post(name, json.dumps(given).encode(), JSON)

    asked = Counter(call.method for call in bellhop.slack.calls) - before
    most = {method: share_of_one(BUDGETS[method][Purpose.CALL]) for method in BUDGETS}
    assert {method: n for method, n in asked.items() if n > most.get(method, 1)} == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        (INFO, {"user": "U0NOBODY{}"}, {"user": BEN}),
        (LOOK_UP, {"email": "nobody-{}@acme.example"}, {"email": "ben@acme.example"}),
        (LIST, {"cursor": "invented{}"}, {}),
        (OPEN, {"users": "U0NOBODY{}"}, {"users": BEN}),
    ],
)
def test_one_key_leaves_lookups_for_others(
    bellhop: Bellhop, name: str, given: dict[str, str], wanted: dict[str, str]
) -> None:
    bellhop.install(ANN)
    flood, other = (method_caller(bellhop, *Scope) for _ in range(2))
    statuses = [
        flood.post(name, json.dumps(invented(given, number)).encode(), JSON).status
        for number in range(40)
    ]

    assert statuses[-1] == 503
    assert other.ok(name, **wanted)


@pytest.mark.parametrize("processes", [3, 8])
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        (INFO, {"user": "U0NOBODY{}"}, {"user": BEN}),
        (LOOK_UP, {"email": "nobody-{}@acme.example"}, {"email": "ben@acme.example"}),
        (LIST, {"cursor": "invented{}"}, {}),
        (OPEN, {"users": "U0NOBODY{}"}, {"users": BEN}),
    ],
)
def test_one_key_leaves_lookups_for_others_in_every_process(
    database_url: str,
    encryption_key: str,
    clock: FakeClock,
    name: str,
    given: dict[str, str],
    wanted: dict[str, str],
    processes: int,
) -> None:
    with (
        running_bellhop(database_url, encryption_key, clock, web_workers=processes) as bellhop,
        ExitStack() as others,
    ):
        bellhop.install(ANN)
        flood, other = (method_caller(bellhop, *Scope).key for _ in range(2))
        urls = [
            bellhop.url,
            *(others.enter_context(another(bellhop)) for _ in range(processes - 1)),
        ]
        for number, url in product(range(24), urls):
            arguments = invented(given, f"{number}{urls.index(url)}")
            status = (
                MethodCaller(url, flood).post(name, json.dumps(arguments).encode(), JSON).status
            )
            assert status in (200, 503)

        for url in urls:
            assert MethodCaller(url, other).ok(name, **wanted)
        room = SLACKS[name] - sum(BUDGETS[name].values()) + BUDGETS[name][Purpose.CALL]
        assert len(bellhop.slack.calls_to(name)) <= room


@contextmanager
def another(bellhop: Bellhop) -> Iterator[str]:
    """Run another web process of an installation; yield its URL."""
    app = create_app(bellhop.settings, clock=bellhop.clock)
    try:
        with serving(app) as (url, _):
            yield url
    finally:
        app.extensions["bellhop"].close()


def invented(given: dict[str, str], number: object) -> dict[str, str]:
    return {key: text.format(number) for key, text in given.items()}


def test_api_calls_leave_a_method_alone_that_slack_limits(bellhop: Bellhop) -> None:
    """Several machines together can reach Slack's limit, which holds deliveries up."""
    bellhop.install(ANN)
    who = method_caller(bellhop, *Scope)
    bellhop.slack.faults.add(Fault(LOOK_UP, "rate_limited", times=1))
    asked = len(bellhop.slack.calls_to(LOOK_UP))
    email = json.dumps({"email": "ben@acme.example"}).encode()
    assert who.post(LOOK_UP, email, JSON).status == 503
    bellhop.clock.advance(120)

    assert who.post(LOOK_UP, email, JSON).status == 503
    assert len(bellhop.slack.calls_to(LOOK_UP)) == asked + 1
    id_ = accept(bellhop, "@ben@acme.example", "x")
    Hand(bellhop).deliver()
    assert states(bellhop, id_) == ["sent"]

    bellhop.clock.advance(YIELD_FOR.total_seconds())
    assert who.post(LOOK_UP, email, JSON).status == 200


def test_a_slow_slack_holds_a_quarter_of_the_threads(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    with running_bellhop(database_url, encryption_key, clock, web_threads=8) as bellhop:
        bellhop.install(ANN)
        who = method_caller(bellhop, *Scope)
        calls = {
            INFO: {"user": BEN},
            OPEN: {"users": BEN},
            "users.list": {},
            "chat.postEphemeral": {"channel": RANDOM, "user": ANN, "text": "x"},
        }
        bellhop.slack.faults.add(Fault("*", "timeout"))
        with ThreadPoolExecutor(len(calls)) as threads:
            running = [
                threads.submit(who.post, name, json.dumps(given).encode(), JSON)
                for name, given in calls.items()
            ]
            refused = list(islice(as_completed(running), 2))
            accepted = who.ok("chat.postMessage", channel="#not-listed", text="x")
            bellhop.slack.faults.clear()

        assert accepted["channel"] == "#not-listed"
        assert [one.result().headers["Retry-After"] for one in refused] == ["1", "1"]
