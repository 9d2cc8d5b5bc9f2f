"""Error replies to people, for every kind of request."""

from __future__ import annotations

from typing import Any

import pytest

from bolt_app.slack import ids
from slack_sandbox import Fault
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only

SENTENCE = "Slack had an internal error"


def broken(method: str) -> Fault:
    return Fault(method, "api_error", times=1, error="fatal_error")


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    bellhop.slack.open_home(ANN, ACME)
    bellhop.slack.deliver_due()
    return bellhop


def test_an_error_of_a_message_button_is_shown(installed: Bellhop) -> None:
    shown = installed.slack.send_command(ANN, GENERAL, "/profile", "").message
    assert shown is not None
    installed.slack.faults.add(broken("users.info"))

    assert installed.slack.click(ANN, shown, ids.REFRESH_PROFILE).error is None

    installed.wait_for_ephemeral(ANN, SENTENCE)


def test_an_error_of_a_home_button_is_shown(installed: Bellhop) -> None:
    view = installed.slack.home_view(ACME, ANN)
    assert view is not None
    installed.slack.faults.add(broken("views.open"))

    assert installed.slack.click(ANN, view, ids.HOME_SUBSCRIBE).error is None

    installed.wait_for_home(ACME, ANN, SENTENCE)


def test_an_error_of_a_modal_is_shown(installed: Bellhop) -> None:
    view = installed.slack.home_view(ACME, ANN)
    assert view is not None
    installed.slack.click(ANN, view, ids.NEW_API_KEY)
    modal = installed.slack.open_modal(ANN)
    assert modal is not None
    installed.slack.faults.add(broken("users.info"))

    values: dict[str, dict[str, Any]] = {"name": {"value": "ci"}}
    result = installed.slack.submit_view(ANN, modal.id, values)

    assert result.error is None
    assert SENTENCE in result.errors["name"]
    assert installed.slack.submit_view(ANN, modal.id, values).errors == {}


def test_a_removed_installation_is_reported(installed: Bellhop) -> None:
    shown = installed.slack.send_command(ANN, GENERAL, "/profile", "").message
    assert shown is not None
    with installed.services.database.writing_connection() as connection:
        connection.exec_driver_sql("DELETE FROM bots")
        connection.exec_driver_sql("DELETE FROM installations")
        connection.exec_driver_sql("UPDATE installation_revisions SET revision = revision + 1")

    installed.slack.click(ANN, shown, ids.REFRESH_PROFILE)

    installed.wait_for_ephemeral(ANN, "no longer works")
