"""The shipped configurations of nginx and Caddy, on the real servers, with shorter deadlines."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from werkzeug.exceptions import ClientDisconnected
from werkzeug.wrappers import Request, Response

from bolt_app.config import ROOT
from bolt_app.senders.registry import known_senders
from bolt_app.web.uploads import FORM_BYTES
from tests.certificates import self_signed
from tests.running import serving
from tests.test_server import free_port

HOST = "bellhop.example.com"
DEPLOY = ROOT / "docs" / "deploy"
# The largest file by default.
FILE_BYTES = 10 * 2**20
SECRET = "the-secret-of-a-webhook"
# Of senders, of callers of the API, of Slack and of browsers.
SECRET_HEADERS = (
    *(sender.signature.name for sender in known_senders().values() if sender.signature),
    *("Authorization", "X-Slack-Signature", "Cookie", "Referer"),
)
# nginx stores it in a file.
LARGE = b"x" * 100_000
TOO_LARGE = b"x" * (1024 * 1024 + 1)


@dataclass
class Backend:
    """The server behind the proxy, with the headers of each complete request.

    Attributes:
        is_free: whether it has sent the whole file that was requested.
    """

    received: list[dict[str, str]] = field(default_factory=list)
    is_free: Event = field(default_factory=Event)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        # Before its body: a request that is not buffered arrives here early.
        self.received.append({name.lower(): value for name, value in request.headers.items()})
        with suppress(ClientDisconnected):
            request.get_data()
        response = Response("ok", headers={"Set-Cookie": SECRET, "Location": f"/{SECRET}"})
        if request.path.startswith("/files/"):
            response.data = bytes(FILE_BYTES)
            response.call_on_close(self.is_free.set)
        return response(environ, start_response)


@dataclass
class Proxy:
    """A running proxy, and the server behind it."""

    port: int
    plain_port: int
    context: ssl.SSLContext
    backend: Backend
    folder: Path

    def connect(self, receive_bytes: int | None = None) -> ssl.SSLSocket:
        raw = socket.socket()
        raw.settimeout(20)
        if receive_bytes is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        raw.connect(("127.0.0.1", self.port))
        return self.context.wrap_socket(raw, server_hostname=HOST)

    def get_without_tls(self, path: str) -> tuple[int, str | None]:
        """Return the status and the redirect target."""
        connection = http.client.HTTPConnection("127.0.0.1", self.plain_port, timeout=20)
        connection.request("GET", path, headers={"Host": HOST})
        try:
            response = connection.getresponse()
            return response.status, response.getheader("Location")
        finally:
            connection.close()

    def post(self, body: bytes = b"", path: str = "/hooks/x", **headers: str) -> int:
        connection = http.client.HTTPSConnection(HOST, self.port)
        connection.sock = client = self.connect()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with suppress(BrokenPipeError, ConnectionResetError):
            # It may be rejected before it is completely sent.
            connection.request("POST", path, body, named)
        try:
            return connection.getresponse().status
        finally:
            client.close()


def nginx(folder: Path, port: int, plain_port: int, backend: str, certificate: Path) -> list[str]:
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    text = (
        text.replace("listen 80 default_server", f"listen 127.0.0.1:{plain_port}")
        .replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
        .replace("/etc/ssl/bellhop.pem", str(certificate))
        .replace("/etc/ssl/bellhop.key", str(certificate))
        .replace("127.0.0.1:3000", backend)
        .replace("/var/log/nginx/", f"{folder}/")
        .replace("worker_processes auto", "worker_processes 1")
    )
    text = re.sub(r"(client_\w+_timeout) 10s", r"\1 1s", text)
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = text.replace("http {\n", f"http {{\n{temporary}", 1)
    user = "user root;\n" if os.geteuid() == 0 else ""
    path = folder / "nginx.conf"
    path.write_text(f"{user}daemon off;\npid {folder}/pid;\n{text}")
    return ["-c", str(path), "-p", str(folder), "-e", f"{folder}/error.log"]


def caddy(folder: Path, port: int, plain_port: int, backend: str, certificate: Path) -> list[str]:
    text = (DEPLOY / "Caddyfile").read_text(encoding="utf-8")
    text = (
        # With the logs that an operator may turn on.
        text.replace("{\n", "{\n\tdebug\n\tadmin off\n\tauto_https disable_redirects\n", 1)
        .replace(f"http://{HOST} {{", f"http://{HOST}:{plain_port} {{\n\tlog")
        .replace(f"{HOST} {{", f"{HOST}:{port} {{\n\tlog\n\ttls {certificate} {certificate}")
        .replace("127.0.0.1:3000", backend)
    )
    text = re.sub(r"(read_\w+) \d+s", r"\1 1s", text)
    version = subprocess.run(["caddy", "version"], capture_output=True, text=True, check=True)  # noqa: S607
    found = re.match(r"v?(\d+)\.(\d+)", version.stdout)
    if found and (int(found[1]), int(found[2])) < (2, 7):
        text = text.replace("request_buffers 11MiB", "buffer_requests")
        text = text.replace("response_buffers 11MiB", "buffer_responses")
    path = folder / "Caddyfile"
    path.write_text(text)
    return ["run", "--config", str(path), "--adapter", "caddyfile"]


CONFIGURATIONS: dict[str, Callable[[Path, int, int, str, Path], list[str]]] = {
    "nginx": nginx,
    "caddy": caddy,
}


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def proxy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    with (
        serving(backend := Backend()) as (url, _),
        running_proxy(request.param, tmp_path_factory.mktemp(request.param), url, backend) as proxy,
    ):
        yield proxy


@contextmanager
def running_proxy(name: str, folder: Path, url: str, backend: Backend) -> Iterator[Proxy]:
    """Run a proxy in front of a URL; when it has ended, its logs are complete."""
    command = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if command is None:
        if os.environ.get("REQUIRE_PROXIES") == "1":
            raise FileNotFoundError(name)
        pytest.skip(f"{name} is not installed")
    certificate = self_signed(HOST, folder)
    port, plain_port = free_port(), free_port()
    arguments = CONFIGURATIONS[name](
        folder, port, plain_port, url.removeprefix("http://"), certificate
    )
    log = folder / "output"
    with log.open("w") as output:
        process = subprocess.Popen(  # noqa: S603
            [command, *arguments],
            env={**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)},
            stdout=output,
            stderr=output,
        )
    try:
        _wait_for(port, process, log)
        context = ssl.create_default_context(cafile=str(certificate))
        yield Proxy(port, plain_port, context, backend, folder)
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + 20
    while time.monotonic() < ends and process.poll() is None:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        process.poll()
        time.sleep(0.02)
    raise AssertionError(log.read_text())


def test_the_client_address_is_set_not_appended(proxy: Proxy) -> None:
    status = proxy.post(
        X_Forwarded_For="6.6.6.6", Forwarded="for=6.6.6.6", X_Forwarded_Proto="http"
    )

    assert status == 200
    received = proxy.backend.received[-1]
    assert received["x-forwarded-for"] == "127.0.0.1"
    assert received["x-forwarded-proto"] == "https"
    assert "6.6.6.6" not in received.get("forwarded", "")


def test_incomplete_headers_block_nobody_and_time_out(proxy: Proxy) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(proxy.connect()) for _ in range(20)]
        for one in slow:
            one.sendall(b"GET / HTTP/1.1\r\nHost: bellhop.example.com\r\nX: ")
        assert proxy.post() == 200
        for one in slow:
            assert _is_ended(one)


def test_headers_that_drip_are_ended(proxy: Proxy) -> None:
    with proxy.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: bellhop.example.com\r\nX: ")
        assert _is_ended(client, drip=b"x")


def test_a_slow_body_does_not_reach_bellhop(proxy: Proxy) -> None:
    before = len(proxy.backend.received)
    with proxy.connect() as client:
        client.sendall(
            b"POST /x HTTP/1.1\r\nHost: bellhop.example.com\r\nContent-Length: 9\r\n\r\nx"
        )
        assert _is_ended(client)
    assert len(proxy.backend.received) == before


def test_a_slow_reader_keeps_no_thread_of_bellhop(proxy: Proxy) -> None:
    with proxy.connect(receive_bytes=4096) as client:
        client.sendall(f"GET /files/x/download HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())

        assert proxy.backend.is_free.wait(20)


def test_oversized_requests_are_rejected(proxy: Proxy) -> None:
    assert proxy.post(b"x" * 1024 * 1024) == 200
    # Caddy 2.6 reports it as a failure of the server behind it.
    assert proxy.post(b"x" * (1024 * 1024 + 1)) in (413, 502)


def test_uploads_of_files_may_be_larger(proxy: Proxy) -> None:
    largest = b"x" * (10 * 1024 * 1024 + FORM_BYTES)

    assert proxy.post(largest, path="/uploads/x") == 200
    assert proxy.post(b"x" * (11 * 1024 * 1024 + 1), path="/uploads/x") in (413, 502)


@pytest.mark.parametrize(
    "path",
    [
        *("/api/v1/notifications", "/api", "/hooks/a-secret", "//hooks/a-secret"),
        *("/uploads/a-secret", "/slack/events"),
    ],
)
def test_programs_are_refused_without_tls_and_not_redirected(proxy: Proxy, path: str) -> None:
    assert proxy.get_without_tls(path) == (403, None)


@pytest.mark.parametrize("path", ["/", "/profile", "/slack/install?team=T1", "/hooksy"])
def test_pages_are_redirected_to_https(proxy: Proxy, path: str) -> None:
    assert proxy.get_without_tls(path) == (301, f"https://{HOST}{path}")


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_no_log_holds_a_secret(name: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        served = stack.enter_context(ExitStack())
        url, _ = served.enter_context(serving(backend := Backend()))
        proxy = stack.enter_context(running_proxy(name, tmp_path, url, backend))
        assert send_secrets(proxy) == {200}
        served.close()
        assert send_secrets(proxy) == {502}
        # No body can be stored, as on a full disk.
        shutil.rmtree(tmp_path / "client_body", ignore_errors=True)
        assert send_secrets(proxy) <= {500, 502}

    logs = {item.name: item.read_text() for item in tmp_path.iterdir() if item.is_file()}
    lines = [line for text in logs.values() for line in text.splitlines() if SECRET in line]
    assert lines == []
    if name == "nginx":
        assert re.search(r'"POST /hooks/<secret>" 413 \d+ [\d.]+ -\n', logs["access.log"])
        assert re.search(r'"POST /hooks/<secret>" 502 \d+ [\d.]+ 502\n', logs["access.log"])
    else:
        for logger in ("http.log.error", "http.log.access", "http.handlers.reverse_proxy"):
            assert f'"logger":"{logger}"' in logs["output"]


def send_secrets(proxy: Proxy) -> set[int]:
    """Send secrets in addresses and headers; return the answers to requests of a usual size."""
    headers, answers = dict.fromkeys(SECRET_HEADERS, SECRET), set()
    for path in (
        f"/hooks/{SECRET}",
        f"//hooks/{SECRET}",
        f"/%68ooks/{SECRET}",
        f"/uploads/{SECRET}",
        f"//uploads/{SECRET}",
        f"/x?code={SECRET}",
    ):
        answers.add(proxy.post(LARGE, path, **headers))
        # Rejected by the proxy, which logs errors as well.
        proxy.post(TOO_LARGE, path, **headers)
        proxy.get_without_tls(path)
    return answers


def _is_ended(client: ssl.SSLSocket, drip: bytes = b"") -> bool:
    """Wait until the server closes a connection, whatever it sends before."""
    client.settimeout(0.2)
    ends = time.monotonic() + 15
    while time.monotonic() < ends:
        try:
            client.sendall(drip)
            if not client.recv(4096):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False
