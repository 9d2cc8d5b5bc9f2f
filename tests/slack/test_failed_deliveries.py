"""Failed deliveries in the App Home: their visibility and retries."""

from __future__ import annotations

import json

import pytest

from bolt_app.slack import ids
from slack_sandbox import Fault
from slack_sandbox.world import View
from tests.commands import assert_failed, run
from tests.notifications.hand import Hand, accept, deliveries
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only

GUEST, LEADS = "U0GUS00001", "C0ACME0006"


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    bellhop.install(BEN, query="?only=profile")
    bellhop.install(GUEST, query="?only=profile")
    return bellhop


def fail_at(bellhop: Bellhop, address: str | list[str], title: str) -> str:
    bellhop.slack.faults.add(Fault("chat.postMessage", "api_error", error="restricted_action"))
    # Names that senders invent do not cause more lookups.
    bellhop.clock.advance(60)
    id_ = accept(bellhop, address, title=title)
    Hand(bellhop).deliver()
    bellhop.slack.faults.clear()
    return id_


def home(bellhop: Bellhop, user_id: str) -> View:
    bellhop.slack.open_home(user_id, ACME)
    bellhop.slack.deliver_due()
    view = bellhop.slack.home_view(ACME, user_id)
    assert view is not None
    return view


def failed(bellhop: Bellhop, user_id: str) -> str:
    """Return the text of a person's App Home below the heading for failed deliveries."""
    said = json.dumps(home(bellhop, user_id).blocks, ensure_ascii=False)
    return said.partition("*Failed deliveries*")[2]


def test_an_admin_retries_what_failed(installed: Bellhop) -> None:
    id_ = fail_at(installed, GENERAL, "Disk full")
    said = failed(installed, ANN)
    assert f"/notifications/{id_}|Disk full>" in said
    assert "→ #general, failed" in said
    assert "A setting of the workspace does not allow posting there." in said

    installed.slack.click(ANN, home(installed, ANN), ids.RETRY_NOTIFICATION)
    installed.wait_for_home(ACME, ANN, "retried a notification")
    installed.clock.advance(2)
    Hand(installed).deliver()

    report = installed.services.history.find(ACME, id_)
    assert report is not None
    assert [one.state for one in report.deliveries] == ["sent"]
    assert failed(installed, ANN) == ""


def test_a_second_retry_is_answered(installed: Bellhop) -> None:
    id_ = fail_at(installed, GENERAL, "Disk full")
    view = home(installed, ANN)
    installed.services.history.retry(ACME, id_)

    installed.slack.click(ANN, view, ids.RETRY_NOTIFICATION)

    installed.wait_for_home(ACME, ANN, "Nothing to retry")


def test_a_retry_leaves_out_deliveries_the_admin_may_not_see(installed: Bellhop) -> None:
    """Ann sees #general, and neither a direct message to Ben nor a channel she is not in."""
    private = installed.slack.add_channel(ACME, "board", members=[BEN], is_private=True)
    installed.slack.invite_bot(BEN, private.id)
    id_ = fail_at(installed, [GENERAL, BEN, private.id], "Disk full")

    installed.slack.click(ANN, home(installed, ANN), ids.RETRY_NOTIFICATION)
    installed.wait_for_home(ACME, ANN, "retried a notification")
    installed.clock.advance(2)
    Hand(installed).deliver()

    report = installed.services.history.find(ACME, id_)
    assert report is not None
    states = {one.to: one.state for one in report.deliveries}
    assert states == {GENERAL: "sent", BEN: "dead", private.id: "dead"}


def test_deliveries_to_a_deleted_person_are_not_retried(installed: Bellhop) -> None:
    id_ = fail_at(installed, BEN, "For Ben")
    asked = installed.slack.send_command(BEN, GENERAL, "/profile", "unlink").message
    assert asked is not None
    installed.slack.click(BEN, asked, ids.UNLINK_PROFILE, confirmed=True)

    result = run(installed, "notifications", "retry", "--team", ACME, id_)

    assert_failed(result, "the recipient unlinked their profile")
    [delivery] = deliveries(installed, id_)
    assert (delivery.state, delivery.target) == ("dead", "@deleted")


@pytest.mark.parametrize("user_id", [BEN, GUEST])
def test_others_cannot_retry(installed: Bellhop, user_id: str) -> None:
    fail_at(installed, user_id, "For one alone")

    assert "For one alone" in failed(installed, user_id)
    assert ids.RETRY_NOTIFICATION not in failed(installed, user_id)


def test_a_former_admin_cannot_retry(installed: Bellhop) -> None:
    id_ = fail_at(installed, GENERAL, "Disk full")
    view = home(installed, ANN)
    installed.slack.update_user(ANN, is_admin=False, is_owner=False, is_primary_owner=False)
    installed.slack.deliver_due()
    installed.wait_for_home(ACME, ANN, "Acme (member)")

    installed.slack.click(ANN, view, ids.RETRY_NOTIFICATION)

    installed.wait_for_home(ACME, ANN, "Only admins of this workspace can retry")
    report = installed.services.history.find(ACME, id_)
    assert report is not None
    assert [one.state for one in report.deliveries] == ["dead"]


def test_people_see_notifications_they_may_see(installed: Bellhop) -> None:
    """Sweep: every kind of destination, for every kind of person."""
    leads = installed.slack.channels[LEADS]
    installed.slack.invite_bot(leads.members[0], LEADS)
    everywhere = {
        "public": GENERAL,
        "private": LEADS,
        "to ann": ANN,
        "to ben": BEN,
        "by e-mail": "@ben@acme.example",
        "to guest": GUEST,
        "unresolved": "#nowhere",
    }
    seen_by = {
        ANN: {"public", "to ann", "unresolved"},
        BEN: {"public", "to ben", "by e-mail"},
        GUEST: {"to guest"},
    }
    for user_id in seen_by.keys() & set(leads.members):
        seen_by[user_id].add("private")
    if GUEST in installed.slack.channels[GENERAL].members:
        seen_by[GUEST].add("public")
    # The home shows five at most, so each is checked separately.
    for title, address in everywhere.items():
        id_ = fail_at(installed, address, title)
        shown = {user_id for user_id in seen_by if f"|{title}>" in failed(installed, user_id)}
        assert shown == {user_id for user_id, titles in seen_by.items() if title in titles}, title
        installed.services.history.retry(ACME, id_)
        installed.services.history.cancel(ACME, id_)


def test_while_slack_does_not_answer_nothing_is_shown(installed: Bellhop) -> None:
    fail_at(installed, GENERAL, "Disk full")
    installed.services.access.person_changed(BEN)
    installed.slack.faults.add(Fault("users.info", "server_error"))

    assert "Disk full" not in json.dumps(home(installed, BEN).blocks)
