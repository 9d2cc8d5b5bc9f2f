"""The page and the download of a file: who may see them, and that nothing in it runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from sqlalchemy import insert, select

from bolt_app.db.models import Delivery, Notification, NotificationFile
from slack_sandbox import Fault
from tests.notifications.hand import Hand
from tests.people import ACME, ANN, BEA, BEN, GENERAL
from tests.running import Bellhop, Browser, Page
from tests.statements import statements_of
from tests.web.forms import follow, without_token
from tests.web.methods.calling import MethodCaller, method_caller
from tests.web.methods.uploading import COMPLETE, open_upload, share, upload

GUEST, DEPLOYS = "U0GUS00001", "C0ACME0003"
PROFILE = "?only=profile"
UNKNOWN = "F" + "0" * 16
SCRIPT = b"<script>alert(1)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@dataclass(frozen=True)
class Pages:
    """The two pages of a file, as one person gets them."""

    page: Page
    download: Page

    @property
    def statuses(self) -> tuple[int, int]:
        """The HTTP statuses."""
        return self.page.status, self.download.status


SEEN, MISSING, SIGN_IN = (200, 200), (404, 404), (403, 403)


def look(browser: Browser, file_id: str) -> Pages:
    path = f"/files/{file_id}"
    return Pages(browser.get(path), browser.get(f"{path}/download"))


@pytest.fixture
def ann(bellhop: Bellhop) -> Browser:
    browser, _ = bellhop.install(ANN)
    return browser


@pytest.fixture
def ci(bellhop: Bellhop, ann: Browser) -> MethodCaller:
    return method_caller(bellhop)


@pytest.fixture
def ben(bellhop: Bellhop, ann: Browser) -> Browser:
    browser, _ = bellhop.install(BEN, query=PROFILE)
    return browser


@pytest.mark.sqlite_only
class TestDownloads:
    @pytest.mark.parametrize(
        ("name", "data"), [("a.html", SCRIPT), ("a.svg", SVG), ("a.pdf", b"%PDF-1.4")]
    )
    def test_no_content_is_active(
        self, ann: Browser, ci: MethodCaller, name: str, data: bytes
    ) -> None:
        download = look(ann, share(ci, GENERAL, data, name)).download

        headers = download.headers
        assert download.text == data.decode()
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["Content-Disposition"] == f"attachment; filename={name}"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Length"] == str(len(data))

    @pytest.mark.parametrize(
        ("name", "sent"),
        [
            ('a";filename="b.exe', r'attachment; filename="a\";filename=\"b.exe"'),
            ("../a\\b.txt", "attachment; filename=.._a_b.txt"),
            ("a\r\nX-Evil: 1", 'attachment; filename="a X-Evil: 1"'),
            (
                "résumé.pdf",
                f"attachment; filename=resume.pdf; filename*=UTF-8''{quote('résumé.pdf')}",
            ),
            ("日本", f"attachment; filename=file; filename*=UTF-8''{quote('日本')}"),
            # A fullwidth slash, "care of" and a fullwidth backslash.
            (
                "..\uff0f\u2105\uff3cb",
                "attachment; filename=.._c_o_b; filename*=UTF-8''..%EF%BC%8F%E2%84%85%EF%BC%BCb",
            ),
        ],
    )
    def test_names_in_the_header(
        self, ann: Browser, ci: MethodCaller, name: str, sent: str
    ) -> None:
        download = look(ann, share(ci, GENERAL, name=name)).download

        assert download.headers["Content-Disposition"] == sent
        assert "X-Evil" not in download.headers

    def test_the_page_shows_name_and_size_as_text(self, ann: Browser, ci: MethodCaller) -> None:
        name = "<script>alert(1)</script>"

        page = look(ann, share(ci, GENERAL, b"x" * 2048, name)).page

        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert(1)" in page.text
        assert "2.0 KiB" in page.text
        assert page.headers["Content-Type"].startswith("text/html")

    def test_the_page_of_the_notification_links_to_it(
        self, bellhop: Bellhop, ann: Browser, ci: MethodCaller
    ) -> None:
        file_id = share(ci, GENERAL)
        [notification_id] = bellhop.services.files.notifications_of(file_id)

        page = ann.get(f"/notifications/{notification_id}")

        assert f'<a href="/files/{file_id}">a.txt</a>' in page.text
        assert f'href="/notifications/{notification_id}"' in look(ann, file_id).page.text


@pytest.mark.sqlite_only
class TestAccess:
    def test_a_member_sees_a_file_in_a_public_channel(self, ci: MethodCaller, ben: Browser) -> None:
        assert look(ben, share(ci, GENERAL)).statuses == SEEN

    def test_a_private_channel_is_for_its_members(
        self, bellhop: Bellhop, ann: Browser, ben: Browser, ci: MethodCaller
    ) -> None:
        channel = bellhop.slack.add_channel(ACME, "secret", members=[ANN], is_private=True)
        bellhop.slack.invite_bot(ANN, channel.id)
        file_id = share(ci, channel.id)
        Hand(bellhop).deliver()

        assert look(ann, file_id).statuses == SEEN
        assert look(ben, file_id).statuses == MISSING

    def test_a_direct_message_is_for_its_recipient(
        self, ann: Browser, ben: Browser, ci: MethodCaller
    ) -> None:
        file_id = share(ci, BEN)

        assert look(ben, file_id).statuses == SEEN
        assert look(ann, file_id).statuses == MISSING

    def test_one_visible_channel_is_enough(
        self, ann: Browser, ben: Browser, ci: MethodCaller
    ) -> None:
        file_id = upload(ci)
        ci.ok(COMPLETE, files=[{"id": file_id}], channels=f"{BEN},{GENERAL}")

        assert look(ann, file_id).statuses == look(ben, file_id).statuses == SEEN

    def test_a_guest_sees_what_went_to_their_channels(
        self, bellhop: Bellhop, ci: MethodCaller
    ) -> None:
        guest, _ = bellhop.install(GUEST, query=PROFILE)
        theirs, others = share(ci, DEPLOYS), share(ci, GENERAL)
        Hand(bellhop).deliver()

        assert look(guest, theirs).statuses == SEEN
        assert look(guest, others).statuses == MISSING

    def test_people_of_another_organization_see_nothing(
        self, bellhop: Bellhop, ci: MethodCaller
    ) -> None:
        """Not even in a channel that they share."""
        bea, _ = bellhop.install(BEA)
        bellhop.slack.share_channel(DEPLOYS, BEA)
        file_id = share(ci, DEPLOYS)
        Hand(bellhop).deliver()

        found, unknown = look(bea, file_id), look(bea, UNKNOWN)

        assert found.statuses == MISSING
        assert without_token(found.page) == without_token(unknown.page)
        assert without_token(found.download) == without_token(unknown.download)

    def test_the_link_alone_shows_nothing(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        file_id = share(ci, GENERAL)
        visitor = bellhop.browser()

        known, unknown = look(visitor, file_id), look(bellhop.browser(), UNKNOWN)

        assert known.statuses == SIGN_IN
        assert "Sign in to see this file" in known.page.text
        assert without_token(known.page) == without_token(unknown.page)
        assert without_token(known.download) == without_token(unknown.download)

    def test_a_visitor_signs_in_and_returns(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        file_id = share(ci, GENERAL, name="report.pdf")
        browser = bellhop.browser()
        browser.get(f"/files/{file_id}")

        _, landing = bellhop.install(BEN, browser=browser, query=PROFILE)

        assert "report.pdf" in follow(browser, landing).text

    def test_a_deactivated_person_sees_nothing(
        self, bellhop: Bellhop, ben: Browser, ci: MethodCaller
    ) -> None:
        file_id = share(ci, BEN)
        bellhop.slack.update_user(BEN, deleted=True)
        bellhop.slack.deliver_due()

        assert look(ben, file_id).statuses == SIGN_IN

    def test_unshared_files_are_nobodys(self, ann: Browser, ci: MethodCaller) -> None:
        announced, _ = open_upload(ci)

        assert look(ann, announced).statuses == look(ann, upload(ci)).statuses == MISSING

    def test_an_error_of_slack_does_not_reveal_that_a_file_exists(
        self, bellhop: Bellhop, ben: Browser, ci: MethodCaller
    ) -> None:
        file_id = share(ci, ANN)
        bellhop.clock.advance(3600)
        bellhop.slack.faults.add(Fault("users.info", "server_error"))

        found, unknown = look(ben, file_id), look(ben, UNKNOWN)

        assert found.statuses == unknown.statuses == (502, 502)


@pytest.mark.parametrize("wrong", [UNKNOWN, "x", "%00", UNKNOWN + "0", "..%2f..%2fetc"])
def test_unknown_ids(ann: Browser, wrong: str) -> None:
    assert look(ann, wrong).statuses == MISSING


@pytest.mark.parametrize("user_id", [BEN, GUEST])
def test_many_links_cost_no_more_than_few(
    bellhop: Bellhop, ann: Browser, ci: MethodCaller, user_id: str
) -> None:
    """As earlier versions stored them: one for each edit of the message."""
    channel = bellhop.slack.add_channel(ACME, "secret", members=[ANN], is_private=True)
    bellhop.slack.invite_bot(ANN, channel.id)
    file_id = share(ci, channel.id)
    Hand(bellhop).deliver()
    browser, _ = bellhop.install(user_id, query=PROFILE)
    database = bellhop.services.database
    browser.get(f"/files/{file_id}")  # fills the caches
    with statements_of(database) as before:
        assert browser.get(f"/files/{file_id}").status == 404

    copy_notification(bellhop, 40)

    assert len(bellhop.services.files.notifications_of(file_id)) == 41
    with statements_of(database) as after:
        assert browser.get(f"/files/{file_id}").status == 404
    # Rows that are cached for a second may be read again.
    assert len(after) <= len(before) + 2
    assert ann.get(f"/files/{file_id}").status == 200


def test_an_edit_in_another_channel_is_not_what_the_page_links_to(
    bellhop: Bellhop, ben: Browser, ci: MethodCaller
) -> None:
    channel = bellhop.slack.add_channel(ACME, "secret", members=[ANN], is_private=True)
    bellhop.slack.invite_bot(ANN, channel.id)
    file_id = upload(ci)
    ci.ok(COMPLETE, files=[{"id": file_id}], channels=f"{channel.id},{GENERAL}")
    with bellhop.services.database.reading() as session:
        secret = session.scalars(select(Delivery).order_by(Delivery.id)).first()
    assert secret is not None
    bellhop.clock.advance(1)
    ci.ok("chat.update", channel=channel.id, ts=secret.provisional_ts, text="Secret")

    page = ben.get(f"/files/{file_id}")

    assert page.status == 200
    linked = re.search(r'href="(/notifications/[0-9a-f]{32})"', page.text)
    assert linked is not None
    assert ben.get(linked[1]).status == 200


def copy_notification(bellhop: Bellhop, times: int) -> None:
    """Copy the only notification with a file, its delivery and its link."""
    with bellhop.services.database.writing() as session:
        delivery = session.scalars(select(Delivery)).one()
        notification = session.get_one(Notification, delivery.notification_id)
        link = session.scalars(select(NotificationFile)).one()
        for number in range(times):
            id_ = f"{int(notification.id, 16) + 1 + number:032x}"
            for row, changed in (
                (notification, {"id": id_}),
                (delivery, {"id": None, "notification_id": id_, "provisional_ts": None}),
                (link, {"notification_id": id_}),
            ):
                columns = {column.name for column in row.__table__.columns}
                values = {name: getattr(row, name) for name in columns} | changed
                values = {name: value for name, value in values.items() if value is not None}
                session.execute(insert(type(row)).values(values))
