"""Blocks of profiles, which Slack accepts for any content."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolt_app.notifications.incidents.blocks import incident_blocks
from bolt_app.notifications.incidents.view import IncidentView, Responder
from bolt_app.profiles.view import Profile, Workspace
from bolt_app.slack.profile import blocks
from slack_sandbox.blocks import check_blocks

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
words = st.text(max_size=4000)
workspaces = st.builds(
    Workspace,
    team_id=st.just("T012AB3CD"),
    enterprise_id=st.none(),
    name=words.filter(bool),
    domain=st.none(),
    is_admin=st.booleans(),
    is_owner=st.booleans(),
    is_guest=st.booleans(),
    linked_at=st.just(NOW),
)
profiles = st.builds(
    Profile,
    user_id=st.just("U012AB3CD"),
    real_name=words.filter(bool),
    display_name=st.none() | words,
    email=st.none() | words,
    title=st.none() | words,
    images=st.dictionaries(
        st.sampled_from([24, 72, 192, 512]), st.just("https://a.slack-edge.com/p.png")
    ),
    tz=st.none() | st.sampled_from(["Europe/Helsinki", "Nowhere/Land", "../etc"]),
    tz_label=st.none() | words,
    tz_offset=st.none() | st.integers(-(10**6), 10**6),
    locale=st.none(),
    is_deleted=st.booleans(),
    linked_at=st.just(NOW),
    refreshed_at=st.just(NOW),
    workspaces=st.lists(workspaces, max_size=30).map(tuple),
)


@given(profiles)
def test_a_persons_own_profile(profile: Profile) -> None:
    answer = blocks.profile_reply(profile, ["users:read"], NOW)

    check_blocks(answer.blocks)


@given(profiles)
def test_another_profile_never_shows_the_address(profile: Profile) -> None:
    answer = blocks.public_profile_reply(profile, NOW)

    check_blocks(answer.blocks)
    assert "E-mail" not in str(answer.blocks)


MARKUP = ["_ben_ :tada:", "*Ben*", "~ben~", "`ben`", "Ben :100:", "@here Ben"]


@pytest.mark.parametrize("name", MARKUP)
def test_nothing_of_a_name_is_markup(name: str) -> None:
    profile = Profile(
        user_id="U012AB3CD",
        real_name=name,
        display_name=f"{name} 2",
        email=None,
        title=f"Head of {name}",
        images={192: "https://a.slack-edge.com/p.png"},
        tz=None,
        tz_label=None,
        tz_offset=None,
        locale=None,
        is_deleted=False,
        linked_at=NOW,
        refreshed_at=NOW,
        workspaces=(Workspace("T012AB3CD", None, name, None, False, False, False, NOW),),
    )
    for answer in (
        blocks.profile_reply(profile, ["users:read"], NOW),
        blocks.public_profile_reply(profile, NOW),
    ):
        check_blocks(answer.blocks)
        texts = list(_texts(answer.blocks))
        named = [one for one in texts if name in one["text"]]
        assert named
        assert all(one["type"] == "plain_text" and one["emoji"] is False for one in named)


@pytest.mark.parametrize("name", MARKUP)
def test_nothing_of_an_answering_persons_name_is_markup(name: str) -> None:
    ben = Responder("U012AB3CD", name)
    incident = IncidentView("acknowledged", NOW, ben, None, NOW, ben, ben, NOW)

    shown = list(_texts(incident_blocks("id", [], incident)))

    assert len(shown) == 3
    assert all("<@U012AB3CD>" in one["text"] and name not in one["text"] for one in shown)


def _texts(value: object) -> Iterator[dict[str, Any]]:
    """Yield the text objects in blocks."""
    if isinstance(value, dict):
        if value.get("type") in ("mrkdwn", "plain_text"):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
