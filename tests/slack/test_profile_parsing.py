"""Parsing of the text after `/profile`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolt_app.slack.profile.blocks import help_reply
from bolt_app.slack.profile.parsing import (
    ProfileHelp,
    ProfileRequest,
    Refresh,
    ShowOther,
    ShowOwn,
    Unlink,
    parse_profile_command,
)


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("", ShowOwn()),
        ("   ", ShowOwn()),
        ("refresh", Refresh()),
        (" Refresh ", Refresh()),
        ("UNLINK", Unlink()),
        ("help", ProfileHelp()),
        ("<@U012AB3CD>", ShowOther("U012AB3CD")),
        ("<@W012AB3CD|wes>", ShowOther("W012AB3CD")),
        ("<@U012AB3CD|a> <@U012AB3CE|b>", ProfileHelp("<@U012AB3CD|a> <@U012AB3CE|b>")),
        ("@ann", ProfileHelp("@ann")),
        ("unlink me", ProfileHelp("unlink me")),
    ],
)
def test_meaning(words: str, meaning: ProfileRequest) -> None:
    assert parse_profile_command(words) == meaning


@given(st.text())
def test_any_text_is_parsed(words: str) -> None:
    meaning = parse_profile_command(words)

    if isinstance(meaning, ProfileHelp):
        answer = help_reply(meaning.unknown)
        assert len(answer.blocks[0]["text"]["text"]) <= 3000


@given(st.from_regex(r"[UW][A-Z0-9]{2,12}", fullmatch=True), st.text(alphabet="abc.-"))
def test_any_mention_is_found(user_id: str, name: str) -> None:
    assert parse_profile_command(f"<@{user_id}|{name}>") == ShowOther(user_id)
