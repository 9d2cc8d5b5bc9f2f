"""The HTTP API: reports of notifications, cancel and retry."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select, update

from bolt_app.credentials.api_keys import Scope
from bolt_app.db.models import Delivery
from bolt_app.notifications.history import search as searching
from slack_sandbox import Fault
from tests.conftest import FakeClock
from tests.people import ANN, BETA
from tests.running import Bellhop, running_bellhop
from tests.web.calling import NOTIFICATIONS, Caller, caller

pytestmark = pytest.mark.sqlite_only

HELLO = {"to": "#general", "text": "Hello"}


def send(ci: Caller, *, to: Any = "#general", **more: Any) -> str:
    """Send a notification and return its path."""
    answer = ci.send({"to": to, "text": "Hello", **more})
    assert answer.status == 202, answer.text
    return f"{NOTIFICATIONS}/{answer.json()['id']}"


def finish(bellhop: Bellhop, path: str, state: str, **values: Any) -> None:
    """Set all deliveries of a notification to `state`."""
    mine = Delivery.notification_id == path.rpartition("/")[2]
    with bellhop.services.database.writing() as session:
        session.execute(update(Delivery).where(mine).values(state=state, **values))


def listed(ci: Caller, query: str = "") -> list[str]:
    """Return the paths of the notifications on a page."""
    answer = ci.get(f"{NOTIFICATIONS}?{query}")
    assert answer.status == 200, answer.text
    return [f"{NOTIFICATIONS}/{one['id']}" for one in answer.json()["notifications"]]


class TestFind:
    @pytest.mark.both_databases
    def test_each_delivery_shows_its_state(self, bellhop: Bellhop) -> None:
        ci, now = caller(bellhop), bellhop.clock()
        path = send(ci, expires_at=(now + timedelta(hours=1)).isoformat())
        finish(
            bellhop,
            path,
            "dead",
            error="is_archived",
            attempts=3,
            channel_id="C0ACME0001",
            finished_at=now,
        )

        [delivery] = ci.get(path).json()["deliveries"]

        moment = now.isoformat().replace("+00:00", "Z")
        assert delivery == {
            "id": 1,
            "to": "#general",
            "state": "dead",
            "attempts": 3,
            "error": {
                "code": "is_archived",
                "sentence": "That channel is archived. Choose another, or unarchive it in Slack.",
            },
            "channel_id": "C0ACME0001",
            "ts": None,
            "permalink": None,
            "digest_id": None,
            "send_at": moment,
            "expires_at": (now + timedelta(hours=1)).isoformat().replace("+00:00", "Z"),
            "finished_at": moment,
        }

    @pytest.mark.both_databases
    def test_a_look_asks_slack_for_few_links(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        ci = caller(bellhop)
        path = send(ci, to=[f"#channel-{number}" for number in range(30)])
        finish(bellhop, path, "sent", channel_id="C0ACME0001", ts="1712345678.123456")
        bellhop.slack.faults.add(Fault("chat.getPermalink", "server_error", times=1))

        for asked in (1, 11, 21):
            assert ci.get(path).status == 200
            assert len(bellhop.slack.calls_to("chat.getPermalink")) == asked

    def test_slack_is_asked_once_for_a_message_that_is_gone(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        ci = caller(bellhop)
        path = send(ci, to=["#channel-1", "#channel-2"])
        finish(bellhop, path, "sent", channel_id="C0ACME0001", ts="1712345678.123456")

        for _ in range(3):
            assert ci.get(path).status == 200
        assert len(bellhop.slack.calls_to("chat.getPermalink")) == 2

        bellhop.clock.advance(3600)
        assert ci.get(path).status == 200
        assert len(bellhop.slack.calls_to("chat.getPermalink")) == 4

    @pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
    @pytest.mark.parametrize("id_", ["0" * 32, "nonsense", "%00", "a" * 500])
    def test_missing_notifications_are_not_found(
        self, bellhop: Bellhop, method: str, id_: str
    ) -> None:
        path = f"{NOTIFICATIONS}/{id_}" + ("/retry" if method == "POST" else "")

        answer = caller(bellhop, Scope.ADMIN).call(method, path)

        assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")

    @pytest.mark.both_databases
    def test_another_workspace_sees_nothing(self, bellhop: Bellhop) -> None:
        path = send(caller(bellhop))
        finish(bellhop, path, "dead")
        stranger = caller(bellhop, Scope.ADMIN, team_id=BETA)

        answers = [
            stranger.get(path),
            stranger.call("DELETE", path),
            stranger.call("POST", f"{path}/retry"),
        ]

        assert [one.status for one in answers] == [404] * 3
        for query in ("", "state=dead", f"id={path[-32:]}", "to=%23general", "source=api_key:1"):
            assert listed(stranger, query) == []


class TestListing:
    def test_the_newest_come_first_page_by_page(self, bellhop: Bellhop) -> None:
        ci = caller(bellhop)
        sent = []
        for _ in range(7):
            sent.append(send(ci))
            bellhop.clock.advance(1)

        pages: list[list[str]] = []
        cursor: str | None = ""
        while cursor is not None:
            answer = ci.get(
                f"{NOTIFICATIONS}?limit=3&cursor={cursor}" if cursor else f"{NOTIFICATIONS}?limit=3"
            ).json()
            pages.append([f"{NOTIFICATIONS}/{one['id']}" for one in answer["notifications"]])
            cursor = answer["next_cursor"]

        newest = sent[::-1]
        assert pages == [newest[:3], newest[3:6], newest[6:]]

    def test_new_notifications_do_not_shift_the_pages(self, bellhop: Bellhop) -> None:
        ci = caller(bellhop)
        first = send(ci)
        bellhop.clock.advance(1)
        second = send(ci)
        page = ci.get(f"{NOTIFICATIONS}?limit=1").json()
        bellhop.clock.advance(1)
        send(ci)

        assert page["notifications"][0]["id"] == second[-32:]
        assert listed(ci, f"limit=1&cursor={page['next_cursor']}") == [first]

    @pytest.mark.both_databases
    @pytest.mark.parametrize(
        "state",
        ["waiting", "held", "sending", "sent", "dead", "unknown", "cancelled", "digested"],
    )
    def test_by_state(self, bellhop: Bellhop, state: str) -> None:
        ci = caller(bellhop)
        other = "sent" if state != "sent" else "dead"
        for _ in range(2):
            finish(bellhop, send(ci, to=["#general", "#a"]), other)
        wanted = send(ci, to=["#general", "#a"])
        finish(bellhop, wanted, state)
        assert listed(ci, f"state={state}") == [wanted]

    @pytest.mark.both_databases
    def test_search_by_other_fields(self, bellhop: Bellhop) -> None:
        ci, other = caller(bellhop), caller(bellhop)
        began = bellhop.clock()
        first = send(ci, key="alert-1")
        bellhop.clock.advance(60)
        middle = send(other, to=["#random", "#general"], key="alert-2")
        between = bellhop.clock()
        bellhop.clock.advance(60)
        last = send(ci, to="@ann@acme.example")

        assert listed(ci, "key=alert-2") == [middle]
        assert listed(ci, "key=alert-3") == []
        assert listed(ci, "to=%23Random") == [middle]
        assert listed(ci, "to=ann@acme.example") == [last]
        assert listed(ci, "source=api_key:1") == [last, first]
        assert listed(ci, f"since={quote(between.isoformat())}") == [last, middle]
        # An unencoded plus sign.
        assert listed(ci, f"until={between.isoformat()}") == [first]
        assert listed(
            ci, f"since={quote(began.isoformat())}&until={quote(between.isoformat())}"
        ) == [first]
        assert listed(ci, f"id={first[-32:]}&id={last[-32:]}") == [last, first]
        assert listed(ci, f"id={first[-32:]},{last[-32:]}&to=%23general") == [first]
        assert listed(ci, "key=alert-1&state=sent") == []
        finish(bellhop, first, "dead")
        assert listed(ci, "key=alert-1&state=dead&to=%23general&source=api_key:1") == [first]

    @pytest.mark.both_databases
    def test_a_search_reads_limited_batches(
        self, bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(searching, "WINDOW", 4)
        ci = caller(bellhop)
        wanted = send(ci, to="#rare")
        for _ in range(9):
            bellhop.clock.advance(1)
            send(ci)

        found: list[Any] = []
        pages = 0
        cursor: str | None = ""
        while cursor is not None:
            more = f"&cursor={cursor}" if cursor else ""
            answer = ci.get(f"{NOTIFICATIONS}?to=%23rare{more}").json()
            found += answer["notifications"]
            pages, cursor = pages + 1, answer["next_cursor"]

        assert [one["id"] for one in found] == [wanted[-32:]]
        assert pages == 3

    @pytest.mark.sqlite_only
    def test_a_cursor_tells_nothing_of_the_notifications_of_others(
        self, bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(searching, "WINDOW", 1)
        limited, other = caller(bellhop, Scope.READ, channels=["#rare"]), caller(bellhop)
        send(other, to="#general")
        id_ = send(other, to="#general")[-32:]
        page = limited.get(NOTIFICATIONS).json()
        cursor, encoded = page["next_cursor"], urlsafe_b64encode(id_.encode()).decode().rstrip("=")

        assert page["notifications"] == []
        assert encoded not in cursor
        assert id_.encode() not in urlsafe_b64decode(f"{cursor}==")
        assert limited.get(f"{NOTIFICATIONS}?cursor={cursor}").status == 200
        assert other.get(f"{NOTIFICATIONS}?cursor={cursor}").status == 422
        assert limited.get(f"{NOTIFICATIONS}?cursor={encoded}").status == 422

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("state=lost", "state"),
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=many", "limit"),
            ("cursor=nonsense", "cursor"),
            ("cursor=%00", "cursor"),
            ("cursor=%F0%9F", "cursor"),
            ("id=nonsense", "id[0]"),
            ("since=yesterday", "since"),
            ("to=general", "to"),
            ("key=a%00b", "key"),
            ("source=%00", "source"),
            ("colour=red", "colour"),
        ],
    )
    def test_a_query_that_means_nothing_is_refused(
        self, bellhop: Bellhop, query: str, field: str
    ) -> None:
        answer = caller(bellhop).get(f"{NOTIFICATIONS}?{query}")

        assert answer.status == 422
        assert [one["field"] for one in answer.json()["errors"]] == [field]

    @pytest.mark.sqlite_only
    def test_an_id_of_another_form_is_named_as_one(self, bellhop: Bellhop) -> None:
        [fault] = caller(bellhop).get(f"{NOTIFICATIONS}?id=nonsense").json()["errors"]

        assert fault["detail"].startswith("is not the id of a notification")

    @pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
    def test_moments_far_away_are_moments(self, bellhop: Bellhop, moment: str) -> None:
        assert caller(bellhop).get(f"{NOTIFICATIONS}?since={quote(moment)}").status == 200


class TestCancelling:
    @pytest.mark.both_databases
    def test_waiting_deliveries_are_cancelled_and_the_others_are_listed(
        self, bellhop: Bellhop
    ) -> None:
        ci = caller(bellhop)
        path = send(ci, to=["#general", "#random", "#a"])
        with bellhop.services.database.writing() as session:
            session.execute(update(Delivery).where(Delivery.target == "#a").values(state="sent"))

        answer = ci.call("DELETE", path)

        assert answer.status == 200
        body = answer.json()
        assert [(one["to"], one["state"]) for one in body["cancelled"]] == [
            ("#general", "cancelled"),
            ("#random", "cancelled"),
        ]
        assert [(one["to"], one["state"]) for one in body["kept"]] == [("#a", "sent")]
        assert body["cancelled"][0]["finished_at"] is not None
        again = ci.call("DELETE", path).json()
        assert (again["cancelled"], len(again["kept"])) == ([], 3)

    def test_a_key_cancels_only_its_own_notifications(self, bellhop: Bellhop) -> None:
        path = send(caller(bellhop, Scope.SEND))

        answer = caller(bellhop, Scope.SEND, Scope.READ).call("DELETE", path)

        assert answer.status == 403
        assert "scope admin" in answer.json()["detail"]
        assert caller(bellhop, Scope.READ).call("DELETE", path).status == 403
        assert caller(bellhop, Scope.ADMIN).call("DELETE", path).json()["cancelled"] != []


class TestRetrying:
    @pytest.mark.both_databases
    @pytest.mark.parametrize("state", ["dead", "unknown"])
    def test_it_waits_as_if_it_were_new(self, bellhop: Bellhop, state: str) -> None:
        ci = caller(bellhop)
        path = send(ci, expires_at=(bellhop.clock() + timedelta(minutes=1)).isoformat())
        then = bellhop.clock()
        finish(
            bellhop,
            path,
            state,
            attempts=9,
            error="is_archived",
            tried_at=then,
            attempted_at=then,
            finished_at=then,
        )
        bellhop.clock.advance(3600)

        answer = ci.call("POST", f"{path}/retry")

        assert answer.status == 202
        [delivery] = answer.json()["deliveries"]
        assert (delivery["state"], delivery["attempts"], delivery["error"]) == ("waiting", 0, None)
        with bellhop.services.database.reading() as session:
            row = session.scalars(select(Delivery)).one()
        assert (row.tried_at, row.attempted_at, row.finished_at) == (None, None, None)
        assert (row.send_at, row.expires_at) == (bellhop.clock(), None)
        assert row.seq == 2

    def test_only_failed_deliveries_are_retried(self, bellhop: Bellhop) -> None:
        ci = caller(bellhop)
        path = send(ci, to=["#general", "#random"])
        finish(bellhop, path, "sent")
        with bellhop.services.database.writing() as session:
            session.execute(
                update(Delivery).where(Delivery.target == "#random").values(state="dead")
            )

        answer = ci.call("POST", f"{path}/retry").json()

        assert [one["state"] for one in answer["deliveries"]] == ["sent", "waiting"]

    @pytest.mark.both_databases
    @pytest.mark.parametrize("later", ["waiting", "sending", "sent", "unknown"])
    def test_outdated_content_does_not_return(self, bellhop: Bellhop, later: str) -> None:
        ci = caller(bellhop)
        fires, ends = send(ci, key="disk", severity="error"), send(ci, key="disk")
        finish(bellhop, fires, "dead")
        finish(bellhop, ends, later)

        answer = ci.call("POST", f"{fires}/retry")

        assert answer.status == 409
        assert "a later notification with the same key" in answer.json()["detail"]

    def test_content_returns_whose_replacement_failed(self, bellhop: Bellhop) -> None:
        ci = caller(bellhop)
        fires, ends = send(ci, key="disk", severity="error"), send(ci, key="disk")
        finish(bellhop, fires, "dead")
        finish(bellhop, ends, "dead")

        assert ci.call("POST", f"{fires}/retry").status == 202

    @pytest.mark.parametrize("state", ["waiting", "held", "sent", "cancelled", "digested"])
    def test_nothing_else_is_retried(self, bellhop: Bellhop, state: str) -> None:
        ci = caller(bellhop)
        path = send(ci)
        finish(bellhop, path, state)

        answer = ci.call("POST", f"{path}/retry")

        assert answer.status == 409
        assert "in the state dead or unknown" in answer.json()["detail"]
        assert ci.get(path).json()["deliveries"][0]["state"] == state

    def test_a_key_retries_only_its_own_notifications(self, bellhop: Bellhop) -> None:
        path = send(caller(bellhop))
        finish(bellhop, path, "dead")

        assert caller(bellhop).call("POST", f"{path}/retry").status == 403
        assert caller(bellhop, Scope.ADMIN).call("POST", f"{path}/retry").status == 202


@pytest.mark.both_databases
@pytest.mark.parametrize(("method", "suffix"), [("DELETE", ""), ("POST", "/retry")])
def test_a_key_that_may_only_send_is_told_no_more_than_when_it_sent(
    bellhop: Bellhop, method: str, suffix: str
) -> None:
    ci = caller(bellhop, Scope.SEND)
    path = send(ci, text="SECRET words")
    if suffix:
        finish(bellhop, path, "dead", error="is_archived", channel_id="C0ACME0001")

    answer = ci.call(method, path + suffix)

    assert answer.status in (200, 202), answer.text
    assert "SECRET" not in answer.text
    told = answer.json()
    deliveries = told.get("deliveries") or told["cancelled"]
    assert [sorted(one) for one in deliveries] == [["id", "state", "to"]]


def test_the_database_is_down(encryption_key: str, clock: FakeClock) -> None:
    url = "postgresql+psycopg://bell:sesame@127.0.0.1:9/bellhop"
    with running_bellhop(url, encryption_key, clock) as running:
        answer = Caller(running.url, "bh_x").send(HELLO)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "sesame" not in answer.text
