"""The page of a webhook in a browser: an admin writes its template."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import OpenPage, Shoot
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop
from tests.senders.test_bodies import post
from tests.senders.test_templates import BODY, TEMPLATE
from tests.senders.test_webhooks import accepted

pytestmark = pytest.mark.sqlite_only


def test_an_admin_writes_a_template(bellhop: Bellhop, open_page: OpenPage, shoot: Shoot) -> None:
    bellhop.install(ANN)
    url = bellhop.services.webhooks.create(ACME, "Backups", [GENERAL])
    post(url, BODY)
    page = open_page()

    page.goto(f"{bellhop.url}/webhooks/1")
    page.get_by_role("link", name="Sign in with").click()
    page.get_by_label("Ann Archer").first.check()
    page.get_by_role("button", name="Allow").click()
    page.get_by_text("Message 1").last.click()
    expect(page.get_by_text("unknown format")).to_be_visible()
    page.get_by_role("textbox", name="Template").fill("{{ body. }}")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("alert")).to_contain_text("The template failed: line 1")
    shoot(page, "webhook-problem")
    page.get_by_role("textbox", name="Template").fill(TEMPLATE)
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("article", name="Preview")).to_contain_text("1 % is <free>")
    shoot(page, "webhook-preview")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("saved")
    post(url, BODY)

    assert accepted(bellhop)[1][1] == "hook:1|disk/db1"
