"""The server as in production: `python app.py`, gunicorn, concurrent clients."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from shutil import copy
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from slack_sdk.oauth.installation_store import Bot

from bolt_app.config import ROOT
from bolt_app.credentials.api_keys import ApiKeys
from bolt_app.credentials.limits import Limits, SenderLimits
from bolt_app.credentials.sources import Credential, SourceKind
from bolt_app.db import Database, schema
from bolt_app.installations.store import Installations
from bolt_app.notifications.files.service import FileLimits, Files
from bolt_app.server import HEADER_SECONDS, MAX_HEADERS
from tests.commands import FLASK
from tests.forked_python import ForkedPython, run_forked
from tests.running import CLIENT_ID, CLIENT_SECRET, SESSION_SECRET, SIGNING_SECRET

APP = (sys.executable, "app.py")
FIRST, SECOND = Credential(SourceKind.API_KEY, 1), Credential(SourceKind.API_KEY, 2)
DEBUG = {"LOG_LEVEL": "DEBUG", "GUNICORN_CMD_ARGS": "--log-level debug"}
GUNICORN = (
    *(sys.executable, "-m", "gunicorn", "--no-control-socket", "--threads", "4"),
    *("--worker-class", "bolt_app.server.DeadlineWorker"),
)


# These need a server, and no other database than the one that is always there.
sqlite_only = pytest.mark.parametrize("empty_database_url", ["sqlite"], indirect=True)


@pytest.fixture
def environment(empty_database_url: str, encryption_key: str) -> dict[str, str]:
    """The settings of a server with an empty database."""
    return settings_of(empty_database_url, encryption_key)


@pytest.fixture
def migrated(database_url: str, encryption_key: str) -> dict[str, str]:
    """The settings of a server whose database has the current schema."""
    return settings_of(database_url, encryption_key)


def settings_of(database_url: str, encryption_key: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "FLASK_ENV_FILE": os.devnull,
        "SLACK_CLIENT_ID": CLIENT_ID,
        "SLACK_CLIENT_SECRET": CLIENT_SECRET,
        "SLACK_SIGNING_SECRET": SIGNING_SECRET,
        "SLACK_BASE_URL": "http://127.0.0.1:9",
        "DATABASE_URL": database_url,
        "ENCRYPTION_KEYS": encryption_key,
        "SESSION_SECRET": SESSION_SECRET,
        "PORT": str(free_port()),
    }


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Running:
    """A server process and its output.

    Unless it is forked, it imports everything again, which takes seconds.
    """

    def __init__(
        self, command: tuple[str, ...], environment: dict[str, str], *, is_forked: bool = True
    ) -> None:
        self.port = int(environment["PORT"])
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | ForkedPython
        if is_forked:
            self.process = ForkedPython(command, env=environment, stderr=subprocess.PIPE)
        else:
            self.process = subprocess.Popen(  # noqa: S603
                command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
            )
        self.said: list[str] = []
        self._heard = threading.Condition()
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def wait_for(self, pattern: str) -> str:
        """Wait until a line contains a text."""
        with self._heard:
            self._heard.wait_for(lambda: self._find(pattern) or self._is_over(), 30)
            found = self._find(pattern)
        assert found is not None, "".join(self.said)
        return found

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit status."""
        self.process.send_signal(number)
        return self.join()

    def join(self) -> int:
        status = self.process.wait(40)
        self._listener.join()
        return status

    def matches(self, pattern: str) -> int:
        """Return the number of lines that contain a text."""
        with self._heard:
            return sum(bool(re.search(pattern, line)) for line in self.said)

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                with self._heard:
                    self.said.append(line)
                    self._heard.notify_all()
        with self._heard:
            self._heard.notify_all()

    def _find(self, pattern: str) -> str | None:
        return next((line for line in self.said if re.search(pattern, line)), None)

    def _is_over(self) -> bool:
        return self.process.poll() is not None


@contextmanager
def started(
    command: tuple[str, ...], environment: dict[str, str], *, is_forked: bool = True
) -> Iterator[Running]:
    running = Running(command, environment, is_forked=is_forked)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.end(signal.SIGKILL)


@contextmanager
def shared(
    command: tuple[str, ...], database: Path, encryption_key: str, **settings: str
) -> Iterator[Running]:
    """Run a server for the tests of this module that only send requests.

    It ends with success and has logged no error, whatever they sent.
    """
    environment = {**settings_of(f"sqlite:///{database}", encryption_key), **settings}
    command = tuple(part.replace("{port}", environment["PORT"]) for part in command)
    with started(command, environment) as running:
        yield running
        assert running.end() == 0
    assert [line for line in running.said if " ERROR " in line or "Traceback" in line] == []


@pytest.fixture(scope="module")
def database(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of the shared servers."""
    return Path(copy(migrated_sqlite, tmp_path_factory.mktemp("server") / "bellhop.db"))


@pytest.fixture(scope="module")
def server(database: Path, encryption_key: str) -> Iterator[Running]:
    """`python app.py`, which logs everything."""
    with shared(APP, database, encryption_key, **DEBUG) as running:
        running.wait_for("Bellhop is ready")
        yield running
    assert [line for line in running.said if SECRET in line.lower()] == []


@pytest.fixture(scope="module")
def gunicorn(database: Path, encryption_key: str) -> Iterator[Running]:
    """gunicorn with few connections, which logs everything."""
    command = (
        *(*GUNICORN, "--access-logfile", "-", "--worker-connections", "20"),
        *("--bind", "127.0.0.1:{port}", "app:app"),
    )
    with shared(command, database, encryption_key, **DEBUG) as running:
        running.wait_for("Booting worker")
        running.wait_for("Listening at")
        yield running
    assert [line for line in running.said if SECRET in line.lower()] == []


@pytest.fixture(scope="module")
def hasty(database: Path, encryption_key: str) -> Iterator[Running]:
    """A server with four threads and short deadlines for headers and bodies."""
    command = (sys.executable, "-c", DEADLINES)
    with shared(command, database, encryption_key, WEB_THREADS="4") as running:
        running.wait_for("Bellhop is ready")
        yield running


def get(url: str) -> tuple[int, str]:
    with urlopen(url, timeout=20) as answer:  # noqa: S310
        return answer.status, answer.read().decode()


def upgrade(environment: dict[str, str]) -> None:
    run_forked([*FLASK, "db", "upgrade"], env=environment, check=True)


def test_it_serves_logs_its_url_and_stops_on_a_signal(environment: dict[str, str]) -> None:
    upgrade(environment)
    with started(APP, environment) as server:
        ready = server.wait_for("Bellhop is ready")
        assert f"open {server.url} in a browser" in ready
        status, body = get(f"{server.url}/readyz")
        assert (status, json.loads(body)["status"]) == (200, "ok")
        assert "Add to" in get(server.url)[1]
        assert server.end() == 0


@pytest.mark.slow
@sqlite_only
@pytest.mark.parametrize("command", [APP, (*GUNICORN, "app:app")], ids=["app.py", "gunicorn"])
def test_a_new_interpreter_serves(environment: dict[str, str], command: tuple[str, ...]) -> None:
    """The servers of all other tests are forked from a process that has imported Bellhop."""
    environment |= {"WEB_CONCURRENCY": "1"}
    environment["GUNICORN_CMD_ARGS"] = f"--bind 127.0.0.1:{environment['PORT']}"
    with started(command, environment, is_forked=False) as server:
        server.wait_for("Listening at")
        assert json.loads(get(f"{server.url}/readyz")[1])["status"] == "ok"
        assert server.end() == 0


# SQLite's schema is brought up to date before anything is served.
@pytest.mark.postgresql
@pytest.mark.parametrize("empty_database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("processes", [1, 2])
def test_it_is_not_ready_before_its_database_is(
    environment: dict[str, str], processes: int
) -> None:
    with started(APP, {**environment, "WEB_CONCURRENCY": str(processes)}) as server:
        server.wait_for("Bellhop is not ready and checks again every second: .*db upgrade")
        assert server.matches("Bellhop is ready") == 0
        with closing(
            Database(environment["DATABASE_URL"], [environment["ENCRYPTION_KEYS"]])
        ) as database:
            schema.upgrade(database)
        server.wait_for("Bellhop is ready")
        assert server.matches("Bellhop is (not )?ready") == 2
        assert server.end() == 0


@pytest.mark.slow
@sqlite_only
def test_a_database_that_does_not_answer_is_named(environment: dict[str, str]) -> None:
    nobody = f"postgresql://me:secret@127.0.0.1:{free_port()}/bellhop"
    with started(APP, {**environment, "DATABASE_URL": nobody}) as server:
        line = server.wait_for("Bellhop is not ready")
        assert "The database is not answering" in line
        assert "secret" not in line
        assert server.matches("Bellhop is ready") == 0
        assert server.end() == 0


@pytest.mark.slow
@sqlite_only
def test_a_port_in_use_is_reported_in_one_line(environment: dict[str, str]) -> None:
    taken = socket.create_server(("127.0.0.1", int(environment["PORT"])))
    with taken, started(APP, environment) as server:
        assert server.join() == 1

    assert server.said == [
        f"Port {environment['PORT']} is in use by another program: stop it, or set PORT.\n"
    ]


DEADLINES = """
from bolt_app import server
from bolt_app.config import load_settings

server.HEADER_SECONDS, server.REQUEST_SECONDS = 0.5, 0.5
server.serve(load_settings())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "half",
    [
        b"GET / HTTP/1.1\r\nHost: x",
        b"POST /hooks/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\npayload=",
    ],
    ids=["headers", "body"],
)
def test_clients_that_stop_half_way_give_their_threads_back(hasty: Running, half: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", hasty.port)))
            client.sendall(half)
        assert get(f"{hasty.url}/healthz")[0] == 200


@pytest.mark.slow
@pytest.mark.parametrize("empty_database_url", ["sqlite"], indirect=True)
def test_a_file_is_received_as_announced(environment: dict[str, str], encryption_key: str) -> None:
    with started(APP, environment) as server:
        server.wait_for("Bellhop is ready")
        with opened_files(environment, encryption_key, server.url) as files:
            urls = [files.open_upload("T0", FIRST, "a", 1000).url for _ in range(2)]
            boundary = "x" * 30
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
            form = head.encode() + b"x" * 1000 + f"\r\n--{boundary}--\r\n".encode()

            assert post(urls[0], b"x" * 1001) in (400, 413)
            assert post(urls[0], b"x" * 1000) == 200
            assert post(urls[1], form, f"multipart/form-data; boundary={boundary}") == 200


@contextmanager
def opened_files(environment: dict[str, str], encryption_key: str, url: str) -> Iterator[Files]:
    """Open the files in the database of a server, of a workspace with two API keys."""
    with closing(Database(environment["DATABASE_URL"], [encryption_key])) as database:
        Installations(CLIENT_ID, database).save_bot(
            Bot(
                team_id="T0",
                bot_token="xoxb-1",
                bot_id="B0",
                bot_user_id="U0",
                installed_at=time.time(),
            )
        )
        for _ in range(2):
            ApiKeys(database).create("T0", "uploads")
        yield Files(database, url, FileLimits(1000, 10_000_000), SenderLimits(database, Limits()))


def post(url: str, data: bytes, content_type: str = "application/octet-stream") -> int:
    """POST a body; return the status."""
    request = Request(url, data, {"Content-Type": content_type})  # noqa: S310
    try:
        answer = urlopen(request, timeout=20)  # noqa: S310
    except HTTPError as error:
        answer = error
    with answer:
        status: int = answer.status
        return status


@pytest.mark.slow
@pytest.mark.parametrize("empty_database_url", ["sqlite"], indirect=True)
def test_a_dripping_upload_ends_and_leaves_room_for_others(
    environment: dict[str, str], encryption_key: str
) -> None:
    environment["WEB_THREADS"] = "4"
    with started((sys.executable, "-c", DEADLINES), environment) as server, ExitStack() as stack:
        server.wait_for("Bellhop is ready")
        files = stack.enter_context(opened_files(environment, encryption_key, server.url))
        slow = [files.open_upload("T0", FIRST, "a", 1000).url for _ in range(9)]
        other = files.open_upload("T0", SECOND, "a", 1000).url
        with ThreadPoolExecutor(len(slow)) as threads:
            dripping = [threads.submit(drip, url) for url in slow[1:]]

            assert post(other, b"x" * 1000) == 200

            answers = [answer.result() for answer in dripping]
        # Some had room until their deadline, without an answer; the others were refused at once.
        assert {answer[:12] for answer in answers} <= {b"", b"HTTP/1.1 503"}
        assert post(slow[0], b"x" * 1000) == 200


def drip(url: str) -> bytes:
    """Upload a byte every twentieth of a second until the server ends it; return its answer."""
    parts = urlsplit(url)
    with socket.create_connection((str(parts.hostname), parts.port or 0)) as client:
        head = f"POST {parts.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
        client.sendall(head.encode())
        client.settimeout(0.05)
        for _ in range(900):
            try:
                client.sendall(b"x")
                return client.recv(1000)
            except TimeoutError:
                continue
            except OSError:
                return b""
    raise AssertionError("the server did not end the upload")


@pytest.mark.slow
@sqlite_only
def test_a_busy_connection_does_not_keep_the_only_thread(environment: dict[str, str]) -> None:
    environment |= {"WEB_THREADS": "1", "WEB_CONCURRENCY": "1"}
    with started(APP, environment) as server:
        server.wait_for("Bellhop is ready")
        is_over = threading.Event()
        busy = threading.Thread(target=send_without_pause, args=(environment["PORT"], is_over))
        busy.start()
        try:
            for _ in range(5):
                assert get(f"{server.url}/healthz")[0] == 200
        finally:
            is_over.set()
            busy.join()


def send_without_pause(port: str, is_over: threading.Event) -> None:
    """Send requests over one connection, each right after the response to the one before."""
    with closing(HTTPConnection("127.0.0.1", int(port), timeout=20)) as connection:
        while not is_over.is_set():
            connection.request("GET", "/healthz")
            assert connection.getresponse().read()


@pytest.mark.slow
def test_a_silent_connection_is_ended(hasty: Running) -> None:
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=20) as client:
        assert client.recv(1) == b""


@pytest.mark.slow
def test_many_silent_connections_do_not_block_others(gunicorn: Running) -> None:
    with ExitStack() as stack:
        began = time.monotonic()
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", gunicorn.port), 10))
        assert get(f"{gunicorn.url}/healthz")[0] == 200
        assert time.monotonic() - began < HEADER_SECONDS


@pytest.mark.slow
def test_too_many_headers_are_refused(server: Running) -> None:
    for headers, status in ((MAX_HEADERS, b"200"), (MAX_HEADERS + 1, b"431")):
        with socket.create_connection(("127.0.0.1", server.port), 10) as client:
            lines = ["GET /healthz HTTP/1.0", *["Accept: a/b"] * headers, "", ""]
            client.sendall("\r\n".join(lines).encode())
            assert client.makefile("rb").readline().split()[1] == status


@pytest.mark.slow
def test_headers_of_proxies_are_not_believed(server: Running) -> None:
    forged = {"SCRIPT_NAME": "/forged", "PATH_INFO": "/forged", "X-Forwarded-Prefix": "/forged"}
    with urlopen(Request(server.url, headers=forged), timeout=20) as answer:  # noqa: S310
        assert "/forged" not in answer.read().decode()


@pytest.mark.slow
def test_gunicorn_serves_the_same_application(gunicorn: Running) -> None:
    assert json.loads(get(f"{gunicorn.url}/readyz")[1])["status"] == "ok"


@pytest.mark.slow
@sqlite_only
def test_several_workers_start_at_once_on_an_empty_database(environment: dict[str, str]) -> None:
    assert_several_start(environment)


@pytest.mark.slow
@pytest.mark.postgresql
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_several_workers_start_at_once_on_postgresql(migrated: dict[str, str]) -> None:
    assert_several_start(migrated)


def assert_several_start(environment: dict[str, str]) -> None:
    with started(APP, {**environment, "WEB_CONCURRENCY": "3"}) as server:
        server.wait_for("Bellhop is ready")
        assert get(f"{server.url}/readyz")[0] == 200
        assert server.end() == 0
        assert not any("Traceback" in line for line in server.said)


@pytest.mark.slow
def test_an_unsigned_request_is_answered_before_its_body_came(server: Running) -> None:
    for line in (
        b"POST /slack/events",
        b"POST /slack/events?%00=%00",
        b"PUT /slack/events?a=1",
    ):
        with socket.create_connection(("127.0.0.1", server.port), 10) as client:
            client.sendall(line + b" HTTP/1.1\r\nHost: bellhop\r\nContent-Length: 900000\r\n\r\n")
            answer = b""
            while data := client.recv(4096):
                answer += data
        assert answer.startswith(b"HTTP/1.1 401 "), line
        assert b"\r\nConnection: close\r\n" in answer, line


@pytest.mark.slow
def test_a_body_in_broken_chunks_is_refused(server: Running) -> None:
    head = (
        "POST /slack/events HTTP/1.1\r\nHost: bellhop\r\nTransfer-Encoding: chunked\r\n"
        f"X-Slack-Request-Timestamp: {int(time.time())}\r\n"
        f"X-Slack-Signature: v0={'a' * 64}\r\n\r\n"
    )
    trailers = (
        "a: b\r\n" * 200,
        f"a: {'x' * 70_000}\r\n",
        ": \r\n",
        "a b: c\r\n",
        "x\r\n",
        "a: \0\r\n",
    )
    for body in (
        *("no size\r\n", "5\r\nabcdefgh\r\n0\r\n\r\n", "-1\r\n", "5"),
        *(f"0\r\n{lines}\r\n" for lines in trailers),
    ):
        with socket.create_connection(("127.0.0.1", server.port), 10) as client:
            client.sendall(f"{head}{body}".encode())
            client.shutdown(socket.SHUT_WR)
            answer = b""
            while data := client.recv(4096):
                answer += data
        assert answer[9:12] in (b"400", b"401", b""), (body[:50], answer)


SECRET = "canary7391"
BROKEN = [
    f"POST /hook/{SECRET} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}",
    f"POST /hooks/{SECRET}\r\n\r\n",
    f"POST /hooks/{SECRET} HTTP/9.9\r\nHost: x\r\n\r\n",
    f"P@ST /hooks/{SECRET} HTTP/1.1\r\nHost: x\r\n\r\n",
    f"{SECRET.upper()} /hooks/x HTTP/1.1\r\nHost: x\r\n\r\n",
    f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization {SECRET}\r\n\r\n",
    f"POST / HTTP/1.1\r\nHost: x\r\nAuthoriz\0tion: {SECRET}\r\n\r\n",
    f"POST /hooks/{SECRET} HTTP/1.1\r\nHost: x\r\nContent-Length: {SECRET}\r\n\r\n",
    f"POST /hooks/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{SECRET}\r\n",
    f"POST /hooks/{SECRET} HTTP/1.1\r\nHost: x\r\nAuthoriz",
    f"POST /{SECRET}{'x' * 9000} HTTP/1.1\r\nHost: x\r\n\r\n",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["server", "gunicorn"])
def test_no_address_and_no_header_is_logged(request: pytest.FixtureRequest, name: str) -> None:
    """The end of the shared server checks the complete log."""
    running: Running = request.getfixturevalue(name)
    running.wait_for("Booting worker")
    assert get(f"{running.url}/readyz")[0] == 200
    for broken in BROKEN:
        with socket.create_connection(("127.0.0.1", running.port), 10) as client:
            client.sendall(broken.encode())
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass
    assert get(f"{running.url}/readyz")[0] == 200
    running.wait_for(r"POST \(no such route\)")
    # The threads have answered others before. One of these reached Bellhop, which read no body.
    failed = running.matches("a request could not be read or answered")
    assert running.matches(" - gunicorn.error: a request could not be") == failed - 1 > 0


@pytest.mark.slow
@sqlite_only
def test_every_bad_setting_is_named_at_once(environment: dict[str, str]) -> None:
    environment |= {"PORT": "http", "SLACK_SIGNING_SECRET": "", "ENCRYPTION_KEYS": "short"}
    done = run_forked(APP, env=environment)

    assert done.returncode == 2
    for problem in ("PORT is 'http'", "SLACK_SIGNING_SECRET is required", "ENCRYPTION_KEYS: key 1"):
        assert problem in done.stderr
    assert len(done.stderr.splitlines()) == 3


@pytest.mark.slow
@sqlite_only
def test_the_embedded_database_and_its_keys_are_made_at_start(
    environment: dict[str, str], tmp_path: Path
) -> None:
    environment |= {"DATABASE_URL": "", "ENCRYPTION_KEYS": "", "SESSION_SECRET": ""}
    environment["DATA_DIR"] = str(tmp_path / "data")
    with started(APP, environment) as server:
        server.wait_for("Bellhop is ready")
        assert get(f"{server.url}/readyz")[0] == 200
        assert server.end() == 0

    modes = {item.name: item.stat().st_mode & 0o777 for item in (tmp_path / "data").iterdir()}
    assert modes.pop("bellhop.db-wakeup") == 0o700
    assert set(modes.values()) == {0o600}
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert "bellhop.db" in modes
