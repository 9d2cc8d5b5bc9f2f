"""The page of a notification: its content and visibility."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from html import unescape
from secrets import token_hex

import pytest

from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from slack_sandbox import Fault
from tests.conftest import FakeClock
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, ANN_AT_BETA, BEN, BETA, GENERAL
from tests.running import Bellhop, Browser, Page, running_bellhop
from tests.web.calling import caller
from tests.web.forms import follow, send_form, without_token

pytestmark = pytest.mark.sqlite_only

GUEST = "U0GUS00001"
DEPLOYS = "C0ACME0003"
PROFILE = "?only=profile"
UNKNOWN = "0" * 32


@pytest.fixture
def ann(bellhop: Bellhop) -> Browser:
    browser, _ = bellhop.install(ANN)
    return browser


@pytest.fixture
def ben(bellhop: Bellhop, ann: Browser) -> Browser:
    browser, _ = bellhop.install(BEN, query=PROFILE)
    return browser


def look(browser: Browser, notification_id: str) -> Page:
    page = browser.get(f"/notifications/{notification_id}")
    return Page(page.url, page.status, page.headers, " ".join(unescape(page.text).split()))


def delivered(
    bellhop: Bellhop, to: str | list[str], text: str = "All is well", **given: str
) -> str:
    id_ = accept(bellhop, to, text, **given)
    Hand(bellhop).deliver()
    return id_


def private_channel(bellhop: Bellhop, *members: str) -> str:
    channel = bellhop.slack.add_channel(ACME, "secret-plans", members=members, is_private=True)
    bellhop.slack.invite_bot(members[0], channel.id)
    return channel.id


# Content.


def test_it_shows_the_content_and_the_deliveries(bellhop: Bellhop, ann: Browser) -> None:
    sent = caller(bellhop).send(
        {
            "to": GENERAL,
            "title": "Disk full on db1",
            "link": "https://grafana.example/d/1",
            "severity": "critical",
            "key": "disk/db1",
            "text": "It is at *99 %*, see <https://runbooks.example/disk|the runbook>.",
            "fields": [{"name": "Host", "value": "db1 <eu>"}],
        }
    )
    Hand(bellhop).deliver()
    page = look(ann, sent.json()["id"])

    assert page.status == 200
    for shown in (
        '<a href="https://grafana.example/d/1">Disk full on db1</a>',
        "Critical",
        "<strong>99 %</strong>",
        '<a href="https://runbooks.example/disk">the runbook</a>',
        "Host",
        "db1 <eu>",
        "#general",
        "sent",
        f"{bellhop.slack_url}/archives/{GENERAL}/p",
        "the API key tests",
        "disk/db1",
        "EET",  # Ann's time zone
    ):
        assert shown in page.text
    assert "db1 &lt;eu&gt;" in ann.get(f"/notifications/{sent.json()['id']}").text


def test_it_shows_the_topics_and_who_sent_it(bellhop: Bellhop, ann: Browser) -> None:
    bellhop.slack.send_command(ANN, GENERAL, "/notify", "subscribe deploys")
    page = look(ann, delivered(bellhop, ["topic:deploys", "topic:builds"]))

    assert "<dt>Topics</dt><dd><code>deploys</code> <code>builds</code>" in page.text
    assert "the command line" in page.text


def test_it_reports_why_slack_refused(bellhop: Bellhop, ann: Browser) -> None:
    bellhop.slack.archive_channel(GENERAL)
    page = look(ann, delivered(bellhop, GENERAL))

    assert "failed" in page.text
    assert "That channel is archived" in page.text


def test_it_shows_who_answered(bellhop: Bellhop, ann: Browser) -> None:
    id_ = accept(bellhop, GENERAL, "x", title="Disk full", actions=["acknowledge", "resolve"])
    Hand(bellhop).deliver()
    assert "Not acknowledged since" in look(ann, id_).text

    for action, words in (("acknowledge", "acknowledged"), ("resolve", "resolved")):
        bellhop.services.incidents.answer(ACME, id_, ANN, action)  # type: ignore[arg-type]
        page = look(ann, id_)
        assert words in page.text
        assert "<strong>Ann Archer</strong>" in page.text


def test_a_resolved_incident_is_green(bellhop: Bellhop, ann: Browser) -> None:
    id_ = accept(bellhop, GENERAL, "x", severity="critical", actions=["resolve"])
    Hand(bellhop).deliver()
    before = look(ann, id_).text
    bellhop.services.incidents.answer(ACME, id_, ANN, IncidentAnswer.RESOLVE)
    after = look(ann, id_).text

    assert '"card notification critical"' in before
    assert '<p class="severity">Critical</p>' in before
    assert '"card notification success"' in after
    assert '<p class="severity">Resolved</p>' in after


def test_a_topic_without_subscribers_is_unrouted(bellhop: Bellhop, ann: Browser) -> None:
    assert (
        "No subscription to its topic matched"
        in look(ann, accept(bellhop, "topic:x", "hello")).text
    )


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<javascript:alert(1)|click>",
        '<https://x.example/"onmouseover=alert(1)|y>',
        "*<script>*",
        "```<script>```",
        "<@U1|<script>",
    ],
)
def test_no_content_becomes_markup(bellhop: Bellhop, ann: Browser, text: str) -> None:
    id_ = accept(
        bellhop,
        GENERAL,
        text,
        title="<script>",
        fields=[{"name": "<script>", "value": "<script>"}],
        attachments=[{"title": "<script>", "title_link": "javascript:x", "text": text}],
    )
    html = ann.get(f"/notifications/{id_}").text

    assert "<script" not in html
    assert 'href="javascript' not in html
    assert '"onmouseover' not in html


def test_a_digested_notification_links_to_its_digest(bellhop: Bellhop, ann: Browser) -> None:
    wish = SubscriptionSpec("deploys", digest=Schedule())
    bellhop.services.subscriptions.subscribe(ACME, GENERAL, wish)
    ids = [accept(bellhop, "topic:deploys", title=f"Build {number}") for number in (1, 2)]
    assert "held" in look(ann, ids[0]).text
    bellhop.clock.advance(3600)
    Hand(bellhop).deliver()
    found = bellhop.services.history.find(ACME, ids[0])
    assert found is not None
    digest_id = found.deliveries[0].digest_id

    page = look(ann, ids[0])
    assert "in a digest" in page.text
    assert f'href="/notifications/{digest_id}"' in page.text
    digest = look(ann, str(digest_id))
    assert "Build 1" in digest.text
    assert "Build 2" in digest.text
    assert "Bellhop itself" in digest.text


# Visibility.


def test_a_pending_profile_is_recorded_before_the_page_is_shown(
    bellhop: Bellhop, ann: Browser
) -> None:
    id_ = delivered(bellhop, GENERAL)
    # At the sign-in, and for the role and the profile on the first page.
    bellhop.slack.faults.add(Fault("users.info", "server_error", times=3))
    ben, _ = bellhop.install(BEN, query=PROFILE)

    assert look(ben, id_).status == 404
    assert look(ben, id_).status == 200


def test_a_visitor_signs_in_and_returns(bellhop: Bellhop, ann: Browser) -> None:
    id_ = delivered(bellhop, GENERAL, "for all to see")
    browser = bellhop.browser()
    page = browser.get(f"/notifications/{id_}")

    assert page.status == 403
    assert "for all to see" not in page.text
    assert "Sign in to see this notification" in page.text
    assert 'href="/slack/install?only=profile"' in page.text

    _, landing = bellhop.install(BEN, browser=browser, query=PROFILE)
    assert "for all to see" in follow(browser, landing).text


@pytest.mark.parametrize(
    "name", ["%0D%0AX-Evil%3A1", "%5C%5Cevil.example", "%E6%97%A5", "%3F%23", token_hex(1800)]
)
def test_no_address_that_has_no_page_is_remembered(bellhop: Bellhop, name: str) -> None:
    browser = bellhop.browser()
    page = browser.get(f"/notifications/{name}")
    assert (page.status, page.headers["Set-Cookie"]) == (403, None)

    _, landing = bellhop.install(ANN, browser=browser)

    assert (landing.status, landing.location) == (303, f"{bellhop.url}/profile")
    page = browser.get(f"/notifications/{name}")
    assert (page.status, len(page.headers["Set-Cookie"] or "") < 1000) == (404, True)


def test_a_visitor_does_not_learn_which_notifications_exist(bellhop: Bellhop, ann: Browser) -> None:
    known = bellhop.browser().get(f"/notifications/{delivered(bellhop, GENERAL)}")
    unknown = bellhop.browser().get(f"/notifications/{UNKNOWN}")

    assert (known.status, without_token(known)) == (unknown.status, without_token(unknown))


@pytest.mark.parametrize("wrong", [UNKNOWN, "x", "%00", UNKNOWN + "0"])
def test_another_workspace_and_an_unknown_id_look_alike(
    bellhop: Bellhop, ann: Browser, wrong: str
) -> None:
    bea, _ = bellhop.install("U0BEA00001")
    elsewhere = bea.get(f"/notifications/{delivered(bellhop, GENERAL)}")
    unknown = bea.get(f"/notifications/{wrong}")

    assert elsewhere.status == 404
    assert (unknown.status, without_token(unknown)) == (elsewhere.status, without_token(elsewhere))


def test_an_account_sees_its_own_notifications_alone(bellhop: Bellhop, ann: Browser) -> None:
    secret = delivered(bellhop, ANN, "your salary")
    bellhop.install(ANN_AT_BETA, browser=ann)
    own = delivered(bellhop, "C0BETA0001", team_id=BETA)
    assert [look(ann, id_).status for id_ in (secret, own)] == [404, 200]

    send_form(ann, "/profile/join", answer="join")

    assert [look(ann, id_).status for id_ in (secret, own)] == [404, 200]


def test_only_its_recipient_sees_a_direct_message(
    bellhop: Bellhop, ann: Browser, ben: Browser
) -> None:
    id_ = delivered(bellhop, BEN, "your password expires")

    assert "your password expires" in look(ben, id_).text
    assert look(ann, id_).status == 404


def test_an_email_address_belongs_to_its_current_owner(
    bellhop: Bellhop, ann: Browser, ben: Browser
) -> None:
    waiting = accept(bellhop, "@ben@acme.example", "wait for it")

    # The stored address may be outdated: only the delivery finds the owner.
    assert [look(one, waiting).status for one in (ben, ann)] == [404, 404]
    Hand(bellhop).deliver()
    assert [look(one, waiting).status for one in (ben, ann)] == [200, 404]


def test_a_private_channel_is_for_its_members(bellhop: Bellhop, ann: Browser, ben: Browser) -> None:
    id_ = delivered(bellhop, private_channel(bellhop, ANN), "we buy Globex")

    page = look(ann, id_)
    assert "we buy Globex" in page.text
    assert "#secret-plans" in page.text
    assert look(ben, id_).status == 404


def test_hidden_destinations_are_counted_and_not_named(
    bellhop: Bellhop, ann: Browser, ben: Browser
) -> None:
    secret = private_channel(bellhop, ANN)
    page = look(ben, delivered(bellhop, [GENERAL, secret, ANN], f"see <#{secret}|secret-plans>"))

    assert "Also sent to 2 other destinations that you cannot see" in page.text
    assert "secret-plans" not in page.text
    assert secret not in page.text
    assert "#private-channel" in page.text


def test_while_slack_does_not_say_who_is_in_it_a_private_channel_stays_private(
    bellhop: Bellhop, ann: Browser
) -> None:
    id_ = delivered(bellhop, private_channel(bellhop, ANN))
    bellhop.slack.faults.add(Fault("users.conversations", "server_error", times=1))

    page = look(ann, id_)
    assert page.status == 502
    assert "Slack is not answering" in page.text
    assert look(ann, id_).status == 200


def test_a_guest_sees_what_went_to_their_channels(bellhop: Bellhop, ann: Browser) -> None:
    guest, _ = bellhop.install(GUEST, query=PROFILE)

    assert look(guest, delivered(bellhop, GENERAL)).status == 404
    assert look(guest, delivered(bellhop, DEPLOYS)).status == 200
    assert look(guest, accept(bellhop, "#general", "soon")).status == 404
    assert look(guest, accept(bellhop, "topic:nobody", "x")).status == 404


def test_a_deactivated_person_sees_nothing(bellhop: Bellhop, ann: Browser, ben: Browser) -> None:
    id_ = delivered(bellhop, BEN)
    bellhop.slack.update_user(BEN, deleted=True)
    bellhop.slack.deliver_due()

    page = look(ben, id_)
    assert page.status == 403
    assert "Sign in to see this notification" in page.text


def test_only_visible_destinations_are_checked(
    bellhop: Bellhop, ann: Browser, ben: Browser
) -> None:
    id_ = delivered(bellhop, [GENERAL, ANN])
    look(ben, id_)

    asked = [call.arguments["channel"] for call in bellhop.slack.calls_to("chat.getPermalink")]
    assert asked == [GENERAL]


def test_while_slack_does_not_answer_only_some_threads_wait_for_links(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    with running_bellhop(database_url, encryption_key, clock, web_threads=4) as bellhop:
        browser, _ = bellhop.install(ANN)
        # Ann's membership of the channel is known from the page of an earlier notification.
        look(browser, delivered(bellhop, GENERAL))
        clock.advance(5)
        id_ = delivered(bellhop, GENERAL)
        bellhop.slack.faults.add(Fault("chat.getPermalink", "timeout"))
        with ThreadPoolExecutor(2) as threads:
            pages = as_completed([threads.submit(look, browser, id_) for _ in range(2)])
            without = next(pages).result()
            bellhop.slack.faults.clear()
            next(pages)

        assert bellhop.slack.faults.taken("chat.getPermalink") <= 1
        assert without.status == 200
        assert "All is well" in without.text
        assert "/archives/" not in without.text
        assert f"/archives/{GENERAL}/p" in look(browser, id_).text


def test_a_very_long_notification_is_shown_from_its_beginning(
    bellhop: Bellhop, ann: Browser
) -> None:
    # Each mentions another person: more than one SQL statement takes as parameters.
    mentions = "".join(f"<@U{number:09d}> <#C{number:09d}> " for number in range(18_000))
    body = {
        "to": GENERAL,
        "text": "Begins",
        "attachments": [{"text": mentions}, {"text": "End"}],
    }
    sent = caller(bellhop).send(body)
    assert sent.status == 202, sent.text
    page = look(ann, sent.json()["id"])

    assert page.status == 200
    assert "Begins" in page.text
    assert "This page shows the beginning of a very long notification." in page.text
    assert len(page.text) < 1_000_000
