"""Large contents: few are read at once, and lists read only summaries."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text

import bolt_app
from bolt_app.credentials.sources import person_source
from bolt_app.db import Database
from bolt_app.db.content import BEGINNING, SHORT, UNREADABLE, content_summary
from bolt_app.db.models import Notification
from bolt_app.lifecycle import personal_data
from bolt_app.notifications.content.ids import new_id
from bolt_app.notifications.content.schema import DEEPEST, VALUES, NotificationRequest
from bolt_app.notifications.content.summaries import headline
from bolt_app.notifications.history import store as history
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.subscriptions import previews
from bolt_app.notifications.subscriptions.previews import Previews
from tests.conftest import FakeClock
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop
from tests.web.calling import NOTIFICATIONS, caller, put_bot, request

# A sixteenth of what versions before accepted: 1 MiB of JSON that takes 25 times as much in memory.
SHARE = 16
LARGE: dict[str, Any] = {"text": "Large", "attachments": [{"x": [[]] * (345_000 // SHARE)}]}


def put(database: Database, clock: FakeClock, *contents: dict[str, Any]) -> None:
    """Store notifications to a topic as they are, one per millisecond."""
    with database.writing() as session:
        for content in contents:
            clock.advance(0.001)
            row = {"id": new_id(clock()), "team_id": ACME, "source": "command", "topics": "deploys"}
            session.execute(insert(Notification).values(**row, content=content, created_at=clock()))


class TestAccepting:
    @pytest.mark.parametrize("name", ["blocks", "attachments"])
    def test_the_values_of_a_content_are_limited(self, bellhop: Bellhop, name: str) -> None:
        ci = caller(bellhop)
        # The lists of both, two objects and the list in one of them count too.
        most = {"to": "topic:x", "text": "x", name: [{"type": "x", "y": [0] * (VALUES - 5)}]}
        over = {"to": "topic:x", "text": "x", name: [{"type": "x", "y": [0] * (VALUES - 4)}]}

        assert ci.send(most).status == 202
        answer = ci.send(over)

        assert answer.status == 422, answer.text
        assert [one["field"] for one in answer.json()["errors"]] == [name]
        assert f"{VALUES:,} values" in answer.json()["errors"][0]["detail"]

    def test_so_is_their_depth(self, bellhop: Bellhop) -> None:
        ci = caller(bellhop)
        most: Any = "x"
        for _ in range(DEEPEST):
            most = {"x": most}

        assert ci.send({"to": "topic:x", "text": "x", "blocks": [most]}).status == 202
        answer = ci.send({"to": "topic:x", "text": "x", "blocks": [{"x": most}]})

        assert answer.status == 422, answer.text
        assert f"{DEEPEST} deep" in answer.json()["errors"][0]["detail"]

    def test_webhooks_have_the_same_limits(self, bellhop: Bellhop) -> None:
        put_bot(bellhop)
        hooks = bellhop.services.webhooks
        slack, auto = (hooks.create(ACME, "", ["#ops"], sender=one) for one in ("slack", "auto"))
        payload = json.dumps({"text": "x", "attachments": [{"x": [[]] * VALUES}]}).encode()

        answer = request("POST", slack, payload)

        assert (answer.status, answer.text) == (400, "invalid_payload")
        # Another webhook delivers what is most telling, in a small content.
        assert request("POST", auto, payload).status == 200
        with bellhop.services.database.reading() as session:
            assert session.scalars(select(Notification.content)).all() == [{"text": "x"}]


def test_a_page_of_the_api_has_few_large_contents(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "PAGE_CHARACTERS", history.PAGE_CHARACTERS // SHARE)
    put(bellhop.services.database, bellhop.clock, *[LARGE] * 4, {"text": "Small"})
    ci, seen, cursor = caller(bellhop), [], ""

    for _ in range(10):
        page = ci.get(f"{NOTIFICATIONS}?limit=50{cursor}")
        assert len(page.text) < 2 * history.PAGE_CHARACTERS
        seen += [one["content"]["text"] for one in page.json()["notifications"]]
        if page.json()["next_cursor"] is None:
            break
        cursor = f"&cursor={page.json()['next_cursor']}"

    assert seen == ["Small", *["Large"] * 4]


def test_a_page_shows_at_least_one_whatever_its_size(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "PAGE_CHARACTERS", 1)
    put(bellhop.services.database, bellhop.clock, {"text": "One"}, {"text": "Two"})

    page = caller(bellhop).get(NOTIFICATIONS).json()

    assert [one["content"]["text"] for one in page["notifications"]] == ["Two"]
    assert page["next_cursor"] is not None


def test_a_page_of_the_api_has_few_deliveries(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notification to a topic has as many as the topic has subscribers."""
    monkeypatch.setattr(history, "PAGE_DELIVERIES", 5)
    ci = caller(bellhop)
    for title, count in (("One", 2), ("Two", 7), ("Three", 2), ("Four", 3)):
        assert ci.send({"to": [f"#c-{n}" for n in range(count)], "text": title}).status == 202
        bellhop.clock.advance(1)
    pages: list[list[str]] = []
    cursor = ""

    while len(pages) < 5:
        page = ci.get(f"{NOTIFICATIONS}?limit=50{cursor}").json()
        pages.append([one["content"]["text"] for one in page["notifications"]])
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert pages == [["Four", "Three"], ["Two"], ["One"]]


def test_failed_notifications_are_read_in_part(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each App Home of a workspace reads them whenever one more has failed."""
    bellhop.install(ANN)
    layout = [{"type": "section", "text": {"type": "plain_text", "text": "x" * SHORT}}]
    for title in ("One", "Two", "Three"):
        accept(bellhop, ["#nowhere", GENERAL, "#no-place"], title=title, blocks=layout)
        bellhop.clock.advance(1)
    Hand(bellhop).deliver()
    monkeypatch.setattr(history, "PAGE_DELIVERIES", 5)

    found = bellhop.services.history.failed(ACME, 10)

    assert [one.content for one in found] == [{"title": "Three"}, {"title": "Two"}]
    assert {tuple(to.to for to in one.deliveries) for one in found} == {("#nowhere", "#no-place")}


class TestSummaries:
    def test_it_has_the_parts_that_lists_show(self, database: Database, clock: FakeClock) -> None:
        said = {
            "severity": "error",
            "title": "T",
            "link": "https://example.com/",
            "fields": [{"name": "service", "value": "api"}],
            "mrkdwn": False,
            "format": "markdown",
            "derived": {"severity": "error"},
        }
        long = said | {"text": "é" * (BEGINNING + 1), "blocks": [{"type": "divider"}]}
        put(database, clock, long, {"text": "x", "mentions": []}, {"link_names": True})

        assert summaries(database) == [
            said | {"text": "é" * BEGINNING},
            {"text": "x"},
            {"text": UNREADABLE},
        ]

    def test_it_keeps_a_short_layout_with_all_the_text(
        self, database: Database, clock: FakeClock
    ) -> None:
        blocks = {"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "Said"}}]}
        attachments = {"text": " ", "attachments": [{"fallback": "Said"}]}
        long = {"mrkdwn": True, "attachments": [{"fallback": "x" * SHORT}]}
        put(database, clock, blocks, attachments, blocks | {"title": "T"}, long)

        found = summaries(database)

        assert found == [blocks, attachments, {"title": "T"}, {"mrkdwn": True}]
        assert [headline(one) for one in found] == ["Said", "Said", "T", "A notification"]

    def test_it_keeps_no_long_member(self, database: Database, clock: FakeClock) -> None:
        fields = [{"name": "service", "value": "x" * SHORT}]
        derived = {"severity": "error", "title": "T", "fields": fields}
        put(
            database,
            clock,
            {"text": "One", "fields": fields},
            {"text": "Two", "derived": derived},
            {"text": "Three", "title": "x" * SHORT, "link": "x" * SHORT},
        )

        assert summaries(database) == [
            {"text": "One"},
            {"text": "Two", "derived": {"severity": "error", "title": "T"}},
            {"text": "Three"},
        ]

    def test_an_unreadable_content_is_marked(self, database: Database, clock: FakeClock) -> None:
        for content in ({"a": "b"}, {"c": "d"}):
            put(database, clock, content)
        with database.writing() as session:
            session.execute(text("UPDATE notifications SET content = '[1]'"))

        assert summaries(database) == [{"text": UNREADABLE}] * 2


def test_nothing_else_reads_contents_whole() -> None:
    """A module that reads several contents at once reads summaries, or limits their size."""
    whole = re.compile(r"(?<![(\w])Notification\.content\b")
    root = Path(bolt_app.__file__).parent
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if whole.search(path.read_text(encoding="utf-8"))
    }

    assert found == {
        "notifications/history/statistics.py",  # within a statement that reads their summaries
        "notifications/history/store.py",  # a page of `PAGE_CHARACTERS`
        "notifications/incidents/messages.py",  # one
        "notifications/delivery/attempts.py",  # what is being sent
    }


def test_a_preview_reads_a_limited_number_of_characters(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "MOST_CHARACTERS", 150)
    put(database, clock, *[{"title": f"{number}" * 40} for number in range(1, 6)])

    preview = Previews(database, clock=clock).recent(ACME).preview("deploys", "", list)

    assert [one.headline[0] for one in preview.examples] == ["5", "4"]


def test_a_data_export_has_a_limited_number_of_characters(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personal_data, "MOST_CHARACTERS", 250)
    bellhop.install(ANN)
    browser, _ = bellhop.install(BEN)
    for text_ in ("One", "Two", "Three"):
        request_ = NotificationRequest.model_validate({"to": BEN, "text": text_.ljust(90, ".")})
        bellhop.services.intake.submit(Sender(ACME, person_source(BEN)), [request_])
        bellhop.clock.advance(5)
        Hand(bellhop).deliver()

    data = browser.get("/profile/data").json()

    for name in ("received", "sent"):
        assert [one["content"]["text"][:3] for one in data[name]] == ["Thr", "Two"]


def summaries(database: Database) -> list[Any]:
    """Return the summaries of all contents, the oldest first."""
    statement = select(content_summary(Notification.content)).order_by(Notification.id)
    with database.reading() as session:
        return list(session.scalars(statement))
