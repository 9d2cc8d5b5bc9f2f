"""Files of the Slack-compatible Web API: uploads, limits, owners and messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import func, select

from bolt_app.config import Settings
from bolt_app.credentials.api_keys import Scope
from bolt_app.db.models import Delivery, File, FileChunk, Notification, NotificationFile
from bolt_app.notifications.content.summaries import headline
from bolt_app.notifications.files import service, store
from bolt_app.notifications.files.errors import UnknownUploadError
from bolt_app.notifications.files.service import (
    CHUNK_BYTES,
    UNUSED_LIFETIME,
    UPLOAD_ATTEMPTS,
    UPLOAD_LIFETIME,
)
from bolt_app.notifications.history.retention import Retention
from bolt_app.web.methods import files as methods
from bolt_app.web.uploads import MOST_PARTS
from tests.conftest import FakeClock
from tests.delivering import wait_until
from tests.notifications.hand import Hand, texts
from tests.people import ACME, ANN, BEA, BEN, BETA, GENERAL
from tests.running import PATIENCE_SECONDS, Bellhop, Repetition, running_bellhop
from tests.statements import statements_of
from tests.web.methods.calling import MethodCaller, method_caller
from tests.web.methods.uploading import (
    COMPLETE,
    GET_URL,
    open_upload,
    send_bytes,
    share,
    slow_request,
    slow_upload,
    stored,
    upload,
)
from tests.web.multipart import MULTIPART, form_of_headers, status_and_memory

RANDOM = "C0ACME0002"
MEBIBYTE = 1024 * 1024


@pytest.fixture
def ci(bellhop: Bellhop) -> MethodCaller:
    """A program in a workspace in which Ann has installed Bellhop."""
    bellhop.install(ANN)
    return method_caller(bellhop)


def bytes_of(bellhop: Bellhop, file_id: str) -> bytes:
    return b"".join(bellhop.services.files.chunks(file_id))


def count(bellhop: Bellhop, model: Any) -> int:
    with bellhop.services.database.reading() as session:
        return session.scalars(select(func.count()).select_from(model)).one()


def attempts_at(bellhop: Bellhop, file_id: str) -> int:
    with bellhop.services.database.reading() as session:
        return session.scalars(select(File.upload_attempts).where(File.id == file_id)).one()


def sum_of_attempts(bellhop: Bellhop) -> int:
    with bellhop.services.database.reading() as session:
        return session.scalars(select(func.sum(File.upload_attempts))).one()


def page_link(bellhop: Bellhop, file_id: str, label: str = "a.txt") -> str:
    return f"<{bellhop.url}/files/{file_id}|{label}>"


class TestClients:
    def test_slack_sdk(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        data = b"\0\xff" * CHUNK_BYTES

        answer = ci.client.files_upload_v2(
            filename="report.pdf", file=data, title="Report", channel=GENERAL, initial_comment="Hi"
        )

        file = answer["file"]
        assert (file["name"], file["title"], file["size"]) == ("report.pdf", "Report", len(data))
        assert file["permalink"] == f"{bellhop.url}/files/{file['id']}"
        assert bytes_of(bellhop, file["id"]) == data
        Hand(bellhop).deliver()
        assert texts(bellhop, GENERAL) == [f"Hi\n{page_link(bellhop, file['id'], 'Report')}"]

    def test_several_files_in_several_channels(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        uploads = [{"content": "1", "filename": "1.txt"}, {"content": "2", "filename": "2.txt"}]

        answer = ci.client.files_upload_v2(file_uploads=uploads, channels=[GENERAL, RANDOM])

        Hand(bellhop).deliver()
        links = [page_link(bellhop, one["id"], one["name"]) for one in answer["files"]]
        assert texts(bellhop, GENERAL) == texts(bellhop, RANDOM) == ["\n".join(links)]

    @pytest.mark.sqlite_only
    def test_the_asynchronous_client(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        client = AsyncWebClient(token=ci.key, base_url=f"{bellhop.url}/api/")

        answer = asyncio.run(client.files_upload_v2(content="Hello", filename="a", channel=BEN))

        assert bytes_of(bellhop, answer["file"]["id"]) == b"Hello"

    @pytest.mark.sqlite_only
    def test_a_form_with_the_file(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        file_id, url = open_upload(ci, 3)
        boundary = uuid4().hex
        part = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        body = part.encode() + b"\r\n-" + f"\r\n--{boundary}--\r\n".encode()

        page = send_bytes(url, body, f"multipart/form-data; boundary={boundary}")

        assert (page.status, page.text) == (200, "OK - 3")
        assert bytes_of(bellhop, file_id) == b"\r\n-"


@pytest.mark.sqlite_only
class TestUploadUrls:
    def test_one_takes_its_bytes_once(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        file_id, url = open_upload(ci)

        assert [send_bytes(url, b"Hello").status, send_bytes(url, b"World").status] == [200, 404]
        assert bytes_of(bellhop, file_id) == b"Hello"

    def test_it_expires(self, bellhop: Bellhop, ci: MethodCaller, clock: FakeClock) -> None:
        _, url = open_upload(ci)
        clock.advance(UPLOAD_LIFETIME.total_seconds())

        assert send_bytes(url, b"Hello").status == 404

    def test_an_unknown_one(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        assert send_bytes(f"{bellhop.url}/uploads/x", b"Hello").status == 404

    @pytest.mark.parametrize("data", [b"", b"Hell", b"Hello!"])
    def test_another_length_is_rejected_and_can_be_repeated(
        self, bellhop: Bellhop, ci: MethodCaller, data: bytes
    ) -> None:
        file_id, url = open_upload(ci)

        assert send_bytes(url, data).status in (400, 413)
        assert ci.error(COMPLETE, files=[{"id": file_id}], channel_id=GENERAL) == "file_not_found"
        assert count(bellhop, FileChunk) == 0
        assert send_bytes(url, b"Hello").status == 200

    def test_a_wrong_length_is_not_written(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        _, url = open_upload(ci)

        with statements_of(bellhop.services.database) as statements:
            assert send_bytes(url, b"Hell").status == 400

        assert not [one for one in statements if "file_chunks" in one]

    @pytest.mark.parametrize("names", ["", "ab", "aa"])
    def test_a_form_needs_one_file(self, ci: MethodCaller, names: str) -> None:
        _, url = open_upload(ci)
        part = '--x\r\nContent-Disposition: form-data; name="{}"; filename="a"\r\n\r\nHello\r\n'
        body = "".join(map(part.format, names)) + "--x--\r\n"

        page = send_bytes(url, body.encode(), "multipart/form-data; boundary=x")

        assert page.status == 400

    def test_a_form_may_not_be_much_larger(self, ci: MethodCaller) -> None:
        _, url = open_upload(ci)
        head = '--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
        body = f"{head}{'x' * 20_000}\r\n--x--\r\n"

        page = send_bytes(url, body.encode(), "multipart/form-data; boundary=x")

        assert page.status == 413

    def test_a_form_has_the_file_and_a_few_fields(self, ci: MethodCaller) -> None:
        _, url = open_upload(ci)
        field = '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
        file = '--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nHello\r\n'

        for fields, status in ((MOST_PARTS, 413), (MOST_PARTS - 1, 200)):
            body = field * fields + file + "--x--\r\n"
            assert send_bytes(url, body.encode(), MULTIPART).status == status

    def test_a_form_of_headers_needs_little_memory(
        self, bellhop: Bellhop, ci: MethodCaller
    ) -> None:
        """It needed fifty times its size."""
        _, url = open_upload(ci, 10 * MEBIBYTE)
        body = form_of_headers(10 * MEBIBYTE)

        status, peak = status_and_memory(bellhop.app, url, body, {"Content-Type": MULTIPART})

        assert status == 413
        assert peak < 4 * MEBIBYTE

    def test_a_form_of_fields_needs_little_memory(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        """It needed four times its size: each character became one of four bytes."""
        _, url = open_upload(ci, 10 * MEBIBYTE)
        head = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
        body = (head + "\U0001f514".encode() + b"a" * 480_000 + b"\r\n") * 20 + b"--x--\r\n"

        status, peak = status_and_memory(bellhop.app, url, body, {"Content-Type": MULTIPART})

        assert status == 413
        assert peak < 15 * MEBIBYTE


def test_a_revoked_key_stores_nothing(bellhop: Bellhop, ci: MethodCaller) -> None:
    key = bellhop.services.api_keys.find(ci.key)
    assert key is not None
    _, announced = open_upload(ci)
    _, running = open_upload(ci)
    with slow_request(running, b"Hello") as slow:
        wait_until(bellhop, lambda: sum_of_attempts(bellhop) == 1)

        bellhop.services.api_keys.revoke(key.id)

        slow.send(b"o")
        assert slow.getresponse().status == 404
    assert send_bytes(announced, b"Hello").status == 404
    assert count(bellhop, FileChunk) == 0
    assert sum_of_attempts(bellhop) == 1


def test_an_expired_key_stores_nothing(bellhop: Bellhop) -> None:
    ci = method_caller(bellhop, lifetime=timedelta(minutes=10))
    _, announced = open_upload(ci)
    bellhop.clock.advance(timedelta(minutes=10).total_seconds())

    assert send_bytes(announced, b"Hello").status == 404
    assert count(bellhop, FileChunk) == 0
    assert sum_of_attempts(bellhop) == 0


class TestAttempts:
    def test_a_url_ends_with_its_last_one(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        _, url = open_upload(ci)
        _, other = open_upload(ci)

        answers = [send_bytes(url, b"Hell").status for _ in range(UPLOAD_ATTEMPTS)]

        assert answers == [400] * UPLOAD_ATTEMPTS
        page = send_bytes(url, b"Hello")
        assert (page.status, page.text) == (404, "upload_not_found")
        assert count(bellhop, FileChunk) == 0
        assert send_bytes(other, b"Hello").status == 200

    def test_the_last_one_stores_the_file(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        file_id, url = open_upload(ci)
        for data in (b"", b"Hell", b"Hello!", b"Hello" * 5000)[: UPLOAD_ATTEMPTS - 1]:
            assert send_bytes(url, data).status in (400, 413)

        assert send_bytes(url, b"Hello").status == 200
        assert bytes_of(bellhop, file_id) == b"Hello"

    @pytest.mark.sqlite_only
    def test_one_counts_while_it_is_running(
        self, bellhop: Bellhop, ci: MethodCaller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service, "UPLOAD_ATTEMPTS", 1)
        file_id, url = open_upload(ci)
        with slow_request(url, b"Hello") as slow:
            wait_until(bellhop, lambda: attempts_at(bellhop, file_id) == 1)

            assert send_bytes(url, b"Hello").status == 404

            slow.send(b"o")
            assert slow.getresponse().read() == b"OK - 5"

    def test_processes_count_them_together(
        self, bellhop: Bellhop, ci: MethodCaller, clock: FakeClock
    ) -> None:
        _, url = open_upload(ci)
        secret = url.rpartition("/")[2]
        files = bellhop.services.files
        limits = service.FileLimits(file=MEBIBYTE, workspace=MEBIBYTE)
        elsewhere = service.Files(
            bellhop.services.database,
            bellhop.url,
            limits,
            bellhop.services.sender_limits,
            clock=clock,
        )

        for number in range(UPLOAD_ATTEMPTS):
            (files, elsewhere)[number % 2].count_attempt(secret)

        for process in (files, elsewhere):
            with pytest.raises(UnknownUploadError):
                process.count_attempt(secret)
            with pytest.raises(UnknownUploadError):
                process.find_announced(secret)


@pytest.mark.sqlite_only
class TestSlowClients:
    @pytest.fixture
    def bellhop(
        self,
        database_url: str,
        encryption_key: str,
        clock: FakeClock,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Iterator[Bellhop]:
        # For `wait_until_full`.
        monkeypatch.setattr(service, "UPLOAD_ATTEMPTS", 1_000_000)
        with running_bellhop(database_url, encryption_key, clock, web_threads=4) as running:
            yield running

    def test_leave_room_for_other_keys(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        other, (file_id, url) = method_caller(bellhop), open_upload(ci)
        with slow_upload(ci, b"Hello") as slow:
            self.wait_until_full(ci)

            page = send_bytes(url, b"Hello")
            assert (page.status, page.text) == (503, "service_unavailable")
            assert (page.headers["Retry-After"], page.headers["Connection"]) == ("1", "close")
            assert attempts_at(bellhop, file_id) == 0
            upload(other)

            slow.send(b"o")
            assert slow.getresponse().read() == b"OK - 5"
        assert send_bytes(url, b"Hello").status == 200

    def test_leave_room_for_everything_else(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        other, third = method_caller(bellhop), method_caller(bellhop)
        with slow_upload(ci, b"Hello"), slow_upload(other, b"Hello"):
            self.wait_until_full(third)

            ci.ok("chat.postMessage", channel=GENERAL, text="Hello")
        upload(third)

    def wait_until_full(self, who: MethodCaller) -> None:
        """Wait until an upload of a key is refused, because others have begun."""
        _, url = open_upload(who, 2)
        ends = monotonic() + PATIENCE_SECONDS
        # The address can be used again after a wrong length.
        while (status := send_bytes(url, b"x").status) != 503:
            assert (status, monotonic() < ends) == (400, True)


class TestShares:
    """Of the storage of a workspace each source leaves something to the others."""

    @pytest.fixture
    def bellhop(
        self,
        database_url: str,
        encryption_key: str,
        clock: FakeClock,
        restoring: Repetition | None,
    ) -> Iterator[Bellhop]:
        changes = {"file_megabytes": 1, "workspace_files_megabytes": 8}
        with running_bellhop(database_url, encryption_key, clock, restoring, **changes) as running:
            yield running

    @staticmethod
    def fill(who: MethodCaller, most: int = 20) -> int:
        """Share files of 1 MiB until there is no room; return their number."""
        for number in range(most):
            answer = who.call(GET_URL, filename="a", length=MEBIBYTE)
            if not answer["ok"]:
                assert answer["error"] == "storage_limit_reached"
                return number
            assert send_bytes(answer["upload_url"], b"x" * MEBIBYTE).status == 200
            who.ok(COMPLETE, files=[{"id": answer["file_id"]}], channel_id="#random")
        return most

    def test_a_source_leaves_a_quarter(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        limited = method_caller(bellhop, channels=["#random"])

        assert self.fill(limited) == 6
        assert self.fill(ci) == 1
        assert limited.error(GET_URL, filename="a", length=1) == "storage_limit_reached"

    def test_keys_of_one_source_have_one_share(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        keys = [method_caller(bellhop, source="ci") for _ in range(2)]

        assert [self.fill(who) for who in keys] == [6, 0]
        open_upload(ci, MEBIBYTE)

    def test_other_workspaces_do_not_count(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        bellhop.install(BEA)
        elsewhere = method_caller(bellhop, team_id=BETA)
        self.fill(ci)

        assert self.fill(elsewhere) == 6

    def test_a_small_storage_takes_a_file_of_any_size(
        self, database_url: str, encryption_key: str, clock: FakeClock
    ) -> None:
        changes = {"file_megabytes": 1, "workspace_files_megabytes": 1}
        with running_bellhop(database_url, encryption_key, clock, **changes) as bellhop:
            bellhop.install(ANN)

            assert self.fill(method_caller(bellhop)) == 1


@pytest.mark.sqlite_only
class TestLimits:
    @pytest.fixture
    def bellhop(
        self,
        database_url: str,
        encryption_key: str,
        clock: FakeClock,
        restoring: Repetition | None,
    ) -> Iterator[Bellhop]:
        changes = {"file_megabytes": 1, "workspace_files_megabytes": 2}
        with running_bellhop(database_url, encryption_key, clock, restoring, **changes) as running:
            yield running

    def test_the_size_of_a_file(self, ci: MethodCaller) -> None:
        open_upload(ci, MEBIBYTE)

        answer = ci.call(GET_URL, filename="a", length=MEBIBYTE + 1)

        assert answer["error"] == "file_upload_size_restricted"
        assert "up to 1 MiB" in answer["response_metadata"]["messages"][0]

    def test_the_files_of_a_workspace(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        bellhop.install(BEA)
        other = method_caller(bellhop)
        elsewhere = method_caller(bellhop, team_id=BETA)
        open_upload(ci, MEBIBYTE)
        open_upload(other, MEBIBYTE)

        assert ci.error(GET_URL, filename="a", length=1) == "storage_limit_reached"
        open_upload(elsewhere, 1)

    @pytest.mark.both_databases
    def test_small_files_count_as_larger_ones(
        self, bellhop: Bellhop, ci: MethodCaller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Otherwise 300,000 of one byte would make each announcement slow, and others wait."""
        for module in (service, store):
            monkeypatch.setattr(module, "LEAST_BYTES", MEBIBYTE // 2)
        for _ in range(3):
            open_upload(ci, 1)

        assert ci.error(GET_URL, filename="a", length=1) == "storage_limit_reached"
        open_upload(method_caller(bellhop), MEBIBYTE // 2)

    def test_the_open_uploads_of_a_key(
        self, bellhop: Bellhop, ci: MethodCaller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service, "OPEN_UPLOADS", 2)
        upload(ci)
        open_upload(ci)

        body = b'{"filename": "a", "length": 1}'
        page = ci.post(GET_URL, body, "application/json")

        assert (page.status, page.headers["Retry-After"]) == (503, "60")
        open_upload(method_caller(bellhop))

    def test_the_bytes_of_a_key_that_are_not_shared(
        self, database_url: str, encryption_key: str, clock: FakeClock
    ) -> None:
        changes = {"file_megabytes": 1, "workspace_files_megabytes": 8}
        with running_bellhop(database_url, encryption_key, clock, **changes) as bellhop:
            bellhop.install(ANN)
            ci = method_caller(bellhop)
            first = upload(ci, b"x" * MEBIBYTE)
            open_upload(ci, MEBIBYTE)
            body = b'{"filename": "a", "length": 1}'

            page = ci.post(GET_URL, body, "application/json")

            assert (page.status, page.headers["Retry-After"]) == (503, "60")
            open_upload(method_caller(bellhop), MEBIBYTE)
            ci.ok(COMPLETE, files=[{"id": first}], channel_id=GENERAL)
            open_upload(ci, MEBIBYTE)

    def test_a_shared_file_is_no_open_upload(
        self, ci: MethodCaller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service, "OPEN_UPLOADS", 1)
        share(ci, GENERAL)

        open_upload(ci)

    @pytest.mark.parametrize(
        ("given", "code"),
        [
            ({"filename": "a", "length": 0}, "missing_argument"),
            ({"filename": "a", "length": "00"}, "missing_argument"),
            ({"filename": "a"}, "missing_argument"),
            ({"filename": "a", "length": -1}, "invalid_arguments"),
            ({"filename": "a", "length": "9" * 30}, "invalid_arguments"),
            ({"filename": "\u200b", "length": 1}, "invalid_arguments"),
            ({"length": 1}, "invalid_arguments"),
            ({"filename": "a", "length": 1, "alt_txt": "x" * 1001}, "alt_txt_too_large"),
        ],
    )
    def test_malformed_announcements(
        self, ci: MethodCaller, given: dict[str, Any], code: str
    ) -> None:
        assert ci.error(GET_URL, **given) == code

    def test_files_can_be_turned_off(
        self, database_url: str, encryption_key: str, clock: FakeClock
    ) -> None:
        with running_bellhop(database_url, encryption_key, clock, file_megabytes=0) as bellhop:
            bellhop.install(ANN)
            ci = method_caller(bellhop)

            assert ci.error(GET_URL, filename="a", length=1) == "file_uploads_disabled"

    def test_names_are_one_visible_line(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        file_id = upload(ci, name="../a\u202egnp\n.exe\x07" + "x" * 300)

        found = stored(bellhop, file_id)

        assert found is not None
        assert found.name.startswith("../agnp .exe")
        assert len(found.name) == methods.NAME_LENGTH


class TestOwners:
    def test_another_source_cannot_share_a_file(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        file_id, stranger = upload(ci), method_caller(bellhop)

        error = stranger.error(COMPLETE, files=[{"id": file_id}], channel_id=GENERAL)

        assert error == "file_not_found"
        assert count(bellhop, Notification) == 0
        ci.ok(COMPLETE, files=[{"id": file_id}], channel_id=GENERAL)

    @pytest.mark.sqlite_only
    def test_another_key_of_the_source_can(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        bellhop.install(BEA)
        old, new = (method_caller(bellhop, source="ci") for _ in range(2))
        elsewhere = method_caller(bellhop, team_id=BETA, source="ci")
        files = [{"id": upload(old)}]

        assert elsewhere.error(COMPLETE, files=files) == "file_not_found"
        new.ok(COMPLETE, files=files, channel_id=GENERAL)

    def test_a_file_is_shared_once(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        file_id = share(ci, GENERAL)

        error = ci.error(COMPLETE, files=[{"id": file_id}], channel_id=RANDOM)

        assert error == "file_not_found"
        assert count(bellhop, NotificationFile) == 1

    def test_two_calls_at_once_share_it_once(
        self, bellhop: Bellhop, ci: MethodCaller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file_id = upload(ci)
        files, find = bellhop.services.files, bellhop.services.files.find_ready

        def find_and_be_overtaken(*given: Any) -> Any:
            found = find(*given)
            monkeypatch.setattr(files, "find_ready", find)
            ci.ok(COMPLETE, files=[{"id": file_id}], channel_id=GENERAL)
            return found

        monkeypatch.setattr(files, "find_ready", find_and_be_overtaken)
        error = ci.error(COMPLETE, files=[{"id": file_id}], channel_id=GENERAL)

        assert error == "file_not_found"
        assert (count(bellhop, Notification), count(bellhop, NotificationFile)) == (1, 1)

    @pytest.mark.sqlite_only
    def test_a_limited_key_shares_only_in_its_channels(
        self, bellhop: Bellhop, ci: MethodCaller
    ) -> None:
        limited = method_caller(bellhop, channels=["#random"])
        files = [{"id": upload(limited)}]

        for where in ({"channel_id": GENERAL}, {"channels": f"{RANDOM},{GENERAL}"}):
            assert limited.error(COMPLETE, files=files, **where) == "restricted_action"
        assert count(bellhop, Notification) == 0
        limited.ok(COMPLETE, files=files, channel_id=RANDOM)

    @pytest.mark.sqlite_only
    def test_a_key_that_may_not_send(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        reader = method_caller(bellhop, Scope.READ)

        assert reader.error(GET_URL, filename="a", length=1) == "missing_scope"
        assert reader.error(COMPLETE, files=[{"id": upload(ci)}]) == "missing_scope"

    @pytest.mark.sqlite_only
    def test_a_private_file_can_be_shared_later(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        file_id = upload(ci)

        ci.ok(COMPLETE, files=[{"id": file_id, "title": "A"}])

        assert count(bellhop, Notification) == 0
        ci.ok(COMPLETE, files=[{"id": file_id}], channel_id=GENERAL)

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize(
        ("given", "code"),
        [
            ({}, "invalid_arguments"),
            ({"files": []}, "invalid_arguments"),
            ({"files": "nonsense"}, "invalid_arguments"),
            ({"files": [{"title": "A"}]}, "invalid_arguments"),
            ({"files": [{"id": "F"}] * 21}, "invalid_arguments"),
            ({"files": [{"id": "F0UNKNOWN"}]}, "file_not_found"),
            ({"files": [{"id": "F"}], "channel_id": "C0NOWHERE9"}, "file_not_found"),
            ({"files": [{"id": "F"}], "channel_id": "nowhere"}, "channel_not_found"),
            (
                {"files": [{"id": "F"}], "channels": f"{GENERAL},{RANDOM}", "thread_ts": "1.2"},
                "invalid_arguments",
            ),
            (
                {"files": [{"id": "F"}], "channel_id": GENERAL, "thread_ts": "x"},
                "invalid_thread_ts",
            ),
            ({"files": [{"id": "F"}], "blocks": {}}, "invalid_blocks"),
            (
                {"files": [{"id": "F"}], "channels": ",".join(f"C{n}" for n in range(101))},
                "channels_limit_exceeded",
            ),
        ],
    )
    def test_malformed_calls(self, ci: MethodCaller, given: dict[str, Any], code: str) -> None:
        assert ci.error(COMPLETE, **given) == code


@pytest.mark.sqlite_only
class TestMessages:
    def test_blocks_instead_of_a_comment(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        file_id = upload(ci)
        blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "*Chart*"}}]

        ci.ok(COMPLETE, files=[{"id": file_id}], channel_id=GENERAL, blocks=blocks)

        Hand(bellhop).deliver()
        [message] = bellhop.slack.messages(GENERAL)
        shown = [block["text"]["text"] for block in message.blocks]
        assert shown == ["*Chart*", page_link(bellhop, file_id)]

    def test_names_mention_nobody(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        ci = method_caller(bellhop, allow_broadcast=True)
        file_id = upload(ci, name="<!channel>")

        ci.ok(COMPLETE, files=[{"id": file_id}], channel_id=GENERAL, initial_comment="<!here> Look")

        Hand(bellhop).deliver()
        [text] = texts(bellhop, GENERAL)
        assert text == f"<!here> Look\n{page_link(bellhop, file_id, '&lt;!channel&gt;')}"

    def test_comments_mention_everyone_only_with_the_permission(
        self, bellhop: Bellhop, ci: MethodCaller
    ) -> None:
        files = [{"id": upload(ci)}]

        ci.ok(COMPLETE, files=files, channel_id=GENERAL, initial_comment="<!here> Look")

        Hand(bellhop).deliver()
        assert "<!" not in texts(bellhop, GENERAL)[0]

    def test_a_reply_follows_its_message(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        ts = ci.ok("chat.postMessage", channel=GENERAL, text="Root")["ts"]

        ci.ok(COMPLETE, files=[{"id": upload(ci)}], channel_id=GENERAL, thread_ts=ts)

        hand = Hand(bellhop)
        for _ in range(3):
            hand.deliver()
            bellhop.clock.advance(1)
        root, reply = bellhop.slack.messages(GENERAL)
        assert reply.thread_ts == root.ts

    @pytest.mark.parametrize("is_posted", [False, True])
    def test_a_change_of_the_text_keeps_the_file(
        self, bellhop: Bellhop, ci: MethodCaller, is_posted: bool
    ) -> None:
        file_id, hand = share(ci, GENERAL), Hand(bellhop)
        if is_posted:
            hand.deliver()
        with bellhop.services.database.reading() as session:
            [delivery] = session.scalars(select(Delivery)).all()

        ci.ok("chat.update", channel=GENERAL, ts=delivery.provisional_ts, text="New")
        bellhop.clock.advance(1)
        hand.deliver()

        assert texts(bellhop, GENERAL) == [f"New\n{page_link(bellhop, file_id)}"]
        # It is kept as long as its latest notification.
        assert len(bellhop.services.files.notifications_of(file_id)) == 2

    @pytest.mark.parametrize("is_posted", [False, True])
    def test_many_changes_leave_the_file_in_the_first_notification_and_the_latest(
        self, bellhop: Bellhop, ci: MethodCaller, is_posted: bool
    ) -> None:
        file_id = share(ci, GENERAL)
        if is_posted:
            Hand(bellhop).deliver()
        with bellhop.services.database.reading() as session:
            [delivery] = session.scalars(select(Delivery)).all()
        first = delivery.notification_id

        for number in range(5):
            bellhop.clock.advance(1)
            ci.ok("chat.update", channel=GENERAL, ts=delivery.provisional_ts, text=f"{number} %")

        with bellhop.services.database.reading() as session:
            latest = session.scalars(select(func.max(Notification.id))).one()
        assert bellhop.services.files.notifications_of(file_id) == [latest, first]

    def test_a_file_stays_linked_to_the_posted_text_after_a_cancelled_edit(
        self, bellhop: Bellhop, ci: MethodCaller
    ) -> None:
        file_id, hand = share(ci, GENERAL), Hand(bellhop)
        with bellhop.services.database.reading() as session:
            ts = session.scalars(select(Delivery.provisional_ts)).one()
        bellhop.clock.advance(1)
        ci.ok("chat.update", channel=GENERAL, ts=ts, text="Posted")
        bellhop.clock.advance(1)
        hand.deliver()
        ci.ok("chat.update", channel=GENERAL, ts=ts, text="Cancelled")
        latest = bellhop.services.files.notifications_of(file_id)[0]
        bellhop.services.history.cancel(ACME, latest)

        with bellhop.services.database.reading() as session:
            linked = bellhop.services.files.notifications_of(file_id)
            states = select(Delivery.state).where(Delivery.notification_id.in_(linked))
            assert "sent" in session.scalars(states).all()

    def test_a_change_in_one_channel_takes_the_file_from_no_other(
        self, bellhop: Bellhop, ci: MethodCaller
    ) -> None:
        file_id = upload(ci)
        ci.ok(COMPLETE, files=[{"id": file_id}], channels=f"{GENERAL},{RANDOM}")
        with bellhop.services.database.reading() as session:
            deliveries = session.scalars(select(Delivery).order_by(Delivery.id)).all()

        for number in range(4):
            bellhop.clock.advance(1)
            for one, channel in zip(deliveries, (GENERAL, RANDOM), strict=True):
                ci.ok("chat.update", channel=channel, ts=one.provisional_ts, text=f"{number}")

        bellhop.clock.advance(1)
        Hand(bellhop).deliver()
        for channel in (GENERAL, RANDOM):
            assert texts(bellhop, channel) == [f"3\n{page_link(bellhop, file_id)}"]
        # The first of both, and the latest of each.
        firsts = {one.notification_id for one in deliveries}
        assert len(bellhop.services.files.notifications_of(file_id)) == len(firsts) + 2

    def test_the_headline_is_the_title(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        ci.ok(COMPLETE, files=[{"id": upload(ci), "title": "Chart"}], channel_id=GENERAL)

        with bellhop.services.database.reading() as session:
            assert headline(session.scalars(select(Notification.content)).one()) == "Chart"


class TestDeletion:
    def test_unused_files_after_an_hour(
        self, bellhop: Bellhop, ci: MethodCaller, clock: FakeClock
    ) -> None:
        shared = share(ci, GENERAL)
        upload(ci)
        open_upload(ci)
        files = bellhop.services.files
        clock.advance(UNUSED_LIFETIME.total_seconds() - 1)
        assert files.delete_unused() == 0
        clock.advance(2)

        assert files.delete_unused() == 2

        assert count(bellhop, File) == count(bellhop, FileChunk) == 1
        assert bytes_of(bellhop, shared) == b"Hello"

    def test_shared_files_with_their_last_notification(
        self, bellhop: Bellhop, ci: MethodCaller, clock: FakeClock
    ) -> None:
        file_id = upload(ci)
        ci.ok(COMPLETE, files=[{"id": file_id}], channels=f"{GENERAL},{RANDOM}")
        Hand(bellhop).deliver()
        services, settings = bellhop.services, bellhop.settings
        retention = retention_of(bellhop, settings)
        clock.advance(settings.keep_days * 86_400 - 1)
        retention.delete_expired()
        assert services.files.delete_unused() == 0
        clock.advance(2)

        retention.delete_expired()
        services.files.delete_unused()

        assert [count(bellhop, model) for model in (File, FileChunk, NotificationFile)] == [0, 0, 0]

    def test_all_when_bellhop_is_uninstalled(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        bellhop.install(BEA)
        elsewhere = upload(method_caller(bellhop, team_id=BETA))
        share(ci, GENERAL)
        upload(ci)

        bellhop.slack.uninstall(ACME)
        bellhop.settle()

        with bellhop.services.database.reading() as session:
            assert session.scalars(select(File.id)).all() == [elsewhere]
        assert count(bellhop, FileChunk) == 1


def retention_of(bellhop: Bellhop, settings: Settings) -> Retention:
    keep_for = timedelta(days=settings.keep_days)
    return Retention(bellhop.services.database, keep_for=keep_for, clock=bellhop.clock)
