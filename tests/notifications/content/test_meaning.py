"""Meaning derived from senders' colours, fields and titles."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from bolt_app.db.content import readable_content, stored_severity
from bolt_app.db.models import Notification
from bolt_app.notifications.content.meaning import severity_of, title_of, with_meaning
from bolt_app.notifications.content.states import StateFilter
from bolt_app.notifications.history.search import HistoryQuery
from bolt_app.notifications.subscriptions.filters import facts_of, parse_filter
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.severity import SEVERITIES
from tests.commands import run
from tests.notifications.hand import Hand, accept, states
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop, Page
from tests.slack.test_home import home
from tests.web.calling import NOTIFICATIONS, caller, put_bot, request

pytestmark = pytest.mark.sqlite_only


def attachment(colour: str | None = None, **fields: str) -> dict[str, Any]:
    said = {"text": "x", "fields": [{"title": k, "value": v} for k, v in fields.items()]}
    return said if colour is None else {**said, "color": colour}


def severity(*attachments: Any, **more: Any) -> str | None:
    return severity_of(with_meaning({"attachments": list(attachments), **more}))


@pytest.mark.parametrize(
    ("colour", "meant"),
    [
        ("good", "success"),
        ("warning", "warning"),
        ("danger", "error"),
        ("Danger", "error"),
        ("#a30200", "error"),
        ("D63232", "error"),
        ("#f00", "error"),
        ("#E01E5A", "error"),
        ("#daa038", "warning"),
        ("#ff9830", "warning"),
        ("#36a64f", "success"),
        ("#3a7bc2", "info"),
        ("#764FA5", None),
        ("#cccccc", None),
        ("#000", None),
        ("#12", None),
        ("plum", None),
        (None, None),
    ],
)
def test_a_colour_is_a_severity(colour: str | None, meant: str | None) -> None:
    assert severity(attachment(colour)) == meant


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("severity", "critical", "critical"),
        ("Severity:", " CRITICAL ", "critical"),
        ("Alert Severity", "*Fatal*", "critical"),
        ("priority", "P1", "critical"),
        ("Priority", "P2 - High", "error"),
        ("level", "warn", "warning"),
        ("log_level", "ERROR", "error"),
        ("urgency", "low", "info"),
        ("sev", "critical", None),
        ("severity", "purple", None),
        ("severity", "", None),
        ("status", "firing", None),
        ("status", "resolved", "success"),
        ("State", "OK", "success"),
    ],
)
def test_a_field_is_a_severity(name: str, value: str, meant: str | None) -> None:
    block = {"type": "section", "fields": [{"type": "mrkdwn", "text": f"*{name}*\n{value}"}]}
    assert severity(attachment(**{name: value})) == meant
    if value.strip() and "*" not in value:
        assert severity(blocks=[block]) == meant


@pytest.mark.parametrize(
    ("attachments", "meant"),
    [
        ([attachment("danger", severity="critical")], "critical"),
        ([attachment("#36a64f", severity="critical")], "critical"),
        ([attachment("good", severity="critical")], "success"),
        ([attachment("danger", severity="critical", status="resolved")], "success"),
        ([attachment("good"), attachment("warning")], "warning"),
        ([attachment(severity="unheard of")], None),
    ],
)
def test_words_beat_colours_and_an_end_beats_both(attachments: Any, meant: str | None) -> None:
    assert severity(*attachments) == meant


def test_explicit_members_beat_derived_ones() -> None:
    said = {"severity": "info", "title": "T", "link": "https://a.example"}
    content = with_meaning({**said, "attachments": [{"color": "danger", "title": "U"}]})

    assert (severity_of(content), title_of(content)) == ("info", "T")
    assert "derived" not in content


def test_derived_fields_are_filtered() -> None:
    shown = attachment("danger", host="<https://x.example|db1>", **{"A &amp; B": "c"})
    facts = facts_of(with_meaning({"attachments": [shown]}))

    assert facts == {"host": "db1", "a & b": "c", "severity": "error"}
    assert parse_filter("severity>=warning host=db1").accepts(facts)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
LAYOUTS = st.fixed_dictionaries({"title": ANY, "value": ANY, "fields": ANY, "text": ANY})
SHOWN = st.dictionaries(
    st.sampled_from(["color", "fields", "title", "title_link", "blocks", "text"]),
    ANY | st.lists(LAYOUTS, max_size=3),
)


@given(st.lists(SHOWN, max_size=3))
def test_any_layout_is_read_or_ignored(attachments: Any) -> None:
    content = with_meaning({"attachments": attachments})

    json.dumps(content)
    assert severity_of(content) in (None, *SEVERITIES)
    facts_of(content)
    assert readable_content(content) == content


def post(bellhop: Bellhop, url: str, payload: Any) -> Page:
    bellhop.clock.advance(2)
    answer = request("POST", url, json.dumps(payload).encode(), {"Content-Type": "text/json"})
    assert (answer.status, answer.text) == (200, "ok")
    return answer


def newest(bellhop: Bellhop) -> Any:
    return bellhop.services.history.search(ACME, HistoryQuery()).notifications[0]


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def hook(bellhop: Bellhop, **more: Any) -> str:
    return bellhop.services.webhooks.create(ACME, "alerts", ["topic:alerts"], **more)


def subscribe(bellhop: Bellhop, filter_: str = "", **more: Any) -> None:
    bellhop.services.subscriptions.subscribe(
        ACME, GENERAL, SubscriptionSpec("alerts", filter_, **more)
    )


def test_a_red_alert_passes_a_filter_and_keeps_its_layout(installed: Bellhop) -> None:
    subscribe(installed, "severity>=warning")
    shown = attachment("danger", severity="critical")

    post(installed, hook(installed), {"attachments": [shown]})
    Hand(installed).deliver()

    [message] = installed.slack.messages(GENERAL)
    assert [one["text"] for one in message.attachments or ()] == ["x"]
    assert message.blocks in (None, [])


def test_a_critical_alert_is_not_held(installed: Bellhop) -> None:
    subscribe(installed, digest=Schedule())
    url = hook(installed)

    post(installed, url, {"attachments": [attachment(severity="critical")]})
    assert newest(installed).deliveries[0].state == "waiting"
    post(installed, url, {"attachments": [attachment("danger")]})
    assert newest(installed).deliveries[0].state == "held"


@pytest.mark.both_databases
def test_the_database_reads_the_derived_severity(bellhop: Bellhop) -> None:
    put_bot(bellhop)
    accept(bellhop, "#x", attachments=[{"color": "danger", "text": "x"}])
    accept(bellhop, "#x", severity="info", attachments=[{"color": "danger", "text": "x"}])
    accept(bellhop, "#x", "nothing said")

    with bellhop.services.database.reading() as session:
        found = session.scalars(
            select(stored_severity(Notification.content)).order_by(Notification.id)
        ).all()
    assert sorted(found, key=str) == [None, "error", "info"]


class TestKeys:
    @pytest.mark.parametrize("key", ["disk", "caf\u00e9", "cafe\u0301", " a b ", "x" * 255])
    def test_the_address_names_the_key(self, installed: Bellhop, key: str) -> None:
        post(installed, f"{hook(installed)}?key={quote(key)}", {"text": "x"})

        assert newest(installed).key == key

    @pytest.mark.parametrize("query", ["", "?key=", "?key=" + "x" * 256])
    def test_without_a_usable_one_it_has_none(self, installed: Bellhop, query: str) -> None:
        post(installed, hook(installed) + query, {"text": "x"})

        assert newest(installed).key is None

    @pytest.mark.parametrize(
        "payload",
        [
            {"attachments": [attachment(**{"Alert Name": "disk &amp; co"})]},
            {"text": "x", "alert name": "disk &amp; co"},
            {
                "blocks": [
                    {
                        "type": "section",
                        "fields": [{"type": "mrkdwn", "text": "*Alert name:*\ndisk &amp; co"}],
                    }
                ]
            },
        ],
    )
    def test_a_field_names_the_key(self, installed: Bellhop, payload: Any) -> None:
        given = ("--team", ACME, "--to", "#x", "--key-field", "alert name")
        made = run(installed, "webhook", "create", *given)
        url = made.stdout.splitlines()[-1]

        post(installed, url, payload)
        assert newest(installed).key == "disk &amp; co"
        post(installed, f"{url}?key=given", payload)
        assert newest(installed).key == "given"
        assert "key from alert name" in run(installed, "webhook", "list", "--team", ACME).stdout

    def test_a_resolved_alert_updates_the_red_message(self, installed: Bellhop) -> None:
        subscribe(installed, "severity>=warning")
        url = hook(installed, key_field="alertname")
        for colour in ("danger", "good"):
            post(installed, url, {"attachments": [attachment(colour, alertname="disk")]})
            Hand(installed).deliver()

        [message] = installed.slack.messages(GENERAL)
        assert [one["color"] for one in message.attachments or ()] == ["good"]


class TestUnrouted:
    def test_unrouted_notifications_are_shown_everywhere(self, installed: Bellhop) -> None:
        subscribe(installed, "severity>=error")
        sender = caller(installed)
        answer = sender.send({"to": "topic:alerts", "text": "minor"}).json()
        routed = sender.send({"to": "topic:alerts", "text": "!", "severity": "error"}).json()
        later = sender.send({"to": ["topic:none", "#x"], "text": "x"}).json()

        assert [one["unrouted"] for one in (answer, routed, later)] == [True, False, False]
        report = sender.get(f"{NOTIFICATIONS}/{answer['id']}").json()
        assert (report["unrouted"], report["deliveries"]) == (True, [])
        found = sender.get(f"{NOTIFICATIONS}?state=unrouted").json()["notifications"]
        assert [one["id"] for one in found] == [answer["id"]]
        assert "1 unrouted in the last 7 days" in json.dumps(home(installed).blocks)

    @pytest.mark.both_databases
    def test_it_is_counted_for_a_week(self, installed: Bellhop) -> None:
        accept(installed, "topic:alerts", "x")
        assert installed.services.statistics.of_team(ACME).unrouted == 1
        assert installed.services.statistics.of_team(ACME, channels=[GENERAL]).unrouted == 0

        installed.clock.advance(8 * 24 * 3600)

        assert installed.services.statistics.of_team(ACME).unrouted == 0

    @pytest.mark.both_databases
    def test_guests_do_not_see_them(self, installed: Bellhop) -> None:
        installed.slack.users[BEN].is_restricted = True
        accept(installed, "topic:alerts", "x")

        assert "unrouted" not in json.dumps(home(installed, BEN).blocks)

    @pytest.mark.both_databases
    def test_each_of_a_batch_counts_for_itself(self, installed: Bellhop) -> None:
        subscribe(installed)
        batch = [{"to": f"topic:{one}", "text": "x"} for one in ("alerts", "x", "y")]

        answer = caller(installed).send({"notifications": batch}).json()

        assert [one["unrouted"] for one in answer["notifications"]] == [False, True, True]
        ids = [one["id"] for one in answer["notifications"]]
        assert states(installed, *ids) == ["waiting"]
        found = installed.services.history.search(ACME, HistoryQuery(state=StateFilter.UNROUTED))
        assert {one.id for one in found.notifications} == set(ids[1:])
