"""The upgrade that records which installation a workspace's credentials belong to."""

from __future__ import annotations

from slack_sdk.oauth.installation_store import Bot

from bolt_app.credentials.api_keys import ApiKeys
from bolt_app.db import Database, schema
from bolt_app.db.models import InstallationRevision, ServingInstallation, Team
from bolt_app.installations.store import Installations
from tests.conftest import FakeClock
from tests.people import ACME, BETA, GRID, NORTH, SOUTH


def test_a_workspaces_installation_is_found(empty_database: Database, clock: FakeClock) -> None:
    schema.upgrade(empty_database)
    bot = Bot(
        bot_token="xoxb-1",
        bot_id="B1",
        bot_user_id="U1",
        enterprise_id=GRID,
        team_id=NORTH,
        installed_at=clock.timestamp(),
    )
    Installations("1.1", empty_database, clock=clock).save_bot(bot)
    keys = ApiKeys(empty_database, clock=clock)
    for team_id in (NORTH, SOUTH, ACME, BETA, "T0SHUT0001"):
        keys.create(team_id, "a key")
    with empty_database.writing() as session:
        # Of uninstalled bots.
        for enterprise_id, team_id in (("", ACME), (GRID, "T0SHUT0001")):
            key = {"client_id": "1.1", "enterprise_id": enterprise_id, "team_id": team_id}
            session.add(InstallationRevision(**key, revision=1))
        for team_id in (NORTH, SOUTH):
            session.add(Team(team_id=team_id, enterprise_id=GRID, created_at=clock()))

    schema.downgrade(empty_database, "0031-1")
    schema.upgrade(empty_database)

    with empty_database.reading() as session:
        found = {one.team_id: one.enterprise_id for one in session.query(ServingInstallation)}
    assert found == {
        NORTH: "",
        SOUTH: GRID,
        ACME: "",
        BETA: "unknown",
        "T0SHUT0001": "unknown",
    }
