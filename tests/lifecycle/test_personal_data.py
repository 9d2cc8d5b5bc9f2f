"""The personal data export."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from tests.lifecycle.test_deletion import delivered, leave_traces, needles, traces
from tests.notifications.hand import accept
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop, Browser
from tests.web.forms import follow, send_form

pytestmark = pytest.mark.sqlite_only

# Columns that may contain a person, and their subject in the export.
SUBJECTS = {
    "users": "profile",
    "memberships": "workspaces",
    "installations": "grants",
    "preferences": "preferences",
    "home_tabs": "home_tabs",
    "subscriptions": "subscriptions",
    "api_keys": "api_keys",
    "webhooks": "webhooks",
    "incidents": "incidents",
    "lanes": "received",
    "deliveries": "received",
    "notifications": "sent",
}
# Callbacks repeat an incident for its sender; idempotency keys are kept for a day.
REPEATED = {"callbacks", "idempotency_keys"}


def data_of(browser: Browser) -> dict[str, list[dict[str, Any]]]:
    answer = browser.get("/profile/data")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert "bellhop-data.json" in str(answer.headers["Content-Disposition"])
    found: dict[str, list[dict[str, Any]]] = answer.json()
    return found


def test_every_table_that_names_a_person_is_in_it(bellhop: Bellhop) -> None:
    bellhop.begin(leave_traces)
    browser, _ = bellhop.install(ANN, query="?only=profile")

    data = data_of(browser)

    tables = traces(bellhop, *needles(bellhop)).keys() - REPEATED
    assert tables <= SUBJECTS.keys()
    assert [table for table in tables if not data[SUBJECTS[table]]] == []
    assert data["sessions"]
    assert data["security_events"]


def test_it_has_no_secrets_and_nothing_of_others(bellhop: Bellhop) -> None:
    bellhop.begin(leave_traces)
    accept(bellhop, BEN, "for Ben alone")
    browser, _ = bellhop.install(ANN, query="?only=profile")

    text = json.dumps(data_of(browser))

    assert "Ann Archer" in text
    for secret in ("xoxb-", "xoxp-", "secret", "token"):
        assert secret not in text
    for other in ("Ben Baker", "ben@acme.example", "for Ben alone"):
        assert other not in text


def test_what_has_not_arrived_is_not_in_it(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    browser, _ = bellhop.install(BEN)
    bellhop.services.subscriptions.subscribe(ACME, BEN, SubscriptionSpec("payroll"))
    later = str((bellhop.clock() + timedelta(days=1)).isoformat())
    withdrawn = accept(bellhop, BEN, "Withdrawn", send_at=later)
    bellhop.services.history.cancel(ACME, withdrawn)
    accept(bellhop, BEN, "A surprise", send_at=later)
    accept(bellhop, "topic:payroll", "Salaries", send_at=later)
    escalate = {"to": BEN, "after": 600}
    accept(bellhop, GENERAL, "Disk full", actions=["acknowledge"], escalate=escalate)
    accept(bellhop, BEN, "Arrived")
    delivered(bellhop)

    assert received(browser) == ["Arrived"]
    bellhop.clock.advance(600)
    delivered(bellhop)
    assert received(browser) == ["Arrived", "Disk full"]


@pytest.mark.parametrize("is_restricted", [True, False])
def test_what_a_digest_covers_is_in_it_once_the_digest_arrived(
    bellhop: Bellhop, is_restricted: bool
) -> None:
    bellhop.install(ANN)
    browser, _ = bellhop.install(BEN)
    hourly = Schedule.read("hourly", "UTC")
    bellhop.services.subscriptions.subscribe(ACME, BEN, SubscriptionSpec("payroll", digest=hourly))
    for text in ("One", "Two"):
        accept(bellhop, "topic:payroll", text)
    assert received(browser) == []

    bellhop.slack.users[BEN].is_restricted = is_restricted
    bellhop.clock.advance(3600)
    delivered(bellhop)

    assert received(browser)[1:] == ([] if is_restricted else ["Two", "One"])
    assert bool(received(browser)) is not is_restricted


def received(browser: Browser) -> list[str]:
    """Return the texts that a person received, the latest first."""
    return [str(one["content"].get("text")) for one in data_of(browser)["received"]]


class TestSize:
    """What `tests/notifications/test_bounded_contents.py` does not test."""

    def test_long_fields_are_left_out(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        browser, _ = bellhop.install(BEN)
        fields = [{"name": "漢" * 200, "value": "字" * 1500} for _ in range(50)]
        accept(bellhop, BEN, "Large", fields=fields)
        delivered(bellhop)

        assert [one["content"] for one in data_of(browser)["received"]] == [{"text": "Large"}]

    def test_characters_are_themselves(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        browser, _ = bellhop.install(BEN)
        accept(bellhop, BEN, "漢字 🔔")
        delivered(bellhop)

        assert "漢字 🔔" in browser.get("/profile/data").text

    def test_a_person_has_one_export_at_a_time(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        browser, _ = bellhop.install(BEN)
        stored = bellhop.services.installations.find(enterprise_id=None, team_id=ACME, user_id=BEN)
        assert stored is not None

        with bellhop.services.exports.enter(str(stored.id)) as has_room:
            assert has_room
            refused = browser.get("/profile/data")

        assert (refused.status, refused.headers["Retry-After"]) == (503, "60")
        assert browser.get("/profile/data").status == 200


def test_a_person_unlinks_on_the_page_where_no_bot_could_be_asked(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(BEN, query="?only=profile")
    stored = bellhop.services.installations.find(enterprise_id=None, team_id=ACME, user_id=BEN)
    assert stored is not None
    assert stored.bot_token is None

    home = follow(browser, send_form(browser, "/profile/unlink"))

    assert "Your profile is unlinked" in home.text
    assert "Your profile is unlinked" not in browser.get("/").text
    assert browser.get("/profile").location.endswith("/")
    bellhop.settle()
    assert traces(bellhop, "Ben Baker", "ben@acme.example", BEN) == {}


def test_unlinking_needs_the_form_of_this_session(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)

    assert browser.post("/profile/unlink", {"csrf_token": "guessed"}).status == 400
    assert "Ann Archer" in browser.get("/profile").text
