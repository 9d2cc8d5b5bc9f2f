"""Two accounts of one person in one browser: joined by the person, then signed out."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import OpenPage, Shoot
from tests.people import ACME, ANN, ANN_AT_BETA, BETA
from tests.running import Bellhop

pytestmark = [
    pytest.mark.browser,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


def sign_in(bellhop: Bellhop, page: Page, team_id: str, user_id: str) -> None:
    page.goto(f"{bellhop.url}/slack/install?team={team_id}")
    page.goto(bellhop.slack.authorize(user_id, page.url))


def test_a_person_joins_two_accounts_and_signs_out(
    bellhop: Bellhop, open_page: OpenPage, shoot: Shoot
) -> None:
    page = open_page()
    sign_in(bellhop, page, ACME, ANN)
    sign_in(bellhop, page, BETA, ANN_AT_BETA)

    question = page.get_by_role("region", name="Is this account also yours?")
    expect(question).to_contain_text("Ann Archer in Acme")
    shoot(page, "join")
    question.get_by_role("button", name="Both are mine").click()

    expect(question).to_be_hidden()
    facts = page.locator(".person .facts")
    expect(facts).to_contain_text("Acme")
    expect(facts).to_contain_text("Beta")

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Add to Slack").first).to_be_visible()
    assert page.context.cookies() == []
    page.goto(f"{bellhop.url}/profile")
    expect(page).to_have_url(f"{bellhop.url}/")
