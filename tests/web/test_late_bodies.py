"""Requests that wait for their body while the right to make them ends.

A key, a webhook or an upload URL is checked before the body is read, which may take a minute. It is
checked again in the transaction of the request's effect.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select

from bolt_app.credentials.api_keys import Scope
from bolt_app.credentials.limits import RevokedError
from bolt_app.db.models import AuditEvent, Base
from bolt_app.web.methods import METHODS
from tests.people import ACME, ANN, GENERAL, NORTH, WES
from tests.running import Bellhop, Page
from tests.slack.test_cross_tenant import install_everywhere
from tests.web.calling import NOTIFICATIONS, WEBHOOKS, call_app, caller
from tests.web.methods.calling import method_caller
from tests.web.methods.test_access import OWNER, Target, arguments, install
from tests.web.methods.uploading import open_upload

pytestmark = pytest.mark.sqlite_only

# Shorter than that of upload URLs.
LIFETIME = timedelta(minutes=10)
BODIES: Mapping[str, Any] = {
    NOTIFICATIONS: {"to": "@ben@acme.example", "text": "private words"},
    WEBHOOKS: {"to": GENERAL, "name": "outlives"},
}
HOOK, UPLOAD = "/hooks/<secret>", "/uploads/<secret>"
METHOD = "/api/<name>"
# They have no body that is read.
WITHOUT_BODY = {
    f"{NOTIFICATIONS}/<notification_id>": "DELETE",
    f"{NOTIFICATIONS}/<notification_id>/retry": "POST",
}
# The last call ends what others need.
NAMES = [*BODIES, HOOK, UPLOAD, *sorted(METHODS, key=lambda name: name == "chat.delete")]


class Sent(NamedTuple):
    """A request that is accepted, if nothing happens while it waits for its body.

    Attributes:
        key_id: of the API key, also of the one that announced the file of an upload.
        webhook_id: of the webhook.
    """

    url: str
    body: bytes
    headers: Mapping[str, str]
    key_id: int | None = None
    webhook_id: int | None = None

    def make(self, bellhop: Bellhop, before_body: Callable[[], object]) -> Page:
        return call_app(bellhop, "POST", self.url, self.body, self.headers, before_body=before_body)


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.begin(install)
    return bellhop


def request_of(bellhop: Bellhop, name: str, target: Target) -> Sent:
    services = bellhop.services
    if name == HOOK:
        url = services.webhooks.create(ACME, "alerts", ["@ben@acme.example"])
        webhook_id = services.webhooks.of_team(ACME)[-1].id
        return Sent(url, b'{"text": "private words"}', {}, webhook_id=webhook_id)
    # Of the owner's source, to find the owner's messages.
    who = method_caller(bellhop, *Scope, source=OWNER, lifetime=LIFETIME)
    key_id = services.api_keys.of_team(ACME)[-1].id
    if name == UPLOAD:
        _, url = open_upload(who)
        return Sent(url, b"Hello", {"Content-Type": "application/octet-stream"}, key_id)
    headers = {"Authorization": f"Bearer {who.key}", "Content-Type": "application/json"}
    if name in BODIES:
        return Sent(name, json.dumps(BODIES[name]).encode(), headers, key_id)
    given = {**arguments(bellhop, target, target.posted)[name]}
    return Sent(f"/api/{name}", json.dumps(given).encode(), headers, key_id)


def is_accepted(page: Page) -> bool:
    return page.status < 300 and '"ok":false' not in page.text


def rows(bellhop: Bellhop) -> dict[str, list[Any]]:
    with bellhop.services.database.reading_connection() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(select(table))))
            for table in Base.metadata.sorted_tables
            # It has the rejected requests.
            if table.name != AuditEvent.__tablename__
        }


def test_every_route_with_a_credential_is_swept(installed: Bellhop) -> None:
    changing = {
        str(rule.rule)
        for rule in installed.app.url_map.iter_rules()
        if rule.endpoint.partition(".")[0] in ("api", "methods", "uploads", "webhooks")
        and (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
    }

    assert changing == {*BODIES, HOOK, UPLOAD, METHOD, *WITHOUT_BODY}


def test_they_are_accepted_otherwise(installed: Bellhop, subtests: pytest.Subtests) -> None:
    target, waited = Target(installed), list[str]()

    for name in NAMES:
        with subtests.test(name):
            sent = request_of(installed, name, target)
            answer = sent.make(installed, partial(waited.append, name))

            assert is_accepted(answer), answer.text
    assert waited == NAMES


def test_requests_without_a_body_do_not_wait_for_one(installed: Bellhop) -> None:
    who, waited = caller(installed), list[str]()
    id_ = who.send({"to": GENERAL, "text": "x"}).json()["id"]

    for rule, method in WITHOUT_BODY.items():
        url = rule.replace("<notification_id>", id_)
        headers = {"Authorization": f"Bearer {who.key}"}
        before_body = partial(waited.append, rule)
        answer = call_app(installed, method, url, b"{}", headers, before_body=before_body)
        assert answer.status in (200, 409), answer.text

    assert waited == []


def revoke(bellhop: Bellhop, sent: Sent) -> None:
    services = bellhop.services
    if sent.key_id is not None:
        assert services.api_keys.revoke(sent.key_id)
    if sent.webhook_id is not None:
        assert services.webhooks.revoke(sent.webhook_id)


def expire(bellhop: Bellhop, sent: Sent) -> None:
    # A webhook does not expire.
    bellhop.clock.advance(LIFETIME.total_seconds())
    revoke(bellhop, sent._replace(key_id=None))


def uninstall(bellhop: Bellhop, _sent: Sent) -> None:
    bellhop.slack.uninstall(ACME)
    bellhop.settle()
    assert bellhop.services.installations.find_bot(ACME) is None


@pytest.mark.parametrize(
    ("end", "codes"),
    [
        (revoke, {NOTIFICATIONS: 401, WEBHOOKS: 401, HOOK: 404, METHOD: "token_revoked"}),
        (expire, {NOTIFICATIONS: 401, WEBHOOKS: 401, HOOK: 404, METHOD: "token_expired"}),
        (uninstall, {NOTIFICATIONS: 403, WEBHOOKS: 403, HOOK: 403, METHOD: "account_inactive"}),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_a_right_that_ends_while_the_body_is_awaited_has_no_effect(
    installed: Bellhop,
    end: Callable[[Bellhop, Sent], None],
    codes: Mapping[str, Any],
    subtests: pytest.Subtests,
) -> None:
    target = Target(installed)
    for name in NAMES:
        with subtests.test(name):
            installed.install(ANN)
            sent, before = request_of(installed, name, target), list[Any]()

            def end_it(sent: Sent = sent, before: list[Any] = before) -> None:
                end(installed, sent)
                before += [rows(installed), len(installed.slack.calls)]

            answer = sent.make(installed, end_it)

            assert [rows(installed), len(installed.slack.calls)] == before
            if name in METHODS:
                assert answer.json() == {"ok": False, "error": codes[METHOD]}
            else:
                assert answer.status == {**codes, UPLOAD: 404}[name]


@pytest.mark.parametrize("change", ["cancel", "retry"])
def test_a_key_that_is_revoked_before_the_transaction_changes_nothing(
    installed: Bellhop, change: str
) -> None:
    services, who = installed.services, caller(installed)
    id_ = who.send({"to": GENERAL, "text": "x"}).json()["id"]
    key = services.api_keys.find(who.key)
    assert key is not None
    services.api_keys.revoke(key.id)
    before = rows(installed)

    with pytest.raises(RevokedError):
        getattr(services.history, change)(ACME, id_, by=key.credential)

    assert rows(installed) == before


def test_no_webhook_of_an_earlier_installation_commands_the_organizations_bot(
    bellhop: Bellhop,
) -> None:
    """The organization's bot begins to serve the workspace while the body is awaited."""
    bellhop.install(WES)
    key = bellhop.services.api_keys.create(NORTH, "old", scopes=[Scope.ADMIN])
    body = {"to": "C0GLBX0001", "name": "outlives"}

    def change_hands() -> None:
        bellhop.clock.advance(12)
        bellhop.slack.uninstall(NORTH)
        bellhop.settle()
        bellhop.clock.advance(12)
        install_everywhere(bellhop)
        assert bellhop.services.client.find_workspace(NORTH).is_enterprise_install

    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    answer = Sent(WEBHOOKS, json.dumps(body).encode(), headers).make(bellhop, change_hands)

    assert answer.status == 401
    assert bellhop.services.webhooks.of_team(NORTH) == []
