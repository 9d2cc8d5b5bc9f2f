"""Subscriptions as a person sees them in a channel."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import OpenPage, Shoot
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only

RANDOM = "C0ACME0002"


def say(page: Page, words: str) -> None:
    composer = page.get_by_label("Message #general")
    composer.fill(words)
    composer.press("Enter")


def test_a_person_subscribes_mutes_and_undoes(
    bellhop: Bellhop, open_page: OpenPage, shoot: Shoot
) -> None:
    bellhop.install(ANN)
    for title, severity in (("Build 41 is out", "success"), ("Build 42 failed", "error")):
        accept(bellhop, ["topic:deploys", RANDOM], title=title, severity=severity)
    page = open_page()
    page.goto(f"{bellhop.slack_url}/client/{ACME}/{GENERAL}?as={ANN}")

    say(page, "/notify subscrib deploys")
    expect(page.get_by_text("Did you mean")).to_be_visible()
    say(page, "/notify subscribe deploys severity>=error mode=thread")
    expect(page.get_by_text("would have been delivered")).to_be_visible()
    shoot(page, "notify-subscribe")

    accept(bellhop, "topic:deploys", title="Build 43 failed", severity="error", key="build")
    Hand(bellhop).deliver()
    expect(page.get_by_text("Build 43 failed")).to_be_visible()

    say(page, "/notify list")
    page.get_by_label("More actions").click()
    expect(page.get_by_role("button", name="Unsubscribe")).to_be_in_viewport(ratio=1)
    shoot(page, "notify-list")

    say(page, "/notify mute 2h")
    expect(page.get_by_text("Notifications until then are not delivered later.")).to_be_visible()
    page.get_by_role("button", name="Undo").last.click()
    expect(page.get_by_text("undid the change")).to_be_visible()
    say(page, "/notify help")
    expect(page.get_by_text("Commands, in a channel")).to_be_visible()
    shoot(page, "notify-help")

    [one] = bellhop.services.subscriptions.of_address(ACME, GENERAL)
    assert one.spec.muted_until is None
