"""Webhooks created over the HTTP API."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert

from bolt_app.credentials.api_keys import Scope
from bolt_app.db.models import Webhook
from bolt_app.senders.registry import known_senders, signing_of
from bolt_app.web.api.schemas import WebhookRequest
from bolt_app.web.api.webhooks import MOST_WEBHOOKS
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop
from tests.senders.test_bodies import post
from tests.senders.test_sns import TOPIC
from tests.senders.test_templates import BODY, TEMPLATE
from tests.senders.test_webhooks import SECRET, SIGNED, accepted
from tests.web.calling import WEBHOOKS, Caller, caller, request

pytestmark = pytest.mark.sqlite_only

WHOLE = {"to": "#ops", "name": "Backups", "from": "custom", "template": TEMPLATE}


@pytest.fixture
def admin(bellhop: Bellhop) -> Caller:
    return caller(bellhop, Scope.ADMIN)


def test_a_webhook_with_a_template_takes_bodies(bellhop: Bellhop, admin: Caller) -> None:
    created = admin.call("POST", WEBHOOKS, WHOLE)

    assert created.status == 201
    assert created.json()["secret"] is None
    assert post(created.json()["url"], BODY).status == 200
    assert accepted(bellhop)[0][1] == "hook:1|disk/db1"
    [webhook] = bellhop.services.webhooks.of_team(ACME)
    assert (webhook.name, webhook.to, webhook.allow_broadcast) == ("Backups", ("#ops",), False)


def test_a_webhook_for_a_tool_has_its_secret(bellhop: Bellhop, admin: Caller) -> None:
    created = admin.call("POST", WEBHOOKS, {"to": GENERAL, "from": "github"}).json()

    [webhook] = bellhop.services.webhooks.of_team(ACME)
    assert webhook.is_signed
    found = bellhop.services.webhooks.find(created["url"].rpartition("/")[2])
    assert found is not None
    assert found.signing_secret == created["secret"]


@pytest.mark.parametrize("sender", ["auto", "custom", *known_senders()])
def test_a_webhook_is_signed_or_says_that_it_is_not(
    bellhop: Bellhop, admin: Caller, sender: str
) -> None:
    """If and only if an unsigned message is rejected, the webhook counts as signed."""
    created = admin.call("POST", WEBHOOKS, {"to": GENERAL, "from": sender}).json()

    answer = request("POST", created["url"], b'{"text": "x", "title": "x"}')

    assert created["signed"] is (answer.text == "invalid_signature")
    [webhook] = bellhop.services.webhooks.of_team(ACME)
    shown = {(True, True): "signed", (True, False): "not signed yet"}
    known = known_senders().get(sender)
    can_sign = known is not None and known.signature is not None
    assert signing_of(webhook) == shown.get((can_sign, created["signed"]), "")


@pytest.mark.parametrize("sender", ["pagerduty", "sentry"])
def test_a_tool_that_shows_its_secret_is_signed_from_the_beginning(
    bellhop: Bellhop, admin: Caller, sender: str
) -> None:
    one, headers = SIGNED[sender]
    given = {"to": GENERAL, "from": sender, "secret": f" {SECRET}\n"}

    created = admin.call("POST", WEBHOOKS, given)

    assert (created.json()["signed"], created.json()["secret"]) == (True, None)
    assert SECRET not in created.text
    assert request("POST", created.json()["url"], one.raw, one.headers).status == 403
    signed = request("POST", created.json()["url"], one.raw, {**one.headers, **headers})
    assert signed.status == 200


def test_a_secret_is_in_no_representation() -> None:
    wanted = WebhookRequest.model_validate({"to": GENERAL, "from": "sentry", "secret": SECRET})

    assert SECRET not in repr(wanted)


def test_a_webhook_for_amazon_sns_has_its_topic(bellhop: Bellhop, admin: Caller) -> None:
    given = {"to": GENERAL, "from": "aws-sns", "topic_arn": TOPIC}

    assert admin.call("POST", WEBHOOKS, given).json()["secret"] is None

    [webhook] = bellhop.services.webhooks.of_team(ACME)
    assert (webhook.topic_arn, webhook.is_signed) == (TOPIC, True)


def test_a_key_creates_no_more_than_a_workspace_may_have(bellhop: Bellhop, admin: Caller) -> None:
    """Each webhook has limits of its own, and changes of messages read all of them."""
    rows = [
        {
            "team_id": ACME,
            "name": "",
            "secret_hash": f"{number:064}",
            "target": GENERAL,
            "created_at": bellhop.clock(),
            "revoked_at": bellhop.clock() if number % 2 else None,
        }
        for number in range(MOST_WEBHOOKS - 1)
    ]
    with bellhop.services.database.writing_connection() as connection:
        connection.execute(insert(Webhook), rows)

    answers = [admin.call("POST", WEBHOOKS, {"to": GENERAL}) for _ in range(2)]

    assert [answer.status for answer in answers] == [201, 409]
    assert "1,000 webhooks" in answers[1].json()["detail"]
    assert bellhop.services.webhooks.count(ACME) == MOST_WEBHOOKS


def test_the_person_of_a_key_created_the_webhook(bellhop: Bellhop) -> None:
    caller(bellhop, Scope.ADMIN, created_by=ANN).call("POST", WEBHOOKS, {"to": GENERAL})

    [webhook] = bellhop.services.webhooks.of_team(ACME)
    assert webhook.created_by == ANN


@pytest.mark.parametrize(
    ("changed", "field", "detail"),
    [
        ({"to": []}, "to", "at least one"),
        ({"to": "nowhere at all"}, "to[0]", ""),
        ({"from": "jenkinz"}, "from", "known tool"),
        ({"from": "github"}, "template", "requires from custom"),
        ({"template": " "}, "template", "empty"),
        ({"template": "{% if %}"}, "template", "not saved: line 1: "),
        ({"template": "{{ body | nofilter }}"}, "template", "No filter named 'nofilter'"),
        ({"template": "x" * 20_001}, "template", "20,000"),
        ({"topic_arn": TOPIC}, "topic_arn", "requires from aws-sns"),
        ({"from": "aws-sns", "template": None, "topic_arn": "alerts"}, "topic_arn", "the ARN"),
        ({"from": "aws-sns", "template": None, "topic_arn": 7}, "topic_arn", ""),
        ({"secret": SECRET}, "secret", "only for tools that show a secret of their own"),
        ({"from": "github", "template": None, "secret": SECRET}, "secret", "pagerduty, sentry"),
        ({"from": "auto", "template": None, "secret": SECRET}, "secret", "pagerduty, sentry"),
        ({"from": "sentry", "template": None, "secret": " "}, "secret", "1 to 200"),
        ({"from": "sentry", "template": None, "secret": "x" * 201}, "secret", "1 to 200"),
        ({"name": "x" * 81}, "name", "80"),
        ({"key_field": "x" * 256}, "key_field", "255"),
        ({"allow_broadcast": True}, "allow_broadcast", "unknown"),
        ({"sender": "github"}, "sender", "unknown"),
    ],
)
def test_an_invalid_field_is_named(
    bellhop: Bellhop, admin: Caller, changed: dict[str, Any], field: str, detail: str
) -> None:
    answer = admin.call("POST", WEBHOOKS, {**WHOLE, **changed})

    assert answer.status == 422, answer.text
    errors = {one["field"]: one["detail"] for one in answer.json()["errors"]}
    assert detail in errors[field]
    assert bellhop.services.webhooks.of_team(ACME) == []


@pytest.mark.parametrize(("scopes", "channels"), [(("send", "read"), ()), (("admin",), ("#ops",))])
def test_other_keys_create_none(bellhop: Bellhop, scopes: Any, channels: tuple[str, ...]) -> None:
    answer = caller(bellhop, *scopes, channels=channels).call("POST", WEBHOOKS, {"to": "#ops"})

    assert answer.status == 403
    assert bellhop.services.webhooks.of_team(ACME) == []
