"""API keys and webhooks in the App Home of an admin."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import OpenPage, Shoot
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only


def test_an_admin_creates_and_revokes_a_key_and_a_webhook(
    bellhop: Bellhop, open_page: OpenPage, shoot: Shoot
) -> None:
    bellhop.install(ANN)
    bellhop.services.api_keys.create(ACME, "monitoring", channels=["#ops", "topic:deploys"])
    bellhop.services.webhooks.create(ACME, "Alertmanager", [GENERAL])
    page = open_page()
    page.goto(f"{bellhop.slack_url}/client/{ACME}/app?as={ANN}&tab=home")
    heading = page.get_by_text("API keys and webhooks")
    expect(heading).to_be_visible()
    heading.scroll_into_view_if_needed()
    page.get_by_text("Only admins see this section").scroll_into_view_if_needed()
    shoot(page, "keys-home")

    page.get_by_role("button", name="New API key…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("ci")
    dialog.get_by_label("Only to").fill("ops")
    shoot(page, "keys-form")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog).to_contain_text("is not a recipient")
    shoot(page, "keys-form-wrong")
    dialog.get_by_label("Only to").fill("#ops")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog).to_contain_text("bh_")
    shoot(page, "keys-secret")
    dialog.get_by_role("button", name="Close").last.click()
    expect(page.get_by_text("API key ci: send, only to")).to_be_visible()

    page.get_by_role("button", name="New webhook…").click()
    expect(page.get_by_label("Key field")).to_be_visible()
    shoot(page, "webhooks-form")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_label("Key field")).to_be_hidden()

    page.get_by_role("button", name="Revoke").first.click()
    expect(page.get_by_text("Revoke this API key?")).to_be_visible()
    shoot(page, "keys-confirm")
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("Requests that use it are now rejected")).to_be_visible()
    page.get_by_text("Requests that use it are now rejected").scroll_into_view_if_needed()
    shoot(page, "keys-revoked")
    assert [one.revoked_by for one in bellhop.services.api_keys.of_team(ACME)] == [None, ANN]
