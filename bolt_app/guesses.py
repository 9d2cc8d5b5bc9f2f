"""Limits of wrong API keys, webhook URLs and OAuth codes, per client address and process."""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from threading import Lock

from bolt_app.clock import Clock, utc_now

MOST_ADDRESSES = 10_000
WINDOW = timedelta(minutes=1)

logger = logging.getLogger(__name__)


class TooManyGuessesError(Exception):
    """A client address sent too many wrong credentials.

    Attributes:
        retry_after: the seconds until it may try again.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            "Too many wrong API keys from this network address: check the key and try again later."
        )
        self.retry_after = retry_after


class GuessLimit:
    """Rejects client addresses that sent too many wrong credentials.

    They are rejected before their credential is looked up, so that a correct guess reveals nothing.
    Credentials that this process knows as valid are not counted.
    """

    def __init__(self, per_minute: int, *, clock: Clock = utc_now) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = Lock()
        # The start of each address's minute, and the wrong credentials since; oldest first.
        self._seen: OrderedDict[str, tuple[datetime, int]] = OrderedDict()

    def check(self, address: str | None) -> None:
        """Require that an address may try a credential.

        Raises:
            TooManyGuessesError: it sent too many wrong ones.
        """
        self._check(_network(address), self._clock())

    def count(self, address: str | None) -> None:
        """Count a wrong credential."""
        with self._lock:
            self._count(_network(address), self._clock())

    def reserve(self, address: str | None) -> None:
        """Count a credential as wrong before a slow check of it.

        This also limits simultaneous attempts.

        Raises:
            TooManyGuessesError: the address sent too many wrong credentials.
        """
        network, now = _network(address), self._clock()
        with self._lock:
            self._check(network, now)
            self._count(network, now)

    def give_back(self, address: str | None) -> None:
        """Undo a reservation, because the credential was valid."""
        network = _network(address)
        with self._lock:
            began, number = self._seen.get(network, (None, 0))
            if began is not None:
                self._seen[network] = (began, max(0, number - 1))

    def _check(self, network: str, now: datetime) -> None:
        began, number = self._seen.get(network, (None, 0))
        if began is None or number < self._per_minute:
            return
        left = (began + WINDOW - now).total_seconds()
        if left > 0:
            raise TooManyGuessesError(math.ceil(left))

    def _count(self, network: str, now: datetime) -> None:
        began, number = self._seen.pop(network, (now, 0))
        if now - began >= WINDOW:
            began, number = now, 0
        self._seen[network] = (began, number + 1)
        if number + 1 == self._per_minute:
            logger.warning("too many wrong credentials", extra={"client": network})
        while len(self._seen) > MOST_ADDRESSES:
            self._seen.popitem(last=False)


def _network(address: str | None) -> str:
    """Return the network of one client: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return ""
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> 64 << 64))
