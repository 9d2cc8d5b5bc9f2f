"""The operator has replaced the Slack app: what the earlier one left is deleted with the rest."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from slack_sdk.oauth.installation_store import Bot
from sqlalchemy import select, update

from bolt_app.db.models import (
    BotInstallation,
    InstallationRevision,
    TokenRevocation,
    User,
    UserInstallation,
)
from tests.lifecycle.test_deletion import tidied, traces
from tests.lifecycle.test_separate_bots import uninstall_organization
from tests.lifecycle.test_two_installations import sign_in
from tests.people import ACME, ANN, BEN, GRID, NORTH, WES
from tests.running import Bellhop, Browser
from tests.slack.test_late_events import can_see_profile

EARLIER, CURRENT = "999.999", "111.222"
USER_TOKEN, BOT_TOKEN = "xoxp-earlier", "xoxb-earlier"


def rename_app(bellhop: Bellhop, client_id: str, new_id: str) -> None:
    with bellhop.services.database.writing() as session:
        for model in (BotInstallation, UserInstallation, InstallationRevision):
            renamed = update(model).where(model.client_id == client_id)
            session.execute(renamed.values(client_id=new_id))
    bellhop.services.client.forget_workspace(None)


def replace_app(bellhop: Bellhop) -> None:
    with bellhop.services.database.writing() as session:
        session.execute(update(UserInstallation).values(user_token=USER_TOKEN))
        session.execute(update(BotInstallation).values(bot_token=BOT_TOKEN))
    rename_app(bellhop, CURRENT, EARLIER)


def queued(bellhop: Bellhop) -> list[str]:
    with bellhop.services.database.reading() as session:
        return sorted(session.scalars(select(TokenRevocation.token)))


def installed(bellhop: Bellhop) -> list[str]:
    """Return the apps of the remaining rows of bots and people."""
    with bellhop.services.database.reading() as session:
        bots = session.scalars(select(BotInstallation.client_id)).all()
        people = session.scalars(select(UserInstallation.client_id)).all()
    return sorted([*bots, *people])


def unlink(bellhop: Bellhop) -> None:
    stored = bellhop.services.installations.find(enterprise_id=None, team_id=ACME, user_id=ANN)
    assert stored is not None
    bellhop.services.lifecycle.profiles.unlink(stored)


def take_token_back(bellhop: Bellhop) -> None:
    bellhop.slack.revoke_tokens(ACME, users=[ANN])
    bellhop.settle()


def uninstall(bellhop: Bellhop) -> None:
    bellhop.slack.uninstall(ACME)
    bellhop.settle()


@pytest.fixture
def browser(bellhop: Bellhop) -> Browser:
    """Ann's browser, signed in with the earlier app; Ann and Ben use the current one."""
    browser, _ = bellhop.install(ANN)
    replace_app(bellhop)
    bellhop.install(BEN)
    bellhop.install(ANN)
    return browser


@pytest.mark.parametrize("leave", [unlink, take_token_back, uninstall])
def test_its_link_ends_with_the_current_one(
    bellhop: Bellhop, browser: Browser, leave: Callable[[Bellhop], None]
) -> None:
    leave(bellhop)

    assert USER_TOKEN in queued(bellhop)
    assert (BOT_TOKEN in queued(bellhop)) is (leave is uninstall)
    # The bot of the earlier app serves everyone, so it stays when one person leaves.
    remaining = [] if leave is uninstall else [CURRENT, CURRENT, EARLIER]
    assert installed(bellhop) == remaining
    bellhop.services.revocations.revoke_pending()
    bellhop.settle()  # Slack reports the revocations
    tidied(bellhop)
    bellhop.services.background.shutdown()
    assert queued(bellhop) == []
    assert traces(bellhop, ANN, "ann@acme.example") == {}

    rename_app(bellhop, CURRENT, "333.333")
    rename_app(bellhop, EARLIER, CURRENT)
    assert not can_see_profile(browser)


def test_its_link_ends_when_a_person_without_profile_is_deactivated(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    replace_app(bellhop)
    bellhop.install(BEN)
    with bellhop.services.database.writing() as session:
        ann = session.scalars(select(User).where(User.user_id == ANN)).one()
        session.delete(ann)

    bellhop.slack.update_user(ANN, deleted=True)
    bellhop.settle()

    assert queued(bellhop) == [USER_TOKEN]
    assert traces(bellhop, USER_TOKEN, ANN) == {}


def test_its_link_in_a_workspace_ends_with_the_one_of_the_organization(bellhop: Bellhop) -> None:
    """North has a separate bot, which stays."""
    sign_in(bellhop, NORTH)
    replace_app(bellhop)
    sign_in(bellhop, None)
    bellhop.settle()
    bellhop.services.store.save_bot(_bot_of_north(bellhop))

    uninstall_organization(bellhop, [WES], "app_uninstalled")
    bellhop.services.background.shutdown()

    assert traces(bellhop, WES) == {}
    assert installed(bellhop) == [CURRENT, EARLIER]


def _bot_of_north(bellhop: Bellhop) -> Bot:
    return Bot(
        bot_token="xoxb-north",
        bot_id="B0TESTS001",
        bot_user_id="U0TESTS001",
        enterprise_id=GRID,
        team_id=NORTH,
        installed_at=bellhop.clock.timestamp(),
    )
