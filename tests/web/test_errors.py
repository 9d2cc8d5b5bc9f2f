"""Errors: a page for people, problem+json for programs."""

from __future__ import annotations

import logging

import pytest
from flask import abort

from tests.conftest import FakeClock
from tests.running import Bellhop, Page, running_bellhop

pytestmark = pytest.mark.sqlite_only

JSON = {"Accept": "application/json"}
TOKEN = "xoxb-1-secret"


def broken(
    database_url: str, encryption_key: str, clock: FakeClock, headers: dict[str, str]
) -> Page:
    with running_bellhop(database_url, encryption_key, clock) as running:

        def fail() -> str:
            raise RuntimeError(f"with {TOKEN} in it")

        running.app.add_url_rule("/broken", "broken", fail)
        return running.browser().get("/broken", headers)


def test_a_missing_page_is_a_page_in_plain_words(bellhop: Bellhop) -> None:
    page = bellhop.browser().get("/nowhere")

    assert page.status == 404
    assert "There is no such page." in page.text
    assert 'href="/"' in page.text
    assert page.headers["X-Request-Id"] in page.text


def test_a_program_gets_problem_json(bellhop: Bellhop) -> None:
    answer = bellhop.browser().get("/nowhere", JSON)

    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no such page.",
        "request_id": answer.headers["X-Request-Id"],
    }


def test_the_wrong_method_says_which_are_right(bellhop: Bellhop) -> None:
    answer = bellhop.browser().get("/signout")

    assert answer.status == 405
    assert "POST" in answer.headers["Allow"]
    assert "does not take this kind of request" in answer.text


def test_too_large_a_request_is_refused(bellhop: Bellhop) -> None:
    answer = bellhop.browser().post("/signout", {"text": "x" * (1024 * 1024)})

    assert answer.status == 413


@pytest.mark.parametrize("headers", [{}, JSON])
def test_a_mistake_of_ours_shows_nothing_of_itself(
    database_url: str, encryption_key: str, clock: FakeClock, headers: dict[str, str]
) -> None:
    answer = broken(database_url, encryption_key, clock, headers)

    assert answer.status == 500
    assert "Something went wrong in Bellhop" in answer.text
    assert TOKEN not in answer.text
    assert "RuntimeError" not in answer.text


def test_a_mistake_of_ours_is_in_the_log(
    database_url: str, encryption_key: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        broken(database_url, encryption_key, clock, {})

    assert any(record.exc_info for record in caplog.records)


def test_an_error_without_words_of_ours_has_its_name(bellhop: Bellhop) -> None:
    bellhop.app.add_url_rule("/teapot", "teapot", lambda: abort(418))

    assert bellhop.browser().get("/teapot", JSON).json()["title"] == "I'm a Teapot"
