"""A person with an installation of a workspace and one of its organization."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from bolt_app.db.models import UserInstallation
from slack_sandbox.tokens import InstallKey
from tests.lifecycle.test_deletion import tidied, traces
from tests.people import GRID, NORTH, SOUTH, WES
from tests.running import Bellhop, Browser
from tests.slack.test_late_events import can_see_profile
from tests.slack.test_organization_events import unlink as unlink_by_command
from tests.web.forms import send_form

NEEDLES = (WES, "wes@globex.example", "Wes Wide")
WORKSPACE, ORGANIZATION = InstallKey(GRID, NORTH), InstallKey(GRID, None)


def sign_in(bellhop: Bellhop, team_id: str | None) -> Browser:
    """Sign Wes in with an installation of a workspace, or of the organization."""
    browser, page = bellhop.install(WES, team_id=team_id, whole_organization=team_id is None)
    assert page.status == 303
    return browser


def installed(bellhop: Bellhop) -> list[str]:
    with bellhop.services.database.reading() as session:
        return sorted(session.scalars(select(UserInstallation.team_id)))


def settled(bellhop: Bellhop) -> None:
    bellhop.services.revocations.revoke_pending()
    bellhop.settle()
    tidied(bellhop)


def unlink_in_slack(bellhop: Bellhop, _workspace: Browser, _organization: Browser) -> None:
    unlink_by_command(bellhop)


def unlink_in_the_workspace(bellhop: Bellhop, workspace: Browser, _organization: Browser) -> None:
    assert send_form(workspace, "/profile/unlink").status == 303


def unlink_in_the_organization(
    bellhop: Bellhop, _workspace: Browser, organization: Browser
) -> None:
    assert send_form(organization, "/profile/unlink").status == 303


def remove_the_app(bellhop: Bellhop, _workspace: Browser, _organization: Browser) -> None:
    """Wes removes the app from the organization in Slack, which reports it."""
    assert bellhop.slack.tokens.revoke(ORGANIZATION, "user", WES)
    event = {"type": "tokens_revoked", "tokens": {"oauth": [WES], "bot": []}}
    delivery = bellhop.slack.queue_event(NORTH, event, bellhop.slack.installations[ORGANIZATION])
    bellhop.settle()
    assert [attempt.status for attempt in delivery.attempts] == [200]


@pytest.mark.parametrize(
    "leave",
    [unlink_in_slack, unlink_in_the_workspace, unlink_in_the_organization, remove_the_app],
)
def test_both_are_removed_and_revoked(
    bellhop: Bellhop, leave: Callable[[Bellhop, Browser, Browser], None]
) -> None:
    workspace, _ = sign_in(bellhop, NORTH), sign_in(bellhop, SOUTH)
    organization = sign_in(bellhop, None)
    bellhop.settle()
    assert installed(bellhop) == ["", NORTH, SOUTH]

    leave(bellhop, workspace, organization)
    settled(bellhop)

    assert installed(bellhop) == []
    assert not can_see_profile(workspace)
    assert not can_see_profile(organization)
    tidied(bellhop)
    assert traces(bellhop, *NEEDLES) == {}
    for key in (WORKSPACE, ORGANIZATION, InstallKey(GRID, SOUTH)):
        assert bellhop.slack.tokens.live(key, "user") == []


def test_a_token_revoked_in_a_workspace_leaves_the_organizations(bellhop: Bellhop) -> None:
    """Slack may revoke a workspace's tokens when an organization installs the app."""
    workspace, organization = sign_in(bellhop, NORTH), sign_in(bellhop, None)
    bellhop.settle()

    assert bellhop.slack.tokens.revoke(WORKSPACE, "user", WES)
    event = {"type": "tokens_revoked", "tokens": {"oauth": [WES], "bot": []}}
    bellhop.slack.queue_event(NORTH, event, bellhop.slack.installations[WORKSPACE])
    bellhop.settle()

    assert installed(bellhop) == [""]
    assert not can_see_profile(workspace)
    assert can_see_profile(organization)


def test_a_token_that_cannot_be_decrypted_is_revoked_later(bellhop: Bellhop) -> None:
    organization = sign_in(bellhop, None)
    stored = bellhop.services.installations.find(
        enterprise_id=GRID, team_id=None, user_id=WES, is_enterprise_install=True
    )
    assert stored is not None
    with bellhop.services.database.writing_connection() as connection:
        connection.exec_driver_sql("UPDATE installations SET user_token = 'unreadable'")

    bellhop.services.lifecycle.profiles.unlink(stored)

    assert not can_see_profile(organization)
    with bellhop.services.database.reading_connection() as connection:
        token = connection.exec_driver_sql("SELECT token FROM token_revocations").scalar()
    assert token == "unreadable"
