"""The page of a notification in a browser, light and dark, wide and narrow."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from bolt_app.notifications.incidents.blocks import IncidentAnswer
from tests.browser.chromium import OpenPage, Shoot
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only


def test_a_person_signs_in_to_see_a_notification(
    bellhop: Bellhop, open_page: OpenPage, shoot: Shoot
) -> None:
    bellhop.install(ANN)
    id_ = accept(
        bellhop,
        [GENERAL, "#old-news", "#nowhere-to-be-found", BEN],
        "The disk of *db1* is at 99 %, says <@U0ANN00001>. "
        "See <https://runbooks.example/disk|the runbook>:\n"
        "> First, do not panic.\n```\ndf -h /var\nrm -rf /var/cache/*\n```",
        title="Disk full on db1.eu-north-1.compute.internal.example.com",
        severity="critical",
        fields=[{"name": "Host", "value": "db1"}, {"name": "Free", "value": "1 %"}],
        rows=[["Path", "Size", "Minutes"], ["/var/lib/postgresql/16/main/base", "700 GB", "3,100"]],
        actions=["acknowledge"],
        key="disk/db1",
    )
    for _ in range(3):
        Hand(bellhop).deliver()
        bellhop.clock.advance(5)
    bellhop.services.incidents.answer(ACME, id_, ANN, IncidentAnswer.ACKNOWLEDGE)
    page = open_page()

    page.goto(f"{bellhop.url}/notifications/{id_}")
    expect(page.get_by_role("heading", name="Sign in to see this notification")).to_be_visible()
    shoot(page, "notification-sign-in")
    page.get_by_role("link", name="Sign in with").click()
    page.get_by_label("Ann Archer").first.check()
    page.get_by_role("button", name="Allow").click()

    expect(page).to_have_url(f"{bellhop.url}/notifications/{id_}")
    expect(page.get_by_text("Also sent to 1 other destination that you cannot see")).to_be_visible()
    for name in ("Path", "Size", "Minutes"):
        cell = page.get_by_role("columnheader", name=name).bounding_box()
        assert cell is not None
        assert cell["height"] < 45, f"{name} is broken into lines"
    shoot(page, "notification")
    page.goto(f"{bellhop.url}/notifications/unknown")
    shoot(page, "notification-missing")


def test_a_person_gets_the_link(bellhop: Bellhop, open_page: OpenPage, shoot: Shoot) -> None:
    bellhop.install(ANN)
    accept(bellhop, GENERAL, "It is green again.", title="Build 42", severity="success")
    Hand(bellhop).deliver()
    page = open_page()
    page.goto(f"{bellhop.slack_url}/client/{ACME}/{GENERAL}?as={BEN}")
    message = page.locator(".message", has_text="Build 42")
    message.hover()
    message.get_by_label("More message actions").click()
    shoot(page, "shortcut-menu")
    message.get_by_role("button", name="Link to notification").click()

    modal = page.get_by_role("dialog")
    expect(modal.get_by_text(f"{bellhop.url}/notifications/")).to_be_visible()
    shoot(page, "shortcut-modal")
    modal.get_by_role("button", name="Close").last.click()
    expect(modal).to_be_hidden()


def test_a_link_to_a_notification_shows_it(
    bellhop: Bellhop, open_page: OpenPage, shoot: Shoot
) -> None:
    bellhop.install(ANN)
    id_ = accept(
        bellhop,
        GENERAL,
        "The disk of *db1* is at 99 %.",
        title="Disk full",
        severity="critical",
        actions=["acknowledge"],
    )
    Hand(bellhop).deliver()
    bellhop.services.incidents.answer(ACME, id_, ANN, IncidentAnswer.ACKNOWLEDGE)
    page = open_page()
    page.goto(f"{bellhop.slack_url}/client/{ACME}/C0ACME0002?as={BEN}")
    composer = page.get_by_label("Message #random")
    composer.fill(f"Who sees to {bellhop.url}/notifications/{id_} please?")
    composer.press("Enter")

    expect(page.get_by_text("Acknowledged by")).to_be_visible()
    shoot(page, "unfurl")
