"""Warnings of a connection to a stand-in for Slack, in the log and on pages."""

from __future__ import annotations

import json

import pytest

from bolt_app.application import create_app
from bolt_app.worker import create_worker
from tests.people import ACME, ANN
from tests.running import Bellhop, settings_for

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
WARNING = "Not connected to Slack."


@pytest.mark.parametrize("path", ["/", "/profile", "/nowhere", "/slack/oauth_redirect"])
def test_every_page_shows_the_warning(bellhop: Bellhop, path: str) -> None:
    browser, _ = bellhop.install(ANN)
    page = browser.get(path)

    assert WARNING in page.text
    assert bellhop.slack_url in page.text


def test_app_home_shows_the_warning_first(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    bellhop.slack.open_home(ANN, ACME)
    bellhop.wait_for_home(ACME, ANN, WARNING)
    view = bellhop.slack.home_view(ACME, ANN)

    assert view is not None
    assert WARNING in json.dumps(view.blocks[0]).replace("*", "")


@pytest.mark.parametrize(
    ("origin", "is_warned"),
    [
        ("https://slack.com", False),
        ("https://slack-gov.com", False),
        ("http://127.0.0.1:3100", True),
        ("https://slack.com.evil.example", True),
    ],
)
def test_the_log_and_the_pages_warn_of_anything_but_slack(
    database_url: str,
    encryption_key: str,
    caplog: pytest.LogCaptureFixture,
    origin: str,
    is_warned: bool,
) -> None:
    app = create_app(settings_for("https://bell.acme.test", origin, database_url, encryption_key))
    page = app.test_client().get("/").text
    create_worker(app.extensions["bellhop"])
    app.extensions["bellhop"].close()

    assert ("connected to a stand-in" in caplog.text) is is_warned
    assert (WARNING in page) is is_warned
