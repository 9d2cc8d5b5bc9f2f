"""The home page and the profile page, as their person and others see them."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest

from bolt_app.web.csrf import EXEMPT
from bolt_app.workspaces.greetings import HELLOS_IN_CHANNEL
from slack_sandbox import Fault
from slack_sandbox.seed import GUEST
from tests.people import ACME, ANN, BEN, GENERAL, PLAIN
from tests.running import Bellhop, Browser, Page
from tests.web.forms import csrf_of, follow, send_form

pytestmark = pytest.mark.sqlite_only

GUS = "U0GUS00001"


def say_hello(bellhop: Bellhop, channel_id: str) -> Page:
    browser, _ = bellhop.install(ANN)
    return follow(browser, send_form(browser, "/profile/hello", channel_id=channel_id))


def channel_named(bellhop: Bellhop, name: str) -> str:
    return next(
        one.id
        for one in bellhop.slack.channels.values()
        if one.team_id == ACME and one.name == name
    )


def test_the_home_page_offers_to_install(bellhop: Bellhop) -> None:
    page = bellhop.browser().get("/")

    assert page.status == 200
    assert 'href="/slack/install"' in page.text
    assert "Post your company&#39;s notifications" in page.text


def test_the_home_page_says_that_it_is_installed_and_offers_signing_in(bellhop: Bellhop) -> None:
    assert "already installed" not in bellhop.browser().get("/").text
    bellhop.install(BEN, query="?only=profile")
    assert "already installed" not in bellhop.browser().get("/").text
    browser, _ = bellhop.install(ANN)

    page = bellhop.browser().get("/")

    assert "already installed" in page.text
    assert 'href="/slack/install?only=profile"' in page.text
    assert 'href="/slack/install"' in page.text
    # Visitors must not see the name of the workspace.
    assert "Acme" not in page.text
    assert "already installed" not in browser.get("/").text


@pytest.mark.parametrize("path", ["/", "/profile"])
def test_permissions_are_folded_away(bellhop: Bellhop, path: str) -> None:
    browser, _ = bellhop.install(ANN)

    text = browser.get(path).text
    folded = "".join(re.findall(r"<details>.*?</details>", text, re.DOTALL))

    assert "channels:join" in folded
    assert text.count('class="scopes"') == folded.count('class="scopes"') == 2


class TestPageForTheRole:
    """Commands are shown only to people who run Bellhop."""

    COMMAND = "bellhop send"

    def test_an_admin_sees_how_to_send(self, bellhop: Bellhop) -> None:
        browser, _ = bellhop.install(ANN, query="?only=profile")

        assert self.COMMAND in browser.get("/profile").text

    def test_the_member_who_installed_sees_how_to_send(self, bellhop: Bellhop) -> None:
        browser, _ = bellhop.install(BEN)

        assert self.COMMAND in browser.get("/profile").text

    def test_a_member_who_links_sees_only_their_steps(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        browser, _ = bellhop.install(BEN, query="?only=profile")

        page = browser.get("/profile")

        assert self.COMMAND not in page.text
        assert "/notify subscribe" in page.text

    def test_a_guest_sees_no_advice_to_subscribe(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        browser, _ = bellhop.install(GUS, query="?only=profile")

        page = browser.get("/profile")

        assert self.COMMAND not in page.text
        assert "/notify subscribe" not in page.text
        assert "as direct messages" in page.text
        assert "say hello" not in page.text


class TestWelcome:
    """The welcome message to the first person who installs Bellhop in a workspace."""

    def welcomes(self, bellhop: Bellhop, user_id: str) -> list[str]:
        messages = bellhop.slack.messages(bellhop.slack.app_dm(ACME, user_id).id)
        return [json.dumps(one.blocks) for one in messages]

    def test_the_welcome_is_sent_once(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        bellhop.install(ANN)
        bellhop.install(BEN)
        bellhop.install(GUS, query="?only=profile")

        [welcome] = self.welcomes(bellhop, ANN)
        assert f"{bellhop.url}/profile" in welcome
        assert "/notify subscribe" in welcome
        assert self.welcomes(bellhop, BEN) == self.welcomes(bellhop, GUS) == []

    def test_an_install_does_without(self, bellhop: Bellhop) -> None:
        bellhop.slack.faults.add(Fault("chat.postMessage", "server_error"))

        _, page = bellhop.install(ANN)

        assert page.location.endswith("/profile")

    def test_the_hello_in_a_channel_names_the_command(self, bellhop: Bellhop) -> None:
        say_hello(bellhop, GENERAL)

        assert "/notify subscribe" in json.dumps(bellhop.slack.messages(GENERAL)[-1].blocks)


def test_the_home_page_knows_who_is_signed_in(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)

    assert "Ann Archer" in browser.get("/").text
    assert "Ann Archer" not in bellhop.browser().get("/").text


def test_the_profile_page_shows_the_person_and_what_was_granted(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)

    page = unescape(browser.get("/profile").text)

    for shown in (
        "Ann Archer",
        "Head Porter",
        "ann@acme.example",
        "Eastern European",
        "Acme",
        "Owner",
        "users:read.email",
        "channels:join",
        f"{bellhop.slack_url}/app_redirect?app=A0BELLHOP01&team={ACME}",
        f"--team {ACME}",
    ):
        assert shown in page
    assert f'src="{bellhop.slack_url}/avatars/' in page


@pytest.mark.parametrize("path", ["/profile", "/profile/channels"])
def test_a_visitor_is_redirected_to_the_home_page(bellhop: Bellhop, path: str) -> None:
    bellhop.install(ANN)

    answer = bellhop.browser().get(path)

    assert (answer.status, answer.location) == (303, f"{bellhop.url}/")


def test_each_person_sees_their_own_page(bellhop: Bellhop) -> None:
    ann, _ = bellhop.install(ANN)
    ben, _ = bellhop.install(BEN, query="?only=profile")

    assert "Ann Archer" in ann.get("/profile").text
    assert "ann@acme.example" not in ben.get("/profile").text
    assert "Ben Baker" in ben.get("/profile").text


def test_the_bot_says_hello_in_the_chosen_channel(bellhop: Bellhop) -> None:
    page = say_hello(bellhop, GENERAL)

    message = bellhop.slack.messages(GENERAL)[-1]
    assert f"<@{ANN}> asked Bellhop to post notifications here" in message.text
    assert message.blocks
    assert "Bellhop said hello" in page.text
    assert f"{bellhop.slack_url}/archives/{GENERAL}/p" in page.text


def test_the_bot_joins_where_it_has_to(bellhop: Bellhop) -> None:
    random = channel_named(bellhop, "random")
    say_hello(bellhop, random)

    assert len(bellhop.slack.calls_to("conversations.join")) == 1
    assert len(bellhop.slack.messages(random)) == 1


def test_an_archived_channel_is_reported(bellhop: Bellhop) -> None:
    archived = bellhop.slack.archive_channel(channel_named(bellhop, "random")).id

    assert "That channel is archived. Choose another" in say_hello(bellhop, archived).text


def test_a_channel_the_bot_cannot_see_is_reported(bellhop: Bellhop) -> None:
    leads = channel_named(bellhop, "leads")

    assert "you cannot see it in Slack" in say_hello(bellhop, leads).text


def test_a_missing_choice_is_reported(bellhop: Bellhop) -> None:
    assert "Choose a channel first" in say_hello(bellhop, "").text


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault("chat.postMessage", "rate_limited"), "Slack asks us to slow down"),
        (Fault("chat.postMessage", "server_error"), "Slack is not answering"),
        (
            Fault("chat.postMessage", "api_error", error="restricted_action"),
            "does not allow posting",
        ),
        (Fault("chat.postMessage", "api_error", error="new_code"), "Slack answered “new_code”"),
    ],
)
def test_an_error_of_slack_is_reported(bellhop: Bellhop, fault: Fault, sentence: str) -> None:
    bellhop.slack.faults.add(fault)

    assert sentence in say_hello(bellhop, GENERAL).text
    assert bellhop.slack.messages(GENERAL) == []


def test_a_dead_token_is_reported_and_a_new_install_fixes_it(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    bellhop.slack.faults.add(
        Fault("chat.postMessage", "api_error", error="account_inactive", times=1)
    )

    page = follow(browser, send_form(browser, "/profile/hello", channel_id=GENERAL))
    assert "Slack no longer accepts Bellhop&#39;s token" in page.text

    bellhop.install(ANN, browser=browser)
    page = follow(browser, send_form(browser, "/profile/hello", channel_id=GENERAL))
    assert "Bellhop said hello" in page.text


def test_greetings_are_rate_limited(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    ben, _ = bellhop.install(BEN, query="?only=profile")

    def hello(browser: Browser, channel_id: str) -> str:
        return follow(browser, send_form(browser, "/profile/hello", channel_id=channel_id)).text

    channels = [GENERAL] * HELLOS_IN_CHANNEL
    channels += [bellhop.slack.add_channel(ACME, f"hello-{n}").id for n in range(2)]
    said = [hello(browser, one) for one in channels]
    assert all("Bellhop said hello" in page for page in said)

    assert "try again in 10 minutes" in hello(browser, channel_named(bellhop, "random"))
    assert "try again in 10 minutes" in hello(ben, GENERAL)
    assert len(bellhop.slack.messages(GENERAL)) == HELLOS_IN_CHANNEL
    bellhop.clock.advance(600)
    assert "Bellhop said hello" in hello(browser, GENERAL)


def test_a_hello_waits_as_slack_asks(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    welcomed = len(bellhop.slack.calls_to("chat.postMessage"))
    bellhop.slack.faults.add(Fault("chat.postMessage", "rate_limited", retry_after=60, times=1))
    random = channel_named(bellhop, "random")
    say_hello(bellhop, GENERAL)

    assert "Slack asks us to slow down" in say_hello(bellhop, random).text
    assert len(bellhop.slack.calls_to("chat.postMessage")) == welcomed + 1
    bellhop.clock.advance(61)
    assert "Bellhop said hello" in say_hello(bellhop, random).text


def test_a_guest_lets_nobody_say_hello(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    guest, _ = bellhop.install(GUEST, query="?only=profile")
    channels = [one.id for one in bellhop.slack.conversations_for(ACME, GUEST)]

    fields = {"csrf_token": csrf_of(guest), "channel_id": channels[0]}
    page = follow(guest, guest.post("/profile/hello", fields))

    assert "Guests cannot have Bellhop post to channels" in page.text
    assert "Say hello" not in page.text
    assert bellhop.slack.messages(channels[0]) == []


def test_hundreds_of_channels_are_paged_through_and_searched(bellhop: Bellhop) -> None:
    bellhop.slack.add_channels(ACME, 1500)
    browser, _ = bellhop.install(ANN)

    found = browser.get("/profile/channels?q=channel-1499").json()["channels"]

    assert [one["name"] for one in found] == ["channel-1499"]
    assert len(bellhop.slack.calls_to("conversations.list")) == 2
    assert "#channel-77<" in browser.get("/profile?channel=channel-77").text


def test_an_empty_search_result_is_reported(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)

    assert browser.get("/profile/channels?q=%25").json() == {"channels": []}
    assert "No public channel has “&lt;b&gt;”" in browser.get("/profile?channel=%3Cb%3E").text


def test_channels_are_asked_for_once_in_five_minutes(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    for _ in range(3):
        browser.get("/profile")
    assert len(bellhop.slack.calls_to("conversations.list")) == 1

    bellhop.clock.advance(301)
    browser.get("/profile")
    assert len(bellhop.slack.calls_to("conversations.list")) == 2


def test_the_page_works_while_slack_is_down(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    bellhop.slack.faults.add(Fault("conversations.list", "server_error"))

    page = browser.get("/profile")

    assert page.status == 200
    assert "Ann Archer" in page.text
    assert "Slack is not answering" in page.text


def test_a_person_who_only_linked_is_offered_the_bot(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(PLAIN, query="?only=profile")

    page = browser.get("/profile").text

    assert "add its bot to the workspace" in page
    assert "Say hello" not in page


def test_every_form_is_protected(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    forms = [
        rule.rule
        for rule in bellhop.app.url_map.iter_rules()
        if "POST" in (rule.methods or ()) and rule.endpoint.split(".")[0] not in EXEMPT
    ]

    assert "/profile/unlink" in forms
    for path in forms:
        assert browser.post(path, {"answer": "join"}).status == 400, path


@pytest.mark.parametrize("action", ["/profile/hello", "/signout"])
def test_a_form_of_another_site_is_refused(bellhop: Bellhop, action: str) -> None:
    browser, _ = bellhop.install(ANN)
    browser.get("/profile")

    for forged in ({}, {"csrf_token": "guess"}, {"csrf_token": "gu€ss"}):
        answer = browser.post(action, {"channel_id": GENERAL, **forged})
        assert answer.status == 400
        assert "This form is out of date" in answer.text
    assert bellhop.slack.messages(GENERAL) == []
    assert browser.get("/profile").status == 200


def test_signing_out_ends_the_session(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)

    answer = send_form(browser, "/signout")

    assert answer.location == f"{bellhop.url}/"
    assert browser.get("/profile").status == 303


def test_names_are_text_and_never_markup(bellhop: Bellhop) -> None:
    bellhop.slack.update_user(ANN, real_name="<script>alert(1)</script>")
    browser, _ = bellhop.install(ANN)

    page = browser.get("/profile").text

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
