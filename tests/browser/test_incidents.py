"""An incident as people see it in a channel."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import OpenPage, Shoot
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only

RANDOM = "C0ACME0002"


def test_a_person_answers(bellhop: Bellhop, open_page: OpenPage, shoot: Shoot) -> None:
    bellhop.install(ANN)
    actions = ["acknowledge", "assign", "resolve", "snooze", "mute"]
    fields = [{"name": "Host", "value": "db1"}, {"name": "Free", "value": "1 %"}]
    accept(
        bellhop,
        GENERAL,
        "The disk of *db1* is at 99 %.",
        title="Disk full",
        severity="critical",
        fields=fields,
        actions=actions,
    )
    Hand(bellhop).deliver()
    page = open_page()
    page.goto(f"{bellhop.slack_url}/client/{ACME}/{GENERAL}?as={ANN}")
    expect(page.get_by_role("button", name="Acknowledge")).to_be_visible()
    shoot(page, "incident-open")

    for button, words in (("Acknowledge", "Acknowledged by"), ("Resolve", "Resolved by")):
        bellhop.clock.advance(5)
        page.get_by_role("button", name=button).click()
        # The click is answered over HTTP before anything waits.
        for _ in range(300):
            if Hand(bellhop).deliver():
                break
            bellhop.slack.wait_for_change(bellhop.slack.version, 0.1)
        expect(page.get_by_text(words)).to_be_visible()
        shoot(page, f"incident-{button.lower()}d")


def test_nobody_answers(bellhop: Bellhop, open_page: OpenPage, shoot: Shoot) -> None:
    bellhop.install(ANN)
    accept(
        bellhop,
        GENERAL,
        "The disk of *db1* is at 99 %.",
        title="Disk full",
        severity="critical",
        actions=["acknowledge", "snooze"],
        mentions=["@ben@acme.example"],
        escalate={"after": 120, "to": RANDOM},
    )
    Hand(bellhop).deliver()
    message = bellhop.slack.messages(GENERAL)[-1]
    bellhop.slack.select_option(ANN, message, "incident.snooze", "30")
    for _ in range(3):
        bellhop.clock.advance(31 * 60)
        Hand(bellhop).deliver()
    page = open_page()

    page.goto(f"{bellhop.slack_url}/client/{ACME}/{GENERAL}?as={ANN}")
    page.get_by_text("1 reply").first.click()
    expect(page.get_by_text("The snooze is over")).to_be_visible()
    shoot(page, "incident-snooze-over")
    page.goto(f"{bellhop.slack_url}/client/{ACME}/{RANDOM}?as={ANN}")
    expect(page.get_by_text("No answer yet: Disk full")).to_be_visible()
    shoot(page, "incident-escalated")
