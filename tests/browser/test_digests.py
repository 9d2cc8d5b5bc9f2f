"""A digest as a person sets it and reads it in a channel."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import OpenPage, Shoot
from tests.browser.test_subscriptions import say
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only


def test_a_person_chooses_and_reads_one(
    bellhop: Bellhop, open_page: OpenPage, shoot: Shoot
) -> None:
    bellhop.install(ANN)
    page = open_page()
    page.goto(f"{bellhop.slack_url}/client/{ACME}/{GENERAL}?as={ANN}")

    say(page, "/notify subscribe deploys/*")
    expect(page.get_by_text("subscribed this channel")).to_be_visible()
    say(page, "/notify digest dayly 9")
    expect(page.get_by_text("Enter how often")).to_be_visible()
    say(page, "/notify digest deploys/* hourly")
    expect(page.get_by_text("set a digest")).to_be_visible()
    say(page, "/notify list")
    expect(page.get_by_text("digest every hour")).to_be_visible()
    shoot(page, "digest-chosen")

    for number in range(14):
        accept(bellhop, "topic:deploys/web", title=f"Web build {number} is out", severity="success")
    link = "https://ci.example.com/api/43"
    accept(bellhop, "topic:deploys/api", title="API build 43 failed", severity="error", link=link)
    accept(bellhop, "topic:deploys/api", title="API build 42 is slow", severity="warning")
    bellhop.clock.advance(3600)
    Hand(bellhop).deliver()

    expect(page.get_by_text("Digest: 16 notifications")).to_be_visible()
    expect(page.get_by_role("link", name="API build 43 failed")).to_be_visible()
    expect(page.get_by_text("… and 4 more")).to_be_visible()
    shoot(page, "digest")
