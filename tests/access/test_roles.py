"""Roles of people, read from Slack's user object."""

from __future__ import annotations

from typing import Any

import pytest

from bolt_app.access.authorization import Role, role_of
from bolt_app.workspaces.client import BotWorkspace
from tests.people import ACME, BEN

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
