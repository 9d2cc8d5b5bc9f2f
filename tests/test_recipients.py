"""Recipients: valid addresses and their stored form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolt_app.recipients import normal_address, topic_of
from bolt_app.slack_ids import is_id, is_person


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("#General", "#general"),
        (" #ops ", "#ops"),
        ("#équipe-été", "#équipe-été"),
        ("C0ACME0001", "C0ACME0001"),
        ("D0ACME0001", "D0ACME0001"),
        ("U0ANN00001", "U0ANN00001"),
        ("W0WES00001", "W0WES00001"),
        ("@Ann@Acme.example", "@ann@acme.example"),
        ("ann@acme.example", "@ann@acme.example"),
        ("#o\0p\x1bs", "#ops"),
        ("ann\0@acme.example", "@ann@acme.example"),
        ("topic:Deploys", "topic:deploys"),
        ("topic:team/api_v2.staging-eu", "topic:team/api_v2.staging-eu"),
    ],
)
def test_an_address_has_one_stored_form(given_: str, kept: str) -> None:
    assert normal_address(given_) == kept


@pytest.mark.parametrize(
    "value",
    [
        "",
        "general",
        "#",
        "#two words",
        "#" + "x" * 81,
        "C0",
        "c0acme0001",
        "@ann",
        "ann@",
        "a@b@c",
        "topic:",
        "topic:two words",
        "topic:" + "x" * 81,
        "topic:a@b.c",
        "<!channel>",
        None,
        7,
        ["#general"],
    ],
)
def test_invalid_addresses_are_rejected_with_a_hint(value: object) -> None:
    with pytest.raises(
        ValueError, match=r"is (not a recipient: use #name|not a topic: use up to 80)"
    ):
        normal_address(value)


@given(st.text() | st.from_regex(r"(#|@|topic:|[CUDW])\S*"))
def test_any_text_is_normalized_or_rejected(text: str) -> None:
    try:
        address = normal_address(text)
    except ValueError:
        return
    assert normal_address(address) == address
    # Lists of addresses are stored with spaces between them.
    assert address.split() == [address]
    assert "\0" not in address
    kinds = [is_id(address), address[0] in "#@", topic_of(address) is not None]
    assert sum(kinds) == 1
    assert is_id(address) or not is_person(address)
