"""A workspace that has left its organization: its former colleagues are external users."""

from __future__ import annotations

import copy

import pytest

from bolt_app.access.authorization import Role
from bolt_app.db.models import BotInstallation, Team
from bolt_app.lifecycle.events import EventOrigin
from tests.lifecycle.organizations import move_workspace
from tests.lifecycle.test_separate_bots import CHANNEL, add_person
from tests.lifecycle.test_two_installations import sign_in
from tests.people import GRID, NORTH, SOUTH, WES
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only

FORMER = "W0FORMER01"


@pytest.fixture
def left(bellhop: Bellhop) -> Bellhop:
    """North has its own bot, and leaves; a former colleague of South is in a shared channel."""
    add_person(bellhop, FORMER, "Former")
    former = bellhop.slack.users[FORMER]
    former.team_id, former.team_ids, former.is_org_admin = SOUTH, (SOUTH,), False
    former.is_admin = former.is_owner = False
    sign_in(bellhop, NORTH)
    bellhop.settle()
    assert role_of_former(bellhop) is Role.COLLEAGUE
    bellhop.clock.advance(120)
    move_workspace(bellhop, NORTH, None)
    return bellhop


def role_of_former(bellhop: Bellhop) -> Role:
    bellhop.services.client.forget_workspace(None)
    return bellhop.services.access.person(NORTH, FORMER).role


def organizations(bellhop: Bellhop) -> set[str]:
    """Return the organizations that North is recorded with."""
    with bellhop.services.database.reading() as session:
        team = session.get(Team, NORTH)
        bots = session.query(BotInstallation.enterprise_id).filter_by(team_id=NORTH).all()
    assert team is not None
    return {team.enterprise_id, *(bot.enterprise_id for bot in bots)}


def report(bellhop: Bellhop, number: int, enterprise_id: str | None) -> None:
    """Report a revoked bot token of North's own installation, which works."""
    origin = EventOrigin(f"Ev0LATE00{number}", enterprise_id, NORTH, False, bellhop.clock())
    services = bellhop.services
    services.lifecycle.installations.tokens_revoked(origin, user_ids=[], bot_ids=["U0BOT"])
    bellhop.settle()


@pytest.mark.parametrize("named", [None, GRID])
def test_slacks_answer_to_a_report_records_it(left: Bellhop, named: str | None) -> None:
    report(left, 1, named)

    assert organizations(left) == {""}
    assert role_of_former(left) is Role.EXTERNAL


def test_a_late_report_does_not_move_it_back(left: Bellhop) -> None:
    report(left, 1, None)

    with left.services.database.writing() as session:
        session.commit()
    late = EventOrigin("Ev0LATE002", GRID, NORTH, False, left.clock())
    left.services.lifecycle.installations.app_uninstalled(late)

    assert organizations(left) == {""}


def test_a_request_that_names_no_organization_records_it(left: Bellhop) -> None:
    assert left.slack.send_command(WES, CHANNEL, "/profile", "").error is None
    left.services.background.submit(lambda: None).result(30)
    left.settle()

    assert organizations(left) == {""}
    assert role_of_former(left) is Role.EXTERNAL


def test_a_day_without_a_request_records_it(left: Bellhop) -> None:
    left.clock.advance(24 * 3600)

    left.services.installation_checks.run_periodically()

    assert organizations(left) == {""}


def test_a_profile_that_is_recorded_later_does_not_move_it_back(left: Bellhop) -> None:
    stored = left.services.installations.find(enterprise_id=GRID, team_id=NORTH, user_id=WES)
    assert stored is not None
    earlier = copy.copy(stored)
    report(left, 1, None)

    left.services.profiles.record(earlier)

    assert organizations(left) == {""}
