"""Sessions of deactivated people whose workspace Slack does not name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import delete, select

from bolt_app.db.models import User, WebSession
from slack_sandbox import Fault
from slack_sandbox.tokens import InstallKey
from tests.lifecycle.test_joined_organization import join
from tests.lifecycle.test_separate_bots import ORGANIZATION, list_only
from tests.lifecycle.test_two_installations import sign_in
from tests.people import ACME, ANN, BEN, GRID, NORTH, SOUTH, WES
from tests.running import Bellhop, Browser

pytestmark = pytest.mark.sqlite_only


def is_deactivated(bellhop: Bellhop, user_id: str) -> bool:
    with bellhop.services.database.reading() as session:
        return session.scalars(select(User.is_deleted).where(User.user_id == user_id)).one()


def has_open_session(bellhop: Bellhop) -> bool:
    with bellhop.services.database.reading() as session:
        open_ = select(WebSession.id).where(WebSession.ended_at.is_(None))
        return session.scalar(open_) is not None


def lose(bellhop: Bellhop, user_id: str, key: InstallKey) -> None:
    """Deactivate a person, whose token Slack ends. The event does not arrive."""
    bellhop.slack.users[user_id].deleted = True
    for token in bellhop.slack.tokens.live(key, "user"):
        token.dead = "account_inactive"


def forget_profiles(bellhop: Bellhop) -> None:
    with bellhop.services.database.writing() as session:
        session.execute(delete(User))


@pytest.mark.parametrize("team_id", [NORTH, None], ids=["workspace", "organization"])
def test_an_event_that_names_only_an_unknown_first_workspace(
    bellhop: Bellhop, team_id: str | None
) -> None:
    wes = bellhop.slack.users[WES]
    wes.team_id, wes.team_ids = SOUTH, (SOUTH, NORTH)
    browser = sign_in(bellhop, team_id)
    if team_id is None:
        list_only(bellhop, NORTH)
        bellhop.services.lifecycle.installations.organization_installed(GRID)
    bellhop.settle()
    assert browser.get("/profile").status == 200
    bellhop.clock.advance(120)

    bellhop.slack.update_user(WES, deleted=True)
    bellhop.settle()

    assert is_deactivated(bellhop, WES)
    assert not has_open_session(bellhop)


def test_an_account_from_before_its_workspace_joined_the_organization(bellhop: Bellhop) -> None:
    bellhop.install(BEN)
    join(bellhop)
    ben = bellhop.slack.users[BEN]
    ben.enterprise_id, ben.team_id, ben.team_ids = GRID, NORTH, (NORTH, ACME)

    bellhop.slack.update_user(BEN, deleted=True)
    bellhop.settle()

    assert is_deactivated(bellhop, BEN)
    assert not has_open_session(bellhop)


def closed_workspace(bellhop: Bellhop) -> tuple[Browser, str, InstallKey]:
    """The organization has closed the only workspace that the person is linked in."""
    browser = sign_in(bellhop, None)
    bellhop.settle()
    bellhop.clock.advance(60)
    bellhop.slack.change_team_access(NORTH, is_granted=False)
    bellhop.settle()
    return browser, WES, ORGANIZATION


def workspace_without_bot(bellhop: Bellhop) -> tuple[Browser, str, InstallKey]:
    bellhop.install(ANN)
    bellhop.slack.uninstall(ACME)
    bellhop.settle()
    bellhop.clock.advance(60)
    browser, _ = bellhop.install(BEN, query=f"?only=profile&team={ACME}")
    bellhop.settle()
    return browser, BEN, InstallKey(None, ACME)


@pytest.mark.parametrize("prepare", [closed_workspace, workspace_without_bot])
def test_without_a_bot_the_persons_own_token_is_asked(
    bellhop: Bellhop, prepare: Callable[[Bellhop], tuple[Browser, str, InstallKey]]
) -> None:
    browser, user_id, key = prepare(bellhop)
    assert browser.get("/profile").status == 200
    bellhop.slack.faults.add(Fault("users.info", "server_error", times=1))
    bellhop.clock.advance(61)
    assert browser.get("/profile").status == 200
    bellhop.clock.advance(61)

    lose(bellhop, user_id, key)

    assert browser.get("/profile/data").status == 303
    assert not has_open_session(bellhop)


@pytest.mark.parametrize("path", ["/profile", "/profile/data"])
@pytest.mark.parametrize("team_id", [NORTH, None], ids=["workspace", "organization"])
def test_a_page_that_learns_of_it_while_it_records_the_profile(
    bellhop: Bellhop, team_id: str | None, path: str
) -> None:
    browser = sign_in(bellhop, team_id)
    bellhop.settle()
    forget_profiles(bellhop)
    # Slack's answer of this moment is cached.
    assert browser.get("/profile/channels").status != 303
    bellhop.slack.users[WES].deleted = True
    bellhop.slack.users[WES].updated += 100

    assert browser.get(path).status == 303
    assert not has_open_session(bellhop)
