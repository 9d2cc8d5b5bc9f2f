"""Whatever a profile holds, Slack takes the blocks that show it."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from bolt_app.profiles import Profile, Workspace
from bolt_app.sandbox.blocks import check_blocks
from bolt_app.slack.blocks import profile as blocks

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
    answer = blocks.profile_answer(profile, ["users:read"], NOW)

    check_blocks(answer.blocks)


@given(profiles)
def test_somebody_elses_profile_never_shows_the_address(profile: Profile) -> None:
    answer = blocks.public_profile_answer(profile, NOW)

    check_blocks(answer.blocks)
    assert "E-mail" not in str(answer.blocks)
