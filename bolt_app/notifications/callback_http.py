"""One POST to an address that a third party chose: checked, without redirects, and on time."""

from __future__ import annotations

import io
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from functools import cache
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from bolt_app.notifications.callback_addresses import (
    Network,
    Resolve,
    allowed_addresses,
    resolve,
)

# Status line and headers; the body of the answer is not read.
MOST_READ = 64 * 1024


@cache
def _trusting_the_system() -> ssl.SSLContext:
    """Return the context that trusts the system's certificates, which takes long to read."""
    return ssl.create_default_context()


class CallbackClient:
    """Posts to endpoints, each attempt within one deadline from name resolution to status."""

    def __init__(
        self,
        executor: Executor,
        *,
        networks: Sequence[Network] = (),
        timeout: float = 15,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Take what it works with.

        Args:
            executor: resolves names, which has no deadline of its own.
            networks: private and loopback networks that may be called.
            timeout: seconds that an attempt may take in all.
            tls: which certificates are trusted; the system's by default.
        """
        self._executor = executor
        self._networks = networks
        self._timeout = timeout
        self._resolve = resolve
        self._tls = tls or _trusting_the_system()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Send a body and return the status of the answer.

        Raises:
            RefusedAddressError: the host has no address that may be called.
            TimeoutError: it took too long, in whatever way.
            OSError, http.client.HTTPException: it could not be sent, or was not answered.
        """
        deadline = time.monotonic() + self._timeout
        parts = urlsplit(url)
        host, is_secure = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if is_secure else 80)
        connection: HTTPConnection = (
            HTTPSConnection(host, port, context=self._tls)
            if is_secure
            else HTTPConnection(host, port)
        )
        raw = self._connect(host, port, deadline)
        try:
            if is_secure:
                raw.settimeout(_left(deadline))
                raw = self._tls.wrap_socket(raw, server_hostname=host)
            # http.client writes and reads HTTP; it never opens a connection of its own here.
            connection.auto_open = 0
            connection.sock = _DeadlineSocket(raw, deadline)
            target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
            connection.request("POST", target, body, {**headers, "Connection": "close"})
            return connection.getresponse().status
        finally:
            raw.close()

    def _connect(self, host: str, port: int, deadline: float) -> socket.socket:
        """Connect to the first of the host's checked addresses that can be reached."""
        found = self._executor.submit(self._resolve, host, port).result(_left(deadline))
        failed: OSError = OSError("the host has no address")
        for address in allowed_addresses(host, found, self._networks):
            try:
                return socket.create_connection((address, port), _left(deadline))
            except OSError as error:
                failed = error
        raise failed


class _DeadlineSocket(io.RawIOBase):
    """A socket that `http.client` can use, on which no operation lasts beyond a deadline.

    A socket's own timeout begins again with each byte that arrives.
    """

    def __init__(self, raw: socket.socket, deadline: float) -> None:
        self._raw = raw
        self._deadline = deadline
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._raw.settimeout(_left(self._deadline))
        count = self._raw.recv_into(buffer)
        self._read += count
        if self._read > MOST_READ:
            raise OSError("the answer is too long")
        return count

    def sendall(self, data: Any) -> None:
        left = memoryview(data)
        while left:
            self._raw.settimeout(_left(self._deadline))
            left = left[self._raw.send(left) :]

    def makefile(self, *_args: object) -> io.BufferedReader:
        return io.BufferedReader(self)

    def close(self) -> None:
        """Leave the socket open: `http.client` closes it before it has read the answer."""


def _left(deadline: float) -> float:
    """Return the seconds that are left, or raise TimeoutError."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return left
