"""The Slack-compatible Web API: bodies, tokens, errors and overload."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import select

from bolt_app.credentials.api_keys import Scope
from bolt_app.credentials.limits import LimitError, LimitReason
from bolt_app.db.models import Delivery, Notification
from bolt_app.web.methods.auth import UNVERIFIED_BYTES
from tests.conftest import FakeClock
from tests.people import ACME, ANN, BETA, GENERAL
from tests.running import Bellhop, running_bellhop
from tests.web.calling import request
from tests.web.methods.calling import FORM, JSON, MethodCaller, method_caller

pytestmark = pytest.mark.sqlite_only

POST = "chat.postMessage"
MESSAGE = {"channel": GENERAL, "text": "Hello"}


@pytest.fixture
def ci(bellhop: Bellhop) -> MethodCaller:
    """A program that may send and read."""
    return method_caller(bellhop)


def accepted(bellhop: Bellhop) -> list[dict[str, Any]]:
    """Return the contents of accepted messages in order."""
    with bellhop.services.database.reading() as session:
        statement = select(Notification.content).join(Delivery).order_by(Delivery.id)
        return list(session.scalars(statement))


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "content_type"),
        [
            (json.dumps(MESSAGE).encode(), JSON),
            (json.dumps(MESSAGE).encode(), "application/json"),
            (urlencode(MESSAGE).encode(), FORM),
            (
                b'--x\r\nContent-Disposition: form-data; name="channel"\r\n\r\n'
                + GENERAL.encode()
                + b'\r\n--x\r\nContent-Disposition: form-data; name="text"\r\n\r\n'
                + b"Hello\r\n--x--\r\n",
                "multipart/form-data; boundary=x",
            ),
        ],
        ids=["json", "json without charset", "form", "multipart"],
    )
    def test_a_message_in_each_kind_of_body(
        self, bellhop: Bellhop, ci: MethodCaller, body: bytes, content_type: str
    ) -> None:
        answer = ci.post(POST, body, content_type)

        assert (answer.status, answer.json()["ok"]) == (200, True), answer.text
        assert answer.headers["Content-Type"] == "application/json"
        assert accepted(bellhop) == [{"text": "Hello"}]

    def test_a_form_has_lists_as_json(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        blocks = [{"type": "divider"}]

        assert ci.form(POST, **MESSAGE, blocks=json.dumps(blocks), unfurl_links="0")["ok"]

        assert accepted(bellhop) == [{"text": "Hello", "blocks": blocks, "unfurl_links": False}]

    @pytest.mark.parametrize(
        ("body", "content_type", "error"),
        [
            (b"{", JSON, "invalid_json"),
            (b"[" * 100_000, JSON, "invalid_json"),
            (b"[]", JSON, "json_not_object"),
            (b"x", "text/plain", "invalid_post_type"),
            (b"{}", "application/json; charset=utf-7", "invalid_arguments"),
            (b"\xff", "application/json; charset=utf-7", "invalid_charset"),
            (b'{"channel": "C0ACME0001", "a": ' + b"[" * 99 + b"]" * 99 + b"}", JSON, None),
        ],
    )
    def test_malformed_bodies(
        self,
        bellhop: Bellhop,
        ci: MethodCaller,
        body: bytes,
        content_type: str,
        error: str | None,
    ) -> None:
        answer = ci.post(POST, body, content_type)

        assert (answer.status, answer.json()["ok"]) == (200, False)
        assert answer.json()["error"] == (error or "invalid_arguments")
        assert accepted(bellhop) == []

    def test_a_body_that_is_too_large(self, ci: MethodCaller) -> None:
        answer = ci.post(POST, json.dumps({"text": "x" * 1024 * 1024}).encode(), JSON)

        assert (answer.status, answer.json()["error"]) == (413, "request_too_large")

    def test_characters_that_cannot_be_stored_are_left_out(
        self, bellhop: Bellhop, ci: MethodCaller
    ) -> None:
        body = b'{"channel": "C0ACME0001", "text": "a\\u0000b \\ud800"}'

        assert ci.post(POST, body, JSON).json()["ok"]

        assert accepted(bellhop) == [{"text": "ab \ufffd"}]


class TestTokens:
    def test_in_a_form(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        nobody = MethodCaller(bellhop.url, "")

        assert nobody.form(POST, **MESSAGE, token=ci.key)["ok"]
        assert nobody.ok(POST, **MESSAGE, token=ci.key)
        assert accepted(bellhop) == [{"text": "Hello"}] * 2

    @pytest.mark.parametrize("method", [POST, "auth.test", "api.test"])
    def test_a_large_body_is_read_only_after_its_token(
        self, bellhop: Bellhop, ci: MethodCaller, method: str
    ) -> None:
        large = {**MESSAGE, "token": ci.key, "attachments": [{"text": "x" * UNVERIFIED_BYTES}]}
        body = json.dumps(large).encode()

        refused = MethodCaller(bellhop.url, "").post(method, body, JSON)

        assert (refused.status, refused.json()["error"]) == (413, "request_too_large")
        if method == POST:
            assert ci.post(method, body, JSON).json()["ok"]

    def test_not_in_a_url(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        url = f"{bellhop.url}/api/auth.test?token={ci.key}"

        assert request("GET", url).json() == {"ok": False, "error": "not_authed"}

    @pytest.mark.parametrize(
        ("key", "error"), [("", "not_authed"), ("bh_wrong", "invalid_auth"), ("xoxb-1", None)]
    )
    def test_an_unknown_token(self, bellhop: Bellhop, key: str, error: str | None) -> None:
        answer = MethodCaller(bellhop.url, key).error(POST, **MESSAGE)

        assert answer == (error or "invalid_auth")
        assert accepted(bellhop) == []

    def test_a_revoked_token(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        ci.ok(POST, **MESSAGE)
        bellhop.services.api_keys.revoke(1)

        assert ci.error(POST, **MESSAGE) == "token_revoked"
        assert ci.error("auth.test") == "token_revoked"
        assert len(accepted(bellhop)) == 1

    def test_an_expired_token(self, bellhop: Bellhop) -> None:
        ci = method_caller(bellhop, lifetime=timedelta(minutes=1))
        bellhop.clock.advance(60)

        assert ci.error(POST, **MESSAGE) == "token_expired"

    def test_after_an_uninstall(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        ci = method_caller(bellhop)
        ci.ok("auth.test")
        bellhop.slack.uninstall(ACME)
        bellhop.settle()

        assert ci.error(POST, **MESSAGE) == "account_inactive"

    def test_a_missing_scope_is_named(self, bellhop: Bellhop) -> None:
        reader = method_caller(bellhop, Scope.READ)

        answer = reader.call(POST, **MESSAGE)

        assert answer == {
            "ok": False,
            "error": "missing_scope",
            "needed": "send",
            "provided": "read",
        }

    def test_wrong_tokens_are_limited_and_counted(
        self, database_url: str, encryption_key: str, clock: FakeClock
    ) -> None:
        with running_bellhop(
            database_url, encryption_key, clock, wrong_keys_per_minute=2
        ) as bellhop:
            ci = method_caller(bellhop)
            ci.ok("auth.test")
            guesser = MethodCaller(bellhop.url, "bh_wrong")
            assert [guesser.error("auth.test") for _ in range(2)] == ["invalid_auth"] * 2

            answer = guesser.post("auth.test", b"", FORM)

            assert (answer.status, answer.json()["error"]) == (503, "service_unavailable")
            assert answer.headers["Retry-After"] == "60"
            # Known keys go on.
            ci.ok("auth.test")


class TestOverload:
    def test_a_key_over_its_limit(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        [key] = bellhop.services.api_keys.of_team(ACME)
        until = bellhop.clock() + timedelta(seconds=30)
        error = LimitError(LimitReason.REQUESTS, 1, until, bellhop.clock())
        bellhop.services.sender_limits.reject(key.credential, error)

        answer = ci.post(POST, b"no JSON", JSON)

        assert (answer.status, answer.json()) == (
            503,
            {"ok": False, "error": "service_unavailable"},
        )
        assert answer.headers["Retry-After"] == "30"

    def test_each_call_counts(
        self, database_url: str, encryption_key: str, clock: FakeClock
    ) -> None:
        with running_bellhop(
            database_url, encryption_key, clock, sender_requests_per_minute=4
        ) as bellhop:
            ci = method_caller(bellhop, Scope.SEND)
            ci.ok("auth.test")
            ci.ok(POST, **MESSAGE)
            assert ci.error(POST, channel=GENERAL) == "no_text"
            assert ci.error("conversations.list") == "missing_scope"

            assert ci.post(POST, json.dumps(MESSAGE).encode(), JSON).status == 503

    def test_the_database_is_down(self, encryption_key: str, clock: FakeClock) -> None:
        address = "postgresql+psycopg://bell:sesame@127.0.0.1:9/bellhop"
        with running_bellhop(address, encryption_key, clock) as running:
            answer = MethodCaller(running.url, "bh_any").post("auth.test", b"", FORM)

        assert (answer.status, answer.json()["error"]) == (503, "service_unavailable")
        assert answer.headers["Retry-After"] == "60"


class TestMethods:
    @pytest.mark.parametrize("name", ["chat.shout", "admin.users.remove", "x."])
    def test_an_unknown_method(self, bellhop: Bellhop, name: str) -> None:
        answer = MethodCaller(bellhop.url, "").call(name)

        assert answer == {"ok": False, "error": "unknown_method", "req_method": name}

    def test_only_get_and_post_run_a_method(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        url = f"{bellhop.url}/api/{POST}?{urlencode(MESSAGE)}"
        headers = {"Authorization": f"Bearer {ci.key}"}

        pages = {verb: request(verb, url, None, headers) for verb in ("HEAD", "PUT", "GET")}

        assert {verb: page.status for verb, page in pages.items()} == {
            "HEAD": 405,
            "PUT": 405,
            "GET": 200,
        }
        assert {"GET", "POST"} <= set(pages["HEAD"].headers["Allow"].split(", "))
        assert len(accepted(bellhop)) == 1

    def test_a_path_that_is_no_method(self, bellhop: Bellhop) -> None:
        answer = request("POST", f"{bellhop.url}/api/v2", b"")

        assert answer.status == 404
        assert answer.headers["Content-Type"] == "application/problem+json"

    def test_api_test_needs_no_key(self, bellhop: Bellhop) -> None:
        nobody = MethodCaller(bellhop.url, "")

        assert nobody.ok("api.test") == {"ok": True}
        assert nobody.ok("api.test", foo="bar", token="x")["args"] == {"foo": "bar"}
        assert nobody.error("api.test", error="my_error") == "my_error"
        query = request("GET", f"{bellhop.url}/api/api.test?token=x&foo=bar")
        assert query.json()["args"] == {"foo": "bar"}

    def test_api_test_takes_little_from_anyone(self, bellhop: Bellhop) -> None:
        answer = MethodCaller(bellhop.url, "").post("api.test", b"{}" + b" " * 16 * 1024, JSON)

        assert (answer.status, answer.json()["error"]) == (413, "request_too_large")

    def test_an_unknown_token_in_a_body_is_rejected_before_the_rest_is_checked(
        self, bellhop: Bellhop
    ) -> None:
        deep = b'{"token": "bh_wrong", "a": ' + b"[" * 99 + b"]" * 99 + b"}"

        answer = MethodCaller(bellhop.url, "").post(POST, deep, JSON)

        assert answer.json() == {"ok": False, "error": "invalid_auth"}

    def test_auth_test_names_the_bot_and_its_workspace(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        ci = method_caller(bellhop)
        [installation] = bellhop.slack.installations.values()

        answer = ci.ok("auth.test")

        assert answer == {
            "ok": True,
            "url": "https://acme.slack.com/",
            "team": "Acme",
            "team_id": ACME,
            "user": "tests",
            "user_id": installation.bot_user_id,
            "bot_id": installation.bot_id,
            "is_enterprise_install": False,
        }

    def test_team_info_names_the_workspace_of_the_key(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        ci = method_caller(bellhop)
        team = {"id": ACME, "name": "Acme", "domain": "acme"}

        assert ci.ok("team.info") == {"ok": True, "team": team}
        assert ci.ok("team.info", team=ACME)["team"] == team
        assert ci.error("team.info", team=BETA) == "team_not_found"
