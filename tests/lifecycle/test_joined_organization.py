"""A workspace that joins an organization: Slack names the organization from then on."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from bolt_app.db.models import BotInstallation, User, UserInstallation
from slack_sandbox.tokens import InstallKey
from tests.lifecycle.organizations import move_workspace
from tests.lifecycle.test_deletion import tidied, traces
from tests.lifecycle.test_separate_bots import status_of_key
from tests.people import ACME, ANN, BEN, GRID
from tests.running import Bellhop, Browser
from tests.slack.test_late_events import can_see_profile
from tests.web.forms import send_form

AFTER = InstallKey(GRID, ACME)


def join(bellhop: Bellhop) -> None:
    """Acme joins an organization; its tokens stay valid."""
    move_workspace(bellhop, ACME, GRID)
    bellhop.clock.advance(60)


def settled(bellhop: Bellhop) -> None:
    bellhop.services.revocations.revoke_pending()
    bellhop.settle()
    tidied(bellhop)
    bellhop.services.background.shutdown()


def people(bellhop: Bellhop) -> list[tuple[str, str]]:
    columns = UserInstallation.enterprise_id, UserInstallation.user_id
    with bellhop.services.database.reading() as session:
        return sorted((row[0], row[1]) for row in session.execute(select(*columns)))


def bots(bellhop: Bellhop) -> list[str]:
    with bellhop.services.database.reading() as session:
        return list(session.scalars(select(BotInstallation.enterprise_id)))


@pytest.fixture
def ben(bellhop: Bellhop) -> Browser:
    """Ben's browser in Acme, which has joined an organization since."""
    bellhop.install(ANN)
    browser, _ = bellhop.install(BEN)
    join(bellhop)
    return browser


def test_a_revoked_token_ends_the_session_of_before(bellhop: Bellhop, ben: Browser) -> None:
    bellhop.slack.revoke_tokens(ACME, users=[BEN])
    settled(bellhop)

    assert not can_see_profile(ben)
    assert [user_id for _, user_id in people(bellhop)] == [ANN]
    assert traces(bellhop, BEN, "ben@acme.example") == {}


def test_an_uninstall_removes_everything_of_before(bellhop: Bellhop, ben: Browser) -> None:
    key = bellhop.services.api_keys.create(ACME, "monitoring")
    assert status_of_key(bellhop, key) == 202

    bellhop.slack.uninstall(ACME)
    settled(bellhop)

    assert not can_see_profile(ben)
    assert (people(bellhop), bots(bellhop)) == ([], [])
    assert status_of_key(bellhop, key) == 403
    assert traces(bellhop, BEN, ANN) == {}


def test_an_install_renews_what_is_installed(bellhop: Bellhop, ben: Browser) -> None:
    after, _ = bellhop.install(BEN)

    assert people(bellhop) == [(GRID, ANN), (GRID, BEN)]
    assert bots(bellhop) == [GRID]
    assert can_see_profile(ben)
    with bellhop.services.database.reading() as session:
        homes = session.scalars(select(User.home_id).where(User.user_id == BEN)).all()
    assert homes == [GRID]

    assert send_form(after, "/profile/unlink").status == 303
    settled(bellhop)

    assert not can_see_profile(ben)
    assert traces(bellhop, BEN, "ben@acme.example") == {}
    assert bellhop.slack.tokens.live(AFTER, "user")[0].user_id == ANN


def test_a_deactivated_person_has_no_account_that_is_still_active(
    bellhop: Bellhop, ben: Browser
) -> None:
    bellhop.install(BEN)
    bellhop.slack.update_user(BEN, deleted=True)
    bellhop.settle()

    with bellhop.services.database.reading() as session:
        states = session.scalars(select(User.is_deleted).where(User.user_id == BEN)).all()
    assert states == [True]
    assert not can_see_profile(ben)
