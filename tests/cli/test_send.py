"""The `send` command: its options, output and exit status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import select, update

from bolt_app.db.models import IS_OPEN, Delivery, Notification
from bolt_app.notifications.history.waiting import wait_until_done
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from tests.commands import assert_failed, flask, run, settings_file
from tests.conftest import FakeClock
from tests.people import ACME, ANN, BETA, GENERAL
from tests.running import Bellhop, running_bellhop

pytestmark = pytest.mark.sqlite_only

SEND = ["send", "--team", ACME, "--to", "#general"]


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def accepted(bellhop: Bellhop) -> list[tuple[str, dict[str, Any]]]:
    """Return the address and the content of each delivery in order."""
    with bellhop.services.database.reading() as session:
        statement = (
            select(Delivery.target, Notification.content)
            .join(Notification, Notification.id == Delivery.notification_id)
            .order_by(Delivery.id)
        )
        return [(target, content) for target, content in session.execute(statement)]


@contextmanager
def finishing(bellhop: Bellhop, **outcomes: dict[str, Any]) -> Iterator[None]:
    """End deliveries meanwhile in the state given for their text; `sent` by default."""
    stopped = Event()

    def finish() -> None:
        while not stopped.wait(0.01):
            with bellhop.services.database.writing() as session:
                statement = (
                    select(Delivery.id, Notification.content)
                    .join(Notification, Notification.id == Delivery.notification_id)
                    .where(IS_OPEN)
                )
                for id_, content in session.execute(statement).all():
                    values = outcomes.get(content["text"], {"state": "sent"})
                    session.execute(update(Delivery).where(Delivery.id == id_).values(**values))

    thread = Thread(target=finish)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


SENT = {"state": "sent", "channel_id": "C0ACME0001", "ts": "1.2", "permalink": "https://s/p12"}


class TestAccepting:
    def test_it_is_stored_and_on_its_way(self, installed: Bellhop) -> None:
        done = run(installed, *SEND, "--to", "@ann@acme.example", "The build is green")

        assert accepted(installed) == [
            ("#general", {"text": "The build is green"}),
            ("@ann@acme.example", {"text": "The build is green"}),
        ]
        assert (done.exit_code, done.stderr) == (0, "")
        assert "is on its way to #general, @ann@acme.example." in done.stdout

    def test_channel_is_another_name_for_to(self, installed: Bellhop) -> None:
        run(installed, "send", "--team", ACME, "--channel", "#ops", "x")

        assert accepted(installed) == [("#ops", {"text": "x"})]

    def test_it_has_every_field_of_the_api(self, installed: Bellhop) -> None:
        done = run(
            installed,
            *SEND,
            *("--title", "Checkout", "--severity", "critical", "--link", "https://a.example/1"),
            *("--field", "region=eu", "--field", "query=a=b", "--key", "k", "--mode", "thread"),
            *("--priority", "3", "--delay", "60", "--expires-in", "3600"),
            "down",
        )

        assert done.exit_code == 0, done.stderr
        [(_, content)] = accepted(installed)
        assert content == {
            "text": "down",
            "title": "Checkout",
            "severity": "critical",
            "link": "https://a.example/1",
            "fields": [{"name": "region", "value": "eu"}, {"name": "query", "value": "a=b"}],
        }
        with installed.services.database.reading() as session:
            row = session.scalars(select(Delivery)).one()
        assert (row.key, row.mode, row.rank) == ("command|k", "thread", -3)
        assert row.send_at == installed.clock() + timedelta(seconds=60)
        assert row.expires_at == installed.clock() + timedelta(seconds=3600)

    def test_a_title_is_enough(self, installed: Bellhop) -> None:
        run(installed, *SEND, "--title", "Lunch")

        assert accepted(installed) == [("#general", {"title": "Lunch"})]

    def test_it_reads_standard_input(self, installed: Bellhop) -> None:
        run(installed, *SEND, "-", input="two\nlines\n")

        assert accepted(installed) == [("#general", {"text": "two\nlines"})]

    def test_each_line_is_a_separate_notification(self, installed: Bellhop) -> None:
        lines = [f"line {n}" for n in range(250)]

        done = run(installed, *SEND, "--each-line", "-", input="\n\n".join(lines) + "\n")

        assert done.exit_code == 0
        assert [content["text"] for _, content in accepted(installed)] == lines
        assert done.stdout.count("is on its way") == 250

    def test_an_unrouted_notification_is_reported(self, installed: Bellhop) -> None:
        done = run(installed, "send", "--team", ACME, "--to", "topic:x", "hello?")

        assert done.exit_code == 0
        assert "is unrouted: no subscription matched" in done.stdout

    def test_it_works_as_a_separate_process(self, installed: Bellhop, tmp_path: Path) -> None:
        (tmp_path / "env").write_text(settings_file(installed))

        done = flask(*SEND, "-", input="from afar\n", FLASK_ENV_FILE=str(tmp_path / "env"))

        assert (done.returncode, done.stderr) == (0, "")
        assert accepted(installed) == [("#general", {"text": "from afar"})]


class TestRefusing:
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["x", "--to", "general"], "to[1] 'general' is not a recipient: use #name"),
            ([" "], "text is empty: give text"),
            (["x", "--link", "nowhere"], "link is not a URL"),
            (["x", "--priority", "10"], "priority is too large: the maximum is 9"),
            (["x", "--field", "region"], "--field 'region' has no value: give NAME=VALUE"),
            (["x" * 40_001], "text is longer than 40,000 characters: shorten it"),
            (["--each-line", "-"], "nothing to send"),
        ],
    )
    def test_unsendable_content_is_reported(
        self, installed: Bellhop, arguments: list[str], sentence: str
    ) -> None:
        assert_failed(run(installed, *SEND, *arguments), sentence, status=2)
        assert accepted(installed) == []

    def test_a_workspace_without_bellhop(self, installed: Bellhop) -> None:
        done = run(installed, "send", "--team", BETA, "--to", "#general", "x")

        assert_failed(done, f"not installed in the workspace {BETA}")

    def test_the_database_is_down(self, encryption_key: str) -> None:
        url = "postgresql+psycopg://bell:sesame@127.0.0.1:9/bellhop"
        with running_bellhop(url, encryption_key, FakeClock()) as running:
            done = run(running, *SEND, "x")

        assert_failed(done, "The database is not answering")
        assert "sesame" not in done.stderr


class TestWaiting:
    def test_it_reports_every_delivery(self, installed: Bellhop) -> None:
        with finishing(installed, hello=SENT):
            done = run(installed, *SEND, "--to", "#random", "--wait", "hello")

        assert done.exit_code == 0
        assert done.stdout == "#general: sent, https://s/p12\n#random: sent, https://s/p12\n"

    def test_without_a_permalink_it_reports_channel_and_ts(self, installed: Bellhop) -> None:
        with finishing(installed, hello={**SENT, "permalink": None}):
            done = run(installed, *SEND, "--wait", "hello")

        assert done.stdout == "#general: sent, C0ACME0001 at 1.2\n"

    @pytest.mark.parametrize(
        ("values", "status", "words"),
        [
            (
                {"state": "dead", "error": "is_archived"},
                1,
                "dead. That channel is archived. Choose another, or unarchive it in Slack. "
                "(is_archived)",
            ),
            ({"state": "expired"}, 1, "expired"),
            ({"state": "cancelled"}, 1, "cancelled"),
            (
                {"state": "unknown", "error": "missing_scope"},
                3,
                "delivery not confirmed. Bellhop lacks a permission for this. Install it again to "
                "grant it. (missing_scope)",
            ),
        ],
    )
    def test_failed_deliveries_are_reported(
        self, installed: Bellhop, values: dict[str, Any], status: int, words: str
    ) -> None:
        with finishing(installed, bad=values, good=SENT):
            done = run(installed, *SEND, "--wait", "--each-line", "-", input="good\nbad\n")

        assert done.exit_code == status
        assert done.stdout == f"#general: sent, https://s/p12\n#general: {words}\n"

    def test_open_deliveries_are_reported_after_the_timeout(self, installed: Bellhop) -> None:
        waiting = {"state": "waiting", "error": "ratelimited"}
        with finishing(installed, bad={"state": "dead"}, late=waiting):
            done = run(
                installed,
                *[*SEND, "--wait", "--timeout", "0.3", "--each-line", "-"],
                input="bad\nlate\nmore",
            )

        assert done.exit_code == 4
        assert "#general: dead\n#general: still waiting. Slack asks us to slow down" in done.stdout

    def test_many_have_a_progress_bar_and_few_have_none(self, installed: Bellhop) -> None:
        with finishing(installed):
            few = run(installed, *SEND, "--wait", "x")
            many = run(installed, *SEND, "--wait", "--each-line", "-", input="x\n" * 120)

        assert (few.stderr, few.exit_code) == ("", 0)
        assert many.stderr.startswith("Sending")
        assert many.stdout.count("sent") == 120

    def test_wait_does_not_wait_for_an_unrouted_notification(self, installed: Bellhop) -> None:
        done = run(installed, "send", "--team", ACME, "--to", "topic:x", "--wait", "hello?")

        assert done.exit_code == 5
        assert "is unrouted: no subscription matched" in done.stdout

    @pytest.mark.parametrize("more", [[], ["--wait"]])
    def test_a_similar_topic_is_suggested(self, installed: Bellhop, more: list[str]) -> None:
        installed.services.subscriptions.subscribe(ACME, GENERAL, SubscriptionSpec("deploys"))

        done = run(installed, "send", "--team", ACME, "--to", "topic:deplyos", *more, "hello?")

        assert "did you mean topic:deploys?" in done.stderr


class TestPolling:
    """The wait itself, with a fake clock."""

    def test_it_asks_until_nothing_is_open(self, installed: Bellhop) -> None:
        ids = self.sent(installed, 3)
        told: list[int] = []

        def pause(_seconds: float) -> None:
            self.finish(installed, ids[len(told) - 1])

        done = wait_until_done(
            installed.services.history,
            ids,
            timeout=60,
            report=told.append,
            pause=pause,
            monotonic=lambda: 0.0,
        )

        assert done
        assert told == [0, 1, 2, 3]

    def test_it_gives_up_in_the_end(self, installed: Bellhop) -> None:
        ids = self.sent(installed, 2)
        self.finish(installed, ids[0])
        now = [0.0]
        told: list[int] = []

        def pause(seconds: float) -> None:
            now[0] += seconds

        done = wait_until_done(
            installed.services.history,
            ids,
            timeout=1,
            report=told.append,
            pause=pause,
            monotonic=lambda: now[0],
        )

        assert not done
        assert set(told) == {1}
        assert 1 <= now[0] < 1.2

    @staticmethod
    def sent(bellhop: Bellhop, count: int) -> list[str]:
        done = run(bellhop, *SEND, "--each-line", "-", input="x\n" * count)
        return [line.partition(" ")[0] for line in done.stdout.splitlines()]

    @staticmethod
    def finish(bellhop: Bellhop, notification_id: str) -> None:
        with bellhop.services.database.writing() as session:
            mine = Delivery.notification_id == notification_id
            session.execute(update(Delivery).where(mine).values(state="sent"))
