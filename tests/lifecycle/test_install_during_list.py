"""A workspace's own install, at the same time as a list that does not name the workspace."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy.orm import Session

from bolt_app.installations.removals import InstallationRemovals
from tests.faults.load import wait_until
from tests.installations.installing import an_installation
from tests.lifecycle.test_separate_bots import NIA, list_only, serves_by_organization
from tests.lifecycle.test_two_installations import sign_in
from tests.locks import is_waited_for
from tests.people import GRID, NORTH, SOUTH
from tests.running import Bellhop


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_person_who_installs_stays_linked(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite has one writer at a time."""
    sign_in(bellhop, None)
    bellhop.settle()
    list_only(bellhop, SOUTH)
    store, release = bellhop.services.store, InstallationRemovals.release_workspaces
    installation = an_installation(NIA, enterprise_id=GRID, team_id=NORTH)
    begun, installs = threading.Lock(), []

    def release_during_install(
        removals: InstallationRemovals, session: Session, *given: Any, **named: Any
    ) -> None:
        if begun.acquire(blocking=False):
            installs.append(pool.submit(store.save, installation))
            wait_until(lambda: installs[0].done() or is_waited_for(session), seconds=30)
        release(removals, session, *given, **named)

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(InstallationRemovals, "release_workspaces", release_during_install)
        bellhop.services.lifecycle.installations.organization_installed(GRID)
        bellhop.settle()
        done: Future[None] = installs[0]
        done.result(timeout=30)

    assert serves_by_organization(bellhop) is False
    stored = bellhop.services.installations.find(enterprise_id=GRID, team_id=NORTH, user_id=NIA)
    assert stored is not None
