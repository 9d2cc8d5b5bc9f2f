"""The main flow of a person: install, say hello, `/profile`, unlink."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import OpenPage, Shoot
from tests.people import ACME, ANN
from tests.running import Bellhop


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (380, "dark")])
def test_a_person_installs_sees_their_profile_and_unlinks(
    bellhop: Bellhop, open_page: OpenPage, shoot: Shoot, scheme: str, width: int
) -> None:
    page = open_page(scheme=scheme, width=width)
    look = f"{scheme}-{width}"

    page.goto(bellhop.url)
    shoot(page, f"home-{look}")
    page.get_by_role("link", name="Add to Slack").first.click()
    expect(page.get_by_text("This is not Slack.")).to_be_visible()
    page.get_by_label("Ann Archer").first.check()
    shoot(page, f"authorize-{look}")
    page.get_by_role("button", name="Allow").click()

    expect(page.get_by_role("heading", name="Ann Archer")).to_be_visible()
    expect(page.get_by_text("ann@acme.example")).to_be_visible()
    shoot(page, f"profile-{look}")

    page.get_by_label("#general").check()
    page.get_by_role("button", name="Say hello").click()
    expect(page.get_by_role("status")).to_contain_text("Bellhop said hello")
    page.get_by_role("link", name="See it in Slack").click()
    expect(page.get_by_text("asked me to post")).to_be_visible()
    shoot(page, f"welcome-{look}")

    composer = page.get_by_label("Message #general")
    composer.fill("/profile")
    composer.press("Enter")
    only_mine = page.locator(".ephemeral")
    expect(only_mine.get_by_text("ann@acme.example")).to_be_visible()
    shoot(page, f"command-{look}")

    only_mine.get_by_role("button", name="Unlink").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Bellhop deletes your personal data")
    shoot(page, f"unlink-{look}")
    dialog.get_by_role("button", name="Unlink").click()
    expect(page.get_by_text("Your profile is unlinked")).to_be_visible()

    assert bellhop.services.profiles.find(ACME, ANN) is None
