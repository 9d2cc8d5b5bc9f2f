"""Add to Slack, from the click to the profile page, and every way it can go wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from sqlalchemy import func, select, text

from bolt_app.cookies import MAX_COOKIES_LENGTH
from bolt_app.db.models import BotInstallation, OAuthState, User, UserInstallation
from bolt_app.installations.flow import ATTEMPTS
from bolt_app.logs import configure_logging
from slack_sandbox import Fault
from tests.conftest import FakeClock
from tests.people import ACME, ANN, ANN_AT_BETA, BEN, BETA, GRID, PLAIN, WES
from tests.running import Bellhop, Browser, Page, running_bellhop
from tests.web.forms import csrf_of, send_form

pytestmark = pytest.mark.sqlite_only


def count(bellhop: Bellhop, model: type) -> int:
    with bellhop.services.database.reading() as session:
        return session.scalars(select(func.count()).select_from(model)).one()


def assert_nothing_installed(bellhop: Bellhop) -> None:
    assert count(bellhop, UserInstallation) == 0
    assert count(bellhop, BotInstallation) == 0
    assert count(bellhop, User) == 0


def query_of(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query, keep_blank_values=True)


def test_the_authorize_page_is_asked_for_the_manifests_scopes(bellhop: Bellhop) -> None:
    page = bellhop.browser().get("/slack/install")

    assert page.status == 302
    assert page.location.startswith(f"{bellhop.slack_url}/oauth/v2/authorize?")
    asked = query_of(page.location)
    assert asked["scope"] == [
        "channels:history,channels:join,channels:read,chat:write,chat:write.customize,commands,"
        "files:write,groups:history,groups:read,im:history,im:write,links:read,links:write,"
        "reactions:write,team:read,users:read,users:read.email"
    ]
    assert asked["user_scope"] == ["users:read,users:read.email"]
    assert asked["redirect_uri"] == [f"{bellhop.url}/slack/oauth_redirect"]


def test_a_person_chooses_optional_scopes(bellhop: Bellhop) -> None:
    client = bellhop.services.client

    bellhop.install(ANN)
    workspace = client.find_workspace(ACME)
    assert not client.has_scope(workspace, "files:write")
    bellhop.install(ANN, optional=["files:write"])

    assert client.has_scope(workspace, "files:write")
    assert not client.has_scope(workspace, "reactions:write")


def test_an_install_records_user_team_and_membership_and_signs_in(bellhop: Bellhop) -> None:
    browser, landing = bellhop.install(ANN)

    assert (landing.status, landing.location) == (303, f"{bellhop.url}/profile")
    profile = bellhop.services.profiles.find(ACME, ANN)
    assert profile is not None
    assert (profile.real_name, profile.email) == ("Ann Archer", "ann@acme.example")
    assert (profile.display_name, profile.title) == ("Ann", "Head Porter")
    assert (profile.tz, profile.locale) == ("Europe/Helsinki", "en-GB")
    assert profile.images[192].startswith(bellhop.slack_url)
    workspace = profile.workspaces[0]
    assert (workspace.team_id, workspace.name, workspace.domain) == (ACME, "Acme", "acme")
    assert (workspace.is_admin, workspace.is_owner, workspace.is_guest) == (True, True, False)
    page = browser.get("/profile")
    assert page.status == 200
    for shown in ("Ann Archer", "ann@acme.example", "Head Porter", "Acme", "Open Slack"):
        assert shown in page.text


def test_users_info_is_asked_with_the_new_user_token(bellhop: Bellhop) -> None:
    bellhop.install(ANN)

    (call,) = bellhop.slack.calls_to("users.info")
    assert call.token is not None
    assert call.token.startswith("xoxp-")


def test_everything_about_a_person_may_be_missing_but_the_id(bellhop: Bellhop) -> None:
    _, landing = bellhop.install(PLAIN)

    assert landing.status == 303
    profile = bellhop.services.profiles.find(ACME, PLAIN)
    assert profile is not None
    assert (profile.email, profile.tz, profile.title) == (None, None, None)


def workspaces(bellhop: Bellhop, team_id: str, user_id: str) -> list[str]:
    profile = bellhop.services.profiles.find(team_id, user_id)
    assert profile is not None
    return [workspace.team_id for workspace in profile.workspaces]


def answer_join(browser: Browser, answer: str = "join") -> Page:
    return send_form(browser, "/profile/join", answer=answer)


def test_one_browser_and_one_address_do_not_join_accounts(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    bellhop.install(ANN_AT_BETA, browser=browser)

    assert workspaces(bellhop, BETA, ANN_AT_BETA) == [BETA]
    assert workspaces(bellhop, ACME, ANN) == [ACME]
    assert "Is this account also yours?" in browser.get("/profile").text


def test_a_person_who_says_that_both_accounts_are_theirs_is_shown_both(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    bellhop.install(ANN_AT_BETA, browser=browser)
    answer = answer_join(browser)

    assert answer.location == f"{bellhop.url}/profile"
    page = browser.get("/profile").text
    assert "Is this account also yours?" not in page
    assert "Acme" in page

    at_beta = bellhop.services.profiles.find(BETA, ANN_AT_BETA)
    at_acme = bellhop.services.profiles.find(ACME, ANN)
    assert at_beta is not None
    assert at_acme is not None
    assert [workspace.team_id for workspace in at_beta.workspaces] == [ACME, BETA]
    assert at_beta.workspaces == at_acme.workspaces
    assert (at_acme.title, at_beta.title) == ("Head Porter", "Adviser")


def test_a_person_who_says_no_is_not_asked_again(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    bellhop.install(ANN_AT_BETA, browser=browser)
    answer_join(browser, "no")

    assert "Is this account also yours?" not in browser.get("/profile").text
    assert workspaces(bellhop, ACME, ANN) == [ACME]


def test_nobody_is_asked_after_ten_minutes(bellhop: Bellhop, clock: FakeClock) -> None:
    browser, _ = bellhop.install(ANN)
    bellhop.install(ANN_AT_BETA, browser=browser)
    csrf = csrf_of(browser)
    clock.advance(601)

    assert "Is this account also yours?" not in browser.get("/profile").text
    browser.post("/profile/join", {"csrf_token": csrf, "answer": "join"})
    assert workspaces(bellhop, ACME, ANN) == [ACME]


def test_a_session_that_has_ended_proves_no_earlier_account(
    bellhop: Bellhop, clock: FakeClock
) -> None:
    browser, _ = bellhop.install(ANN)
    clock.advance(12 * 3600)
    bellhop.install(ANN_AT_BETA, browser=browser)

    assert "Is this account also yours?" not in browser.get("/profile").text


def test_joined_accounts_part_for_good_when_an_address_changes(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    bellhop.install(ANN_AT_BETA, browser=browser)
    answer_join(browser)
    assert workspaces(bellhop, ACME, ANN) == [ACME, BETA]

    for address, updated in (("ann@elsewhere.example", 1), ("ann@acme.example", 2)):
        bellhop.slack.update_user(ANN_AT_BETA, email=address)
        bellhop.clock.advance(updated)
        bellhop.slack.deliver_due()
        assert workspaces(bellhop, ACME, ANN) == [ACME]
        assert workspaces(bellhop, BETA, ANN_AT_BETA) == [BETA]


def test_two_people_at_one_browser_are_not_asked(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    bellhop.install(BEN, browser=browser)

    assert "Is this account also yours?" not in browser.get("/profile").text
    browser.post("/profile/join", {"csrf_token": csrf_of(browser), "answer": "join"})
    assert workspaces(bellhop, ACME, BEN) == [ACME]


def test_joined_accounts_keep_their_own_profiles(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    bellhop.install(ANN_AT_BETA, browser=browser)
    answer_join(browser)


def test_the_same_address_in_another_browser_proves_nothing(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    bellhop.install(ANN_AT_BETA)

    profile = bellhop.services.profiles.find(BETA, ANN_AT_BETA)
    assert profile is not None
    assert [workspace.team_id for workspace in profile.workspaces] == [BETA]


def test_two_people_at_one_browser_stay_two(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    bellhop.install(BEN, browser=browser)

    ann, ben = (bellhop.services.profiles.find(ACME, user_id) for user_id in (ANN, BEN))
    assert ann is not None
    assert ben is not None
    assert len(ann.workspaces) == len(ben.workspaces) == 1
    assert "Ben Baker" in browser.get("/profile").text


def test_a_second_install_by_the_same_person_changes_nothing_twice(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    bellhop.install(ANN)

    assert count(bellhop, UserInstallation) == 1
    assert count(bellhop, BotInstallation) == 1
    assert count(bellhop, User) == 1


def test_linking_only_a_profile_leaves_the_bot_unchanged(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    before = bellhop.services.store.find_bot(enterprise_id=None, team_id=ACME)

    browser, landing = bellhop.install(BEN, query=f"?only=profile&team={ACME}")

    assert landing.status == 303
    after = bellhop.services.store.find_bot(enterprise_id=None, team_id=ACME)
    assert before is not None
    assert after is not None
    assert after.bot_token == before.bot_token
    assert bellhop.services.profiles.find(ACME, BEN) is not None
    assert "Ben Baker" in browser.get("/profile").text


def test_a_profile_without_a_bot_in_the_workspace_offers_the_bot(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(BEN, query="?only=profile")

    assert bellhop.services.store.find_bot(enterprise_id=None, team_id=ACME) is None
    page = browser.get("/profile")
    assert "Ben Baker" in page.text
    assert "add its bot" in page.text


def test_an_organization_wide_install(bellhop: Bellhop) -> None:
    browser = bellhop.browser()
    to_slack = browser.get("/slack/install")
    landing = browser.get(bellhop.slack.authorize(WES, to_slack.location, whole_organization=True))

    assert landing.status == 303
    store = bellhop.services.store
    bot = store.find_bot(enterprise_id=GRID, team_id="T-ANY", is_enterprise_install=True)
    assert bot is not None
    assert bot.is_enterprise_install
    page = browser.get("/profile")
    assert "Wes Wide" in page.text
    assert "#general" in page.text


def test_a_direct_install_from_slacks_directory_starts_the_flow_again(bellhop: Bellhop) -> None:
    browser = bellhop.browser()

    first = browser.get(bellhop.slack.issue_code(ANN))

    assert (first.status, first.location) == (302, f"{bellhop.url}/slack/install")
    assert bellhop.slack.calls_to("oauth.v2.access") == []
    _, landing = bellhop.install(ANN, browser=browser)
    assert landing.status == 303


def test_a_cancelled_install_is_reported(bellhop: Bellhop) -> None:
    browser = bellhop.browser()
    to_slack = browser.get("/slack/install")

    page = browser.get(bellhop.slack.cancel(to_slack.location))

    assert page.status == 200
    assert "Nothing was installed" in page.text
    assert 'href="/slack/install"' in page.text
    assert_nothing_installed(bellhop)


def test_a_cancelled_sign_in_installs_nothing_and_does_not_mention_it(bellhop: Bellhop) -> None:
    browser = bellhop.browser()
    to_slack = browser.get("/slack/install?only=profile")

    page = browser.get(bellhop.slack.cancel(to_slack.location))

    assert "You are not signed in" in page.text
    assert "installed" not in page.text


def test_a_state_is_good_for_ten_minutes(bellhop: Bellhop, clock: FakeClock) -> None:
    browser = bellhop.browser()
    to_slack = browser.get("/slack/install")
    clock.advance(601)
    callback = bellhop.slack.authorize(ANN, to_slack.location)

    page = browser.get(callback)

    assert page.status == 400
    assert "within ten minutes" in page.text
    assert_nothing_installed(bellhop)


def test_a_state_is_good_once(bellhop: Bellhop) -> None:
    browser = bellhop.browser()
    to_slack = browser.get("/slack/install")
    state = query_of(to_slack.location)["state"][0]
    cookie = "; ".join(f"{c.name}={c.value}" for c in browser.cookies)
    callback = bellhop.slack.authorize(ANN, to_slack.location)
    assert browser.get(callback).status == 303

    replay = bellhop.browser().get(callback, headers={"Cookie": cookie})

    assert state in cookie
    assert replay.status == 400
    assert "no longer valid" in replay.text


def test_a_callback_in_another_browser_is_refused(bellhop: Bellhop) -> None:
    to_slack = bellhop.browser().get("/slack/install")
    callback = bellhop.slack.authorize(ANN, to_slack.location)

    page = bellhop.browser().get(callback)

    assert page.status == 400
    assert "This browser did not start the install" in page.text
    assert bellhop.slack.calls_to("oauth.v2.access") == []
    assert_nothing_installed(bellhop)


def test_two_tabs_do_not_break_one_another(bellhop: Bellhop) -> None:
    browser = bellhop.browser()
    first = browser.get("/slack/install").location
    second = browser.get("/slack/install").location

    pages = [browser.get(bellhop.slack.authorize(ANN, url)) for url in (first, second)]

    assert [page.status for page in pages] == [303, 303]


def with_code(bellhop: Bellhop, code: str | None) -> Page:
    browser = bellhop.browser()
    state = query_of(browser.get("/slack/install").location)["state"][0]
    query = {"state": state} if code is None else {"state": state, "code": code}
    return browser.get(f"/slack/oauth_redirect?{urlencode(query)}")


def test_a_wrong_code_is_refused(bellhop: Bellhop) -> None:
    page = with_code(bellhop, "1.2.3")

    assert page.status == 400
    assert "did not accept the approval" in page.text
    assert_nothing_installed(bellhop)


def test_visits_with_wrong_codes_store_nothing(bellhop: Bellhop) -> None:
    for _ in range(3):
        assert with_code(bellhop, "1.2.3").status == 400

    assert count(bellhop, OAuthState) == 0


def test_wrong_codes_are_limited_for_each_client(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    limits = {"wrong_keys_per_minute": 2}
    with running_bellhop(database_url, encryption_key, clock, **limits) as bellhop:
        assert [with_code(bellhop, "1.2.3").status for _ in range(2)] == [400, 400]

        refused = with_code(bellhop, "1.2.3")

        assert (refused.status, refused.headers["Retry-After"]) == (429, "60")
        assert "Too many attempts" in refused.text
        assert len(bellhop.slack.calls_to("oauth.v2.access")) == 2
        clock.advance(60)
        assert bellhop.install(ANN)[1].status == 303
        assert count(bellhop, OAuthState) == 1


def test_however_often_it_is_visited_a_browser_can_sign_in(bellhop: Bellhop) -> None:
    browser = bellhop.browser()
    first = browser.get("/slack/install").location
    for _ in range(ATTEMPTS - 1):
        last = browser.get("/slack/install").location
    assert len(browser.cookies) == ATTEMPTS
    # Each of them can still be completed.
    assert browser.get(bellhop.slack.authorize(ANN, first)).status == 303
    for _ in range(3 * ATTEMPTS):
        bellhop.clock.advance(1)
        browser.get(f"/slack/install?only=profile&team=T{'0' * 31}")

    oauth = [one for one in browser.cookies if "bellhop-oauth" in one.name]
    assert len(oauth) == ATTEMPTS
    names = [one.name.replace("bellhop", "__Host-bellhop") for one in oauth]
    values = [one.value or "" for one in oauth]
    assert len("".join(names + values)) + 3 * ATTEMPTS < 4096
    newest = browser.get("/slack/install").location
    assert browser.get(bellhop.slack.authorize(ANN, newest)).status == 303
    assert browser.get(bellhop.slack.authorize(ANN, last)).status == 400


def test_so_are_wrong_codes_at_the_same_moment(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    limits = {"wrong_keys_per_minute": 2}
    with running_bellhop(database_url, encryption_key, clock, **limits) as bellhop:
        bellhop.slack.faults.add(Fault("oauth.v2.access", "latency", seconds=0.3))

        with ThreadPoolExecutor(6) as threads:
            answers = list(threads.map(lambda code: with_code(bellhop, f"1.2.{code}"), range(6)))

        assert sorted(one.status for one in answers) == [400, 400, 429, 429, 429, 429]
        assert len(bellhop.slack.calls_to("oauth.v2.access")) == 2


def test_right_codes_are_not_counted(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    limits = {"wrong_keys_per_minute": 1}
    with running_bellhop(database_url, encryption_key, clock, **limits) as bellhop:
        assert [bellhop.install(who)[1].status for who in (ANN, ANN, ANN)] == [303, 303, 303]


def test_one_of_two_callbacks_with_the_same_state_installs(bellhop: Bellhop) -> None:
    browser = bellhop.browser()
    to_slack = browser.get("/slack/install").location
    cookie = "; ".join(f"{c.name}={c.value}" for c in browser.cookies)
    callbacks = [bellhop.slack.authorize(who, to_slack) for who in (ANN, BEN)]
    # Both have their codes redeemed before either is stored.
    bellhop.slack.faults.add(Fault("oauth.v2.access", "latency", seconds=0.3))

    with ThreadPoolExecutor(2) as threads:
        pages = list(
            threads.map(lambda url: bellhop.browser().get(url, {"Cookie": cookie}), callbacks)
        )

    assert sorted(page.status for page in pages) == [303, 400]
    assert count(bellhop, UserInstallation) == 1


def test_a_missing_code_is_refused(bellhop: Bellhop) -> None:
    page = with_code(bellhop, None)

    assert page.status == 400
    assert_nothing_installed(bellhop)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(method="oauth.v2.access", kind="server_error", status=503),
        Fault(method="oauth.v2.access", kind="rate_limited", retry_after=30),
        Fault(method="oauth.v2.access", kind="lost_answer"),
        Fault(method="oauth.v2.access", kind="api_error", error="internal_error"),
    ],
    ids=lambda fault: str(fault.kind),
)
def test_slack_down_during_an_install(bellhop: Bellhop, fault: Fault) -> None:
    bellhop.slack.faults.add(fault)

    _, page = bellhop.install(ANN)

    assert page.status == 502
    assert "Slack is not answering" in page.text
    assert "/slack/install" in page.text
    assert_nothing_installed(bellhop)


def test_wrong_credentials_are_the_operators_business(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    changes = {"slack_client_secret": "another"}
    with running_bellhop(database_url, encryption_key, clock, **changes) as bellhop:
        _, page = bellhop.install(ANN)

        assert page.status == 500
        assert "not configured correctly" in page.text
        assert "Start again" not in page.text


def test_an_error_of_auth_test_does_not_drop_what_slack_granted(bellhop: Bellhop) -> None:
    bellhop.slack.faults.add(Fault(method="auth.test", kind="server_error"))

    _, page = bellhop.install(ANN)

    assert page.status == 303
    bot = bellhop.services.store.find_bot(enterprise_id=None, team_id=ACME)
    assert bot is not None
    assert bot.bot_token.startswith("xoxb-")


def test_the_database_down_during_an_install(bellhop: Bellhop) -> None:
    browser = bellhop.browser()
    to_slack = browser.get("/slack/install")
    callback = bellhop.slack.authorize(ANN, to_slack.location)
    with bellhop.services.database.writing_connection() as connection:
        connection.execute(text("ALTER TABLE bots RENAME TO bots_away"))

    page = browser.get(callback)

    with bellhop.services.database.writing_connection() as connection:
        connection.execute(text("ALTER TABLE bots_away RENAME TO bots"))
    assert page.status == 503
    assert "nothing was installed" in page.text
    assert_nothing_installed(bellhop)


def test_a_failed_users_info_keeps_the_installation_and_is_retried(bellhop: Bellhop) -> None:
    # The sign-in, the person's role, and the page ask Slack.
    bellhop.slack.faults.add(Fault(method="users.info", kind="server_error", times=3))

    browser, landing = bellhop.install(ANN)

    assert landing.status == 303
    assert count(bellhop, User) == 0
    assert "Your profile could not be read yet" in browser.get("/profile").text
    assert "Ann Archer" in browser.get("/profile").text
    assert bellhop.services.installations.pending_recordings() == []


def test_the_state_cookie_is_tied_down(bellhop: Bellhop) -> None:
    cookie = bellhop.browser().get("/slack/install").headers["Set-Cookie"]

    assert cookie is not None
    for attribute in ("HttpOnly", "SameSite=Lax", "Path=/;", "Max-Age=600"):
        assert attribute in cookie
    assert "Secure" not in cookie


def test_no_other_host_can_set_the_state_cookie(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    changes = {"public_url": "https://bell.acme.test"}
    with running_bellhop(database_url, encryption_key, clock, **changes) as bellhop:
        page = bellhop.browser().get("/slack/install")

        cookie = str(page.headers["Set-Cookie"])
        assert "; Secure" in cookie
        # https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes
        assert cookie.startswith("__Host-bellhop-oauth-")
        assert "; Path=/;" in cookie
        assert "domain" not in cookie.lower()


def test_the_state_cookie_ends_with_the_install(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)

    assert [c.name for c in browser.cookies if c.name.startswith("bellhop-oauth")] == []
    assert count(bellhop, OAuthState) == 1


def test_visits_of_the_install_address_store_nothing(bellhop: Bellhop) -> None:
    for _ in range(20):
        bellhop.browser().get("/slack/install")

    assert count(bellhop, OAuthState) == 0


@pytest.mark.parametrize("only", ["", "only=profile&"])
@pytest.mark.parametrize(
    "team",
    [
        "T1%26scope%3Dadmin",
        "T1%26scope%3Dadmin%26user_scope%3Dadmin",
        "T0ACME0001%23",
        "T0ACME0001%0D%0AX-Injected:%20yes",
        "t0acme0001",
        "T0ACME0001%20",
        "",
    ],
)
def test_the_workspace_adds_nothing_else_to_the_authorize_address(
    bellhop: Bellhop, only: str, team: str
) -> None:
    plain = query_of(bellhop.browser().get(f"/slack/install?{only}").location)
    page = bellhop.browser().get(f"/slack/install?{only}team={team}")

    asked = query_of(page.location)
    assert "team" not in asked
    assert {**asked, "state": []} == {**plain, "state": []}
    assert page.headers["X-Injected"] is None


def test_the_workspace_is_passed_on(bellhop: Bellhop) -> None:
    page = bellhop.browser().get(f"/slack/install?team={ACME}&team={BETA}")

    assert query_of(page.location)["team"] == [ACME]


@pytest.mark.parametrize("error", ["call_support_at_evil.example", "<b>x", "x" * 500, "%0Aforged"])
def test_only_known_errors_are_shown(bellhop: Bellhop, error: str) -> None:
    browser = bellhop.browser()
    state = query_of(browser.get("/slack/install").location)["state"][0]

    page = browser.get(f"/slack/oauth_redirect?state={state}&error={error}")

    assert page.status == 400
    assert "Slack gave a reason that Bellhop does not know" in page.text
    assert error[:20] not in page.text


def test_an_unknown_error_of_slack_itself_is_not_shown(bellhop: Bellhop) -> None:
    bellhop.slack.faults.add(Fault("oauth.v2.access", "api_error", error="brand_new_code"))

    _, page = bellhop.install(ANN)

    assert page.status == 400
    assert "brand_new_code" not in page.text


@pytest.mark.parametrize("error", ["access_denied", "bad_client_secret", "anything"])
def test_an_error_in_an_address_that_slack_did_not_make_is_not_believed(
    bellhop: Bellhop, error: str
) -> None:
    page = bellhop.browser().get(f"/slack/oauth_redirect?error={error}")

    assert page.status == 400
    assert "This browser did not start the install" in page.text


def test_a_successful_callback_loaded_again_leads_to_the_profile(
    bellhop: Bellhop, clock: FakeClock
) -> None:
    browser = bellhop.browser()
    callback = bellhop.slack.authorize(ANN, browser.get("/slack/install").location)
    assert browser.get(callback).status == 303
    clock.advance(3600)

    again = browser.get(callback)

    assert (again.status, again.location) == (303, f"{bellhop.url}/profile")
    assert len(bellhop.slack.calls_to("oauth.v2.access")) == 1


def test_a_signed_in_person_sees_why_another_install_failed(
    bellhop: Bellhop, clock: FakeClock
) -> None:
    browser, _ = bellhop.install(ANN)
    callback = bellhop.slack.authorize(ANN, browser.get("/slack/install").location)
    clock.advance(601)

    assert "within ten minutes" in browser.get(callback).text


@pytest.mark.parametrize("query", ["only=profile", f"only=profile&team={ACME}", f"team={ACME}"])
def test_start_again_begins_the_same_attempt(bellhop: Bellhop, query: str) -> None:
    browser = bellhop.browser()
    to_slack = browser.get(f"/slack/install?{query}")

    page = browser.get(bellhop.slack.cancel(to_slack.location))

    assert f'href="/slack/install?{query.replace("&", "&amp;")}">Start again' in page.text


def test_start_again_survives_a_lost_cookie(bellhop: Bellhop) -> None:
    to_slack = bellhop.browser().get("/slack/install?only=profile")

    page = bellhop.browser().get(bellhop.slack.cancel(to_slack.location))

    assert 'href="/slack/install?only=profile">Start again' in page.text


@pytest.mark.parametrize(("length", "status"), [(MAX_COOKIES_LENGTH, 303), (8191, 400)])
def test_more_cookies_than_a_browser_sends_are_not_read(
    bellhop: Bellhop, length: int, status: int
) -> None:
    browser = bellhop.browser()
    back = bellhop.slack.authorize(ANN, browser.get("/slack/install").location)
    [own] = browser.cookies
    cookies = f"{own.name}={own.value};"
    cookies += "=" * (length - len(cookies))

    assert bellhop.browser().get(back, {"Cookie": cookies}).status == status


def test_many_states_in_an_address_set_no_cookies(bellhop: Bellhop) -> None:
    page = bellhop.browser().get("/slack/oauth_redirect?" + "state=x&" * 200 + "error=x")

    assert page.headers.get_all("Set-Cookie") is None


@pytest.fixture
def production_log() -> Iterator[StringIO]:
    """The log, configured as in production but at a lower level."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    log = StringIO()
    configure_logging("DEBUG", "text", log)
    yield log
    root.handlers[:] = handlers
    root.setLevel(level)


def test_no_code_or_token_is_logged(bellhop: Bellhop, production_log: StringIO) -> None:
    browser, _ = bellhop.install(ANN)
    with_code(bellhop, "1234567890.secret-code")
    browser.get("/profile")

    logged = production_log.getvalue()
    installed = bellhop.services.store.find_installation(enterprise_id=None, team_id=ACME)
    assert installed is not None
    assert "GET /slack/oauth_redirect" in logged
    for secret in (installed.bot_token, installed.user_token, "secret-code", "client-secret"):
        assert secret is not None
        assert secret not in logged
