"""HTTP of callbacks: deadlines, bounded responses, and checked addresses."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from pathlib import Path

import pytest
from aiohttp import ClientError, InvalidUrlClientError

from bolt_app.http_loop import HttpLoop
from bolt_app.notifications.incidents.callback_http import MOST_BYTES, CallbackClient
from bolt_app.notifications.incidents.errors import RefusedAddressError
from tests.certificates import self_signed
from tests.peers import Serve, StartPeer

LOOPBACK = (ip_network("127.0.0.0/8"),)
TIMEOUT = 0.4
# A loaded machine is late, but a peer that drips would hold an attempt for ever.
LATEST = 5.0

Clients = Callable[..., CallbackClient]


@pytest.fixture
def clients(http: HttpLoop) -> Iterator[Clients]:
    """Make clients that may call loopback addresses."""
    with ThreadPoolExecutor(2) as threads:

        def make(timeout: float = 10, **given: object) -> CallbackClient:
            given.setdefault("networks", LOOPBACK)
            return CallbackClient(http, threads, timeout=timeout, **given)  # type: ignore[arg-type]

        yield make


def read_request(connection: socket.socket) -> bytes:
    read = b""
    while b"\r\n\r\n" not in read or not read.endswith(b"}"):
        read += connection.recv(4096)
    return read


def drip(data: bytes) -> Serve:
    """Return a server that sends single bytes, each before a read timeout."""

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        while True:
            for byte in data:
                connection.sendall(bytes([byte]))
                time.sleep(TIMEOUT / 20)

    return serve


def hang(connection: socket.socket) -> None:
    """Accept the connection, and read nothing."""


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100, b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["status", "headers", "continue"],
)
def test_a_dripping_peer_does_not_extend_the_deadline(
    start_peer: StartPeer, clients: Clients, data: bytes
) -> None:
    url = f"http://127.0.0.1:{start_peer(drip(data))}/"
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        clients(TIMEOUT).post(url, b"{}", {})
    assert time.monotonic() - began < LATEST


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_silent_peer_times_out(start_peer: StartPeer, clients: Clients, scheme: str) -> None:
    with pytest.raises(TimeoutError):
        clients(TIMEOUT).post(f"{scheme}://127.0.0.1:{start_peer(hang)}/", b"{}", {})


# Real bodies are small.
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
def test_a_peer_that_does_not_read_times_out(start_peer: StartPeer, clients: Clients) -> None:
    with pytest.raises(TimeoutError):
        clients(TIMEOUT).post(f"http://127.0.0.1:{start_peer(hang)}/", b"x" * 50_000_000, {})


def test_a_slow_name_resolution_times_out(clients: Clients) -> None:
    released = threading.Event()

    def resolve(_host: str, _port: int) -> Sequence[str]:
        released.wait(30)
        return ["127.0.0.1"]

    with pytest.raises(TimeoutError):
        clients(TIMEOUT, resolve=resolve).post("http://x.example/", b"{}", {})
    released.set()


def test_an_endless_body_is_not_read(start_peer: StartPeer, clients: Clients) -> None:
    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    assert clients().post(f"http://127.0.0.1:{start_peer(serve)}/", b"{}", {}) == 200


@pytest.mark.parametrize("data", [b"X: " + b"x" * 8000 + b"\r\n", b"x" * 70_000, b"X: y\r\n"])
def test_endless_headers_are_refused(start_peer: StartPeer, clients: Clients, data: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(data)

    with pytest.raises((OSError, ClientError)) as caught:
        clients().post(f"http://127.0.0.1:{start_peer(serve)}/", b"{}", {})
    assert not isinstance(caught.value, TimeoutError)


def test_endless_interim_answers_are_refused(start_peer: StartPeer, clients: Clients) -> None:
    sent: list[int] = []

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
            sent.append(1)

    with pytest.raises((OSError, ClientError)) as caught:
        clients().post(f"http://127.0.0.1:{start_peer(serve)}/", b"{}", {})

    assert not isinstance(caught.value, TimeoutError)


def test_endless_answers_before_the_request_are_refused(
    start_peer: StartPeer, clients: Clients
) -> None:
    def serve(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    with pytest.raises((OSError, ClientError)) as caught:
        clients().post(f"http://127.0.0.1:{start_peer(serve)}/", b"{}", {})

    assert not isinstance(caught.value, TimeoutError)


def test_a_response_followed_by_more_data_is_read(start_peer: StartPeer, clients: Clients) -> None:
    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2 * MOST_BYTES)

    assert clients().post(f"http://127.0.0.1:{start_peer(serve)}/", b"{}", {}) == 200


def test_a_redirect_is_not_followed(start_peer: StartPeer, clients: Clients) -> None:
    requests: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        requests.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 307 Temporary\r\nLocation: /elsewhere\r\n\r\n")

    assert clients().post(f"http://127.0.0.1:{start_peer(serve)}/", b"{}", {}) == 307
    assert len(requests) == 1


def test_it_connects_to_the_address_that_was_checked(
    start_peer: StartPeer, clients: Clients
) -> None:
    requests: list[bytes] = []
    resolved: list[str] = []

    def serve(connection: socket.socket) -> None:
        requests.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 204 None\r\n\r\n")

    def resolve(host: str, _port: int) -> Sequence[str]:
        # A second question would be answered with an address that is not allowed.
        resolved.append(host)
        return ["127.0.0.1"] if len(resolved) == 1 else ["169.254.169.254"]

    port = start_peer(serve)
    url = f"http://hooks.acme.example:{port}/told?by=bellhop"

    assert clients(resolve=resolve).post(url, b'{"a":1}', {"X-Y": "z"}) == 204
    assert resolved == ["hooks.acme.example"]
    head, _, _ = requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /told?by=bellhop HTTP/1.1"
    assert f"Host: hooks.acme.example:{port}" in lines
    assert {"Content-Length: 7", "X-Y: z", "Connection: close"} <= set(lines)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f.1:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://0.0.0.0:{port}/",
        "http://localhost:{port}/",
    ],
)
def test_refused_addresses_are_not_connected_to(
    start_peer: StartPeer, clients: Clients, url: str
) -> None:
    connected: list[object] = []
    port = start_peer(connected.append)

    with pytest.raises((RefusedAddressError, InvalidUrlClientError)):
        clients(networks=()).post(url.format(port=port), b"{}", {})
    assert not connected


def test_after_an_unreachable_address_the_next_is_tried(
    start_peer: StartPeer, clients: Clients
) -> None:
    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 204 None\r\n\r\n")

    port = start_peer(serve)
    both = clients(
        networks=(*LOOPBACK, ip_network("::1")),
        resolve=lambda _host, _port: ["::1", "127.0.0.1"],
    )
    assert both.post(f"http://x.example:{port}/", b"{}", {}) == 204


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for hooks.acme.example, with its key, in one file."""
    return self_signed("hooks.acme.example", tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize(
    ("host", "is_trusted"), [("hooks.acme.example", True), ("other.acme.example", False)]
)
def test_the_host_is_named_and_its_certificate_checked(
    start_peer: StartPeer,
    clients: Clients,
    certificate: Path,
    host: str,
    is_trusted: bool,
) -> None:
    named: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _sock, name, _context: named.append(name)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            read_request(secure)
            secure.sendall(b"HTTP/1.1 204 None\r\n\r\n")

    trusted = clients(
        resolve=lambda _host, _port: ["127.0.0.1"],
        tls=ssl.create_default_context(cafile=str(certificate)),
    )
    url = f"https://{host}:{start_peer(serve)}/"
    if is_trusted:
        assert trusted.post(url, b"{}", {}) == 204
    else:
        with pytest.raises(ssl.SSLCertVerificationError):
            trusted.post(url, b"{}", {})
    assert named == [host]
