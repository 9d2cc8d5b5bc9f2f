"""The page of a webhook: its latest bodies and its template, for the admins of its workspace."""

from __future__ import annotations

from html import unescape
from urllib.parse import quote

import pytest

from slack_sandbox import Fault
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop, Browser, Page
from tests.senders.test_bodies import post
from tests.senders.test_sns import TOPIC
from tests.senders.test_templates import BODY, TEMPLATE
from tests.senders.test_webhooks import accepted
from tests.web.forms import csrf_of, follow, send_form

pytestmark = pytest.mark.sqlite_only

PAGE = "/webhooks/1"
PROFILE = "?only=profile"
GUEST, DEACTIVATED = "U0GUS00001", "U0DEE00001"
BEA = "U0BEA00001"


@pytest.fixture
def ann(bellhop: Bellhop) -> Browser:
    browser, _ = bellhop.install(ANN)
    return browser


@pytest.fixture
def url(bellhop: Bellhop, ann: Browser) -> str:
    return bellhop.services.webhooks.create(ACME, "Backups", [GENERAL])


def look(browser: Browser, path: str = PAGE) -> Page:
    page = browser.get(path)
    return Page(page.url, page.status, page.headers, unescape(page.text))


def send(browser: Browser, do: str, **fields: str) -> Page:
    given = {"template": TEMPLATE, "body": "1", **fields}
    page = browser.post(PAGE, {"csrf_token": csrf_of(browser), "do": do, **given})
    return Page(page.url, page.status, page.headers, unescape(page.text))


def test_an_admin_sees_the_latest_bodies(bellhop: Bellhop, ann: Browser, url: str) -> None:
    post(url, BODY)

    page = look(ann)

    assert page.status == 200
    for shown in ("Backups", '"name": "Disk full"', "unknown format", "not understood"):
        assert shown in page.text


def test_a_preview_shows_the_message_and_sends_nothing(
    bellhop: Bellhop, ann: Browser, url: str
) -> None:
    post(url, BODY)

    page = send(ann, "preview")

    assert page.status == 200
    assert '<article class="card notification error"' in page.text
    assert '"key": "disk/db1"' in page.text
    assert len(accepted(bellhop)) == 1
    assert not bellhop.services.webhooks.of_team(ACME)[0].has_template


def test_a_saved_template_maps_the_next_body(bellhop: Bellhop, ann: Browser, url: str) -> None:
    post(url, BODY)

    saved = follow(ann, send(ann, "save"))
    post(url, BODY)

    assert "saved" in saved.text
    assert [key for _, key in accepted(bellhop)] == [None, "hook:1|disk/db1"]


def test_a_template_can_be_removed(bellhop: Bellhop, ann: Browser, url: str) -> None:
    send(ann, "save")

    removed = follow(ann, send(ann, "remove", template=""))

    assert "is removed" in removed.text
    [webhook] = bellhop.services.webhooks.of_team(ACME)
    assert (webhook.sender, webhook.has_template) == ("auto", False)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"template": "{{ 1 / 0 }}"}, "line 1: ZeroDivisionError"),
        ({"template": '{"text": "x", "severity": "purple"}'}, "severity must be"),
        ({"template": ""}, "The template is empty."),
        ({"body": "7"}, "Choose a message"),
        ({"body": ""}, "Choose a message"),
    ],
)
def test_a_problem_is_shown_beside_the_template(
    bellhop: Bellhop, ann: Browser, url: str, fields: dict[str, str], problem: str
) -> None:
    post(url, BODY)

    page = send(ann, "preview", **fields)

    assert page.status == 200
    assert problem in page.text
    assert fields.get("template", TEMPLATE) in page.text


def test_a_template_with_a_syntax_error_is_not_saved(
    bellhop: Bellhop, ann: Browser, url: str
) -> None:
    page = send(ann, "save", template="{{ body.title")

    problem = "line 1: unexpected end of template, expected 'end of print statement'.<"
    assert f"The template is not saved: {problem}" in page.text
    assert ">{{ body.title<" in page.text.replace(">\n", ">")
    assert not bellhop.services.webhooks.of_team(ACME)[0].has_template


def test_a_webhook_that_checks_signatures_offers_no_template(
    bellhop: Bellhop, ann: Browser
) -> None:
    create = bellhop.services.webhooks.create
    create(ACME, "", [GENERAL, "#ops"], sender="grafana", signing_secret="secret")

    page = look(ann)

    assert "Grafana, signed" in page.text
    assert "For a template, create another webhook" in page.text
    assert "<textarea" not in page.text
    assert "<code>#general</code> <code>#ops</code>" in page.text


def test_a_webhook_that_is_not_signed_yet_says_so(bellhop: Bellhop, ann: Browser) -> None:
    bellhop.services.webhooks.create(ACME, "", [GENERAL], sender="pagerduty")

    assert "PagerDuty, not signed yet" in look(ann).text


def test_a_webhook_for_amazon_sns_shows_its_topic(bellhop: Bellhop, ann: Browser) -> None:
    create = bellhop.services.webhooks.create
    create(ACME, "", [GENERAL], sender="aws-sns", topic_arn=TOPIC)

    page = look(ann)

    assert "Amazon SNS, signed" in page.text
    assert f"<code>{TOPIC}</code>" in page.text
    assert "<textarea" not in page.text


def test_nothing_in_a_body_or_a_template_becomes_markup(
    bellhop: Bellhop, ann: Browser, url: str
) -> None:
    hostile = "</pre></textarea><script>alert(1)</script>"
    post(url, {"text": hostile})
    template = "{{ {'text': body.text, 'title': body.text} | tojson }}" + hostile

    pages = [
        ann.get(PAGE),
        ann.post(
            PAGE, {"csrf_token": csrf_of(ann), "do": "preview", "body": "1", "template": template}
        ),
        ann.post(
            PAGE,
            {
                "csrf_token": csrf_of(ann),
                "do": "preview",
                "body": "1",
                "template": "{{ {'text': body.text, 'title': body.text} | tojson }}",
            },
        ),
    ]

    assert all(page.status == 200 for page in pages)
    assert not any("<script" in page.text for page in pages)


class TestAccess:
    @pytest.mark.parametrize("user_id", [BEN, GUEST, BEA])
    def test_for_others_it_does_not_exist(
        self, bellhop: Bellhop, ann: Browser, url: str, user_id: str
    ) -> None:
        post(url, {"text": "hunter2"})
        query = "" if user_id == BEA else PROFILE
        browser, _ = bellhop.install(user_id, query=query)

        known, unknown = look(browser), look(browser, "/webhooks/7")

        assert (known.status, unknown.status) == (404, 404)
        assert "hunter2" not in known.text
        for do in ("preview", "save"):
            assert send(browser, do).status == 404
        assert not bellhop.services.webhooks.of_team(ACME)[0].has_template

    def test_the_role_is_that_of_this_moment(
        self, bellhop: Bellhop, ann: Browser, url: str
    ) -> None:
        assert look(ann).status == 200
        bellhop.slack.update_user(ANN, is_admin=False, is_owner=False, is_primary_owner=False)

        assert look(ann).status == 404

    def test_if_slack_does_not_say_the_role_nothing_is_shown(
        self, bellhop: Bellhop, ann: Browser, url: str
    ) -> None:
        bellhop.slack.faults.add(Fault("users.info", "server_error"))

        assert look(ann).status == 502

    def test_a_visitor_signs_in_and_returns(self, bellhop: Bellhop, ann: Browser, url: str) -> None:
        browser = bellhop.browser()
        page = browser.get(PAGE)
        changed = browser.post(PAGE, {"do": "save", "template": TEMPLATE, "csrf_token": "x"})

        assert (page.status, changed.status) == (403, 400)
        assert "Sign in to see this webhook" in page.text
        _, landing = bellhop.install(ANN, browser=browser, query=PROFILE)
        assert "Backups" in follow(browser, landing).text

    def test_a_form_of_another_site_changes_nothing(
        self, bellhop: Bellhop, ann: Browser, url: str
    ) -> None:
        assert ann.post(PAGE, {"do": "save", "template": TEMPLATE}).status == 400

        assert not bellhop.services.webhooks.of_team(ACME)[0].has_template

    @pytest.mark.parametrize("path", ["/webhooks/x", "/webhooks/" + "9" * 3000, "/webhooks/²"])
    def test_other_addresses_have_no_page(self, ann: Browser, path: str) -> None:
        assert ann.get(quote(path)).status == 404

    def test_a_webhook_that_checks_signatures_is_refused(
        self, bellhop: Bellhop, ann: Browser
    ) -> None:
        bellhop.services.webhooks.create(
            ACME, "", [GENERAL], sender="github", signing_secret="secret"
        )

        assert "checks a signature" in send(ann, "save").text

    def test_too_large_a_form_is_refused(self, ann: Browser, url: str) -> None:
        assert send(ann, "save", template="x" * 300_000).status == 413

    def test_a_form_of_someone_who_is_not_signed_in_is_small(
        self, bellhop: Bellhop, ann: Browser, url: str
    ) -> None:
        token, nobody = csrf_of(ann), bellhop.browser()
        form = {"csrf_token": token, "do": "save", "template": "x" * 20_000}
        send_form(ann, "/signout")

        assert ann.post(PAGE, form).status == 413
        assert nobody.post(PAGE, form).status == 413
        assert nobody.post(PAGE, {**form, "template": "x"}).status == 400

    def test_a_template_of_the_longest_characters_is_saved(
        self, bellhop: Bellhop, ann: Browser, url: str
    ) -> None:
        assert send(ann, "save", template="🔔" * 20_000).status == 303


def test_the_app_home_links_to_the_page(bellhop: Bellhop, ann: Browser, url: str) -> None:
    bellhop.slack.open_home(ANN, ACME)

    bellhop.wait_for_home(ACME, ANN, f"{bellhop.url}{PAGE}")
