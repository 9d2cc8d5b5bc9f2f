"""Web sessions: their owner, lifetime and end."""

from __future__ import annotations

import hashlib
import re

import pytest
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from bolt_app.cookies import MAX_COOKIES_LENGTH
from bolt_app.db.models import WebSession
from bolt_app.db.web_sessions import IDLE_TIMEOUT
from bolt_app.derived_keys import derive_key
from tests.conftest import FakeClock
from tests.notifications.hand import accept
from tests.people import ACME, ANN, GENERAL
from tests.running import SESSION_SECRET, Bellhop, Browser, running_bellhop
from tests.web.forms import csrf_of, send_form

HTTPS = "https://bell.example.com"

pytestmark = pytest.mark.sqlite_only


def cookie(browser: Browser) -> str:
    return next(one.value or "" for one in browser.cookies if one.name == "bellhop")


def form_signer(key: bytes) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(key, salt="wtf-csrf-token")


def with_cookie(bellhop: Bellhop, value: str) -> int:
    return bellhop.browser().get("/profile", {"Cookie": f"bellhop={value}"}).status


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(bellhop: Bellhop) -> None:
    _, landing = bellhop.install(ANN)

    set_cookie = next(
        one for one in landing.headers.get_all("Set-Cookie", []) if one.startswith("bellhop=")
    )
    assert "HttpOnly" in set_cookie
    assert "SameSite=Lax" in set_cookie
    assert "Secure" not in set_cookie


def test_the_cookie_is_secure_over_https(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    with running_bellhop(database_url, encryption_key, clock, public_url=HTTPS) as running:
        client, headers = running.app.test_client(), {"Host": "bell.example.com"}
        page = f"/notifications/{'0' * 32}"
        client.get(page, base_url=HTTPS, headers=headers)
        [cookie] = client.get(page, base_url=HTTPS).headers.getlist("Set-Cookie")

        assert cookie.startswith("__Host-bellhop=")
        for attribute in ("; Secure", "; HttpOnly", "; Path=/", "; SameSite=Lax"):
            assert attribute in cookie
        assert "Domain" not in cookie


def test_the_cookie_is_signed_with_sha_256(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)

    def read(digest: object) -> object:
        options = {"key_derivation": "hmac", "digest_method": digest}
        reader = URLSafeTimedSerializer(
            SESSION_SECRET, salt="cookie-session", signer_kwargs=options
        )
        return reader.loads(cookie(browser))

    assert read(hashlib.sha256)
    with pytest.raises(BadSignature):
        read(hashlib.sha1)


def test_forms_are_signed_with_a_key_of_their_own(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    token = form_signer(derive_key(SESSION_SECRET, "bellhop: tokens of forms")).loads(
        csrf_of(browser)
    )

    # As in a page that was open during the upgrade from a release that used the secret itself.
    earlier = form_signer(SESSION_SECRET.encode()).dumps(token)
    answer = browser.post("/signout", {"csrf_token": earlier})

    assert answer.status == 400
    assert "This form is out of date. Go back, reload the page and try again." in answer.text
    assert send_form(browser, "/signout").status == 303


def test_a_session_outlives_the_process(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    with running_bellhop(database_url, encryption_key, clock) as first:
        browser, _ = first.install(ANN)
        assert with_cookie(first, cookie(browser)) == 200
    with running_bellhop(database_url, encryption_key, clock) as second:
        assert with_cookie(second, cookie(browser)) == 200


def test_another_session_secret_ends_every_session(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    with running_bellhop(database_url, encryption_key, clock) as first:
        browser, _ = first.install(ANN)
    with running_bellhop(
        database_url, encryption_key, clock, session_secret="another-secret-of-32-characters-"
    ) as second:
        assert with_cookie(second, cookie(browser)) == 303


def test_each_sign_in_has_a_token_of_its_own(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    before, csrf = cookie(browser), csrf_of(browser)
    bellhop.install(ANN, browser=browser)

    assert with_cookie(bellhop, before) == 303
    assert csrf_of(browser) != csrf
    assert browser.post("/signout", {"csrf_token": csrf}).status == 400


def test_signing_out_clears_the_browser_and_the_session(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    before = cookie(browser)

    answer = send_form(browser, "/signout")

    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
    set_cookie = str(answer.headers["Set-Cookie"])
    assert set_cookie.startswith("bellhop=;")
    assert "Max-Age=0" in set_cookie
    assert with_cookie(bellhop, before) == 303


def test_every_page_of_who_is_signed_in_offers_to_sign_out(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    stranger, own = bellhop.browser(), f"/notifications/{accept(bellhop, GENERAL, 'x')}"

    for path in ("/", "/profile", own, "/notifications/x", "/nowhere", "/api/v1/docs"):
        assert 'action="/signout"' in browser.get(path).text, path
        assert 'action="/signout"' not in stranger.get(path).text, path
    assert "OpenAPI 3.1" in browser.get("/api/v1/docs").text


def test_an_error_page_offers_to_sign_out_without_the_database(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bellhop.services.sessions, "find", _fails)
        page = browser.get("/profile")

    assert page.status == 503
    assert 'action="/signout"' in page.text


def _fails(_token: str) -> int:
    raise OperationalError("SELECT", None, Exception("down"))


def test_a_page_for_an_ended_session_does_not_offer_to_sign_out(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    bellhop.clock.advance(IDLE_TIMEOUT.total_seconds() + 1)

    for path in ("/", "/notifications/x"):
        assert 'action="/signout"' not in browser.get(path).text


def test_signing_out_leaves_other_browsers_signed_in(bellhop: Bellhop) -> None:
    first, _ = bellhop.install(ANN)
    second, _ = bellhop.install(ANN)
    send_form(first, "/signout")

    assert second.get("/profile").status == 200


def test_the_cookie_expires_with_its_prefix_over_https(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    with running_bellhop(database_url, encryption_key, clock, public_url=HTTPS) as running:
        client = running.app.test_client()
        with client.session_transaction(base_url=HTTPS) as session:
            session["csrf_token"] = "x"
        signer = form_signer(derive_key(SESSION_SECRET, "bellhop: tokens of forms"))
        form = {"csrf_token": signer.dumps("x")}
        answer = client.post("/signout", base_url=HTTPS, data=form)

        [expired] = answer.headers.getlist("Set-Cookie")
        assert expired.startswith("__Host-bellhop=;")
        assert "; Secure" in expired
        assert "Max-Age=0" in expired


def test_an_answer_that_changes_nothing_sets_no_cookie(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    browser.get("/profile")

    for path in ("/profile", "/", "/static/bellhop.css", "/healthz"):
        assert browser.get(path).headers["Set-Cookie"] is None


def test_the_token_is_stored_as_a_hash(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    with bellhop.services.database.reading() as session:
        [stored] = session.scalars(select(WebSession.token_hash)).all()

    assert re.fullmatch(r"[0-9a-f]{64}", stored)


@pytest.mark.parametrize("change", ["", "x", "eyJpbnN0YWxsYXRpb25faWQiOjF9.a.b"])
def test_a_forged_cookie_has_no_session(bellhop: Bellhop, change: str) -> None:
    bellhop.install(ANN)

    assert with_cookie(bellhop, change) == 303


@pytest.mark.parametrize(("length", "status"), [(MAX_COOKIES_LENGTH, 200), (8191, 303)])
def test_more_cookies_than_a_browser_sends_are_not_read(
    bellhop: Bellhop, length: int, status: int
) -> None:
    browser, _ = bellhop.install(ANN)
    cookies = f"bellhop={cookie(browser)};"
    cookies += "=" * (length - len(cookies))

    assert bellhop.browser().get("/profile", {"Cookie": cookies}).status == status


def test_a_modified_cookie_has_no_session(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    payload, _, signature = cookie(browser).partition(".")

    assert with_cookie(bellhop, f"{payload}A.{signature}") == 303


def test_the_session_of_a_deleted_person_is_invalid(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    stored = bellhop.services.installations.find(enterprise_id=None, team_id=ACME, user_id=ANN)
    assert stored is not None
    bellhop.services.lifecycle.profiles.unlink(stored)

    assert browser.get("/profile").status == 303


def test_the_session_does_not_hand_out_the_token_of_forms(bellhop: Bellhop) -> None:
    first, _ = bellhop.install(ANN)
    second, _ = bellhop.install(ANN)
    first.get("/profile")
    second.get("/profile")

    assert cookie(first) != cookie(second)
