"""Sweep: no route and no listener answers 500 to any input."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from itertools import product
from typing import Any
from urllib.parse import quote, quote_from_bytes, urlencode

import pytest
from flask import Flask

from bolt_app.credentials.api_keys import Scope
from bolt_app.slack import ids
from slack_sandbox.world import JsonDict
from tests.conftest import FakeClock
from tests.notifications.hand import Hand
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop, Browser, running_bellhop
from tests.slack.signing import EVENTS, command_body, interaction_body, post_signed, signed
from tests.web.calling import NOTIFICATIONS, Caller, call_app, caller, put_bot, request
from tests.web.forms import send_form
from tests.web.methods.calling import FORM, JSON

pytestmark = pytest.mark.slow

DEEP = "[" * 20_000
# JSON texts, including values that Python's encoder would not write.
HOSTILE_JSON = {
    "nul": r'"a\u0000b"',
    "lone surrogate": r'"a\ud800b"',
    "surrogates in the wrong order": r'"\udc00\ud800"',
    "nested": "[" * 200 + "]" * 200,
    "objects": '{"a":' * 200 + "1" + "}" * 200,
    "64 bits and one": str(2**63),
    "negative": str(-(2**63) - 1),
    "32 bits and one": str(2**31),
    "hundreds of digits": "9" * 400,
    "thousands of digits": "9" * 5000,
    "too large a float": "1e999",
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "null": "null",
    "list": "[[]]",
    "object": '{"": {}}',
    "long": '"' + "x" * 5000 + '"',
    "empty": '""',
}
# Whether the others are accepted does not depend on the database.
STORED_DIFFERENTLY = ("nul", "lone surrogate", "64 bits and one", "too large a float", "long")
each_hostile_value = pytest.mark.parametrize(
    ("database_url", "hostile"),
    [
        *(pytest.param("sqlite", json_, id=name) for name, json_ in HOSTILE_JSON.items()),
        *(
            pytest.param(
                "postgresql",
                HOSTILE_JSON[name],
                id=f"{name}-postgresql",
                marks=pytest.mark.postgresql,
            )
            for name in STORED_DIFFERENTLY
        ),
    ],
    indirect=["database_url"],
)
HOSTILE_TEXT = {
    "nul": "a\0b",
    "control characters": "\x01\x1b\x7f\x85\u2028\u202e",
    "digits": "9" * 400,
    "superscript": "²",
    "long": "x" * 2000,
    "NaN": "NaN",
    "1e999": "1e999",
    "empty": "",
}
HOSTILE_BYTES = [quote(element) for element in HOSTILE_TEXT.values() if element] + [
    quote_from_bytes(element)
    for element in (b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"%", b"%zz", b"..")
]


def with_each_leaf(document: Any, mark: str) -> Iterator[Any]:
    """Yield copies of a document, each with another of its values replaced by `mark`."""
    for path in list(paths(document)):
        changed = copy.deepcopy(document)
        parent = changed
        for step in path[:-1]:
            parent = parent[step]
        parent[path[-1]] = mark
        yield changed


def paths(value: Any) -> Iterator[tuple[Any, ...]]:
    items: tuple[tuple[Any, Any], ...] = ()
    if isinstance(value, dict):
        items = tuple(value.items())
    elif isinstance(value, list):
        items = tuple(enumerate(value))
    for name, item in items:
        yield (name,)
        for rest in paths(item):
            yield (name, *rest)


MARK = "replaced-by-what-is-hostile"


def hostile_documents(document: Any, hostile: str) -> Iterator[bytes]:
    """Yield JSON texts, each with a value of `document` replaced by a piece of JSON."""
    for changed in with_each_leaf(document, MARK):
        yield json.dumps(changed).replace(f'"{MARK}"', hostile).encode()


NOTIFICATION: JsonDict = {
    "to": ["#general", "topic:deploys"],
    "text": "text",
    "title": "title",
    "severity": "error",
    "fields": [{"name": "host", "value": "db1"}],
    "link": "https://example.com/",
    "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x"}}],
    "attachments": [{"text": "x", "fields": [{"title": "a", "value": "b", "short": True}]}],
    "thread_ts": "1712345678.123456",
    "username": "ci",
    "mentions": ["@ann@example.com"],
    "actions": ["acknowledge"],
    "escalate": {"after": 60, "to": ["#ops"]},
    "key": "k",
    "mode": "update",
    "priority": 1,
    "delay": 5,
    "expires_at": "2099-01-01T00:00:00Z",
    "on_unknown": "hold",
}
PAYLOAD: JsonDict = {
    "text": "x",
    "channel": "#ops",
    "username": "ci",
    "icon_emoji": ":x:",
    "icon_url": "https://example.com/",
    "thread_ts": "1712345678.123456",
    "link_names": 1,
    "mrkdwn": True,
    "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x"}}],
    "attachments": [{"text": "x", "ts": 1, "fields": [{"title": "a", "value": "b"}]}],
}


IMAGE: JsonDict = {"type": "image", "image_url": "https://a.example/1.png", "alt_text": "x"}
SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "x"}, "accessory": IMAGE}
LISTED: list[JsonDict] = [IMAGE, SECTION, {"type": "context", "elements": [IMAGE]}]
BLOCKS: dict[str, list[JsonDict]] = {"blocks": LISTED, "attachments": [{"blocks": LISTED}]}


def with_each_value(document: Any, value: Any, name: str) -> Iterator[JsonDict]:
    """Yield payloads whose field `name` is a document with another of its values replaced."""
    for changed in with_each_leaf(document, MARK):
        yield {name: json.loads(json.dumps(changed).replace(f'"{MARK}"', json.dumps(value)))}


def signed_status(bellhop: Bellhop, body: bytes) -> int:
    """Post a body that Slack has signed."""
    return call_app(bellhop, "POST", EVENTS, body, signed(bellhop, body)).status


class TestHttp:
    @each_hostile_value
    def test_the_api_takes_or_refuses_every_notification(
        self, bellhop: Bellhop, hostile: str
    ) -> None:
        headers = {"Authorization": f"Bearer {caller(bellhop).key}", "Content-Type": JSON}
        bodies = [hostile.encode(), f'{{"notifications": {hostile}}}'.encode()]
        for body in [*bodies, *hostile_documents(NOTIFICATION, hostile)]:
            answer = call_app(bellhop, "POST", NOTIFICATIONS, body, headers)
            assert answer.status in (202, 400, 422), body

    @each_hostile_value
    def test_webhooks_accept_or_reject_every_payload(self, bellhop: Bellhop, hostile: str) -> None:
        put_bot(bellhop)
        url = bellhop.services.webhooks.create(ACME, "ci", [GENERAL])
        for body in [hostile.encode(), *hostile_documents(PAYLOAD, hostile)]:
            form = urlencode({"payload": body.decode()}).encode()
            for data in (body, form):
                answer = call_app(bellhop, "POST", url, data, {"Content-Type": FORM})
                assert answer.status in (200, 400), data

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize("value", ["x", 1, None, [], {}, [1], [[]], [None], {"type": "image"}])
    def test_no_blocks_block_later_messages_of_their_channel(
        self, database_url: str, encryption_key: str, clock: FakeClock, value: Any
    ) -> None:
        payloads = [
            payload
            for name in ("blocks", "attachments")
            for payload in [{name: value}, *with_each_value(BLOCKS[name], value, name)]
        ]
        # One channel for each, so that one worker delivers all of them at once.
        with running_bellhop(
            database_url, encryption_key, clock, workspace_per_minute=600_000
        ) as bellhop:
            bellhop.install(ANN)
            installation = bellhop.slack.installation_for(ACME)
            assert installation is not None
            members = [ANN, str(installation.bot_user_id)]
            channels = [
                bellhop.slack.add_channel(ACME, f"hostile-{number}", members=members)
                for number in range(len(payloads))
            ]
            for channel, payload in zip(channels, payloads, strict=True):
                url = bellhop.services.webhooks.create(ACME, "ci", [channel.id])
                for body in ({**payload, "text": "x"}, {"text": "what follows"}):
                    answer = call_app(bellhop, "POST", url, json.dumps(body).encode())
                    assert answer.status == 200, body
            worker = Hand(bellhop)
            for _ in range(2):
                bellhop.clock.advance(5)
                worker.deliver()
            for channel, payload in zip(channels, payloads, strict=True):
                assert bellhop.slack.messages(channel.id)[-1].text == "what follows", payload

    def test_no_body_is_too_deep(self, bellhop: Bellhop) -> None:
        sender, hook = caller(bellhop), bellhop.services.webhooks.create(ACME, "ci", [GENERAL])
        slack_hook = bellhop.services.webhooks.create(ACME, "ci", [GENERAL], sender="slack")
        for body in (DEEP, '{"text":' + DEEP, '{"a":' * 20_000, "{" * 20_000):
            assert sender.call("POST", NOTIFICATIONS, body.encode()).status == 400
            # It is delivered as the text that it is.
            assert request("POST", hook, body.encode()).status == 200
            assert request("POST", slack_hook, body.encode()).status == 400
            assert post_signed(bellhop, body.encode()).status in (200, 400)
            assert post_signed(bellhop, urlencode({"payload": body}).encode()).status == 400

    def test_every_route_takes_every_path_query_and_form(self, bellhop: Bellhop) -> None:
        browser, _ = bellhop.install(ANN)
        sender = caller(bellhop, Scope.SEND, Scope.READ, Scope.ADMIN)
        for method, path in routes(bellhop.app):
            for hostile in HOSTILE_BYTES:
                statuses = call(bellhop, browser, sender, method, path, hostile)
                assert max(statuses) < 500, (method, path, hostile, statuses)

    def test_every_form_takes_every_value(self, bellhop: Bellhop) -> None:
        browser, _ = bellhop.install(ANN)
        for hostile in HOSTILE_TEXT.values():
            given = {"channel_id": hostile, hostile or "x": hostile}
            assert send_form(browser, "/profile/hello", **given).status < 500
        assert send_form(browser, "/signout", x="a\0b").status == 400

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize("header", ["Authorization", "Idempotency-Key", "Cookie", "Accept"])
    def test_every_route_takes_every_header(self, bellhop: Bellhop, header: str) -> None:
        for method, path in routes(bellhop.app):
            url = bellhop.url + path.replace("{}", "x")
            for value in (
                "\x7f",
                "é" * 10,
                "Bearer ²",
                "=" * 500,
                "bellhop=x.y.z; state=é",
                "9" * 99,
            ):
                encoded = value.encode("utf-8").decode("latin-1")
                answer = call_app(bellhop, method, url, None, {header: encoded})
                assert answer.status < 500, (method, url, value)


def routes(app: Flask) -> Iterator[tuple[str, str]]:
    """Yield every method and path of the app, with `{}` for variable parts."""
    for rule in app.url_map.iter_rules():
        path = re.sub("<[^>]+>", "{}", rule.rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield method, path


QUERIES = (
    *("q", "channel", "only", "team", "code", "state", "error", "v", "key", "to", "source"),
    *("since", "until", "id", "limit", "cursor", "state"),
)


def call(
    bellhop: Bellhop, browser: Browser, sender: Caller, method: str, path: str, hostile: str
) -> list[int]:
    """Send requests with hostile values in all variable parts; return their statuses."""
    query = "&".join(f"{name}={hostile}" for name in (*QUERIES, hostile))
    form = f"channel_id={hostile}&csrf_token={hostile}&{hostile}=1".encode()
    cookie = "; ".join(f"{cooky.name}={cooky.value}" for cooky in browser.cookies)
    headers = {"Cookie": cookie}
    if path.startswith("/api/"):
        headers["Authorization"] = f"Bearer {sender.key}"
    addresses = path.replace("{}", hostile), f"{path.replace('{}', 'x')}?{query}"
    data = form if method == "POST" else None
    return [
        call_app(bellhop, method, browser.base_url + address, data, headers).status
        for address in addresses
    ]


BASE: JsonDict = {
    "team": {"id": ACME, "domain": "acme"},
    "user": {"id": ANN, "team_id": ACME},
    "trigger_id": "1.2.3",
    "channel": {"id": GENERAL, "name": "general"},
}


def button(action_id: str, **more: Any) -> JsonDict:
    option = {"text": {"type": "plain_text", "text": "x"}, "value": "60"}
    action = {"action_id": action_id, "block_id": "b", "type": "button", "value": "1"}
    return {
        **BASE,
        "type": "block_actions",
        "actions": [action | {"selected_option": option}],
        "container": {"type": "message", "message_ts": "1712345678.123456"},
        **more,
    }


def submission(callback_id: str, **values: JsonDict) -> JsonDict:
    state = {"values": {name: {"value": value} for name, value in values.items()}}
    title = {"type": "plain_text", "text": "x"}
    blocks = [{"type": "input", "block_id": name} for name in values]
    view = {"id": "V1", "type": "modal", "callback_id": callback_id, "title": title}
    return {**BASE, "type": "view_submission", "view": {**view, "blocks": blocks, "state": state}}


def event(type_: str, **more: Any) -> JsonDict:
    return {
        "type": "event_callback",
        "team_id": ACME,
        "event_id": f"Ev{type_}",
        "authorizations": [{"team_id": ACME, "enterprise_id": None, "user_id": ANN}],
        "event": {"type": type_, **more},
    }


USER = {
    "id": ANN,
    "team_id": ACME,
    "name": "ann",
    "tz": "Europe/Berlin",
    "tz_offset": 3600,
    "updated": 1700000000,
    "deleted": False,
    "profile": {"real_name": "Ann", "email": "ann@example.com", "image_72": "https://x/"},
}
REQUESTS: dict[str, JsonDict] = {
    **{
        name: button(name, view={"type": "home", "id": "V1", "blocks": []})
        for name in (
            ids.HOME_TEST,
            ids.HOME_SUBSCRIBE,
            ids.HOME_PREFERENCES,
            ids.NEW_API_KEY,
            ids.REVOKE_API_KEY,
            ids.REVOKE_WEBHOOK,
            ids.UNDO_PREFERENCES,
        )
    },
    **{
        name: button(name)
        for name in (
            ids.LINK_PROFILE,
            ids.REFRESH_PROFILE,
            ids.UNDO_SUBSCRIPTIONS,
            ids.CHANGE_SUBSCRIPTION,
            "incident.acknowledge",
            "incident.snooze",
            "nobody.listens",
        )
    },
    "modal: subscribe": submission(
        ids.SUBSCRIBE_VIEW, topic={"value": "deploys"}, filter={"value": "severity=error"}
    ),
    "modal: preferences": submission(
        ids.PREFERENCES_VIEW,
        quiet={"selected_options": [{"value": "keep"}]},
        **{"from": {"selected_time": "22:00"}},
        until={"selected_time": "07:00"},
        direct={"selected_option": {"value": "daily"}},
        daily={"selected_time": "09:00"},
    ),
    "modal: key": submission(
        ids.NEW_API_KEY_VIEW,
        name={"value": "ci"},
        scopes={"selected_options": [{"value": "send"}]},
        channels={"value": "#ops"},
        lifetime={"selected_option": {"value": "30"}},
    ),
    "modal: hook": submission(
        ids.NEW_WEBHOOK_VIEW,
        name={"value": "ci"},
        target={"selected_conversation": GENERAL},
        sender={"selected_option": {"value": "auto"}},
    ),
    "shortcut": {
        **BASE,
        "type": "message_action",
        "callback_id": ids.LINK_TO_NOTIFICATION,
        "message_ts": "1712345678.123456",
        "message": {"text": "x", "ts": "1712345678.123456"},
    },
    "user_change": event("user_change", user=USER),
    "team_rename": event("team_rename", name="Acme"),
    "team_domain_change": event("team_domain_change", domain="acme"),
    "tokens_revoked": event("tokens_revoked", tokens={"oauth": ["U1"], "bot": ["U2"]}),
    "channel_rename": event("channel_rename", channel={"id": GENERAL, "name": "x"}),
    "channel_archive": event("channel_archive", channel=GENERAL),
    "channel_left": event("channel_left", channel=GENERAL),
    "channel_deleted": event("channel_deleted", channel="C0ACME9999"),
    "channel_id_changed": event("channel_id_changed", old_channel_id="C1", new_channel_id="C2"),
    "member_joined_channel": event("member_joined_channel", user=ANN, channel=GENERAL),
    "app_home_opened": event("app_home_opened", user=ANN, tab="home"),
    "link_shared": event(
        "link_shared",
        channel=GENERAL,
        links=[{"url": "https://x/", "domain": "x"}],
        unfurl_id="1",
        source="composer",
    ),
    "function_executed": event(
        "function_executed",
        function={"callback_id": ids.SEND_STEP},
        function_execution_id="Fx1",
        inputs={"channel": GENERAL, "topic": "deploys", "text": "x", "severity": "error"},
        bot_access_token="x",
    ),
    "url_verification": {"type": "url_verification", "challenge": "x"},
}


# The ones that the parser accepts.
HOSTILE_VALUES = ("nul", "32 bits and one", "null", "object", "long")

STORED_BY_LISTENERS = ("nul", "long")


class TestSlack:
    @each_hostile_value
    def test_impossible_requests_are_rejected(self, bellhop: Bellhop, hostile: str) -> None:
        bellhop.install(ANN)
        for document in hostile_documents(REQUESTS["user_change"], hostile):
            assert signed_status(bellhop, document) in (200, 400, 404, 503), document

    def test_every_listener_takes_or_refuses_every_value(
        self, bellhop: Bellhop, subtests: pytest.Subtests
    ) -> None:
        bellhop.install(ANN)
        services = bellhop.services
        hostiles = HOSTILE_VALUES if services.database.is_sqlite else STORED_BY_LISTENERS
        for name, hostile in product(REQUESTS, hostiles):
            with subtests.test(name=name, hostile=hostile):
                # None uses up the limits of the next one, or ends what it needs.
                bellhop.clock.advance(60)
                assert services.installations.find_workspace(ACME) is not None
                assert services.profiles.find(ACME, ANN) is not None
                for document in hostile_documents(REQUESTS[name], HOSTILE_JSON[hostile]):
                    is_event = b'"event_callback"' in document
                    body = document if is_event else urlencode({"payload": document}).encode()
                    assert signed_status(bellhop, body) in (200, 400, 404, 503), document

    def test_every_command_takes_every_text(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        for hostile in HOSTILE_TEXT.values():
            for text in (hostile, *(f"{word} {hostile}" for word in WORDS)):
                for command in (ids.NOTIFY_COMMAND, ids.PROFILE_COMMAND):
                    assert signed_status(bellhop, command_body(command, text)) == 200, text
            for name in ("team_id", "user_id", "channel_id", "trigger_id", "response_url"):
                body = command_body(ids.NOTIFY_COMMAND, "list", **{name: hostile})
                assert signed_status(bellhop, body) in (200, 400), body

    def test_every_body_is_taken_or_refused(self, bellhop: Bellhop) -> None:
        for body in (
            b"",
            b"\xff",
            b"{",
            b"[]",
            b"payload=",
            b"payload=[]",
            b"payload=1",
            b"%ff",
        ):
            assert post_signed(bellhop, body).status in (200, 400, 404)
        body = interaction_body({"type": "block_actions", "actions": []})
        assert post_signed(bellhop, body).status in (200, 400, 404)


WORDS = (
    *("subscribe", "subscribe deploys", "subscribe deploys title=~", "subscribe * digest"),
    *(
        "unsubscribe",
        "mute",
        "mute 9",
        "digest",
        "digest deploys",
        "quiet",
        "quiet 22:00-",
        "unmute",
    ),
)
