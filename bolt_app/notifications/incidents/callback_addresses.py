"""The network addresses that callbacks may be sent to.

A third party chooses the URL, and Bellhop runs inside a network: public addresses are allowed,
private ones only if `CALLBACK_NETWORKS` lists them, and a few never. A host name is resolved here,
and the caller connects to the checked address itself, so that a second DNS answer cannot redirect
it.

https://www.iana.org/assignments/iana-ipv4-special-registry and
https://www.iana.org/assignments/iana-ipv6-special-registry have the special ranges.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from bolt_app.notifications.incidents.errors import RefusedAddressError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Sequence[str]]

# Metadata services of clouds outside the link-local range: AWS and Google over IPv6, Alibaba,
# Oracle, Azure. They give credentials to any program on the machine. AWS has others in the same
# network, such as Pod Identity at fd00:ec2::23
# (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html).
_METADATA = tuple(
    map(
        ip_network,
        ("fd00:ec2::/32", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    )
)
# IPv4 inside IPv6: NAT64 (RFC 6052) embeds the IPv4 address in the last 32 bits.
_NAT64 = ip_network("64:ff9b::/96")
# All other special ranges, because Python knows some of them only in later versions: networks of
# protocols and documentation, and ranges with an IPv4 address that the sender chooses, or that
# lead nowhere.
_NEVER = tuple(
    map(
        ip_network,
        (
            *("0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24"),
            *("192.88.99.0/24", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24"),
            *("203.0.113.0/24", "240.0.0.0/4"),
            *("::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23"),
            *("2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20", "5f00::/16"),
            "fec0::/10",
        ),
    )
)


def refusal(address: Address, allowed: Sequence[Network]) -> str | None:
    """Return why callbacks may not be sent to an address, or None if they may.

    Args:
        allowed: private and loopback networks that the operator allows.
    """
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return refusal(inner, allowed)
    if any(address in network for network in _METADATA):
        return "the metadata service of a cloud"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    if address.is_unspecified:
        return "the unspecified address"
    if any(address in network for network in allowed):
        return None
    if address.is_loopback:
        return "a loopback address"
    if any(address in network for network in _NEVER) or address.is_reserved:
        return "a reserved address"
    # False for ranges unknown to Python, and for shared addresses (100.64.0.0/10).
    return None if address.is_global else "a private address"


def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, in the order in which to try them.

    Raises:
        OSError: it has none, or DNS does not answer.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def allowed_addresses(host: str, addresses: Sequence[str], allowed: Sequence[Network]) -> list[str]:
    """Return the addresses of a host that callbacks may be sent to, in their order.

    Raises:
        RefusedAddressError: none is allowed.
    """
    reasons = {address: refusal(ip_address(address), allowed) for address in addresses}
    allowed_ones = [address for address, reason in reasons.items() if reason is None]
    if allowed_ones:
        return allowed_ones
    address, reason = next(iter(reasons.items()), (host, "no address"))
    named = host if address == host.strip("[]") else f"{host} ({address})"
    raise RefusedAddressError(
        f"{named} is {reason}: callbacks go to public addresses, and to the private networks "
        "that CALLBACK_NETWORKS lists."
    )
