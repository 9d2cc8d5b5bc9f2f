"""The address of the current request's client, through reverse proxies that are trusted."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
# A number of proxies, or the networks that they are in; 0 trusts nobody.
TrustedProxies = int | tuple[Network, ...]

_address: ContextVar[str | None] = ContextVar("client_address", default=None)


def client_address() -> str | None:
    """Return the address of the client; None outside a request, and where Slack is the client."""
    return _address.get()


def set_client_address(address: str | None) -> None:
    """Set the address of the client for the rest of the current request."""
    _address.set(address)


def parse_trusted_proxies(value: str) -> TrustedProxies:
    """Return what `TRUSTED_PROXIES` says.

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

    Every proxy appends the address it was called from to `X-Forwarded-For`, so the header is read
    from its end, and only as far as proxies are trusted: the client may have written the rest.

    Args:
        peer: the address that the connection comes from.
        forwarded: the values of `X-Forwarded-For`, as received.
        trusted: which proxies may name the client.
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
    """Return what one client can choose addresses from: itself, or a /64 network of IPv6."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return address


def _is_trusted(address: IPv4Address | IPv6Address, passed: int, trusted: TrustedProxies) -> bool:
    if isinstance(trusted, int):
        return passed < trusted
    return any(address in network for network in trusted)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address in `text`, which some proxies write with a port; None where it is none."""
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
    # A zone (`fe80::1%eth0`) is any text, and means nothing on another machine.
    return None if parsed.scope_id else parsed.ipv4_mapped or parsed
