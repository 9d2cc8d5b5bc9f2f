"""Charsets: every entry point decodes the declared charset, if it is accepted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from bolt_app.charsets import CharsetError, codec_of, decode
from bolt_app.config import ROOT
from bolt_app.db.models import Notification
from tests.commands import CLEAN, run, settings_file
from tests.people import ACME
from tests.running import Bellhop, Page
from tests.web.calling import NOTIFICATIONS, caller, put_bot, request

TEXT = "Größe in München"
CODECS = {
    "utf-8": "utf-8",
    "UTF8": "utf-8",
    "ISO-8859-1": "iso-8859-1",
    '"latin1"': "iso-8859-1",
    "windows-1252": "cp1252",
    "iso-8859-15": "iso-8859-15",
    "iso-8859-2": "iso-8859-2",
    "windows-1250": "cp1250",
    "utf-16": "utf-16",
    "UTF-16LE": "utf-16-le",
    "utf-16be": "utf-16-be",
    # An unknown name counts as UTF-8 if the body is UTF-8.
    "utf8mb4": "utf-8",
}


def to_hook(bellhop: Bellhop, body: bytes, content_type: str) -> Page:
    put_bot(bellhop)
    url = bellhop.services.webhooks.create(ACME, "alerts", ["#ops"])
    return request("POST", url, body, {"Content-Type": content_type})


def hook_json(bellhop: Bellhop, codec: str, charset: str) -> Page:
    body = json.dumps({"text": TEXT}, ensure_ascii=False).encode(codec)
    return to_hook(bellhop, body, f"application/json; charset={charset}")


def hook_form(bellhop: Bellhop, codec: str, charset: str) -> Page:
    payload = json.dumps({"text": TEXT}, ensure_ascii=False).encode(codec)
    body = f"payload={quote_from_bytes(payload)}".encode(codec)
    return to_hook(bellhop, body, f"application/x-www-form-urlencoded; charset={charset}")


def api(bellhop: Bellhop, codec: str, charset: str) -> Page:
    body = json.dumps({"to": "#ops", "text": TEXT}, ensure_ascii=False).encode(codec)
    return caller(bellhop).call(
        "POST", NOTIFICATIONS, body, Content_Type=f"application/json; charset={charset}"
    )


WAYS: list[Callable[[Bellhop, str, str], Page]] = [hook_json, hook_form, api]


def texts(bellhop: Bellhop) -> list[str]:
    with bellhop.services.database.reading() as session:
        return [item["text"] for item in session.scalars(select(Notification.content))]


@pytest.mark.sqlite_only
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("charset", CODECS)
def test_a_body_is_read_in_the_charset_it_declares(
    bellhop: Bellhop, way: Callable[[Bellhop, str, str], Page], charset: str
) -> None:
    answer = way(bellhop, CODECS[charset], charset)

    assert answer.status in (200, 202)
    assert texts(bellhop) == [TEXT]


@pytest.mark.sqlite_only
def test_a_part_of_a_form_is_read_in_its_charset(bellhop: Bellhop) -> None:
    payload = json.dumps({"text": TEXT}, ensure_ascii=False).encode("iso-8859-1")
    head = b'--x\r\nContent-Disposition: form-data; name="payload"\r\n'
    kind = b"Content-Type: application/json; charset=ISO-8859-1\r\n\r\n"

    answer = to_hook(
        bellhop, head + kind + payload + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"
    )

    assert answer.status == 200
    assert texts(bellhop) == [TEXT]


@pytest.mark.sqlite_only
@pytest.mark.parametrize("charset", ["utf-7", "idna", "hex", "x-none", "iso-2022-jp", "../x"])
def test_another_charset_is_refused(bellhop: Bellhop, charset: str) -> None:
    refused = hook_json(bellhop, "iso-8859-1", charset)
    assert (refused.status, refused.text) == (400, "invalid_charset")
    refused = api(bellhop, "iso-8859-1", charset)
    assert refused.status == 415
    assert "ISO-8859-1" in refused.json()["detail"]
    assert texts(bellhop) == []


@pytest.mark.sqlite_only
def test_a_body_in_another_charset_than_declared(bellhop: Bellhop) -> None:
    """A webhook replaces unreadable characters; the API rejects them."""
    assert hook_json(bellhop, "iso-8859-1", "utf-8").status == 200
    assert texts(bellhop) == ["Gr\ufffd\ufffde in M\ufffdnchen"]
    refused = api(bellhop, "iso-8859-1", "utf-8")
    assert (refused.status, refused.json()["detail"]) == (
        400,
        "The text is not in the charset utf-8.",
    )


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_standard_input_is_read_in_the_terminal_s_charset(bellhop: Bellhop, tmp_path: Path) -> None:
    put_bot(bellhop)
    (tmp_path / "env").write_text(settings_file(bellhop))
    environment = {
        **CLEAN,
        "FLASK_ENV_FILE": str(tmp_path / "env"),
        "PYTHONIOENCODING": "iso-8859-1",
    }

    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "flask", "--app", "app", "send", "--team", ACME, "--to", "#x", "-"],
        cwd=ROOT,
        env=environment,
        input=TEXT.encode("iso-8859-1"),
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert texts(bellhop) == [TEXT]


@pytest.mark.sqlite_only
def test_standard_input_in_another_charset_is_refused(bellhop: Bellhop) -> None:
    put_bot(bellhop)

    done = run(bellhop, "send", "--team", ACME, "--to", "#x", "-", input=TEXT.encode("iso-8859-1"))

    assert (done.exit_code, done.stderr) == (2, "The text is not in the charset utf-8.\n")


@given(st.binary(max_size=50), st.text(max_size=20) | st.sampled_from(list(CODECS)))
def test_any_body_is_read_or_refused(body: bytes, charset: str) -> None:
    try:
        text = decode(body, charset, errors="replace")
    except CharsetError:
        assert codec_of(charset) is None
        return
    assert isinstance(text, str)
