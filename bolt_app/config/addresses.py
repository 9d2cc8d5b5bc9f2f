"""Settings that are addresses: origins, networks and proxies."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from bolt_app.client_address import TrustedProxies, parse_trusted_proxies
from bolt_app.config.reader import SettingReader

Network = IPv4Network | IPv6Network
# The only networks that CALLBACK_NETWORKS may list: loopback, private and shared addresses.
_PRIVATE_RANGES: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "127.0.0.0/8",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "::1/128",
            "fc00::/7",
        ),
    )
)


def read_origin(reader: SettingReader, name: str, default: str) -> str:
    """Return an origin: https, or http on a loopback address; empty after a problem."""
    value = (reader.text(name) or default).rstrip("/")
    if _is_origin(value):
        if not value.startswith("https://") and not is_loopback(value):
            reader.problem(
                f"{name} is {value!r}: it must begin with https://, because tokens and "
                "sessions are sent there; http:// is allowed only for a loopback address."
            )
            return ""
        return value
    reader.problem(
        f"{name} is {value!r}: use only scheme and host, such as https://bellhop.example.com."
    )
    return ""


def read_public_url_for(reader: SettingReader, port: int) -> str:
    """Return the origin under which people reach Bellhop, by default this machine."""
    return read_origin(reader, "PUBLIC_URL", f"http://127.0.0.1:{port}")


def read_trusted_proxies(reader: SettingReader) -> TrustedProxies:
    """Return the reverse proxies in front of Bellhop."""
    value = reader.text("TRUSTED_PROXIES") or "0"
    try:
        return parse_trusted_proxies(value)
    except ValueError:
        reader.problem(
            f"TRUSTED_PROXIES is {value!r}: use the number of reverse proxies in front of "
            "Bellhop, or their addresses, such as 127.0.0.1, 10.0.0.0/8."
        )
        return 0


def read_private_networks(reader: SettingReader, name: str) -> tuple[Network, ...]:
    """Return private networks, separated by commas."""
    networks = []
    for part in reader.parts(name):
        try:
            network = ip_network(part)
        except ValueError:
            reader.problem(
                f"{name} contains {part!r}: use networks separated by commas, such as "
                "10.0.0.0/8,192.168.1.5."
            )
            continue
        if not any(_is_within(network, known) for known in _PRIVATE_RANGES):
            reader.problem(
                f"{name} contains {part!r}: use only private, shared or loopback networks in "
                f"{', '.join(map(str, _PRIVATE_RANGES))}. Public addresses need no entry."
            )
            continue
        networks.append(network)
    return tuple(networks)


def is_loopback(origin: str) -> bool:
    """Whether an origin is on this machine."""
    host = urlsplit(origin).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_within(network: Network, known: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(known, IPv4Network) and network.subnet_of(known)
    return isinstance(known, IPv6Network) and network.subnet_of(known)


def _is_origin(value: str) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    bare = not (parts.path or parts.query or parts.fragment or parts.username)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and bare
