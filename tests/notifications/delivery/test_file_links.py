"""Files of messages in Slack: uploads with the optional scope, otherwise links to pages."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from bolt_app.db.models import Delivery
from bolt_app.notifications.delivery import file_links
from bolt_app.notifications.delivery.file_links import SCOPE, UPLOAD_ATTEMPTS
from slack_sandbox import Fault
from slack_sandbox.world import SlackFile
from tests.delivering import delivering, quick_bellhop, wait_until
from tests.notifications.hand import Hand, texts
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop
from tests.web.methods.calling import MethodCaller, method_caller
from tests.web.methods.uploading import COMPLETE, GET_URL, share, stored, upload

RANDOM = "C0ACME0002"


@pytest.fixture
def ci(bellhop: Bellhop) -> MethodCaller:
    """A program in a workspace whose bot may upload files."""
    bellhop.install(ANN, optional=[SCOPE])
    return method_caller(bellhop)


@pytest.fixture
def hand(bellhop: Bellhop, ci: MethodCaller) -> Hand:
    return Hand(bellhop)


def copies(bellhop: Bellhop) -> list[SlackFile]:
    """Return the files in Slack."""
    return [file for file in bellhop.slack.files.values() if file.is_complete]


def deliver(hand: Hand, seconds: int) -> None:
    for _ in range(seconds):
        hand.deliver()
        hand.bellhop.clock.advance(1)


def link_in_slack(bellhop: Bellhop, label: str = "a.txt") -> str:
    [file] = copies(bellhop)
    return f"<{bellhop.slack_url}/files/{file.user_id}/{file.id}|{label}>"


class TestUploads:
    def test_the_message_has_the_permalink_of_a_copy(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        answer = ci.client.files_upload_v2(
            filename="a.png", content=b"\0" * 600_000, title="A", alt_txt="Zeros", channel=GENERAL
        )

        hand.deliver()

        [file] = copies(bellhop)
        assert (file.name, file.title, file.data) == ("a.png", "A", b"\0" * 600_000)
        assert texts(bellhop, GENERAL) == [link_in_slack(bellhop, "A")]
        found = stored(bellhop, answer["file"]["id"])
        assert found is not None
        assert found.permalink is not None
        [opened] = bellhop.slack.calls_to(GET_URL)
        assert opened.arguments["alt_txt"] == "Zeros"
        [completed] = bellhop.slack.calls_to(COMPLETE)
        assert not {"channel_id", "channels"} & completed.arguments.keys()

    @pytest.mark.sqlite_only
    def test_one_copy_for_several_channels_and_changes(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        file_id = upload(ci)
        ci.ok(COMPLETE, files=[{"id": file_id}], channels=f"{GENERAL},{RANDOM},{BEN}")
        deliver(hand, 3)
        [message] = bellhop.slack.messages(GENERAL)

        ci.ok("chat.update", channel=GENERAL, ts=message.ts, text="New")
        deliver(hand, 2)

        link = link_in_slack(bellhop)
        assert texts(bellhop, GENERAL) == [f"New\n{link}"]
        assert texts(bellhop, RANDOM) == [link]

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize("method", [GET_URL, "upload", COMPLETE])
    @pytest.mark.parametrize("kind", ["server_error", "reset", "lost_answer"])
    def test_a_failed_upload_is_repeated(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand, method: str, kind: Any
    ) -> None:
        share(ci, GENERAL)
        bellhop.slack.faults.add(Fault(method, kind, times=1))

        deliver(hand, 5)

        assert len(bellhop.slack.messages(GENERAL)) == 1
        assert texts(bellhop, GENERAL)[0].startswith(f"<{bellhop.slack_url}/files/")

    @pytest.mark.sqlite_only
    def test_slacks_rate_limit_is_respected(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        share(ci, GENERAL)
        bellhop.slack.faults.add(Fault(GET_URL, "rate_limited", times=1, retry_after=7))

        deliver(hand, 6)
        assert texts(bellhop, GENERAL) == []
        deliver(hand, 4)

        assert texts(bellhop, GENERAL) == [link_in_slack(bellhop)]


class TestSlowUploads:
    def test_leave_room_for_other_messages(self, database_url: str, encryption_key: str) -> None:
        changes = {"workspace_requests": 4}
        with quick_bellhop(database_url, encryption_key, **changes) as bellhop:
            bellhop.slack.limits.enabled = False
            bellhop.install(ANN, optional=[SCOPE])
            ci = method_caller(bellhop)
            channels = [bellhop.slack.add_channel(ACME, f"files-{n}").id for n in range(5)]
            with delivering(bellhop):
                bellhop.slack.faults.add(Fault("upload"))
                for channel_id in channels:
                    share(ci, channel_id)
                wait_until(bellhop, lambda: bellhop.slack.faults.taken("upload") > 0)

                ci.ok("chat.postMessage", channel=GENERAL, text="Hello")
                wait_until(bellhop, lambda: texts(bellhop, GENERAL) == ["Hello"])
                assert bellhop.slack.faults.taken("upload") == 1
                bellhop.slack.faults.clear()

                wait_until(bellhop, lambda: all(texts(bellhop, one) for one in channels))
            # No attempt was counted while there was no room.
            with bellhop.services.database.reading() as session:
                assert set(session.scalars(select(Delivery.attempts))) == {1}

    @pytest.mark.sqlite_only
    def test_have_one_deadline_for_all_files_of_a_message(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(file_links, "UPLOADS_SECONDS", 0.5)
        files = [{"id": upload(ci)} for _ in range(UPLOAD_ATTEMPTS)]
        bellhop.slack.faults.add(Fault("upload"))
        ci.ok(COMPLETE, files=files, channel_id=GENERAL)

        deliver(hand, 30)

        [text] = texts(bellhop, GENERAL)
        assert [line.startswith(f"<{bellhop.url}/files/") for line in text.split()] == [True] * 3
        assert bellhop.slack.faults.taken("upload") == UPLOAD_ATTEMPTS
        bellhop.slack.faults.clear()

    @pytest.mark.sqlite_only
    def test_let_others_link_to_pages_in_the_end(
        self, database_url: str, encryption_key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bolt_app.worker.PATIENCE_SECONDS", 0.0)
        with quick_bellhop(database_url, encryption_key, workspace_requests=4) as bellhop:
            bellhop.slack.limits.enabled = False
            bellhop.install(ANN, optional=[SCOPE])
            ci = method_caller(bellhop)
            with delivering(bellhop):
                bellhop.slack.faults.add(Fault("upload"))
                share(ci, RANDOM)
                wait_until(bellhop, lambda: bellhop.slack.faults.taken("upload") > 0)

                file_id = share(ci, GENERAL)

                page = f"<{bellhop.url}/files/{file_id}|a.txt>"
                wait_until(bellhop, lambda: texts(bellhop, GENERAL) == [page])
                bellhop.slack.faults.clear()


@pytest.mark.sqlite_only
class TestPageLinks:
    def page(self, bellhop: Bellhop, file_id: str) -> str:
        return f"<{bellhop.url}/files/{file_id}|a.txt>"

    def test_without_the_scope(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        file_id = share(method_caller(bellhop), GENERAL)

        Hand(bellhop).deliver()

        assert texts(bellhop, GENERAL) == [self.page(bellhop, file_id)]
        assert bellhop.slack.calls_to(GET_URL) == []

    @pytest.mark.parametrize("code", ["file_uploads_disabled", "missing_scope"])
    def test_if_slack_rejects_the_file(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand, code: str
    ) -> None:
        file_id = share(ci, GENERAL)
        bellhop.slack.faults.add(Fault(GET_URL, "api_error", error=code))

        hand.deliver()

        assert texts(bellhop, GENERAL) == [self.page(bellhop, file_id)]

    def test_if_uploads_fail_again_and_again(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        file_id = share(ci, GENERAL)
        bellhop.slack.faults.add(Fault("upload", "server_error"))

        deliver(hand, 30)

        assert texts(bellhop, GENERAL) == [self.page(bellhop, file_id)]
        assert bellhop.slack.faults.taken("upload") == UPLOAD_ATTEMPTS

    @pytest.mark.parametrize(
        "url", ["http://169.254.169.254/upload", "{slack}.evil.example/upload", 7, ""]
    )
    def test_if_the_upload_url_is_not_slacks(
        self,
        bellhop: Bellhop,
        ci: MethodCaller,
        hand: Hand,
        url: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        file_id = share(ci, GENERAL)
        given = url.format(slack=bellhop.slack_url) if isinstance(url, str) else url
        monkeypatch.setattr("slack_sandbox.web_api.files.upload_url", lambda *_: given)

        hand.deliver()

        assert texts(bellhop, GENERAL) == [self.page(bellhop, file_id)]
        assert bellhop.slack.calls_to(COMPLETE) == []

    def test_if_slack_names_no_permalink(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file_id = share(ci, GENERAL)
        monkeypatch.setattr("slack_sandbox.web_api.files.permalink", lambda *_: None)

        hand.deliver()

        assert texts(bellhop, GENERAL) == [self.page(bellhop, file_id)]


class TestCrashes:
    def test_before_the_post_nothing_is_uploaded_again(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        share(ci, GENERAL)

        def die_before_the_post() -> None:
            if bellhop.slack.calls_to(COMPLETE):
                hand.ownership.is_lost = True

        hand.ownership.before_request = die_before_the_post
        hand.deliver()
        assert texts(bellhop, GENERAL) == []

        deliver(Hand(bellhop), 20)

        assert texts(bellhop, GENERAL) == [link_in_slack(bellhop)]

    def test_after_the_post_the_message_is_found(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        share(ci, GENERAL)
        hand.die_after_request()
        hand.deliver()

        deliver(Hand(bellhop), 20)

        assert texts(bellhop, GENERAL) == [link_in_slack(bellhop)]
