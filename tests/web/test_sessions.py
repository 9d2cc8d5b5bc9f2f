"""Web sessions: whose they are, how long they last, what ends them."""

from __future__ import annotations

import pytest

from tests.conftest import FakeClock
from tests.people import ACME, ANN
from tests.running import Bellhop, Browser, running_bellhop


def cookie(browser: Browser) -> str:
    return next(one.value or "" for one in browser.cookies if one.name == "bellhop")


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
    address = "https://bell.example.com"
    with running_bellhop(database_url, encryption_key, clock, public_url=address) as running:
        assert running.app.config["SESSION_COOKIE_SECURE"] is True


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


@pytest.mark.parametrize("change", ["", "x", "eyJpbnN0YWxsYXRpb25faWQiOjF9.a.b"])
def test_a_made_up_cookie_is_nobody(bellhop: Bellhop, change: str) -> None:
    bellhop.install(ANN)

    assert with_cookie(bellhop, change) == 303


def test_a_cookie_that_was_changed_is_nobody(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    payload, _, signature = cookie(browser).partition(".")

    assert with_cookie(bellhop, f"{payload}A.{signature}") == 303


def test_the_session_of_who_was_forgotten_is_worth_nothing(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    stored = bellhop.services.store.find_stored(enterprise_id=None, team_id=ACME, user_id=ANN)
    assert stored is not None
    bellhop.services.lifecycle.unlink(stored)

    assert browser.get("/profile").status == 303


def test_the_session_does_not_hand_out_the_token_of_forms(bellhop: Bellhop) -> None:
    first, _ = bellhop.install(ANN)
    second, _ = bellhop.install(ANN)
    first.get("/profile")
    second.get("/profile")

    assert cookie(first) != cookie(second)
