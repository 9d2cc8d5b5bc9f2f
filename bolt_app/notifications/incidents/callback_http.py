"""One request to an address that a third party chose: checked, no redirects, and on time."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from ipaddress import ip_address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from yarl import URL

from bolt_app.http_loop import HttpLoop
from bolt_app.notifications.incidents.callback_addresses import (
    Network,
    Resolve,
    allowed_addresses,
    resolve,
)

# The most bytes read of a response, interim responses (1xx) included: the status is at the
# beginning, and parsing more would take time on the loop that also calls Slack.
MOST_BYTES = 65_536


class CallbackClient:
    """Sends requests to endpoints, each attempt within one deadline from name resolution to status.

    Every attempt opens a new connection, so that the name is resolved and checked each time.
    """

    def __init__(
        self,
        http: HttpLoop,
        executor: Executor,
        *,
        networks: Sequence[Network] = (),
        timeout: float = 15,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Create the client.

        Args:
            http: runs the requests.
            executor: resolves names, which may block.
            networks: private and loopback networks that may be called.
            timeout: seconds that an attempt may take in total.
            tls: the trusted certificates; the system's by default.
        """
        self._http = http
        self._executor = executor
        self._networks = networks
        self._timeout = timeout
        self._resolve = resolve
        self._tls = tls

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Send a body and return the status of the response.

        Raises:
            RefusedAddressError: the host has no address that may be called.
            TimeoutError: the deadline passed.
            OSError, aiohttp.ClientError, ValueError: the request failed.
        """
        return self._http.run(self._post(url, body, headers), self._timeout)

    def get(self, url: str) -> tuple[int, bytes]:
        """Return the status and the body of the answer to a GET, of which `MOST_BYTES` are read.

        Raises:
            As `post` does.
        """
        try:
            return self._http.run(self._get(url), self._timeout)
        except aiohttp.ClientError as error:
            raise OSError(type(error).__name__) from error

    async def _get(self, url: str) -> tuple[int, bytes]:
        session = self._http.session(self._create_session)
        async with session.get(URL(url, encoded=True), allow_redirects=False) as response:
            return response.status, await response.read()

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        session = self._http.session(self._create_session)
        try:
            async with session.post(
                URL(url, encoded=True), data=body, headers=headers, allow_redirects=False
            ) as response:
                # The body of the response is not read.
                response.close()
                return response.status
        except aiohttp.ClientConnectorError as error:
            # Operators see the system's error, which says more than aiohttp's.
            raise error.os_error from None

    def _create_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=_BoundedConnector(
                ssl=self._tls or True,
                resolver=_CheckedResolver(self._executor, self._resolve, self._networks),
                socket_factory=self._open_socket,
                use_dns_cache=False,
                force_close=True,
                limit=0,
            ),
            timeout=aiohttp.ClientTimeout(total=self._timeout, ceil_threshold=self._timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    def _open_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """Open the socket of a connection, after a check of its address.

        It also covers URLs with a literal address, which are not resolved.

        Raises:
            RefusedAddressError: callbacks may not be sent to it.
        """
        family, kind, protocol, _, (host, *_) = address
        allowed_addresses(str(host), [str(host)], self._networks)
        return socket.socket(family, kind, protocol)


class _BoundedConnector(aiohttp.TCPConnector):
    """Opens connections from which up to `MOST_BYTES` are read."""

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        if connection.transport is not None and connection.protocol is not None:
            bounded = _BoundedProtocol(connection.transport, connection.protocol)
            connection.transport.set_protocol(bounded)
        return connection


class _BoundedProtocol(asyncio.Protocol):
    """Passes what a connection receives to another protocol, and aborts one that sends more.

    https://docs.python.org/3/library/asyncio-protocol.html#streaming-protocols
    """

    def __init__(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self._left = MOST_BYTES

    def data_received(self, data: bytes) -> None:
        taken = data[: self._left]
        self._left -= len(data)
        self._protocol.data_received(taken)
        if self._left < 0:
            self._transport.abort()

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()


class _CheckedResolver(AbstractResolver):
    """Resolves names to the addresses that may be called."""

    def __init__(self, executor: Executor, resolve: Resolve, networks: Sequence[Network]) -> None:
        self._executor = executor
        self._resolve = resolve
        self._networks = networks

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._executor, self._resolve, host, port)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in allowed_addresses(host, found, self._networks)
        ]

    async def close(self) -> None:
        """Leave the executor to its owner."""
