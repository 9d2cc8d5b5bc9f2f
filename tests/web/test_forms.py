"""Forms are bounded before they are decoded, on every route and for every client."""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlencode

import pytest
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.test import create_environ

from bolt_app.config import ROOT
from bolt_app.notifications.content.webhook_format import FORM_FIELDS
from bolt_app.senders.bodies import body_of
from bolt_app.web.forms import MOST_FIELDS, URLENCODED, BoundedRequest
from bolt_app.web.methods.auth import OTHER_UNVERIFIED_BYTES, UNVERIFIED_BYTES
from bolt_app.web.multipart import MOST_HEADER_BYTES, MOST_HEADER_LINES
from tests.conftest import FakeClock
from tests.people import ACME, GENERAL
from tests.running import Bellhop, running_bellhop
from tests.sources import parsed
from tests.test_linear_time import seconds
from tests.web.calling import put_bot, request
from tests.web.methods.calling import FORM, JSON, MethodCaller, method_caller
from tests.web.multipart import MULTIPART, form_of_headers, status_and_memory

pytestmark = pytest.mark.sqlite_only

POST = "chat.postMessage"
MEBIBYTE = 1024 * 1024
MOST_SECONDS = 0.06
# Each took between 0.07 and 0.12 seconds.
HOSTILE_FORMS = {
    "malformed pairs": b"&%e2=%e2" * 20_000,
    "malformed names": b"&%ff=" * 30_000,
    "one malformed value": b"a=" + b"%ff" * 45_000,
}


@pytest.fixture
def strict(database_url: str, encryption_key: str, clock: FakeClock) -> Iterator[Bellhop]:
    """Bellhop with a limit of two wrong credentials per minute."""
    with running_bellhop(database_url, encryption_key, clock, wrong_keys_per_minute=2) as running:
        yield running


def form_of(body: bytes, content_type: str = URLENCODED) -> list[tuple[str, str]]:
    """Return the fields that Bellhop reads from a body."""
    with closing(request_of(body, content_type)) as read:
        return list(read.form.items(multi=True))


def request_of(body: bytes, content_type: str) -> BoundedRequest:
    environ = create_environ(method="POST")
    environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    return BoundedRequest(environ | {"CONTENT_TYPE": content_type})


def fields(number: int) -> bytes:
    return urlencode([("a", "b")] * number).encode()


def every_form(bellhop: Bellhop) -> list[str]:
    """Return the URLs of a webhook and of every route that takes bodies."""
    put_bot(bellhop)
    urls = [bellhop.services.webhooks.create(ACME, "", [GENERAL], sender="slack")]
    for rule in bellhop.app.url_map.iter_rules():
        if "POST" in (rule.methods or ()):
            values = {
                name: POST if rule.rule.startswith("/api/<") else "1" for name in rule.arguments
            }
            with bellhop.app.test_request_context():
                path = bellhop.app.url_map.bind("").build(rule.endpoint, values, "POST")
            urls.append(bellhop.url + path)
    assert len(urls) > 8
    return urls


def parts(number: int, start: bytes = b"") -> bytes:
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
    return start + part * number + b"--x--\r\n"


class TestParser:
    def test_a_form_is_read_as_browsers_and_libraries_write_it(self) -> None:
        written = [("text", "a+b &=%\u00e9\U0001f600"), ("text", "again"), ("empty", "")]

        assert form_of(urlencode(written).encode()) == written
        assert form_of(b"&&a&b=1=2&") == [("a", ""), ("b", "1=2")]

    def test_what_is_not_utf_8_is_replaced(self) -> None:
        assert form_of(b"a=%ff\xe9%C3%A9%zz") == [("a", "\ufffd\ufffd\u00e9%zz")]

    def test_as_many_fields_as_are_allowed(self) -> None:
        assert len(form_of(fields(MOST_FIELDS))) == MOST_FIELDS
        with pytest.raises(RequestEntityTooLarge):
            form_of(fields(MOST_FIELDS + 1))

    @pytest.mark.parametrize("body", HOSTILE_FORMS.values(), ids=HOSTILE_FORMS.keys())
    def test_no_form_is_expensive(self, body: bytes) -> None:
        def read(_: str) -> None:
            try:
                form_of(body[:UNVERIFIED_BYTES])
            except RequestEntityTooLarge:
                return

        assert any(seconds(read, "") < MOST_SECONDS for _ in range(2))

    def test_no_form_of_a_webhook_is_expensive(self) -> None:
        body = b"&%e2=%e2" * 125_000

        assert any(seconds(lambda _: body_of(body, None), "") < 0.15 for _ in range(2))

    def test_every_other_parser_of_forms_counts_the_fields(self) -> None:
        calls = [
            (path, node)
            for path in (ROOT / "bolt_app").rglob("*.py")
            for node in ast.walk(parsed(path))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("parse_qs", "parse_qsl")
        ]

        assert {path.name for path, _ in calls} >= {"bodies.py", "webhook_format.py"}
        for path, node in calls:
            assert any(given.arg == "max_num_fields" for given in node.keywords), path


class TestMultipart:
    def test_fields_and_files_are_read_as_clients_write_them(self) -> None:
        file = bytes(range(256)) * 1024
        body = (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xc3\xa9\r\n\r\n'
            b'--x\nContent-Disposition: form-data; name="b"\n'
            b"Content-Type: text/plain; charset=iso-8859-1\n\n\xe9\n"
            b'--x\r\nContent-Disposition: form-data; name="c"; filename="d.bin"\r\n'
            b"Content-Type: application/pdf\r\n\r\n" + file + b"\r\n--x--\r\n"
        )

        with closing(request_of(body, MULTIPART)) as read:
            assert list(read.form.items(multi=True)) == [("a", "\u00e9\r\n"), ("b", "\u00e9")]
            given = read.files["c"]
            assert (given.filename, given.mimetype) == ("d.bin", "application/pdf")
            assert given.read() == file

    @pytest.mark.parametrize("body", [b"", b"--x", b"--x\r\n\r\n\r\n", parts(2)[:-9]])
    def test_a_malformed_form_has_no_fields(self, body: bytes) -> None:
        assert form_of(body, MULTIPART) == []

    @pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=\u00e9"])
    def test_a_form_without_a_usable_boundary_has_no_fields(self, boundary: str) -> None:
        assert form_of(parts(1), f"multipart/form-data{boundary}") == []

    def test_headers_have_up_to_8_kib(self) -> None:
        for longer in (0, 1):
            start = b'--x\r\nContent-Disposition: form-data; name="a"\r\nX: '
            head = len(start) - len("--x\r\n") + len("\r\n\r\n")
            body = start + b"x" * (MOST_HEADER_BYTES - head + longer) + b"\r\n\r\nb\r\n--x--\r\n"
            if longer:
                with pytest.raises(RequestEntityTooLarge):
                    form_of(body, MULTIPART)
            else:
                assert form_of(body, MULTIPART) == [("a", "b")]

    @pytest.mark.parametrize("newline", [b"\r\n", b"\n", b"\r"])
    def test_headers_have_up_to_20_lines(self, newline: bytes) -> None:
        start = b'--x\r\nContent-Disposition: form-data; name="a"'
        end = newline * 2 + b"b\r\n--x--\r\n"

        most = start + (newline + b"a: b") * (MOST_HEADER_LINES - 1) + end
        assert form_of(most, MULTIPART) == [("a", "b")]
        with pytest.raises(RequestEntityTooLarge):
            form_of(start + (newline + b"a: b") * MOST_HEADER_LINES + end, MULTIPART)

    @pytest.mark.parametrize("before", range(65_400, 65_540, 7))
    def test_headers_are_counted_wherever_they_are_cut(self, before: int) -> None:
        """Werkzeug reads 64 KiB at once."""
        first = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
        first += b"x" * (before - len(first)) + b"\r\n"

        assert form_of(first + parts(1), MULTIPART) == [("a", "b")]
        with pytest.raises(RequestEntityTooLarge):
            form_of(first + form_of_headers(70_000), MULTIPART)

    def test_a_field_is_at_most_as_long_as_werkzeug_allows(self) -> None:
        head = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n'

        with pytest.raises(RequestEntityTooLarge):
            form_of(head + b"x" * 600_000 + b"\r\n--x--\r\n", MULTIPART)


class TestRoutes:
    @pytest.mark.parametrize(
        ("body", "content_type"),
        [(fields(MOST_FIELDS + 1), FORM), (parts(MOST_FIELDS + 1), MULTIPART)],
        ids=["urlencoded", "multipart"],
    )
    def test_no_route_accepts_more_fields(
        self, bellhop: Bellhop, body: bytes, content_type: str
    ) -> None:
        """Sweep: pages, the HTTP API, the Slack-compatible Web API, webhooks, uploads, Slack."""
        for url in every_form(bellhop):
            answer = request("POST", url, body, {"Content-Type": content_type})
            assert 400 <= answer.status < 500, url

    def test_no_route_reads_long_headers(self, bellhop: Bellhop) -> None:
        """Sweep: one of 1 MiB needed fifty times its size on some of them."""
        program, body = method_caller(bellhop), form_of_headers(MEBIBYTE)
        headers = {"Content-Type": MULTIPART, "Authorization": f"Bearer {program.key}"}

        for url in every_form(bellhop):
            status, peak = status_and_memory(bellhop.app, url, body, headers)
            assert peak < 4 * MEBIBYTE, url
            assert 400 <= status < 500, url

    def test_a_method_answers_in_slacks_form(self, bellhop: Bellhop) -> None:
        program = method_caller(bellhop)

        for body, content_type in ((fields(101), FORM), (parts(101), MULTIPART)):
            answer = program.post(POST, body, content_type)
            assert (answer.status, answer.json()["error"]) == (413, "request_too_large")

    def test_a_webhook_reads_no_form_with_more_fields(self, bellhop: Bellhop) -> None:
        put_bot(bellhop)
        url = bellhop.services.webhooks.create(ACME, "", [GENERAL], sender="slack")
        payload = urlencode({"payload": '{"text": "x"}'}).encode() + b"&"
        headers = {"Content-Type": FORM}

        most = request("POST", url, payload + fields(FORM_FIELDS - 1), headers)
        more = request("POST", url, payload + fields(FORM_FIELDS), headers)

        assert (most.status, most.text) == (200, "ok")
        assert (more.status, more.text) == (400, "invalid_payload")


class TestBodiesBeforeTheirToken:
    @pytest.mark.parametrize(
        ("body", "content_type"),
        [(b"token=bh_wrong", FORM), (b"channel=a", FORM), (b"{", JSON), (b"x", "text/plain")],
        ids=["wrong token", "no token", "malformed", "another type"],
    )
    def test_an_address_that_sent_too_many_is_refused_unread(
        self, strict: Bellhop, body: bytes, content_type: str
    ) -> None:
        nobody = MethodCaller(strict.url, "")
        for _ in range(2):
            assert nobody.post(POST, body, content_type).json()["ok"] is False

        answer = nobody.post(POST, b"{ not read", JSON)

        assert (answer.status, answer.json()["error"]) == (503, "service_unavailable")
        assert answer.headers["Retry-After"] == "60"
        strict.clock.advance(60)
        assert nobody.post(POST, b"{ read", JSON).json()["error"] == "invalid_json"

    def test_a_known_token_in_the_header_continues_to_work(self, strict: Bellhop) -> None:
        program, nobody = method_caller(strict), MethodCaller(strict.url, "")
        assert program.ok("auth.test")
        assert [nobody.post(POST, b"{", JSON).status for _ in range(3)] == [200, 200, 503]

        assert program.ok(POST, channel=GENERAL, text="x")

    def test_a_call_without_a_body_is_no_guess(self, strict: Bellhop) -> None:
        url = f"{strict.url}/api/auth.test"

        for method in ("GET", "POST"):
            answers = [request(method, url, b"" if method == "POST" else None) for _ in range(4)]
            assert {answer.json()["error"] for answer in answers} == {"not_authed"}

    @pytest.mark.parametrize(
        ("content_type", "most"),
        [(JSON, UNVERIFIED_BYTES), (FORM, UNVERIFIED_BYTES), (MULTIPART, OTHER_UNVERIFIED_BYTES)],
    )
    def test_a_larger_body_needs_its_token_in_the_header(
        self, bellhop: Bellhop, content_type: str, most: int
    ) -> None:
        program = method_caller(bellhop)

        for size, status in ((most, 200), (most + 1, 413)):
            body = b"x" * size
            assert MethodCaller(bellhop.url, "").post(POST, body, content_type).status == status
            assert program.post(POST, body, content_type).status == 200
