"""Quiet hours and direct notifications as a person chooses them in the App Home."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import OpenPage, Shoot
from tests.people import ACME, ANN
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only


def test_a_person_chooses_at_home(bellhop: Bellhop, open_page: OpenPage, shoot: Shoot) -> None:
    bellhop.install(ANN)
    page = open_page()
    page.goto(f"{bellhop.slack_url}/client/{ACME}/app?as={ANN}&tab=home")
    expect(page.get_by_text("You have no quiet hours.")).to_be_visible()

    page.get_by_role("button", name="Quiet hours and direct notifications…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Hold notifications until quiet hours end").check()
    dialog.get_by_label("Until", exact=True).fill("22:00")
    shoot(page, "preferences-modal")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_contain_text("start and end at the same time")
    dialog.get_by_label("Until", exact=True).fill("06:30")
    dialog.get_by_label("Direct notifications are delivered").select_option("daily")
    dialog.get_by_role("button", name="Save").click()

    expect(page.get_by_text("quiet hours from 22:00 to 06:30").first).to_be_visible()
    page.get_by_role("button", name="Undo").scroll_into_view_if_needed()
    shoot(page, "preferences-chosen")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("You undid the change.")).to_be_visible()
