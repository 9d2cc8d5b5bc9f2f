"""One request to an address that a third party chose: checked, no redirects, and on time."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from ipaddress import ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from bolt_app.http_loop import HttpLoop
from bolt_app.notifications.incidents.callback_addresses import (
    Network,
    Resolve,
    allowed_addresses,
    resolve,
)

# So much of an answer is read, interim answers (1xx) included: its status is at the beginning. More
# would be parsed on the loop that calls Slack too.
MOST_BYTES = 65_536


class CallbackClient:
    """Sends requests to endpoints, each attempt within one deadline from name resolution to status.

    Every attempt has a connection of its own: which addresses a name has, and which of them are
    allowed, is decided for each.
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
        """Take what it works with.

        Args:
            http: runs the requests.
            executor: resolves names, which has no deadline of its own.
            networks: private and loopback networks that may be called.
            timeout: seconds that an attempt may take in all.
            tls: which certificates are trusted; the system's by default.
        """
        self._http = http
        self._executor = executor
        self._networks = networks
        self._timeout = timeout
        self._resolve = resolve
        self._tls = tls

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Send a body and return the status of the answer.

        Raises:
            RefusedAddressError: the host has no address that may be called.
            TimeoutError: it took too long, in whatever way.
            OSError, aiohttp.ClientError, ValueError: it could not be sent, or was not answered.
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
                # The body of the answer is not read.
                response.close()
                return response.status
        except aiohttp.ClientConnectorError as error:
            # What the system says is shown to operators: aiohttp's name for it says less.
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
        """Open the socket for an address: every connection begins here, to a name or a number.

        Raises:
            RefusedAddressError: callbacks may not be sent to it.
        """
        family, kind, protocol, _, (host, *_) = address
        allowed_addresses(str(host), [str(host)], self._networks)
        return socket.socket(family, kind, protocol)


class _BoundedHandler(ResponseHandler):
    """Reads `MOST_BYTES` of what a connection brings, and breaks off one that brings more."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._left = MOST_BYTES

    def data_received(self, data: bytes) -> None:
        taken = data[: self._left]
        self._left -= len(data)
        super().data_received(taken)
        if self._left < 0 and isinstance(self.transport, asyncio.Transport):
            self.transport.abort()


class _BoundedConnector(aiohttp.TCPConnector):
    """Makes connections that are read as far as `MOST_BYTES`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # aiohttp has no option for it; a test would show that the attribute has gone.
        handler: type[ResponseHandler] = _BoundedHandler
        self._factory = partial(handler, loop=self._loop)


class _CheckedResolver(AbstractResolver):
    """Resolves names to those of their addresses that may be called."""

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
