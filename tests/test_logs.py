"""Logging: the contents of a line, and the redaction of private data."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.error import URLError

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bolt_app.logs import LoggableError, configure_logging, describe_error, escape, redact
from tests.conftest import FakeClock
from tests.people import ANN
from tests.running import CLIENT_SECRET, running_bellhop

pytestmark = pytest.mark.sqlite_only

SECRETS = [
    "xoxb-1234-5678-abcDEF",
    "xoxp-1234-5678-abcDEF",
    "xoxe-1-My0xLTEyMw",
    "xoxe.xoxb-1-MS0yLTEyMw",
    "xoxe.xoxp-1-MS0yLTEyMw",
    "xapp-1-A0123-456-abc",
    "xoxs-1-2-3",
]
ALPHABET = st.sampled_from("abcdefABCDEF0123456789-")
TOKENS = st.builds(
    "{}-{}".format,
    st.sampled_from(["xoxb", "xoxp", "xoxa", "xoxr", "xoxe", "xoxe.xoxb", "xoxe.xoxp", "xapp"]),
    st.text(ALPHABET, min_size=8, max_size=80),
)


@pytest.fixture(autouse=True)
def restored_root_logger() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    hook = threading.excepthook
    yield
    threading.excepthook = hook
    root.handlers[:] = before[0]
    root.setLevel(before[1])


def written(log_format: str = "text", **extra: Any) -> tuple[logging.Logger, StringIO]:
    stream = StringIO()
    configure_logging("INFO", log_format, stream)
    return logging.getLogger("tests.logs"), stream


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("secret", SECRETS)
def test_a_token_is_redacted_anywhere(log_format: str, secret: str) -> None:
    logger, stream = written(log_format)

    logger.info("token=%s in a message", secret)
    logger.info("beside a message", extra={"token": secret, "nested": {"deep": [secret]}})
    try:
        raise ValueError(f"with {secret} in its text")
    except ValueError:
        logger.exception("it failed")

    assert secret not in stream.getvalue()
    assert stream.getvalue().count("[redacted]") >= 3


@given(before=st.text(), token=TOKENS, after=st.sampled_from(["", " ", '"', "'", "&", "\n", ","]))
def test_no_token_survives(before: str, token: str, after: str) -> None:
    assert token not in redact(f"{before}{token}{after}")


@given(st.text(st.characters(exclude_characters="x?&B/"), max_size=200))
def test_other_text_is_left_alone(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("GET /slack/oauth_redirect?code=123.456.abc&state=s3cret", "123.456.abc"),
        ("GET /slack/oauth_redirect?code=123.456.abc&state=s3cret", "s3cret"),
        ("Authorization: Bearer eyJhbGciOi.J9-_/+=", "eyJhbGciOi.J9-_/+="),
        ("https://hooks.slack.com/services/T1/B1/abc", "T1/B1/abc"),
        ("https://hooks.slack.com/commands/T1/2/abc", "T1/2/abc"),
        ("POST /hooks/s3cret-_x", "s3cret-_x"),
        ("POST https://bell.example.com/uploads/s3cret-_x?y", "s3cret-_x"),
        ("posted to https://bell.example.com/hooks/s3cret?x=1", "s3cret"),
        ("bh_0123456789abcdefghij-_KLM", "0123456789abcdefghij-_KLM"),
    ],
)
def test_other_secrets_in_urls_and_headers_are_redacted(text: str, secret: str) -> None:
    assert secret not in redact(text)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_library_is_named_and_its_message_withheld(log_format: str) -> None:
    _, stream = written(log_format)

    logging.getLogger("slack_sdk.web").error("posted: %s", "what was said")
    logging.getLogger("anything").error("what was said")

    assert "what was said" not in stream.getvalue()
    assert stream.getvalue().count("test_logs") >= 2
    assert len(stream.getvalue().splitlines()) == 2


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_error_is_its_type_and_place(log_format: str) -> None:
    logger, stream = written(log_format)

    try:
        try:
            int("what was said")
        except ValueError as error:
            raise RuntimeError("what was said") from error
    except RuntimeError:
        logger.exception("it failed")

    assert "what was said" not in stream.getvalue().replace('"what was said"', "").replace(
        r"\"what was said\"", ""
    )
    for words in ("ValueError", "which led to", "RuntimeError", "test_an_error_is_its_type"):
        assert words in stream.getvalue()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("said"), "ValueError"),
        (LoggableError("nobody said this"), "LoggableError: nobody said this"),
        (OSError(111, "refused"), "ConnectionRefusedError: [Errno 111] refused"),
        (OSError("said"), "OSError"),
        (
            URLError(OSError(111, "refused")),
            "URLError: ConnectionRefusedError: [Errno 111] refused",
        ),
        (
            OperationalError("SELECT", {}, sqlite3.OperationalError("no such table: lanes")),
            "OperationalError: OperationalError no such table: lanes",
        ),
        (
            OperationalError("SELECT", {}, sqlite3.OperationalError("text 'said'\nlines")),
            "OperationalError: OperationalError",
        ),
        (
            OperationalError("SELECT", {}, psycopg.OperationalError("no connection\nsaid")),
            "OperationalError: OperationalError no connection",
        ),
        (
            OperationalError("SELECT", {}, psycopg.errors.AdminShutdown("terminating")),
            "OperationalError: AdminShutdown 57P01 terminating",
        ),
        (psycopg.OperationalError("no connection\nsaid"), "OperationalError: no connection"),
        (psycopg.errors.IdleSessionTimeout("ended"), "IdleSessionTimeout: 57P05 ended"),
        (psycopg.errors.ProgramLimitExceeded("said"), "ProgramLimitExceeded: 54000"),
        (
            OperationalError("SELECT", {}, psycopg.errors.ProgramLimitExceeded("said")),
            "OperationalError: ProgramLimitExceeded 54000",
        ),
        (
            IntegrityError("INSERT", {"text": "said"}, sqlite3.IntegrityError("said")),
            "IntegrityError: IntegrityError",
        ),
        (PoolTimeoutError("no connection"), "TimeoutError: no connection"),
    ],
)
def test_an_error_is_described_without_private_text(error: Exception, words: str) -> None:
    assert describe_error(error) == words


@pytest.mark.parametrize(
    "statement",
    [
        # Python quotes values that it cannot read, such as those of a damaged file.
        "SELECT CAST(x'ff7361696420' AS TEXT)",
        "SELECT json_extract('{}', 'said')",
        "SELECT 'said",
        "SELECT said(1)",
    ],
)
def test_a_value_that_sqlite_quotes_is_not_logged(statement: str) -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection, pytest.raises(OperationalError) as raised:
        connection.exec_driver_sql(statement).all()
    engine.dispose()

    assert "said" in str(raised.value.orig)
    assert describe_error(raised.value) == "OperationalError: OperationalError"


def test_a_locked_database_is_named(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'locked.db'}", connect_args={"timeout": 0})
    with engine.connect() as first, engine.connect() as second:
        first.exec_driver_sql("BEGIN EXCLUSIVE")
        with pytest.raises(OperationalError) as raised:
            second.exec_driver_sql("BEGIN EXCLUSIVE")
    engine.dispose()

    assert describe_error(raised.value) == "OperationalError: OperationalError database is locked"


@given(st.text())
def test_escaped_text_is_one_printable_line(text: str) -> None:
    assert escape(text).isprintable()
    assert len(escape(text).splitlines()) <= 1


def test_an_error_that_ends_a_thread_is_logged() -> None:
    _, stream = written()

    thread = threading.Thread(target=int, args=["what was said"])
    thread.start()
    thread.join()

    assert "a thread ended with an error" in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "what was said" not in stream.getvalue()


def test_a_line_that_cannot_be_written_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    logger, stream = written()

    logger.info("%d", "what was said")

    assert "could not be written" in capsys.readouterr().err
    assert stream.getvalue() == ""


def test_a_line_for_machines_is_one_json_object() -> None:
    logger, stream = written("json")

    logger.warning("two\nlines", extra={"team_id": "T1"})

    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert entry["message"] == "two\nlines"
    assert (entry["level"], entry["logger"], entry["team_id"]) == ("WARNING", "tests.logs", "T1")
    assert entry["time"].endswith("+00:00")


def test_every_line_of_a_request_has_its_id(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    stream = StringIO()
    configure_logging("INFO", "json", stream)
    with running_bellhop(database_url, encryption_key, clock) as running:
        answer = running.browser().get("/?code=123.456.abc", {"X-Request-Id": "forged"})

    entries = [json.loads(line) for line in stream.getvalue().splitlines()]
    line = next(entry for entry in entries if entry["message"] == "GET /")
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert re.fullmatch("[0-9a-f]{16}", line["request_id"])
    assert line["status"] == 200
    assert line["ms"] >= 0
    assert "123.456.abc" not in stream.getvalue()


def test_an_install_writes_no_secret_at_any_level(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    stream = StringIO()
    configure_logging("DEBUG", "text", stream)
    with running_bellhop(database_url, encryption_key, clock) as running:
        browser, landing = running.install(ANN)
        browser.get(landing.location)
        granted = [str(item.answer) for item in running.slack.calls_to("oauth.v2.access")]
        codes = [str(item.arguments["code"]) for item in running.slack.calls_to("oauth.v2.access")]

    tokens = re.findall(r"xox[a-z.]*-[\w-]+", "".join(granted))
    assert len(tokens) >= 2
    for secret in (*tokens, *codes, CLIENT_SECRET, encryption_key):
        assert secret not in stream.getvalue()
