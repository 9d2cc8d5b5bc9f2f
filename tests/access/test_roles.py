"""Roles of people, read from Slack's user object."""

from __future__ import annotations

from typing import Any

import pytest

from bolt_app.access.authorization import Role, role_of
from bolt_app.workspaces.client import BotWorkspace
from tests.people import ACME, BEN, GRID, NORTH, SOUTH, WES

WORKSPACE = BotWorkspace(None, ACME, is_enterprise_install=False)


@pytest.mark.parametrize(
    ("flags", "role"),
    [
        ({}, Role.GUEST),
        ({"is_restricted": False}, Role.MEMBER),
        ({"is_restricted": True}, Role.GUEST),
        ({"is_ultra_restricted": True}, Role.GUEST),
    ],
)
def test_a_person_without_any_flag_counts_as_a_guest(flags: dict[str, Any], role: Role) -> None:
    assert role_of({"id": BEN, "team_id": ACME, **flags}, WORKSPACE) is role


@pytest.mark.parametrize(
    ("teams", "role"),
    [([SOUTH], Role.COLLEAGUE), ([SOUTH, NORTH], Role.MEMBER), (None, Role.COLLEAGUE)],
)
def test_flags_without_a_workspace_make_nobody_an_admin_for_an_organizations_bot(
    teams: list[str] | None, role: Role
) -> None:
    north = BotWorkspace(GRID, NORTH, is_enterprise_install=True)
    facts = {"id": WES, "is_admin": True, "is_owner": True, "is_restricted": False}
    enterprise_user = {"enterprise_id": GRID, "is_admin": False}
    if teams is not None:
        enterprise_user["teams"] = teams

    assert role_of({**facts, "enterprise_user": enterprise_user}, north) is role


@pytest.mark.parametrize("facts", [{}, {"team_id": None}])
def test_a_person_whose_workspace_is_missing_is_external(facts: dict[str, Any]) -> None:
    flags = {"is_admin": True, "is_restricted": False}

    assert role_of({"id": BEN, **flags, **facts}, WORKSPACE) is Role.EXTERNAL


def test_the_workspaces_of_an_organization_name_the_workspace_too() -> None:
    facts = {"id": BEN, "is_admin": True, "enterprise_user": {"teams": [ACME]}}

    assert role_of({**facts, "is_restricted": False}, WORKSPACE) is Role.ADMIN
