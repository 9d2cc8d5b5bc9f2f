"""Messages of known senders, as people see them in a channel; the pictures of docs/senders."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import OpenPage, take_picture
from tests.notifications.hand import Hand
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop
from tests.senders.fixtures import fixture
from tests.web.calling import request

pytestmark = pytest.mark.sqlite_only

SHOWN = {
    "alertmanager": ("firing_two", "DiskFull (2 firing)"),
    "cloudevents": ("structured", "example.acme.order.failed"),
    "github": ("workflow_run_failed", "CI #562: failure"),
    "gitlab": ("pipeline_failed", "Pipeline #31: failed"),
    "grafana": ("firing", "High latency"),
    "sentry": ("issue_alert", "PaymentTimeout: no answer after 10 s"),
    "slack": ("firing", "DiskFull is firing"),
}


@pytest.mark.parametrize("sender", SHOWN)
def test_the_message_of_a_sender(bellhop: Bellhop, open_page: OpenPage, sender: str) -> None:
    bellhop.install(ANN)
    name, title = SHOWN[sender]
    one = fixture(sender, name)
    url = bellhop.services.webhooks.create(ACME, sender, [GENERAL])
    assert request("POST", url, one.raw, one.headers).text == "ok"
    Hand(bellhop).deliver()

    page = open_page(width=900, height=560)
    page.goto(f"{bellhop.slack_url}/client/{ACME}/{GENERAL}?as={ANN}")

    expect(page.get_by_text(title).first).to_be_visible()
    take_picture(page, sender)
