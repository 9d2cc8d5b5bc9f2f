"""The description of the API: valid, correct and readable."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from bolt_app.credentials.api_keys import Scope
from bolt_app.web.api.examples import CREATING_WEBHOOKS
from bolt_app.web.api.openapi import build_document
from tests.browser.chromium import OpenPage, Shoot
from tests.conftest import FakeClock
from tests.people import ACME
from tests.running import Bellhop, running_bellhop
from tests.web.calling import NOTIFICATIONS, WEBHOOKS, caller
from tests.web.test_headers import InlineCode

pytestmark = pytest.mark.sqlite_only

DOCUMENT = build_document("https://bell.example.com")
EXAMPLES = DOCUMENT["paths"][NOTIFICATIONS]["post"]["requestBody"]["content"]["application/json"][
    "examples"
]


def validator(schema: Any) -> Draft202012Validator:
    """Return the validator for a schema of the document."""
    whole = {**schema, "components": DOCUMENT["components"]}
    return Draft202012Validator(whole, format_checker=FormatChecker())


def operations() -> Iterator[tuple[str, str, Any]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def schemas_in(value: Any) -> Iterator[Any]:
    """Yield every schema in a part of the document."""
    if isinstance(value, dict):
        if "schema" in value:
            yield value["schema"]
        for item in value.values():
            yield from schemas_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from schemas_in(item)


def assert_as_described(body: Any, path: str, method: str, status: int) -> None:
    response = DOCUMENT["paths"][path][method]["responses"][str(status)]
    [content] = response["content"].values()
    validator(content["schema"]).validate(body)


class TestDocument:
    def test_it_is_served_to_anybody(self, bellhop: Bellhop) -> None:
        answer = bellhop.browser().get("/api/v1/openapi.json")

        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json() == build_document(bellhop.url)
        assert answer.json()["openapi"] == "3.1.0"
        assert answer.json()["servers"] == [{"url": bellhop.url}]

    def test_its_schemas_are_schemas(self) -> None:
        found = [*schemas_in(DOCUMENT["paths"]), *DOCUMENT["components"]["schemas"].values()]

        for schema in found:
            Draft202012Validator.check_schema(schema)
        assert len(found) > 20

    def test_every_reference_leads_somewhere(self) -> None:
        named = set(re.findall(r"'#/components/schemas/(\w+)'", str(DOCUMENT)))

        assert named
        assert named <= set(DOCUMENT["components"]["schemas"])

    def test_every_parameter_of_a_path_is_described(self) -> None:
        for method, path, operation in operations():
            described = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert described == set(re.findall(r"\{(\w+)\}", path)), (method, path)

    def test_it_has_every_address_of_the_api_and_no_other(self, bellhop: Bellhop) -> None:
        served = {
            (method, re.sub(r"<\w+>", "{id}", rule.rule))
            for rule in bellhop.app.url_map.iter_rules()
            if rule.rule.startswith((NOTIFICATIONS, WEBHOOKS))
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        }

        assert {(method, path) for method, path, _ in operations()} == served
        ids = [operation["operationId"] for _, _, operation in operations()]
        assert len(ids) == len(set(ids))


class TestTruth:
    @pytest.mark.parametrize("name", EXAMPLES)
    def test_every_example_is_valid_and_accepted(self, bellhop: Bellhop, name: str) -> None:
        operation = DOCUMENT["paths"][NOTIFICATIONS]["post"]
        example = EXAMPLES[name]["value"]
        body = operation["requestBody"]["content"]["application/json"]["schema"]

        validator(body).validate(example)
        answer = caller(bellhop).send(example)

        assert answer.status == 202
        assert_as_described(answer.json(), NOTIFICATIONS, "post", 202)

    @pytest.mark.parametrize("name", CREATING_WEBHOOKS)
    def test_every_webhook_of_an_example_is_created(self, bellhop: Bellhop, name: str) -> None:
        operation = DOCUMENT["paths"][WEBHOOKS]["post"]
        example = CREATING_WEBHOOKS[name][1]
        body = operation["requestBody"]["content"]["application/json"]["schema"]

        validator(body).validate(example)
        answer = caller(bellhop, Scope.ADMIN).call("POST", WEBHOOKS, example)

        assert answer.status == 201
        assert_as_described(answer.json(), WEBHOOKS, "post", 201)

    def test_answers_are_as_described(self, bellhop: Bellhop) -> None:
        ci = caller(bellhop)
        one = f"{NOTIFICATIONS}/{{id}}"
        path = f"{NOTIFICATIONS}/{ci.send(EXAMPLES['alert']['value']).json()['id']}"

        assert_as_described(ci.get(path).json(), one, "get", 200)
        assert_as_described(ci.get(NOTIFICATIONS).json(), NOTIFICATIONS, "get", 200)
        assert_as_described(ci.call("DELETE", path).json(), one, "delete", 200)
        retried = ci.call("POST", f"{path}/retry")
        assert_as_described(retried.json(), f"{one}/retry", "post", retried.status)

    @pytest.mark.parametrize(
        ("body", "headers", "status"),
        [
            ({"to": "#a", "text": "x", "nope": 1}, {}, 422),
            (b"{", {}, 400),
            ({}, {"Content_Type": "text/plain"}, 415),
            ({"to": "#b", "text": "x"}, {}, 403),
            ({"to": "#a", "text": "x"}, {"Authorization": "Bearer bh_x"}, 401),
            ([{"to": "#a", "text": "x" * 40_000}] * 30, {}, 413),
        ],
    )
    def test_refusals_are_as_described(
        self, bellhop: Bellhop, body: Any, headers: dict[str, str], status: int
    ) -> None:
        answer = caller(bellhop, Scope.SEND, channels=["#a"]).send(body, **headers)

        assert answer.status == status
        assert_as_described(answer.json(), NOTIFICATIONS, "post", status)


class TestPage:
    def test_it_has_every_operation_with_a_command_to_copy(self, bellhop: Bellhop) -> None:
        page = bellhop.browser().get("/api/v1/docs")

        assert page.status == 200
        for _, path, operation in operations():
            assert f'id="{operation["operationId"]}"' in page.text
            assert path in page.text
            assert operation["summary"] in page.text
        assert f"curl -X POST {bellhop.url}{NOTIFICATIONS}" in page.text
        assert "Authorization: Bearer $BELLHOP_KEY" in page.text
        assert f"<code>{bellhop.url}/api/</code>" in page.text
        for field in DOCUMENT["components"]["schemas"]["NotificationRequest"]["properties"]:
            assert f"<code>{field}</code>" in page.text

    def test_it_holds_no_inline_code_or_style(self, bellhop: Bellhop) -> None:
        reader = InlineCode()

        reader.feed(bellhop.browser().get("/api/v1/docs").text)

        assert reader.found == []

    def test_it_fits_wide_and_narrow_windows(
        self, bellhop: Bellhop, open_page: OpenPage, shoot: Shoot
    ) -> None:
        page = open_page()

        page.goto(f"{bellhop.url}/api/v1/docs")

        assert page.get_by_role("heading", name="HTTP API").is_visible()
        shoot(page, "api-docs")
        page.get_by_role("link", name="Cancel a notification").click()
        assert page.locator("#cancelNotification").is_visible()
        shoot(page, "api-docs-operation")
        assert ACME not in page.content()


def test_the_page_tells_anyone_no_path_of_the_machine(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    settings = {
        "env_file": "/srv/bellhop/production.env",
        "slack_base_url": "https://slack.com",
    }
    with running_bellhop(database_url, encryption_key, clock, **settings) as bellhop:
        shown = bellhop.browser().get("/api/v1/docs").text

        assert "bellhop api-key create" in shown
        assert "production.env" not in shown


def test_the_commands_of_a_demo_can_be_copied(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    with running_bellhop(database_url, encryption_key, clock, env_file="var/demo/.env") as bellhop:
        shown = bellhop.browser().get("/api/v1/docs").text

        assert "bellhop --env-file var/demo/.env api-key create" in shown
