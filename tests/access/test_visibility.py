"""Visibility for each kind of person on every surface, and its maximum age."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import product
from typing import Any

import pytest
from sqlalchemy import select, update

from bolt_app.access.authorization import (
    STALE_AFTER,
    AccessDeniedError,
    Action,
    Authorization,
    Person,
    Role,
    role_of,
)
from bolt_app.db.models import Delivery, Notification
from bolt_app.lifecycle.personal_data import personal_data
from bolt_app.notifications.content.modes import DeliveryMode
from bolt_app.notifications.content.schema import read_one
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.digests.preferences import NotificationPreferences
from bolt_app.notifications.history.retention import Retention
from bolt_app.notifications.history.views import Viewer
from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionChange, SubscriptionSpec
from bolt_app.recent_answers import RecentAnswers
from bolt_app.slack import ids
from bolt_app.slack.subscriptions.blocks import undo_fields
from bolt_app.slack_api import SlackCallError
from bolt_app.slack_ids import NOBODY
from bolt_app.workspaces.client import BotWorkspace
from slack_sandbox import Fault
from tests.conftest import FakeClock
from tests.notifications.hand import Hand, accept, deliveries, texts
from tests.people import ACME, ANN, BEA, BEN, GENERAL, NORTH, SOUTH, WES
from tests.running import Bellhop, Browser, running_bellhop
from tests.web.forms import csrf_of, follow, send_form
from tests.web.methods.calling import method_caller
from tests.web.methods.test_messages import grant_reactions
from tests.web.test_notification_pages import private_channel

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

GUEST, DEACTIVATED = "U0GUS00001", "U0DEE00001"
PAT = "U0PAT00001"
DEPLOYS, LEADS, OLD_NEWS = "C0ACME0003", "C0ACME0006", "C0ACME0005"
RANDOM = "C0ACME0002"
BENS = "@ben@acme.example"
PROFILE = "?only=profile"
MINUTE = STALE_AFTER.total_seconds()


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def delivered(bellhop: Bellhop, to: str, title: str, **more: Any) -> str:
    id_ = accept(bellhop, to, title=title, **more)
    bellhop.clock.advance(5)
    Hand(bellhop).deliver()
    return id_


def home(bellhop: Bellhop, user_id: str) -> str:
    bellhop.slack.open_home(user_id, ACME)
    bellhop.slack.deliver_due()
    view = bellhop.slack.home_view(ACME, user_id)
    return "" if view is None else json.dumps(view.blocks, ensure_ascii=False)


def ask(bellhop: Bellhop, user_id: str, words: str, channel_id: str | None = None) -> str:
    where = channel_id or bellhop.slack.app_dm(ACME, user_id).id
    message = bellhop.slack.send_command(user_id, where, "/notify", words).message
    assert message is not None
    return json.dumps([message.text, message.blocks], ensure_ascii=False)


def page(browser: Browser, id_: str) -> int:
    return browser.get(f"/notifications/{id_}").status


def sign_in(bellhop: Bellhop, user_id: str) -> Browser:
    browser, _ = bellhop.install(user_id, query=PROFILE)
    return browser


# The web, for each kind of person.


@pytest.mark.parametrize("who", ["nobody", "guest", "deactivated", "elsewhere", "member"])
def test_every_page(installed: Bellhop, who: str) -> None:
    ids = [delivered(installed, one, f"for {one}") for one in (GENERAL, DEPLOYS)]
    if who == "nobody":
        browser = installed.browser()
    elif who == "elsewhere":
        browser, _ = installed.install(BEA)
    else:
        browser = sign_in(installed, GUEST if who == "guest" else BEN)
    token = browser.get("/profile").text if who == "deactivated" else ""
    if who == "deactivated":
        installed.slack.update_user(BEN, deleted=True)
        installed.slack.deliver_due()
    expected = {
        "nobody": ([403, 403], 303, None),
        "deactivated": ([403, 403], 303, None),
        "elsewhere": ([404, 404], 200, {"alerts", "deploys", "general", "random"}),
        "guest": ([404, 200], 200, {"deploys"}),
        "member": ([200, 200], 200, {"alerts", "deploys", "general", "random"}),
    }

    statuses, profile, names = expected[who]

    assert [page(browser, id_) for id_ in ids] == statuses
    assert browser.get("/profile").status == profile
    found = browser.get("/profile/channels")
    assert found.status == profile
    if names is not None:
        assert {one["name"] for one in found.json()["channels"]} == names
    assert token is not None


@pytest.mark.parametrize(
    ("user_id", "channel", "is_allowed"),
    [
        (GUEST, GENERAL, False),
        (GUEST, LEADS, False),
        (GUEST, DEPLOYS, False),
        (GUEST, ANN, False),
        (BEN, GENERAL, True),
        (BEN, LEADS, False),
        (BEN, ANN, False),
        (BEN, "D0", False),
        (ANN, LEADS, True),
    ],
)
def test_hello_goes_where_the_person_could_write(
    installed: Bellhop, user_id: str, channel: str, is_allowed: bool
) -> None:
    installed.slack.invite_bot(ANN, LEADS)
    browser = sign_in(installed, user_id)
    before = len(installed.slack.calls_to("chat.postMessage"))
    if channel == "D0":
        channel = installed.slack.app_dm(ACME, ANN).id

    # Not the page's form, which guests do not have.
    fields = {"csrf_token": csrf_of(browser), "channel_id": channel}
    shown = follow(browser, browser.post("/profile/hello", fields))

    assert ("Bellhop said hello" in shown.text) is is_allowed
    assert (len(installed.slack.calls_to("chat.postMessage")) > before) is is_allowed


def test_while_slack_is_silent_nothing_is_allowed(installed: Bellhop) -> None:
    id_ = delivered(installed, GENERAL, "Secret title")
    browser = sign_in(installed, BEN)
    installed.clock.advance(MINUTE)
    installed.slack.faults.add(Fault("users.info", "server_error"))

    assert page(browser, id_) == 502
    assert browser.get("/profile/channels").status == 502
    shown = follow(browser, send_form(browser, "/profile/hello", channel_id=GENERAL))
    assert "Slack is not answering" in shown.text
    assert "Slack is not answering" in ask(installed, BEN, "subscribe deploys", GENERAL)
    seen = home(installed, ANN)
    assert "Slack is not answering" in seen
    assert "Secret title" not in seen
    assert "API keys" not in seen
    assert installed.services.subscriptions.of_team(ACME) == []


def test_a_list_of_channels_that_is_too_old_makes_nothing_public(installed: Bellhop) -> None:
    id_, browser = delivered(installed, GENERAL, "x"), sign_in(installed, BEN)
    assert page(browser, id_) == 200
    installed.slack.faults.add(Fault("conversations.list", "server_error"))

    installed.clock.advance(14 * 60)
    assert page(browser, id_) == 200
    installed.clock.advance(2 * 60)
    assert page(browser, id_) == 502


# The App Home.


@pytest.mark.parametrize(("user_id", "knows"), [(GUEST, False), (BEN, True)])
def test_a_page_names_topics_to_members_alone(
    installed: Bellhop, user_id: str, knows: bool
) -> None:
    """A topic may have led to other channels too."""
    installed.services.subscriptions.subscribe(ACME, DEPLOYS, SubscriptionSpec("deploys"))
    id_ = accept(installed, ["topic:deploys", "topic:merger"], "x")
    Hand(installed).deliver()

    shown = sign_in(installed, user_id).get(f"/notifications/{id_}")

    assert (shown.status, "merger" in shown.text) == (200, knows)


def test_home_shows_a_guest_what_went_to_their_channels(installed: Bellhop) -> None:
    for to in (GENERAL, DEPLOYS, LEADS):
        delivered(installed, to, f"Title for {to}")

    seen = home(installed, GUEST)

    assert f"Title for {DEPLOYS}" in seen
    assert f"Title for {GENERAL}" not in seen
    assert "rejected by Slack" not in seen
    assert f"Title for {GENERAL}" in home(installed, BEN)


def test_home_names_no_private_channel(installed: Bellhop) -> None:
    installed.slack.invite_bot(ANN, LEADS)
    delivered(installed, "#leads", "We buy Globex")

    for user_id in (ANN, BEN, GUEST):
        assert "We buy Globex" not in home(installed, user_id)
    for user_id in (ANN, BEN, GUEST):
        browser = sign_in(installed, user_id)
        assert "leads" not in browser.get("/profile").text
        assert browser.get("/profile/channels?q=leads").json() == {"channels": []}


@pytest.mark.parametrize("user_id", [DEACTIVATED, BEA])
def test_home_shows_nothing_to_external_people(installed: Bellhop, user_id: str) -> None:
    installed.slack.share_channel(GENERAL, BEA)
    event = {"type": "app_home_opened", "user": user_id, "tab": "home", "channel": "D0"}

    installed.slack.send_event(ACME, event)

    assert installed.slack.calls_to("views.publish") == []


def test_a_guest_is_not_asked_for_a_topic(installed: Bellhop) -> None:
    delivered(installed, "topic:payroll", "x")

    assert "payroll" not in ask(installed, GUEST, "list")
    assert "payroll" in ask(installed, BEN, "list")
    refused = ask(installed, GUEST, "subscribe *")
    assert "Guests cannot subscribe to topics" in refused
    assert installed.services.subscriptions.of_team(ACME) == []


@pytest.mark.parametrize("is_restricted", [True, False])
def test_a_member_who_becomes_a_guest_gets_nothing_by_their_own_subscriptions(
    installed: Bellhop, is_restricted: bool
) -> None:
    installed.services.subscriptions.subscribe(ACME, BEN, SubscriptionSpec("deploys"))
    for value in (True, is_restricted):
        installed.slack.update_user(BEN, is_restricted=value)
        installed.slack.deliver_due()

    reached = [one.target for one in deliveries(installed, accept(installed, "topic:deploys", "x"))]

    assert reached == ([] if is_restricted else [BEN])
    assert ("guests cannot subscribe" in ask(installed, BEN, "list")) is is_restricted


@pytest.mark.parametrize("may_subscribe", [True, False])
def test_what_an_earlier_subscription_holds_is_not_for_a_guest(
    installed: Bellhop, may_subscribe: bool
) -> None:
    hourly = Schedule.read("hourly", "UTC")
    for topic, digest in (("payroll", hourly), ("deploys", None)):
        spec = SubscriptionSpec(topic, digest=digest)
        installed.services.subscriptions.subscribe(ACME, BEN, spec)
    arrived = delivered(installed, "topic:deploys", "Deployed")
    covered = [accept(installed, "topic:payroll", title=title) for title in ("Mine", "Yours")]
    addressed = accept(installed, BEN, title="For Ben", send_at=tomorrow(installed))
    ben = sign_in(installed, BEN)
    assert [page(ben, one) for one in (arrived, *covered, addressed)] == [200] * 4

    installed.slack.users[BEN].is_restricted = not may_subscribe
    installed.clock.advance(2 * MINUTE)
    expected = [200, 200] if may_subscribe else [404, 404]

    assert [page(ben, one) for one in covered] == expected
    installed.clock.advance(3600)
    Hand(installed).deliver()
    assert [page(ben, one) for one in covered] == expected
    assert [page(ben, one) for one in (arrived, addressed)] == [200, 200]


def test_what_failed_for_an_earlier_subscription_is_not_for_a_guest(installed: Bellhop) -> None:
    installed.services.subscriptions.subscribe(ACME, BEN, SubscriptionSpec("payroll"))
    installed.slack.faults.add(Fault("chat.postMessage", "api_error", error="restricted_action"))
    ids = [delivered(installed, to, f"Salary {to}") for to in ("topic:payroll", BEN)]
    installed.slack.faults.clear()
    ben = sign_in(installed, BEN)
    assert [page(ben, id_) for id_ in ids] == [200, 200]

    installed.slack.users[BEN].is_restricted = True
    installed.clock.advance(2 * MINUTE)

    assert [page(ben, id_) for id_ in ids] == [404, 200]
    seen = home(installed, BEN)
    assert [f"Salary {to}" in seen for to in ("topic:payroll", BEN)] == [False, True]


def tomorrow(bellhop: Bellhop) -> str:
    return str((bellhop.clock() + timedelta(days=1)).isoformat())


# Previews.


def test_a_preview_names_what_the_reader_may_see(installed: Bellhop) -> None:
    for address, topic in ((LEADS, "secret"), (GENERAL, "open")):
        installed.services.subscriptions.subscribe(ACME, address, SubscriptionSpec(topic))
    installed.slack.invite_bot(ANN, LEADS)
    delivered(installed, "topic:secret", "We buy Globex")
    delivered(installed, "topic:open", "All is well")

    seen_by_ben = ask(installed, BEN, "subscribe *")
    seen_by_ann = ask(installed, ANN, "subscribe *")
    in_channel = ask(installed, ANN, "subscribe *", DEPLOYS)

    assert "1 of the last 1 notification (7 days) would have been delivered here" in seen_by_ben
    assert "of the last 2 notifications" in seen_by_ann
    assert "of the last 1 notification " in in_channel
    assert "All is well" in seen_by_ben
    assert "We buy Globex" not in seen_by_ben
    assert "We buy Globex" in seen_by_ann
    assert "All is well" in in_channel
    assert "We buy Globex" not in in_channel


def test_a_count_tells_nothing_of_what_may_not_be_shown(installed: Bellhop) -> None:
    installed.services.subscriptions.subscribe(ACME, LEADS, SubscriptionSpec("hr"))
    installed.slack.invite_bot(ANN, LEADS)
    delivered(installed, "topic:hr", "Layoff", fields=[{"name": "person", "value": "Ben"}])

    answers = {
        ask(installed, BEN, f"subscribe hr person={name}", channel_id).replace(name, "…")
        for name in ("Ben", "Pat")
        for channel_id in (None, GENERAL)
    }
    assert all("No notifications that can be shown here" in one for one in answers)
    assert not any("would have been delivered" in one for one in answers)


def test_a_preview_in_a_channel_names_nothing_that_no_subscription_wanted(
    installed: Bellhop,
) -> None:
    delivered(installed, "topic:payroll", "Nowhere yet")

    assert "Nowhere yet" in ask(installed, ANN, "subscribe payroll")
    in_channel = ask(installed, ANN, "subscribe payroll", DEPLOYS)
    assert "Nowhere yet" not in in_channel
    assert "No notifications that can be shown here" in in_channel


def test_a_preview_in_a_shared_channel_shows_nothing(installed: Bellhop) -> None:
    delivered(installed, "topic:deploys", "Nowhere yet")
    installed.slack.share_channel(GENERAL, BEA)

    seen = ask(installed, ANN, "subscribe deploys", GENERAL)
    assert "Nowhere yet" not in seen
    assert "7 days" not in seen
    assert "Did you mean" not in ask(installed, ANN, "subscribe deploi", GENERAL)
    assert installed.slack.ephemerals(ANN) == []


def test_a_topic_is_suggested_to_the_member_and_not_to_guests_of_the_channel(
    installed: Bellhop,
) -> None:
    delivered(installed, "topic:payroll", "x")

    in_channel = ask(installed, BEN, "subscribe payrol", DEPLOYS)

    installed.wait_for_ephemeral(BEN, "Did you mean `/notify subscribe payroll`?")
    assert "payroll" not in in_channel
    assert installed.slack.ephemerals(GUEST) == []
    assert "subscribe payroll`?" in ask(installed, BEN, "subscribe payrol")


def test_a_guest_who_may_subscribe_sees_no_topics(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    anyone = {"subscriptions_by": "anyone"}
    with running_bellhop(database_url, encryption_key, clock, **anyone) as bellhop:
        bellhop.install(ANN)
        delivered(bellhop, "topic:payroll", "x")

        for topic, channel_id in (("payrolls", None), ("payrol", DEPLOYS)):
            seen = ask(bellhop, GUEST, f"subscribe {topic}", channel_id)
            assert f"`{topic}`" in seen
            assert "Did you mean" not in seen
        assert "Did you mean" in ask(bellhop, BEN, "subscribe payroli")


def test_a_button_of_another_channel_changes_nothing(installed: Bellhop) -> None:
    installed.services.subscriptions.subscribe(ACME, LEADS, SubscriptionSpec("deploys"))
    done = installed.slack.send_command(ANN, DEPLOYS, "/notify", "subscribe deploys").message
    assert done is not None
    undo = undo_fields([SubscriptionChange("deploys", None, None)])
    value = installed.services.signer.sign(ids.UNDO_SUBSCRIPTIONS, ACME, LEADS, undo)
    done.blocks[-1]["elements"][0]["value"] = value

    installed.slack.click(BEN, done, ids.UNDO_SUBSCRIPTIONS)

    assert len(installed.services.subscriptions.of_address(ACME, LEADS)) == 1
    installed.wait_for_ephemeral(BEN, "This button is outdated")


# Links.


@pytest.mark.parametrize(("by", "is_shown"), [(BEN, True), (GUEST, False)])
def test_a_guest_unfurls_what_went_to_that_channel(
    installed: Bellhop, by: str, is_shown: bool
) -> None:
    elsewhere = delivered(installed, GENERAL, "Elsewhere")
    here = delivered(installed, DEPLOYS, "Here")
    text = " ".join(f"{installed.url}/notifications/{one}" for one in (elsewhere, here))
    message = installed.slack.post_as(by, DEPLOYS, text)
    installed.slack.deliver_due()

    shown = json.dumps(message.attachments)
    assert "Here" in shown
    assert ("Elsewhere" in shown) is is_shown


# Waiting and cancelled deliveries.


def escalating(bellhop: Bellhop, to: str, title: str) -> str:
    escalate = {"to": GENERAL, "after": 600}
    return delivered(bellhop, to, title, actions=["acknowledge"], escalate=escalate)


@pytest.mark.parametrize("is_answered", [True, False])
def test_an_escalation_makes_nothing_public_before_it_goes_out(
    installed: Bellhop, is_answered: bool
) -> None:
    installed.slack.invite_bot(ANN, LEADS)
    installed.services.subscriptions.subscribe(ACME, LEADS, SubscriptionSpec("hr"))
    personal = escalating(installed, BEN, "For Ben alone")
    private = escalating(installed, "topic:hr", "We buy Globex")
    if is_answered:
        for id_, user_id in ((personal, BEN), (private, ANN)):
            installed.services.incidents.answer(ACME, id_, user_id, IncidentAnswer.ACKNOWLEDGE)
        Hand(installed).deliver()
    pat, ben = sign_in(installed, PAT), sign_in(installed, BEN)

    assert [page(pat, id_) for id_ in (personal, private)] == [404, 404]
    assert page(ben, personal) == 200
    assert "Globex" not in unfurled(installed, BEN, private)
    assert "For Ben" not in unfurled(installed, PAT, personal)
    assert "Globex" not in ask(installed, BEN, "subscribe hr")
    assert "Globex" not in home(installed, PAT)


def test_an_escalation_that_went_out_is_seen_where_it_went(installed: Bellhop) -> None:
    id_ = escalating(installed, BEN, "Disk full")
    installed.clock.advance(600)
    Hand(installed).deliver()

    assert page(sign_in(installed, PAT), id_) == 200
    assert "Disk full" in unfurled(installed, PAT, id_)


def test_an_escalation_that_failed_makes_nothing_public(installed: Bellhop) -> None:
    installed.slack.invite_bot(ANN, LEADS)
    browsers = {one: sign_in(installed, one) for one in (ANN, PAT)}
    id_ = escalating(installed, LEADS, "We buy Globex")
    # Such as a channel in which only some people may post.
    installed.slack.faults.add(Fault("chat.postMessage", "api_error", error="restricted_action"))
    installed.clock.advance(700)
    Hand(installed).deliver()
    installed.slack.faults.clear()

    assert [one.state for one in deliveries(installed, id_)] == ["sent", "dead"]
    assert {one: page(browser, id_) for one, browser in browsers.items()} == {ANN: 200, PAT: 404}
    assert "Globex" in home(installed, ANN)
    assert "Globex" not in home(installed, PAT)
    assert "Globex" not in unfurled(installed, PAT, id_)
    assert "Globex" not in ask(installed, PAT, "subscribe *")


def test_cancelled_deliveries_are_visible_to_their_sender_and_admins(installed: Bellhop) -> None:
    installed.services.channels.search(installed.services.client.find_workspace(ACME))
    installed.services.subscriptions.subscribe(ACME, GENERAL, SubscriptionSpec("deploys"))
    later = (installed.clock() + timedelta(days=1)).isoformat()
    content = {"to": "topic:deploys", "title": "Withdrawn", "send_at": later}
    request = read_one(content, installed.clock())
    sent = installed.services.intake.submit(Sender(ACME, f"slack:{BEN}"), [request])
    id_ = sent.notifications[0].id
    installed.services.history.cancel(ACME, id_)

    browsers = {one: sign_in(installed, one) for one in (ANN, BEN, PAT)}
    pages = {one: page(browser, id_) for one, browser in browsers.items()}
    assert pages == {ANN: 200, BEN: 200, PAT: 404}
    assert "Withdrawn" not in home(installed, PAT)
    assert "Withdrawn" not in ask(installed, PAT, "subscribe deploys")
    assert "Withdrawn" not in ask(installed, ANN, "subscribe deploys", DEPLOYS)
    assert "Withdrawn" not in unfurled(installed, BEN, id_)


@pytest.mark.parametrize("error", ["fatal_error", "restricted_action"])
def test_what_was_cancelled_while_an_attempt_failed_is_not_for_members(
    installed: Bellhop, error: str
) -> None:
    """Neither while it waits for the next attempt, nor after its end."""
    browsers = {one: sign_in(installed, one) for one in (ANN, BEN)}
    browsers[BEN].get("/profile/channels")
    installed.slack.faults.add(Fault("chat.postMessage", "api_error", error=error, times=1))
    id_ = accept(installed, GENERAL, title="Withdrawn")
    hand = Hand(installed)

    def cancel() -> None:
        installed.services.history.cancel(ACME, id_)

    hand.ownership.before_request = cancel

    for _ in range(2):
        hand.deliver()
        pages = {one: page(browser, id_) for one, browser in browsers.items()}
        assert (pages, texts(installed, GENERAL)) == ({ANN: 200, BEN: 404}, [])
        assert "Withdrawn" not in home(installed, BEN)
        installed.clock.advance(60)


def test_what_an_edit_replaced_before_it_went_out_is_visible_to_admins_alone(
    installed: Bellhop,
) -> None:
    browsers = {one: sign_in(installed, one) for one in (ANN, BEN)}
    browsers[BEN].get("/profile/channels")
    grant_reactions(installed)
    ci = method_caller(installed)
    for to in (GENERAL, BEN):
        withdrawn, kept = (f"Salaries of {to}", f"Bonuses of {to}"), f"News of {to}"
        ts = ci.ok("chat.postMessage", channel=to, text=withdrawn[0])["ts"]
        ci.ok("reactions.add", channel=to, timestamp=ts, name="eyes")
        for text in (withdrawn[1], kept):
            ci.ok("chat.update", channel=to, ts=ts, text=text)
        for _ in range(3):
            Hand(installed).deliver()
            installed.clock.advance(2)

        for text in withdrawn:
            id_ = id_of(installed, text)
            assert page(browsers[BEN], id_) == 404, text
            assert page(browsers[ANN], id_) == (200 if to == GENERAL else 404), text
            assert text not in unfurled(installed, BEN, id_)
            # In a channel with another organization, too.
            share = partial(installed.services.visibility.find_shared, ACME, id_, to)
            assert share(shared_by=BEN, is_outside=True) is None
        assert page(browsers[BEN], id_of(installed, kept)) == 200, to
    received = browsers[BEN].get("/profile/data").json()["received"]
    assert [one["content"]["text"] for one in received] == [f"News of {BEN}"]


def id_of(bellhop: Bellhop, text: str) -> str:
    with bellhop.services.database.reading_connection() as connection:
        rows = connection.execute(select(Notification.id, Notification.content))
        return str(next(row.id for row in rows if row.content["text"] == text))


def unfurled(bellhop: Bellhop, user_id: str, id_: str) -> str:
    link = f"{bellhop.url}/notifications/{id_}"
    message = bellhop.slack.post_as(user_id, RANDOM, link)
    bellhop.slack.deliver_due()
    return json.dumps(message.attachments)


# Unknown destinations, private and archived channels.


def test_a_name_that_leads_nowhere_is_for_its_sender_and_admins(installed: Bellhop) -> None:
    request = read_one({"to": "#leads", "text": "We buy Globex"}, installed.clock())
    sent = installed.services.intake.submit(Sender(ACME, f"slack:{BEN}"), [request])
    id_ = sent.notifications[0].id
    Hand(installed).deliver()
    browsers = {one: sign_in(installed, one) for one in (ANN, BEN, GUEST, "U0PAT00001")}

    assert [one.error for one in deliveries(installed, id_)] == ["channel_not_found"]
    assert {one: page(browser, id_) for one, browser in browsers.items()} == {
        ANN: 200,
        BEN: 200,
        GUEST: 404,
        "U0PAT00001": 404,
    }


def test_a_failed_message_to_an_address_is_not_for_the_person_who_gets_the_address(
    installed: Bellhop,
) -> None:
    address = "old@acme.example"
    salary = {"to": f"@{address}", "title": "Salary", "text": "x"}
    request = read_one(salary, installed.clock())
    sent = installed.services.intake.submit(Sender(ACME, f"slack:{PAT}"), [request])
    id_ = sent.notifications[0].id
    Hand(installed).deliver()
    assert [one.error for one in deliveries(installed, id_)] == ["users_not_found"]
    installed.slack.users[BEN].email = address
    browsers = {one: sign_in(installed, one) for one in (ANN, BEN, PAT)}

    pages = {one: page(browser, id_) for one, browser in browsers.items()}
    assert pages == {ANN: 200, BEN: 404, PAT: 200}
    assert {one: "Salary" in home(installed, one) for one in pages} == {
        ANN: True,
        BEN: False,
        PAT: True,
    }


def test_a_message_to_an_address_is_for_nobody_before_its_person_is_known(
    installed: Bellhop,
) -> None:
    browsers = {one: sign_in(installed, one) for one in (ANN, BEN, PAT)}
    people, address = installed.slack.users, "ben@acme.example"
    due = installed.clock() + timedelta(hours=3)
    id_ = accept(installed, f"@{address}", title="Salary", send_at=due.isoformat())
    # The events about it are lost.
    people[BEN].email, people[PAT].email = "ben.baker@acme.example", address
    installed.clock.advance(3600)
    pages = {one: page(browser, id_) for one, browser in browsers.items()}
    assert pages == {ANN: 404, BEN: 404, PAT: 404}

    installed.clock.advance(2 * 3600)
    Hand(installed).deliver()

    pages = {one: page(browser, id_) for one, browser in browsers.items()}
    assert pages == {ANN: 404, BEN: 404, PAT: 200}


def test_a_former_owner_of_an_address_is_not_shown_what_was_to_come(installed: Bellhop) -> None:
    browsers = {one: sign_in(installed, one) for one in (ANN, BEN)}
    address = "@ben@acme.example"
    due = installed.clock() + timedelta(hours=3)
    later = accept(installed, address, title="Salary", send_at=due.isoformat())
    # It leads all deliveries to the address to Ben.
    delivered(installed, address, "Welcome")
    installed.slack.users[BEN].email = "ben.baker@acme.example"
    installed.slack.users[PAT].email = "ben@acme.example"
    installed.clock.advance(3600)
    before = [page(browser, later) for browser in browsers.values()]

    installed.clock.advance(3 * 3600)
    Hand(installed).deliver()

    assert before == [404, 404]
    assert [one.error for one in deliveries(installed, later)] == ["users_not_found"]
    # Ann is an admin.
    assert [page(browser, later) for browser in browsers.values()] == [200, 404]
    for user_id, is_shown in ((ANN, True), (BEN, False)):
        installed.slack.open_home(user_id, ACME)
        installed.wait_for_home(ACME, user_id, "Salary" if is_shown else "1 failed")
        home = installed.slack.home_view(ACME, user_id)
        assert home is not None
        assert ("Salary" in str(home.blocks)) is is_shown


def lead_to_ben(bellhop: Bellhop) -> None:
    """Let a delivery find the person, so that all deliveries to his address join his lane."""
    delivered(bellhop, BENS, "Welcome")


def give_away(bellhop: Bellhop) -> None:
    """Give Ben's address to Pat; the events about it are lost."""
    bellhop.slack.users[BEN].email = "ben.baker@acme.example"
    bellhop.slack.users[PAT].email = BENS[1:]


def in_hours(bellhop: Bellhop, hours: float) -> str:
    return str((bellhop.clock() + timedelta(hours=hours)).isoformat())


def deliver_for(bellhop: Bellhop, hours: float) -> None:
    """Deliver for some hours, with a few rounds in each."""
    hand = Hand(bellhop)
    for _ in range(int(hours * 2)):
        hand.deliver()
        bellhop.clock.advance(1800)


def seen_by(bellhop: Bellhop, title: str, id_: str) -> set[str]:
    """Return the people who see a notification, on its page and in their App Home, among some.

    Both are the same for a notification that failed.
    """
    people = (ANN, BEN, PAT)
    # Those who unlinked, and the bot, are there again.
    bellhop.install(ANN)
    pages = {one for one in people if page(sign_in(bellhop, one), id_) == 200}
    homes = {one for one in people if title in home(bellhop, one)}
    assert homes <= pages
    if any(one.state in ("dead", "unknown") for one in deliveries(bellhop, id_)):
        assert homes == pages
    return pages


def test_a_delivery_to_an_address_is_for_the_person_it_has_found_whatever_its_state(
    installed: Bellhop,
) -> None:
    """Sweep: only the recorded recipient and the publication decide, on every surface."""
    sign_in(installed, BEN)
    find = installed.services.installations.find
    bens = find(enterprise_id=None, team_id=ACME, user_id=BEN)
    assert bens is not None
    id_ = accept(installed, BENS, title="Salary", send_at=in_hours(installed, 3))
    lead_to_ben(installed)
    of_it = Delivery.notification_id == id_
    modes = (DeliveryMode.NEW, DeliveryMode.REMIND, DeliveryMode.ESCALATE)
    for mode, state, recipient in product(modes, DeliveryState, (None, BEN, NOBODY)):
        row = {"mode": mode, "state": state, "recipient_id": recipient}
        row["finished_at"] = installed.clock()
        with installed.services.database.writing_connection() as connection:
            connection.execute(update(Delivery).where(of_it).values(row))
        has_arrived = state in (DeliveryState.SENT, DeliveryState.UNKNOWN)
        is_published = state != DeliveryState.CANCELLED
        if mode == DeliveryMode.ESCALATE:
            is_published = state == DeliveryState.SENT
        elif state == DeliveryState.CANCELLED and recipient == NOBODY:
            is_published = True  # for admins
        expected = {BEN: {BEN}, NOBODY: {ANN}, None: set[str]()}[recipient]

        assert surfaces(installed, id_) == (expected if is_published else set()), row
        received = personal_data(installed.services.database, bens)["received"]
        is_exported = id_ in [one["notification_id"] for one in received]
        assert is_exported == (has_arrived and recipient == BEN), row


def surfaces(bellhop: Bellhop, id_: str) -> set[str]:
    """Return the people who see a notification anywhere, among some, without Slack's views."""
    visibility, found = bellhop.services.visibility, set[str]()
    for user_id in (ANN, BEN):
        viewer, person = Viewer(ACME, user_id), bellhop.services.access.person(ACME, user_id)
        in_failed = {one.id for one in visibility.failed(viewer, person, 5)}
        is_seen = visibility.find([viewer], id_) is not None
        in_replies = visibility.visible_ids(person, [id_], user_id)
        shared = visibility.find_shared(ACME, id_, None, shared_by=user_id, is_outside=False)
        assert shared is None
        # A preview names nothing that only admins see.
        assert in_failed | in_replies <= ({id_} if is_seen else set())
        if is_seen:
            found.add(user_id)
    return found


@pytest.mark.parametrize("is_digest", [True, False])
def test_a_former_owner_of_an_address_is_not_shown_what_a_later_one_replaced(
    installed: Bellhop, *, is_digest: bool
) -> None:
    due = {} if is_digest else {"send_at": in_hours(installed, 3)}
    if is_digest:
        hourly = NotificationPreferences(direct="hourly")
        installed.services.preferences.choose(ACME, BEN, hourly)
    ids = [
        accept(installed, BENS, title=f"Salary {one}", key="salary", priority=one, **due)
        for one in (1, 9)
    ]
    if is_digest:
        Hand(installed).deliver()
    else:
        lead_to_ben(installed)
    give_away(installed)

    deliver_for(installed, 5)

    assert [deliveries(installed, one)[0].state for one in ids] == ["digested", "dead"]
    assert seen_by(installed, "Salary 1", ids[0]) == set()
    assert seen_by(installed, "Salary 9", ids[1]) == {ANN}


# Permanent and temporary ones; Slack refuses to look up an address, or to post.
REFUSALS = ("missing_scope", "ekm_access_denied", "internal_error", "account_inactive")


@pytest.mark.parametrize("code", ["users_not_found", *REFUSALS])
@pytest.mark.parametrize("is_led", [True, False])
def test_what_slack_refused_to_look_up_is_for_the_sender_and_admins(
    installed: Bellhop, code: str, *, is_led: bool
) -> None:
    ids = [
        accept(installed, BENS, title=f"Salary {number}", send_at=in_hours(installed, 3))
        for number in range(2)
    ]
    if is_led:
        lead_to_ben(installed)
    give_away(installed)
    installed.slack.faults.add(Fault("users.lookupByEmail", "api_error", error=code))

    deliver_for(installed, 30)

    installed.slack.faults.clear()
    for number, id_ in enumerate(ids):
        assert [(one.state, one.error) for one in deliveries(installed, id_)] == [("dead", code)]
        assert seen_by(installed, f"Salary {number}", id_) == {ANN}


@pytest.mark.parametrize("code", ["restricted_action", *REFUSALS])
def test_what_slack_refused_to_post_to_a_person_is_for_that_person(
    installed: Bellhop, code: str
) -> None:
    """Also while the address is another person's by now."""
    ids = {to: accept(installed, to, title=f"Diagnosis for {to}") for to in (BENS, BEN)}
    installed.slack.faults.add(Fault("chat.postMessage", "api_error", error=code))

    deliver_for(installed, 30)

    installed.slack.faults.clear()
    give_away(installed)
    # After an error of Slack's servers the message may have been posted.
    ended = "unknown" if code == "internal_error" else "dead"
    for to, id_ in ids.items():
        assert [one.state for one in deliveries(installed, id_)] == [ended]
        assert seen_by(installed, f"Diagnosis for {to}", id_) == {BEN}


def test_a_direct_message_whose_reminder_failed_is_for_its_person(installed: Bellhop) -> None:
    """His address has changed since: only the reminder cannot be delivered."""
    id_ = delivered(installed, BENS, "Diagnosis", actions=["snooze"])
    snooze = IncidentAnswer.SNOOZE, timedelta(hours=4)
    assert installed.services.incidents.answer(ACME, id_, BEN, *snooze)
    give_away(installed)

    deliver_for(installed, 5)

    assert [one.error for one in deliveries(installed, id_)][-1] == "users_not_found"
    assert seen_by(installed, "Diagnosis", id_) == {BEN}


@pytest.mark.parametrize("ends", ["unlink", "uninstall"])
@pytest.mark.parametrize("to", [BEN, BENS])
def test_a_direct_message_that_was_erased_is_for_nobody(
    installed: Bellhop, ends: str, to: str
) -> None:
    sign_in(installed, BEN)
    id_ = accept(installed, to, title="Diagnosis", send_at=in_hours(installed, 1))
    if ends == "uninstall":
        installed.slack.uninstall(ACME)
        installed.settle()
        deliver_for(installed, 40)
    else:
        installed.slack.faults.add(
            Fault("chat.postMessage", "api_error", error="service_unavailable")
        )
        deliver_for(installed, 40)
        installed.slack.faults.clear()
        asked = installed.slack.send_command(BEN, GENERAL, "/profile", "unlink").message
        assert asked is not None
        clicked = installed.slack.click(BEN, asked, ids.UNLINK_PROFILE, confirmed=True)
        assert clicked.error is None
    Retention(
        installed.services.database, keep_for=timedelta(days=90), clock=installed.clock
    ).delete_expired()

    assert [(one.state, one.target) for one in deliveries(installed, id_)] == [("dead", "@deleted")]
    assert seen_by(installed, "Diagnosis", id_) == set()


def test_a_message_that_is_found_in_slack_is_for_its_person(installed: Bellhop) -> None:
    """Its worker stopped before it had stored the recipient."""
    id_ = delivered(installed, BENS, "Diagnosis")
    lost = {"state": DeliveryState.SENDING, "recipient_id": None, "ts": None}
    of_it = Delivery.notification_id == id_
    with installed.services.database.writing_connection() as connection:
        connection.execute(update(Delivery).where(of_it).values(lost))
    before = seen_by(installed, "Diagnosis", id_)
    give_away(installed)

    deliver_for(installed, 1)

    assert [one.state for one in deliveries(installed, id_)] == ["sent"]
    assert (before, seen_by(installed, "Diagnosis", id_)) == (set(), {BEN})


def test_a_retry_to_an_address_finds_its_person_again(installed: Bellhop) -> None:
    """Admins do not see it any more."""
    id_ = delivered(installed, "@pia@acme.example", "Salary")
    assert seen_by(installed, "Salary", id_) == {ANN}
    installed.slack.users[PAT].email = "pia@acme.example"
    installed.clock.advance(600)
    installed.services.history.retry(ACME, id_)
    assert page(sign_in(installed, ANN), id_) == 404

    deliver_for(installed, 1)

    assert [one.state for one in deliveries(installed, id_)] == ["sent"]
    assert seen_by(installed, "Salary", id_) == {PAT}


def test_new_content_for_an_address_is_not_for_the_person_of_the_former(
    installed: Bellhop,
) -> None:
    """An attempt with the former content found Ben, and Slack did not answer."""
    ci, hand = method_caller(installed), Hand(installed)
    ts = ci.ok("chat.postMessage", channel=BENS, text="Welcome")["ts"]
    installed.slack.faults.add(Fault("chat.postMessage", "api_error", error="service_unavailable"))
    hand.deliver()
    welcome = id_of(installed, "Welcome")
    assert page(sign_in(installed, BEN), welcome) == 200
    give_away(installed)
    ci.ok("chat.update", channel=BENS, ts=ts, text="Salary")
    salary = id_of(installed, "Salary")
    before = page(sign_in(installed, BEN), salary)
    installed.slack.faults.clear()

    deliver_for(installed, 5)

    assert before == 404
    assert [one.error for one in deliveries(installed, salary)] == ["users_not_found"]
    assert seen_by(installed, "Welcome", welcome) == set()
    assert seen_by(installed, "Salary", salary) == {ANN}


@pytest.mark.parametrize("is_private", [True, False])
def test_a_name_that_another_channel_has_now_shows_nothing(
    installed: Bellhop, *, is_private: bool
) -> None:
    """It led to no channel: admins who see the channel see it, and may send it again."""
    id_, browser = delivered(installed, "#leads", "We buy Globex"), sign_in(installed, BEN)
    installed.slack.channels[LEADS].name = "leads-2"
    there = installed.slack.add_channel(ACME, "leads", members=[BEN], is_private=is_private)
    if is_private:
        installed.slack.invite_bot(BEN, there.id)
    list_channels(installed)
    workspace = installed.services.client.find_workspace(ACME)

    assert installed.services.channels.find(workspace, "#leads") == there.id
    assert page(browser, id_) == 404
    assert page(sign_in(installed, ANN), id_) == (404 if is_private else 200)


def test_a_name_is_for_its_sender_until_it_leads_somewhere(installed: Bellhop) -> None:
    """It may be that of a private channel which the last listing lacks."""
    installed.services.channels.names_of_public(ACME, ())
    private_channel(installed, BEN)
    fields = {"to": "#secret-plans", "text": "We buy Globex", "send_at": in_hours(installed, 3)}
    request = read_one(fields, installed.clock())
    sent = installed.services.intake.submit(Sender(ACME, f"slack:{PAT}"), [request])
    id_ = sent.notifications[0].id
    people = {one: sign_in(installed, one) for one in (ANN, BEN, PAT)}

    assert {one for one in people if page(people[one], id_) == 200} == {PAT}
    list_channels(installed)
    assert {one for one in people if page(people[one], id_) == 200} == {BEN, PAT}
    installed.services.history.cancel(ACME, id_)
    assert {one for one in people if page(people[one], id_) == 200} == {PAT}


@pytest.mark.parametrize("is_known", [True, False])
def test_a_name_that_slack_refused_to_look_up_is_for_admins_unless_it_is_a_private_channels(
    installed: Bellhop, *, is_known: bool
) -> None:
    installed.services.channels.names_of_public(ACME, ())
    if is_known:
        private_channel(installed, BEN)
    installed.clock.advance(2 * MINUTE)
    installed.slack.faults.add(Fault("conversations.list", "api_error", error="internal_error"))
    id_ = accept(installed, "#secret-plans", title="We buy Globex")
    Hand(installed).deliver()
    assert seen_by(installed, "We buy Globex", id_) == set()

    deliver_for(installed, 30)

    assert [one.error for one in deliveries(installed, id_)] == ["internal_error"]
    installed.slack.faults.clear()
    list_channels(installed)
    assert seen_by(installed, "We buy Globex", id_) == (set() if is_known else {ANN})


def list_channels(bellhop: Bellhop) -> None:
    bellhop.clock.advance(6 * MINUTE)
    bellhop.services.channels.refresh_listing(bellhop.services.client.find_workspace(ACME))


def test_waiting_deliveries_to_a_public_channel_are_visible(installed: Bellhop) -> None:
    id_, browser = accept(installed, "#general", title="Soon"), sign_in(installed, BEN)
    browser.get("/profile/channels")

    assert page(browser, id_) == 200


def test_a_private_channel_with_the_bot_in_it_is_found_by_its_name(installed: Bellhop) -> None:
    installed.slack.invite_bot(ANN, LEADS)

    id_ = delivered(installed, "#leads", "We buy Globex")

    assert [one.channel_id for one in deliveries(installed, id_)] == [LEADS]
    assert page(sign_in(installed, ANN), id_) == 200
    assert page(sign_in(installed, BEN), id_) == 404
    again = delivered(installed, "#leads", "Once more")
    assert [one.state for one in deliveries(installed, again)] == ["sent"]


def test_a_private_channel_that_the_bot_left_is_forgotten(installed: Bellhop) -> None:
    installed.slack.invite_bot(ANN, LEADS)
    workspace = installed.services.client.find_workspace(ACME)
    assert installed.services.channels.find(workspace, "#leads") == LEADS

    installed.slack.remove_bot(LEADS)
    installed.slack.deliver_due()

    assert installed.services.channels.find(workspace, "#leads") is None


def test_an_archived_channel_is_reported_as_archived(installed: Bellhop) -> None:
    listed = delivered(installed, "#old-news", "x")
    assert installed.services.channels.find(
        installed.services.client.find_workspace(ACME), "#random"
    )
    installed.slack.archive_channel("C0ACME0002")
    installed.slack.deliver_due()
    known = delivered(installed, "#random", "x")

    for id_ in (listed, known):
        assert [one.error for one in deliveries(installed, id_)] == ["is_archived"]
    search = installed.services.channels.search(installed.services.client.find_workspace(ACME))
    assert {"old-news", "random"}.isdisjoint(one.name for one in search)


def test_the_unarchived_of_two_channels_with_one_name_is_used(installed: Bellhop) -> None:
    fresh = installed.slack.add_channel(ACME, "news", members=[ANN])
    installed.slack.channels[fresh.id].name = "old-news"
    workspace = installed.services.client.find_workspace(ACME)

    assert installed.services.channels.find(workspace, "#old-news") == fresh.id
    id_ = delivered(installed, "#old-news", "x")
    assert [one.channel_id for one in deliveries(installed, id_)] == [fresh.id]


# Maximum age.


def member_left(bellhop: Bellhop, user_id: str, channel_id: str, *, is_told: bool) -> None:
    bellhop.slack.channels[channel_id].members.remove(user_id)
    if is_told:
        event = {"type": "member_left_channel", "user": user_id, "channel": channel_id}
        bellhop.slack.send_event(ACME, event)


@pytest.mark.parametrize("is_told", [True, False])
def test_a_person_who_leaves_a_channel_no_longer_sees_it(installed: Bellhop, is_told: bool) -> None:
    installed.slack.invite_bot(ANN, LEADS)
    installed.slack.channels[LEADS].members.append(BEN)
    id_, browser = delivered(installed, LEADS, "x"), sign_in(installed, BEN)
    assert page(browser, id_) == 200

    member_left(installed, BEN, LEADS, is_told=is_told)

    assert page(browser, id_) == (404 if is_told else 200)
    installed.clock.advance(MINUTE)
    assert page(browser, id_) == 404


@pytest.mark.parametrize("is_told", [True, False])
@pytest.mark.parametrize(
    ("change", "role"),
    [({"deleted": True}, Role.DEACTIVATED), ({"is_restricted": True}, Role.GUEST)],
)
def test_a_role_is_a_minute_old_at_most(
    installed: Bellhop, change: dict[str, bool], role: Role, is_told: bool
) -> None:
    access = installed.services.access
    assert access.person(ACME, BEN).role is Role.MEMBER

    if is_told:
        installed.slack.update_user(BEN, **change)
        installed.slack.deliver_due()
    else:
        for name, value in change.items():
            setattr(installed.slack.users[BEN], name, value)

    assert access.person(ACME, BEN).role is (role if is_told else Role.MEMBER)
    installed.clock.advance(MINUTE)
    assert access.person(ACME, BEN).role is role


def test_admin_actions_require_the_current_role(installed: Bellhop) -> None:
    access = installed.services.access
    assert access.person(ACME, ANN).role is Role.ADMIN
    installed.slack.users[ANN].is_admin = installed.slack.users[ANN].is_owner = False

    with pytest.raises(AccessDeniedError):
        access.require_now(ACME, ANN, Action.ADMINISTER)


def test_an_admin_of_another_workspace_of_the_organization_is_not_an_admin_here(
    bellhop: Bellhop,
) -> None:
    bellhop.install(WES)
    access = bellhop.services.access
    assert access.person(NORTH, WES).role is Role.ADMIN
    wes = bellhop.slack.users[WES]
    wes.team_id, wes.team_ids = SOUTH, (SOUTH, NORTH)
    assert access.require_now(NORTH, WES, Action.ADMINISTER).role is Role.ADMIN

    wes.team_ids = (SOUTH,)
    there = bellhop.services.client.find_workspace(NORTH)
    shown = wes.as_slack("http://x", at=0)
    colleague = Person(NORTH, WES, role_of(shown, there), access)

    assert colleague.role is Role.COLLEAGUE
    allowed = {one for one in Action if colleague.may(one)}
    assert allowed == {Action.USE, Action.CHANGE_CHANNEL, Action.POST_TEST}


@pytest.mark.parametrize(
    ("is_org_admin", "team_id", "role"),
    [(False, NORTH, Role.MEMBER), (True, NORTH, Role.ADMIN), (False, SOUTH, Role.ADMIN)],
)
def test_an_organizations_bot_trusts_roles_only_of_the_same_workspace(
    bellhop: Bellhop, is_org_admin: bool, team_id: str, role: Role
) -> None:
    wes = bellhop.slack.users[WES]
    wes.team_id, wes.team_ids, wes.is_admin = SOUTH, (SOUTH, NORTH), True
    wes.is_org_admin, wes.is_owner = is_org_admin, False

    shown = wes.as_slack("http://x", at=0)

    assert role_of(shown, BotWorkspace(wes.enterprise_id, team_id, True)) is role
    assert role_of(shown, BotWorkspace(wes.enterprise_id, team_id, False)) is Role.ADMIN


def test_slack_is_asked_once_a_minute(installed: Bellhop) -> None:
    before = len(installed.slack.calls_to("users.info"))
    for _ in range(3):
        installed.services.access.person(ACME, BEN)

    assert len(installed.slack.calls_to("users.info")) == before + 1


def test_a_refused_lookup_is_not_remembered(installed: Bellhop) -> None:
    access: Authorization = installed.services.access
    installed.slack.faults.add(Fault("users.info", "server_error", times=1))

    with pytest.raises(SlackCallError):
        access.person(ACME, BEN)
    assert access.person(ACME, BEN).role is Role.MEMBER


def test_the_memory_is_bounded(database_url: str, clock: FakeClock) -> None:
    recent: RecentAnswers[int, int] = RecentAnswers(timedelta(minutes=1), 3, clock)
    for number in range(10):
        recent.ask(number, lambda: 1)

    assert len(recent) == 3
    assert [recent.find(one) for one in (6, 7, 8, 9)] == [None, 1, 1, 1]


def test_an_answer_that_was_on_its_way_is_not_kept(database_url: str, clock: FakeClock) -> None:
    recent: RecentAnswers[str, str] = RecentAnswers(timedelta(minutes=1), 3, clock)

    def ask_meanwhile() -> str:
        recent.forget(lambda key: True)
        return "old"

    answer: Callable[[], str] = ask_meanwhile
    assert recent.ask("x", answer) == "old"
    assert recent.find("x") is None


def test_an_answer_that_was_on_its_way_is_kept_after_events_about_others(
    database_url: str, clock: FakeClock
) -> None:
    recent: RecentAnswers[str, str] = RecentAnswers(timedelta(minutes=1), 3, clock)

    def ask_meanwhile() -> str:
        recent.forget(lambda key: key == "y")
        recent.change(lambda key: key == "y", lambda _: "other")
        recent.change(lambda key: key == "x", lambda answer: f"{answer}, changed")
        return "old"

    assert recent.ask("x", ask_meanwhile) == "old"
    assert recent.find("x") == "old, changed"
