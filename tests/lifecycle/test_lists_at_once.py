"""The lists of two organizations, applied at the same moment in two processes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy.orm import Session

from bolt_app.db.models import BotInstallation, Team
from bolt_app.installations.removals import InstallationRemovals
from tests.lifecycle.test_separate_bots import bot_of
from tests.people import GRID, NORTH, SOUTH
from tests.running import Bellhop

NEXT = "E0NEXT0001"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_each_gets_a_workspace_of_the_other(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither transaction waits for a workspace that the other has and waits with."""
    services = bellhop.services
    lists = {GRID: {SOUTH: "South"}, NEXT: {NORTH: "North"}}
    for enterprise_id, recorded in ((GRID, NORTH), (NEXT, SOUTH)):
        services.store.save_bot(bot_of(bellhop, enterprise_id, None))
        assert services.profiles.record_workspace(
            recorded, enterprise_id, listed_at=bellhop.clock()
        )
    bellhop.clock.advance(60)
    both, release = threading.Barrier(2), InstallationRemovals.release_workspaces

    def release_together(
        removals: InstallationRemovals, session: Session, *given: Any, **named: Any
    ) -> None:
        release(removals, session, *given, **named)
        with suppress(threading.BrokenBarrierError):
            both.wait(0.3)

    monkeypatch.setattr(InstallationRemovals, "release_workspaces", release_together)
    monkeypatch.setattr(services.client, "workspaces_of", lists.__getitem__)
    for enterprise_id in lists:
        services.lifecycle.installations.organization_installed(enterprise_id)
    first, second = services.lifecycle.installations.pending_checks()
    checks = services.installation_checks

    with ThreadPoolExecutor(2) as pool:
        for settled in [pool.submit(checks._check_workspaces, one, {}) for one in (first, second)]:
            settled.result(30)

    with services.database.reading() as session:
        teams = {team.team_id: team.enterprise_id for team in session.query(Team)}
        assert session.query(BotInstallation).count() == 2
    assert teams == {NORTH: NEXT, SOUTH: GRID}
