"""The App Home as a person sees it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import OpenPage, Shoot
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only


def test_a_person_subscribes_at_home(bellhop: Bellhop, open_page: OpenPage, shoot: Shoot) -> None:
    bellhop.install(ANN)
    for title, severity in (("Build 41 is out", "success"), ("Build 42 failed", "error")):
        accept(bellhop, ["topic:deploys", GENERAL], title=title, severity=severity)
        Hand(bellhop).deliver()
        bellhop.clock.advance(1)
    page = open_page()
    page.goto(f"{bellhop.slack_url}/client/{ACME}/app?as={ANN}&tab=home")

    expect(page.get_by_text("Everything is delivered")).to_be_visible()
    expect(page.get_by_text("ann@acme.example")).to_be_visible()
    shoot(page, "app-home")

    page.get_by_role("button", name="Subscribe…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Topic").fill("deploys")
    dialog.get_by_label("Filter").fill("severity>=eror")
    dialog.get_by_role("button", name="Subscribe").click()
    expect(dialog).to_contain_text("is not a severity")
    shoot(page, "app-home-modal")
    dialog.get_by_label("Filter").fill("severity>=error")
    dialog.get_by_role("button", name="Subscribe").click()

    expect(page.get_by_text("would have been delivered")).to_be_visible()
    shoot(page, "app-home-subscribed")
    [one] = bellhop.services.subscriptions.of_address(ACME, ANN)
    assert one.spec.filter == "severity>=error"
