"""Addresses that callbacks may be sent to: every special range, also embedded in IPv6."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolt_app.notifications.incidents.callback_addresses import allowed_addresses, refusal
from bolt_app.notifications.incidents.errors import RefusedAddressError

PRIVATE = tuple(
    map(
        ip_network,
        ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
    )
) + tuple(map(ip_network, ("::1/128", "fc00::/7")))

PUBLIC = ["93.184.216.34", "8.8.8.8", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450::1"]
# One or more of each range in the IANA registries of special addresses, and metadata services.
NEVER = [
    "0.0.0.0",  # noqa: S104
    "0.1.2.3",
    "169.254.0.1",
    "169.254.169.254",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::127.0.0.1",
    "::8.8.8.8",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "5f00::1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
LISTED = [
    "127.0.0.1",
    "127.255.0.9",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fc00::1",
    "fd12:3456::1",
]


# Every entry of https://www.iana.org/assignments/iana-ipv4-special-registry and
# https://www.iana.org/assignments/iana-ipv6-special-registry, also those that others contain.
# In ::ffff:0:0/96 and 64:ff9b::/96 the IPv4 address counts, and is tested with its own range.
REGISTERED = [
    *("0.0.0.0/8", "0.0.0.0/32", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.0.0.0/29", "192.0.0.8/32", "192.0.0.9/32"),
    *("192.0.0.10/32", "192.0.0.170/32", "192.0.0.171/32", "192.0.2.0/24", "192.31.196.0/24"),
    *("192.52.193.0/24", "192.88.99.0/24", "192.88.99.2/32", "192.168.0.0/16", "192.175.48.0/24"),
    *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "255.255.255.255/32"),
    *("::1/128", "::/128", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23"),
    *("2001::/32", "2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:2::/48", "2001:3::/32"),
    *("2001:4:112::/48", "2001:10::/28", "2001:20::/28", "2001:30::/28", "2001:db8::/32"),
    *("2002::/16", "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10"),
]


def embedded_forms(address: str) -> list[str]:
    """Return the forms of an IPv4 address inside IPv6 that systems unwrap."""
    number = ip_address(address)
    if isinstance(number, IPv6Address):
        return [address]
    return [address, f"::ffff:{address}", f"64:ff9b::{address}"]


@pytest.mark.parametrize("address", [one for plain in PUBLIC for one in embedded_forms(plain)])
def test_public_addresses_are_allowed(address: str) -> None:
    assert refusal(ip_address(address), ()) is None


@pytest.mark.parametrize("address", [one for plain in NEVER for one in embedded_forms(plain)])
def test_special_addresses_are_refused_even_if_listed(address: str) -> None:
    assert refusal(ip_address(address), ())
    assert refusal(ip_address(address), PRIVATE)


@pytest.mark.parametrize("entry", REGISTERED)
def test_the_whole_of_each_registered_range_is_refused(entry: str) -> None:
    """Whatever the version of Python knows of the registries."""
    network = ip_network(entry)
    is_private = any(
        network.version == one.version and network.subnet_of(one)  # type: ignore[arg-type]
        for one in PRIVATE
    )

    for address in (network[0], network[network.num_addresses // 2], network[-1]):
        for form in embedded_forms(str(address)):
            assert refusal(ip_address(form), ()), form
            assert (refusal(ip_address(form), PRIVATE) is None) == is_private, form


@pytest.mark.parametrize("address", [one for plain in LISTED for one in embedded_forms(plain)])
def test_private_and_loopback_addresses_are_allowed_if_listed(address: str) -> None:
    assert refusal(ip_address(address), ())
    assert refusal(ip_address(address), PRIVATE) is None
    assert refusal(ip_address(address), (ip_network("192.168.77.0/24"),))


@given(st.ip_addresses(v=4))
def test_embedded_addresses_are_refused_too(address: IPv4Address) -> None:
    plain = refusal(address, ())

    assert refusal(IPv6Address(f"::ffff:{address}"), ()) == plain
    assert refusal(IPv6Address(f"64:ff9b::{address}"), ()) == plain
    # These lead through machines of others.
    assert refusal(IPv6Address((0x2002 << 112) | (int(address) << 80)), ())
    assert refusal(IPv6Address(int(address)), ())


@given(st.ip_addresses())
def test_only_global_addresses_are_allowed(address: IPv4Address | IPv6Address) -> None:
    if refusal(address, ()) is None and not getattr(address, "ipv4_mapped", None):
        assert address.is_global


def test_of_several_addresses_the_public_ones_are_called() -> None:
    found = allowed_addresses("x.example", ["10.0.0.1", "8.8.8.8", "::1", "8.8.4.4"], ())

    assert found == ["8.8.8.8", "8.8.4.4"]


def test_the_sentence_names_the_address_the_reason_and_the_setting() -> None:
    with pytest.raises(RefusedAddressError) as caught:
        allowed_addresses("x.example", ["10.0.0.1"], ())

    assert str(caught.value) == (
        "x.example (10.0.0.1) is a private address: callbacks go to public addresses, and to the "
        "private networks that CALLBACK_NETWORKS lists."
    )


def test_a_host_without_an_address_is_refused() -> None:
    with pytest.raises(RefusedAddressError):
        allowed_addresses("x.example", [], ())
