"""Sweep: no private text and no secret appears in the log at any level.

Every entry point is used with a unique word, with and without injected failures.
"""

from __future__ import annotations

import ast
import contextlib
import json
import logging
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import StringIO
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from bolt_app.config import ROOT
from bolt_app.credentials.api_keys import Scope
from bolt_app.db.models import Base
from bolt_app.logs import configure_logging
from bolt_app.web.methods import METHODS
from slack_sandbox import Fault
from tests.conftest import FakeClock
from tests.notifications.hand import Hand
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop, running_bellhop
from tests.slack.signing import EVENTS, command_body, interaction_body, signed
from tests.sources import parsed
from tests.test_logs import restored_root_logger as restored_root_logger
from tests.web.calling import NOTIFICATIONS, call_app, caller

CANARY = "canary7391"
KEPT = {"alembic_version", "event_receipts", "installations", "bots", "installation_revisions"}


@contextmanager
def renamed_tables(bellhop: Bellhop) -> Iterator[None]:
    """Make every statement fail except those that authenticate the caller."""
    recognizing = KEPT | {"api_keys", "webhooks", "users", "teams", "memberships"}
    names = [table.name for table in Base.metadata.sorted_tables if table.name not in recognizing]
    rename(bellhop, {name: f"{name}_away" for name in names})
    try:
        yield
    finally:
        rename(bellhop, {f"{name}_away": name for name in names})


@contextmanager
def nothing_stored(bellhop: Bellhop) -> Iterator[None]:
    """Make every statement that inserts private text fail with a constraint violation."""
    is_sqlite = bellhop.services.database.is_sqlite
    with altering(bellhop) as connection:
        for name in ("notifications", "subscriptions", "preferences", "api_keys"):
            if is_sqlite:
                connection.execute(
                    text(
                        f"CREATE TRIGGER refuse_{name} BEFORE INSERT ON {name} "
                        "BEGIN SELECT RAISE(ABORT, 'refused'); END"
                    )
                )
            else:
                add = f"ADD CONSTRAINT refuse_{name} CHECK (1 = 0) NOT VALID"
                connection.execute(text(f"ALTER TABLE {name} {add}"))
    try:
        yield
    finally:
        with altering(bellhop) as connection:
            for name in ("notifications", "subscriptions", "preferences", "api_keys"):
                drop = f"DROP TRIGGER refuse_{name}"
                if not is_sqlite:
                    drop = f"ALTER TABLE {name} DROP CONSTRAINT refuse_{name}"
                connection.execute(text(drop))


def rename(bellhop: Bellhop, names: dict[str, str]) -> None:
    # Each in a transaction of its own: homes refreshed in the background read several tables.
    for old, new in names.items():
        with altering(bellhop) as connection:
            connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))


@contextmanager
def altering(bellhop: Bellhop) -> Iterator[Connection]:
    """Yield a connection that waits for users of the tables, as migrations do."""
    database = bellhop.services.database
    with database.writing_connection() as connection:
        if not database.is_sqlite:
            connection.execute(text("SET LOCAL lock_timeout = 0"))
        yield connection


@contextmanager
def slack_fault(bellhop: Bellhop, fault: Fault) -> Iterator[None]:
    bellhop.slack.faults.add(fault)
    try:
        yield
    finally:
        bellhop.slack.faults.clear()


def failing(bellhop: Bellhop, how: str) -> AbstractContextManager[None]:
    match how:
        case "renamed tables":
            return renamed_tables(bellhop)
        case "broken constraints":
            return nothing_stored(bellhop)
        case "slack refuses":
            return slack_fault(bellhop, Fault("*", "api_error", error="fatal_error"))
        case "slack answers no JSON":
            return slack_fault(bellhop, Fault("*", "server_error"))
        case "slack resets":
            return slack_fault(bellhop, Fault("*", "reset"))
    return nullcontext()


def drive(bellhop: Bellhop, key: str, hook: str) -> None:
    """Use every entry point, with the canary in every field that accepts text."""
    send_to_api(bellhop, key)
    call_methods(bellhop, key)
    send_to_webhooks(bellhop, hook)
    use_pages(bellhop)
    use_slack(bellhop)
    with contextlib.suppress(SQLAlchemyError):
        bellhop.clock.advance(2)
        Hand(bellhop).deliver()


def send_to_api(bellhop: Bellhop, key: str) -> None:
    body = {
        "to": ["#general", f"#{CANARY}", f"topic:{CANARY}", f"{CANARY}@example.com"],
        "title": CANARY,
        "text": f"{CANARY}\nforged line",
        "fields": [{"name": CANARY, "value": CANARY}],
        "link": f"https://example.com/{CANARY}",
        "image_url": f"https://example.com/{CANARY}.png",
        "key": CANARY,
        "actions": ["acknowledge"],
    }
    url = bellhop.url + NOTIFICATIONS
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    bodies = [
        json.dumps(body).encode(),
        json.dumps([body, body]).encode(),
        json.dumps(body | {"severity": CANARY, CANARY: CANARY}).encode(),
        f'{{"text": "{CANARY}'.encode(),
        f'{{"text": "{CANARY}\\u0000", "to": "#general"}}'.encode(),
        CANARY.encode() + b"\xff",
    ]
    for data in bodies:
        call_app(bellhop, "POST", url, data, headers)
        call_app(bellhop, "POST", url, data, headers | {"Idempotency-Key": CANARY})
        call_app(bellhop, "POST", url, data, headers | {"Authorization": f"Bearer {CANARY}"})
        call_app(bellhop, "POST", url, data, headers | {"Content-Type": f"text/{CANARY}"})
    for query in ("key", "to", "source", "since", "cursor", "id", CANARY):
        call_app(bellhop, "GET", f"{url}?{urlencode({query: CANARY})}", None, headers)
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/retry"), ("PUT", "")):
        call_app(bellhop, method, f"{url}/{CANARY}{path}", None, headers)


def call_methods(bellhop: Bellhop, key: str) -> None:
    message = {"channel": GENERAL, "text": CANARY, "username": CANARY, CANARY: CANARY}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    url = f"{bellhop.url}/api/"
    posted = call_app(
        bellhop, "POST", f"{url}chat.postMessage", json.dumps(message).encode(), headers
    )
    found = {**message, "ts": posted.json().get("ts", CANARY), "email": f"{CANARY}@example.com"}
    for name in [*METHODS, "api.test", f"x.{CANARY}"]:
        for body in ({**message, **dict.fromkeys(("ts", "user", "users", "name"), CANARY)}, found):
            call_app(bellhop, "POST", url + name, json.dumps(body).encode(), headers)
            call_app(
                bellhop, "POST", url + name, urlencode({**body, "token": CANARY}).encode(), form
            )
            call_app(bellhop, "GET", f"{url}{name}?{urlencode(body)}", None, headers)
        call_app(bellhop, "POST", url + name, f'{{"{CANARY}": '.encode(), headers)
        call_app(bellhop, "POST", url + name, b"", headers | {"Authorization": f"Bearer {CANARY}"})
    upload_file(bellhop, url, headers)


def upload_file(bellhop: Bellhop, url: str, headers: dict[str, str]) -> None:
    announced = json.dumps({"filename": CANARY, "length": len(CANARY), "alt_txt": CANARY})
    opened = call_app(
        bellhop, "POST", f"{url}files.getUploadURLExternal", announced.encode(), headers
    ).json()
    for data in (b"x", CANARY.encode(), CANARY.encode()):
        to = opened.get("upload_url", f"{url}{CANARY}")
        call_app(bellhop, "POST", to, data, {"Content-Type": f"text/{CANARY}"})
    files = [{"id": opened.get("file_id", CANARY), "title": CANARY}]
    shared = json.dumps({"files": files, "channel_id": GENERAL, "initial_comment": CANARY})
    call_app(bellhop, "POST", f"{url}files.completeUploadExternal", shared.encode(), headers)


def send_to_webhooks(bellhop: Bellhop, hook: str) -> None:
    payload = {
        "text": CANARY,
        "channel": f"#{CANARY}",
        "username": CANARY,
        "attachments": [{"text": CANARY, "fields": [{"title": CANARY, "value": CANARY}]}],
    }
    for data in (json.dumps(payload).encode(), CANARY.encode(), f'{{"{CANARY}": '.encode()):
        call_app(bellhop, "POST", hook, data, {"Content-Type": "application/json"})
        form = urlencode({"payload": data.decode()}).encode()
        call_app(bellhop, "POST", hook, form, {"Content-Type": "application/x-www-form-urlencoded"})
    secret = hook.rpartition("/")[2]
    for path in (
        f"/hooks/{CANARY}",
        f"/hooks/{CANARY}/",
        f"/hook/{CANARY}",
        f"/{CANARY}",
        f"//hooks/{CANARY}?{CANARY}",
        f"/services/T1/B1/{CANARY}",
        f"/uploads/{CANARY}",
        f"/files/{CANARY}",
        # The real one, mistyped.
        f"/hook/{secret}",
        f"/hooks/{secret}/x",
        f"/webhooks/{secret}",
        f"/Hooks/{secret}",
    ):
        for method in ("POST", "GET"):
            call_app(
                bellhop, method, bellhop.url + path, None, {"User-Agent": CANARY, "Referer": CANARY}
            )


def use_pages(bellhop: Bellhop) -> None:
    browser = bellhop.browser()
    for path in ("/", "/profile", "/profile/channels", "/slack/install", "/slack/oauth_redirect"):
        browser.get(f"{path}?{urlencode(dict.fromkeys(('q', 'team', 'code', 'state'), CANARY))}")
        browser.get(f"{path}?error={CANARY}")
    for path in ("/profile/hello", "/signout", "/n/x"):
        browser.post(path, {"csrf_token": CANARY, "channel_id": CANARY})
    browser.get(f"/n/{quote(CANARY)}")
    browser.get(f"/static/{CANARY}")


def use_slack(bellhop: Bellhop) -> None:
    commands = [
        f"subscribe {CANARY} title=~{CANARY}",
        f"subscribe deploys {CANARY}=((((",
        f"unsubscribe {CANARY}",
        f"digest {CANARY} daily {CANARY}",
        f"quiet {CANARY}",
        f"mute {CANARY}",
        f"{CANARY}",
        "test",
    ]
    bodies = [
        *(command_body("/notify", words, user_name=CANARY) for words in commands),
        command_body("/profile", CANARY),
        command_body(f"/{CANARY}"),
        *(interaction_body(payload) for payload in interactions()),
        *(json.dumps(event).encode() for event in events()),
        f'{{"type": "{CANARY}'.encode(),
        b"{" + CANARY.encode() + b"\xff",
    ]
    for body in bodies:
        for headers in (
            signed(bellhop, body),
            signed(bellhop, body, secret="another"),
            {"X-Slack-Signature": CANARY},
        ):
            call_app(bellhop, "POST", EVENTS, body, headers)


def interactions() -> list[dict[str, Any]]:
    base = {
        "team": {"id": ACME},
        "user": {"id": ANN, "team_id": ACME, "name": CANARY},
        "trigger_id": CANARY,
        "response_url": f"https://hooks.slack.com/{CANARY}",
    }
    action_ids = (
        "home.test",
        "profile.refresh",
        "subscriptions.undo",
        "subscriptions.change",
        "preferences.undo",
        "api_key.revoke",
        "incident.snooze",
        CANARY,
    )
    option = {"selected_option": {"value": CANARY}, "value": CANARY, "block_id": CANARY}
    actions = [
        base
        | {"type": "block_actions", "actions": [{"action_id": item, "type": "button", **option}]}
        for item in action_ids
    ]
    view = {"id": CANARY, "title": {"text": CANARY}, "blocks": [], "state": {"values": {}}}
    submissions = [
        base | {"type": "view_submission", "view": view | {"type": "modal", "callback_id": item}}
        for item in ("subscribe", "preferences", "api_key.new", "hook.new", CANARY)
    ]
    shortcut = {"type": "message_action", "callback_id": CANARY, "message": {"text": CANARY}}
    return [*actions, *submissions, base | shortcut]


def events() -> list[dict[str, Any]]:
    user = {"id": ANN, "team_id": ACME, "profile": {"real_name": CANARY}, "updated": CANARY}
    inner: list[dict[str, Any]] = [
        {"type": "user_change", "user": user},
        {"type": "team_rename", "name": CANARY},
        {"type": "channel_rename", "channel": {"id": GENERAL, "name": CANARY}},
        {"type": "channel_archive", "channel": GENERAL},
        {"type": "link_shared", "links": [{"url": CANARY}], "channel": GENERAL},
        {"type": "function_executed", "inputs": {"text": CANARY}, "function_execution_id": "Fx"},
        {"type": "app_home_opened", "tab": "home", "user": ANN},
        {"type": CANARY, "text": CANARY},
    ]
    return [
        {
            "type": "event_callback",
            "team_id": ACME,
            "event_id": f"Ev{secrets.token_hex(4)}",
            "event": event,
        }
        for event in inner
    ]


HOW = (
    *("healthy", "renamed tables", "broken constraints"),
    *("slack refuses", "slack answers no JSON", "slack resets"),
)
# The error of a statement depends on the database.
HOW_ON_POSTGRESQL = ("renamed tables", "broken constraints")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database_url", "how"),
    [
        *(pytest.param("sqlite", how, id=how) for how in HOW),
        *(
            pytest.param("postgresql", how, id=f"{how}-postgresql", marks=pytest.mark.postgresql)
            for how in HOW_ON_POSTGRESQL
        ),
    ],
    indirect=["database_url"],
)
@pytest.mark.usefixtures("restored_root_logger")
def test_the_log_holds_nothing_that_people_write(
    database_url: str, encryption_key: str, clock: FakeClock, how: str
) -> None:
    written = log_in_both_formats()
    with running_bellhop(database_url, encryption_key, clock) as bellhop:
        bellhop.install(ANN)
        bellhop.slack.open_home(ANN, ACME)
        bellhop.slack.deliver_due()
        key = caller(bellhop, Scope.SEND, Scope.READ, Scope.ADMIN).key
        hook = bellhop.services.webhooks.create(ACME, "ci", [GENERAL])
        with failing(bellhop, how):
            drive(bellhop, key, hook)
            bellhop.services.background.submit(lambda: None).result()

    for stream in written.values():
        log = stream.getvalue()
        assert "POST /api/v1/notifications" in log
        assert [line for line in log.splitlines() if CANARY in line] == []
        for secret in (key, hook.rpartition("/")[2]):
            assert secret not in log
    # Of tracebacks, every line after the first is indented.
    lines = written["text"].getvalue().splitlines()
    assert all(line.startswith(("2", "    ")) for line in lines)


def log_in_both_formats() -> dict[str, StringIO]:
    """Log everything twice, as text and as JSON; return what is written."""
    written, handlers = {}, []
    for log_format in ("text", "json"):
        written[log_format] = StringIO()
        configure_logging("DEBUG", log_format, written[log_format])
        handlers += logging.getLogger().handlers
    logging.getLogger().handlers[:] = handlers
    return written


def test_our_own_messages_are_constants() -> None:
    problems = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in (ROOT / "bolt_app").rglob("*.py")
        if "sandbox" not in path.parts
        for call in logger_calls(parsed(path))
        if not is_constant(call)
    ]

    assert problems == []


LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def logger_calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="logger"), attr=attr)):
                if attr in LEVELS:
                    yield node


def is_constant(call: ast.Call) -> bool:
    """Whether the message is a literal, without the text of an error."""
    is_log = isinstance(call.func, ast.Attribute) and call.func.attr == "log"
    message = call.args[1 if is_log else 0]
    quotes_error = any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("str", "repr")
        and [ast.unparse(argument) for argument in node.args] == ["error"]
        for node in ast.walk(call)
    )
    return isinstance(message, ast.Constant) and not quotes_error


def test_a_line_cannot_be_forged(restored_root_logger: None) -> None:
    stream = StringIO()
    configure_logging("DEBUG", "text", stream)
    name = "x\n2026-01-01 ERROR forged\r\x1b[2J\u2028\u202e\x85\0"

    logging.getLogger("tests").warning("to %s", name, extra={"name_": name})

    [line] = stream.getvalue().splitlines()
    assert line.isprintable()
    assert r"x\n2026-01-01 ERROR forged\r\x1b[2J\u2028\u202e\x85\x00" in line
