"""The main flow of a person: install, say hello, `/profile`, unlink."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.chromium import OpenPage, Shoot
from tests.people import ACME, ANN
from tests.running import Bellhop


def test_a_person_installs_sees_their_profile_and_unlinks(
    bellhop: Bellhop, open_page: OpenPage, shoot: Shoot
) -> None:
    page = open_page()

    page.goto(bellhop.url)
    shoot(page, "home")
    page.get_by_role("link", name="Add to Slack").first.click()
    expect(page.get_by_text("This is not Slack.")).to_be_visible()
    page.get_by_label("Ann Archer").first.check()
    shoot(page, "authorize")
    page.get_by_role("button", name="Allow").click()

    expect(page.get_by_role("heading", name="Ann Archer")).to_be_visible()
    expect(page.get_by_text("ann@acme.example")).to_be_visible()
    shoot(page, "profile")

    page.get_by_label("#general").check()
    page.get_by_role("button", name="Say hello").click()
    expect(page.get_by_role("status")).to_contain_text("Bellhop said hello")
    page.get_by_role("link", name="See it in Slack").click()
    expect(page.get_by_text("asked me to post")).to_be_visible()
    shoot(page, "welcome")

    composer = page.get_by_label("Message #general")
    composer.fill("/profile")
    composer.press("Enter")
    only_mine = page.locator(".ephemeral")
    expect(only_mine.get_by_text("ann@acme.example")).to_be_visible()
    shoot(page, "command")

    only_mine.get_by_role("button", name="Unlink").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Bellhop deletes your personal data")
    shoot(page, "unlink")
    dialog.get_by_role("button", name="Unlink").click()
    expect(page.get_by_text("Your profile is unlinked")).to_be_visible()

    assert bellhop.services.profiles.find(ACME, ANN) is None
