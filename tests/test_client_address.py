"""Client addresses: trusted proxies count, forged headers do not."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from bolt_app.client_address import (
    TrustedProxies,
    find_client_address,
    network_of,
    parse_trusted_proxies,
)
from bolt_app.db.models import AuditEvent
from tests.conftest import FakeClock
from tests.people import ANN
from tests.running import running_bellhop

PRIVATE = parse_trusted_proxies("10.0.0.0/8, 127.0.0.1, fd00::/8")


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "client"),
    [
        # No trusted proxies.
        (0, "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (0, "127.0.0.1", "198.51.100.1", "127.0.0.1"),
        # A number of proxies: the client may have forged earlier entries.
        (1, "10.0.0.1", "198.51.100.1", "198.51.100.1"),
        (1, "10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        (2, "10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        (2, "10.0.0.1", "198.51.100.1", "198.51.100.1"),
        (1, "10.0.0.1", "", "10.0.0.1"),
        # Networks of proxies.
        (PRIVATE, "10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        (PRIVATE, "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (PRIVATE, "10.0.0.1", "10.9.9.9", "10.9.9.9"),
        (PRIVATE, "fd00::1", "2001:db8::5", "2001:db8::5"),
        (PRIVATE, "::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        # With ports, and with invalid addresses.
        (1, "10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        (1, "10.0.0.1", "[2001:db8::5]:4711", "2001:db8::5"),
        (1, "10.0.0.1", "unknown", "10.0.0.1"),
        (PRIVATE, "10.0.0.1", "198.51.100.1, <script>", "10.0.0.1"),
        (1, "10.0.0.1", "fe80::1%<script>", "10.0.0.1"),
        (1, "", "198.51.100.1", ""),
    ],
)
def test_the_client_is_found(
    trusted: TrustedProxies, peer: str, forwarded: str, client: str
) -> None:
    assert find_client_address(peer, [forwarded], trusted) == client


@given(st.lists(st.text(max_size=40)), st.sampled_from([0, 1, 3, PRIVATE]))
def test_the_client_address_ignores_malformed_headers(
    forwarded: list[str], trusted: TrustedProxies
) -> None:
    assert ip_address(find_client_address("10.0.0.1", forwarded, trusted))


@given(st.lists(st.text(max_size=40)))
def test_nothing_is_believed_by_default(forwarded: list[str]) -> None:
    assert find_client_address("203.0.113.9", forwarded, 0) == "203.0.113.9"


@pytest.mark.parametrize("value", ["x", "10.0.0.1/8", "-1", "10", "10.0.0.0/8;127.0.0.1", "1.2.3"])
def test_malformed_proxies_are_rejected(value: str) -> None:
    with pytest.raises(ValueError, match=r"address|network|host bits"):
        parse_trusted_proxies(value)


def test_one_client_of_ipv6_is_a_network() -> None:
    assert network_of("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64"
    assert network_of("198.51.100.1") == "198.51.100.1"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("trusted", "seen"), [(0, "127.0.0.1"), (1, "198.51.100.1")])
def test_the_audit_log_has_the_clients_address(
    database_url: str, encryption_key: str, clock: FakeClock, trusted: int, seen: str
) -> None:
    with running_bellhop(database_url, encryption_key, clock, trusted_proxies=trusted) as running:
        browser = running.browser()
        to_slack = browser.get("/slack/install").location
        callback = running.slack.authorize(ANN, to_slack)
        browser.get(callback, {"X-Forwarded-For": "6.6.6.6, 198.51.100.1"})

        with running.services.database.reading() as session:
            assert set(session.scalars(select(AuditEvent.address))) == {seen}
