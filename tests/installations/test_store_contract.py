"""The contract of slack_sdk's installation store.

Every test runs against slack_sdk's SQLAlchemy store and Bellhop's, which must stay a drop-in.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from slack_sdk.oauth import InstallationStore
from slack_sdk.oauth.installation_store.sqlalchemy import (
    SQLAlchemyInstallationStore as SlackSdkStore,
)

from bolt_app.db import Database
from bolt_app.installations.store import Installations
from tests.installations.installing import CLIENT_ID, an_installation, an_organization_installation


@pytest.fixture(params=["ours", "slack_sdk"])
def store(request: pytest.FixtureRequest, database: Database) -> Iterator[InstallationStore]:
    if request.param == "ours":
        yield Installations(CLIENT_ID, database)
        return
    theirs = SlackSdkStore(client_id=CLIENT_ID, engine=database.engine)
    theirs.metadata.create_all(database.engine)
    yield theirs
    theirs.metadata.drop_all(database.engine)


def has_bot(
    store: InstallationStore, enterprise_id: str | None, team_id: str | None, *, org: bool = False
) -> bool:
    found = store.find_bot(enterprise_id=enterprise_id, team_id=team_id, is_enterprise_install=org)
    return found is not None


def has_installation(
    store: InstallationStore,
    enterprise_id: str | None,
    team_id: str | None,
    user_id: str | None = None,
    *,
    org: bool = False,
) -> bool:
    found = store.find_installation(
        enterprise_id=enterprise_id,
        team_id=team_id,
        user_id=user_id,
        is_enterprise_install=org,
    )
    return found is not None


def test_nothing_is_found_before_anything_was_saved(store: InstallationStore) -> None:
    assert not has_bot(store, None, "T1")
    assert not has_installation(store, None, "T1")
    assert not has_installation(store, None, "T1", "U1")


def test_a_bot_is_found_in_its_own_workspace_alone(store: InstallationStore) -> None:
    store.save(an_installation(enterprise_id="E1"))

    assert has_bot(store, "E1", "T1")
    assert not has_bot(store, "E1", "T2")
    assert not has_bot(store, "E1", None)


def test_an_installation_is_found_by_workspace_and_by_person(store: InstallationStore) -> None:
    store.save(an_installation("U1", enterprise_id="E1"))

    assert has_installation(store, "E1", "T1")
    assert not has_installation(store, "E1", "T2")
    assert has_installation(store, "E1", "T1", "U1")
    assert not has_installation(store, "E1", "T1", "U2")
    assert not has_installation(store, "E1", "T2", "U1")


def test_every_field_from_slack_is_preserved(store: InstallationStore) -> None:
    saved = an_installation(
        enterprise_id="E1",
        enterprise_name="Acme Group",
        enterprise_url="https://acme.enterprise.slack.com/",
        bot_refresh_token="xoxe-1-bot",
        bot_token_expires_at=1_900_000_000,
        user_refresh_token="xoxe-1-user",
        user_token_expires_at=1_900_000_001,
        incoming_webhook_url="https://hooks.example.com/services/secret",
        incoming_webhook_channel="#general",
        incoming_webhook_channel_id="C1",
        incoming_webhook_configuration_url="https://acme.example.com/services/B1",
        token_type="bot",
    )
    store.save(saved)

    found = store.find_installation(enterprise_id="E1", team_id="T1", user_id="U1")
    bot = store.find_bot(enterprise_id="E1", team_id="T1")

    expected = {k: v for k, v in vars(saved).items() if k != "installed_at"}
    assert {k: v for k, v in vars(found).items() if k != "installed_at"} == expected
    assert bot is not None
    expected_bot = {k: v for k, v in vars(saved.to_bot()).items() if k != "installed_at"}
    assert {k: v for k, v in vars(bot).items() if k != "installed_at"} == expected_bot


def test_deleting_a_bot_leaves_the_others_and_the_installation(store: InstallationStore) -> None:
    store.save(an_installation())
    store.save(an_installation(team_id="T2"))

    store.delete_bot(enterprise_id=None, team_id="T3")
    store.delete_bot(enterprise_id=None, team_id="T2")

    assert has_bot(store, None, "T1")
    assert not has_bot(store, None, "T2")
    assert has_installation(store, None, "T2", "U1")


def test_deleting_one_installation_keeps_the_others(store: InstallationStore) -> None:
    store.save(an_installation("U1", installed_at=1_000_000_000.0))
    store.save(an_installation("U2", installed_at=1_000_000_001.0))

    store.delete_installation(enterprise_id=None, team_id="T1", user_id="U1")

    assert not has_installation(store, None, "T1", "U1")
    assert has_installation(store, None, "T1", "U2")
    assert has_installation(store, None, "T1")
    assert has_bot(store, None, "T1")


def test_deleting_without_a_person_deletes_all(store: InstallationStore) -> None:
    store.save(an_installation("U1", installed_at=1_000_000_000.0))
    store.save(an_installation("U2", installed_at=1_000_000_001.0))

    store.delete_installation(enterprise_id=None, team_id="T1")

    assert not has_installation(store, None, "T1")
    assert has_bot(store, None, "T1")


def test_delete_all_leaves_nothing_of_that_workspace(store: InstallationStore) -> None:
    store.save(an_installation(enterprise_id="E1"))
    store.save(an_installation(enterprise_id="E1", team_id="T2"))

    store.delete_all(enterprise_id="E1", team_id="T1")

    assert not has_bot(store, "E1", "T1")
    assert not has_installation(store, "E1", "T1")
    assert not has_installation(store, "E1", "T1", "U1")
    assert has_bot(store, "E1", "T2")
    assert has_installation(store, "E1", "T2", "U1")


def test_deleting_a_missing_installation_is_no_error(store: InstallationStore) -> None:
    store.delete_bot(enterprise_id=None, team_id="T1")
    store.delete_installation(enterprise_id=None, team_id="T1", user_id="U1")
    store.delete_all(enterprise_id=None, team_id="T1")

    assert not has_installation(store, None, "T1")


def test_it_can_be_installed_again_after_delete_all(store: InstallationStore) -> None:
    store.save(an_installation())
    store.delete_all(enterprise_id=None, team_id="T1")
    store.save(an_installation())

    assert has_bot(store, None, "T1")
    assert has_installation(store, None, "T1", "U1")


def test_an_organizations_installation_serves_its_workspaces(store: InstallationStore) -> None:
    store.save(an_organization_installation())

    assert has_bot(store, "E1", None)
    assert has_bot(store, "E1", "T9", org=True)
    assert has_installation(store, "E1", None)
    assert has_installation(store, "E1", None, "U1")
    assert has_installation(store, "E1", "T9", "U1", org=True)


def test_an_organizations_installation_is_no_workspaces_own(store: InstallationStore) -> None:
    store.save(an_organization_installation())

    assert not has_bot(store, "E1", "T9")
    assert not has_bot(store, None, "T9")
    assert not has_installation(store, "E1", "T9")
    assert not has_installation(store, "E2", "T9", "U1", org=True)
    assert not has_installation(store, "E1", "T9", "U2", org=True)


def test_an_organizations_bot_is_deleted_without_a_workspace(store: InstallationStore) -> None:
    store.save(an_organization_installation())

    store.delete_bot(enterprise_id="E1", team_id="T9")
    assert has_bot(store, "E1", None)

    store.delete_bot(enterprise_id="E1", team_id=None)
    assert not has_bot(store, "E1", None)
    assert has_installation(store, "E1", None)

    store.delete_all(enterprise_id="E1", team_id=None)
    assert not has_installation(store, "E1", None)


def test_refreshed_tokens_replace_the_old_ones(store: InstallationStore) -> None:
    for number in range(3):
        store.save(
            an_installation(
                bot_token=f"xoxe.xoxb-1-{number}",
                bot_refresh_token=f"xoxe-1-{number}",
                bot_token_expires_in=43_200,
                installed_at=1_000_000_000.0 + number,
            )
        )

    bot = store.find_bot(enterprise_id=None, team_id="T1")
    assert bot is not None
    assert bot.bot_token == "xoxe.xoxb-1-2"
    assert bot.bot_refresh_token == "xoxe-1-2"


def test_a_refreshed_bot_is_saved_by_itself(store: InstallationStore) -> None:
    store.save(an_installation(installed_at=1_000_000_000.0))
    bot = store.find_bot(enterprise_id=None, team_id="T1")
    assert bot is not None
    bot.bot_token = "xoxe.xoxb-1-new"
    store.save_bot(bot)

    found = store.find_installation(enterprise_id=None, team_id="T1", user_id="U1")
    assert found is not None
    assert found.bot_token == "xoxe.xoxb-1-new"
    assert found.user_token == "xoxp-U1"


def test_an_authorization_without_a_bot_keeps_the_bot(store: InstallationStore) -> None:
    store.save(an_installation("U1", user_token=None, user_scopes=[], installed_at=1e9))
    store.save(
        an_installation(
            "U2", bot_token=None, bot_id=None, bot_user_id=None, bot_scopes=[], installed_at=1e9 + 1
        )
    )

    bot = store.find_bot(enterprise_id=None, team_id="T1")
    latest = store.find_installation(enterprise_id=None, team_id="T1")
    of_the_second = store.find_installation(enterprise_id=None, team_id="T1", user_id="U2")

    assert bot is not None
    assert latest is not None
    assert of_the_second is not None
    assert bot.bot_token == latest.bot_token == of_the_second.bot_token == "xoxb-1"
    assert of_the_second.user_token == "xoxp-U2"


def test_without_a_person_the_latest_installation_is_found(store: InstallationStore) -> None:
    store.save(an_installation("U2", installed_at=1_000_000_002.0))
    store.save(an_installation("U1", installed_at=1_000_000_001.0))
    store.save(an_installation("U3", installed_at=1_000_000_003.0))

    latest = store.find_installation(enterprise_id=None, team_id="T1")

    assert latest is not None
    assert latest.user_id == "U3"


def test_saving_the_same_installation_twice_is_saving_it_once(store: InstallationStore) -> None:
    installation = an_installation()
    store.save(installation)
    store.save(installation)

    found = store.find_installation(enterprise_id=None, team_id="T1")
    assert found is not None
    assert found.app_id == "A1"


def test_the_store_has_a_logger(store: InstallationStore) -> None:
    assert store.logger.name
