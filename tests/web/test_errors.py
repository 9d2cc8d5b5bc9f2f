"""Errors: a page for people, problem+json for programs."""

from __future__ import annotations

import logging
import re

import pytest
from flask import abort

from tests.conftest import FakeClock
from tests.running import Bellhop, Page, running_bellhop
from tests.web.calling import request

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
    assert "This page does not exist." in page.text
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
        "detail": "This page does not exist.",
        "request_id": answer.headers["X-Request-Id"],
    }


def test_a_host_that_is_no_name_changes_nothing(bellhop: Bellhop) -> None:
    for path in ("/", "/healthz", "/nowhere", "/api/v1/notifications"):
        expected = bellhop.browser().get(path).status
        for host in ("a..b", "a" * 64, ".a", "[", "a b"):
            assert bellhop.browser().get(path, {"Host": host}).status == expected, (path, host)
    assert "evil" not in bellhop.browser().get("/static//x", {"Host": "evil"}).location


def test_a_wrong_method_lists_the_allowed_ones(bellhop: Bellhop) -> None:
    answer = bellhop.browser().get("/signout")

    assert answer.status == 405
    assert "POST" in answer.headers["Allow"]
    assert "does not support that method" in answer.text


def test_too_large_a_request_is_refused(bellhop: Bellhop) -> None:
    answer = bellhop.browser().post("/signout", {"text": "x" * (1024 * 1024)})

    assert answer.status == 413


def pages_with_forms(bellhop: Bellhop) -> list[str]:
    """Return the paths that take forms protected against forgery."""
    rules = bellhop.app.url_map.iter_rules()
    paths = [re.sub("<[^>]+>", "1", one.rule) for one in rules if "POST" in (one.methods or ())]
    posts = [path for path in paths if bellhop.browser().post(path, {}).status == 400]
    found = [path for path in posts if not path.startswith(("/api/", "/hooks/", "/uploads/"))]
    assert {"/signout", "/webhooks/1"} <= set(found)
    return found


def test_too_large_a_form_is_refused_on_every_page(bellhop: Bellhop) -> None:
    """Sweep: without a session."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    for path in pages_with_forms(bellhop):
        answer = request("POST", bellhop.url + path, b"a&" * 8193, headers)
        assert answer.status == 413, path
        assert "16 KiB" in answer.text


@pytest.mark.parametrize("size", [10, 200_000])
@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "text/plain", "x"])
def test_no_page_reads_forms_of_another_type(
    bellhop: Bellhop, content_type: str, size: int
) -> None:
    """Sweep: browsers send the forms of pages as `application/x-www-form-urlencoded`."""
    headers = {"Content-Type": content_type, "Accept": "application/json"}

    for path in pages_with_forms(bellhop):
        answer = request("POST", bellhop.url + path, b"--x\r\n" + b"a" * size, headers)
        assert answer.status == 415, path
        assert "application/x-www-form-urlencoded" in answer.json()["detail"]


def test_a_form_of_16_kib_is_looked_at(bellhop: Bellhop) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    answer = request("POST", f"{bellhop.url}/signout", b"a=" + b"x" * (16 * 1024 - 2), headers)

    assert answer.status == 400


@pytest.mark.parametrize(("types", "is_json"), [(10, True), (1000, False)])
def test_a_long_list_of_types_is_not_parsed(bellhop: Bellhop, types: int, is_json: bool) -> None:
    accept = ",".join(["application/json", *["a/b;q=0.1"] * types])

    answer = bellhop.browser().get("/nowhere", {"Accept": accept})

    assert answer.status == 404
    assert ("json" in str(answer.headers["Content-Type"])) is is_json


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


def test_an_error_without_a_custom_text_has_its_name(bellhop: Bellhop) -> None:
    bellhop.app.add_url_rule("/teapot", "teapot", lambda: abort(418))

    assert bellhop.browser().get("/teapot", JSON).json()["title"] == "I'm a Teapot"
