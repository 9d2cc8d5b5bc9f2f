"""The client address of the current request, seen through trusted reverse proxies."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
# A number of proxies, or their networks; 0 trusts none.
TrustedProxies = int | tuple[Network, ...]

_address: ContextVar[str | None] = ContextVar("client_address", default=None)


def client_address() -> str | None:
    """Return the client's address; None outside a request, and for requests from Slack."""
    return _address.get()


def set_client_address(address: str | None) -> None:
    """Set the address of the client for the rest of the current request."""
    _address.set(address)


def parse_trusted_proxies(value: str) -> TrustedProxies:
    """Parse `TRUSTED_PROXIES`.

    Args:
        value: a number from 0 to 9, or addresses and CIDR networks separated by commas.

    Raises:
        ValueError: it is neither.
    """
    if value.isascii() and value.isdigit() and len(value) == 1:
        return int(value)
    return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())


def find_client_address(peer: str, forwarded: Iterable[str], trusted: TrustedProxies) -> str:
    """Return the address of the client of a request.

    Every proxy appends the address of its client to `X-Forwarded-For`, so the header is read from
    its end, and only as far as proxies are trusted: the client may have forged the rest.

    Args:
        peer: the remote address of the connection.
        forwarded: the values of `X-Forwarded-For`, as received.
        trusted: the proxies that may name the client.
    """
    hops = [part.strip() for line in forwarded for part in line.split(",")]
    address = _parse(peer)
    passed = 0
    while hops and address is not None and _is_trusted(address, passed, trusted):
        named = _parse(hops.pop())
        if named is None:
            break
        address, passed = named, passed + 1
    return peer if address is None else str(address)


def network_of(address: str) -> str:
    """Return the network that one client controls: an IPv4 address, or an IPv6 /64 network."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return address


def _is_trusted(address: IPv4Address | IPv6Address, passed: int, trusted: TrustedProxies) -> bool:
    if isinstance(trusted, int):
        return passed < trusted
    return any(address in network for network in trusted)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """Parse an address, with or without a port; None if it is not one."""
    bare = text
    if text.startswith("["):
        bare = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        bare = text.partition(":")[0]
    try:
        parsed = ip_address(bare)
    except ValueError:
        return None
    if isinstance(parsed, IPv4Address):
        return parsed
    # A zone (`fe80::1%eth0`) may be any text, and has no meaning on another machine.
    return None if parsed.scope_id else parsed.ipv4_mapped or parsed
