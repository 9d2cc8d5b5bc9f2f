"""Deletion: no personal data is left in the database or its files."""

from __future__ import annotations

import ast
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import time, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import make_url, select

import bolt_app
from bolt_app.db.models import Delivery, Lane, UserInstallation
from bolt_app.installations.records import StoredInstallation
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.delivery.transitions import Transitions
from bolt_app.notifications.digests.preferences import NotificationPreferences
from bolt_app.notifications.history import erasure
from bolt_app.notifications.history.retention import Retention
from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.subscriptions.schedules import QuietHours
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.slack import ids
from bolt_app.slack.home import view as home
from bolt_app.slack.home.blocks import home_view
from bolt_app.slack_api import SlackCallError
from bolt_app.slack_ids import is_person
from bolt_app.workspaces.client import NotInstalledError
from slack_sandbox.world import Message
from tests.notifications.hand import Hand, accept, deliveries, lane_of, states
from tests.people import ACME, ANN, BEA, BEN, GENERAL
from tests.running import Bellhop
from tests.sources import parsed
from tests.stored_values import places_of

pytestmark = pytest.mark.sqlite_only

PACKAGE = Path(bolt_app.__file__).parent
EMAIL, NAME = "ann@acme.example", "Ann Archer"
DEPLOYS, RANDOM = "C0ACME0003", "C0ACME0002"
ANSWERS: tuple[IncidentAnswer, ...] = (
    IncidentAnswer.ACKNOWLEDGE,
    IncidentAnswer.ASSIGN,
    IncidentAnswer.SNOOZE,
    IncidentAnswer.MUTE,
)
KEEP = timedelta(days=30)
# It keeps user ids for AUDIT_DAYS, but neither names nor e-mail addresses.
AUDIT_LOG = "audit_events"


def traces(bellhop: Bellhop, *needles: str) -> dict[str, set[str]]:
    """Return the tables and columns in which any of `needles` is found."""
    database = bellhop.services.database
    found = places_of(database, *needles, ignored=[AUDIT_LOG])
    audited = places_of(database, *(one for one in needles if not is_person(one)))
    return found | {name: audited[name] for name in audited.keys() & {AUDIT_LOG}}


def needles(bellhop: Bellhop) -> list[str]:
    """The values that identify a person: name, addresses, ids and images."""
    return [EMAIL, NAME, ANN, bellhop.slack.app_dm(ACME, ANN).id]


def delivered(bellhop: Bellhop, worker: Hand | None = None) -> None:
    bellhop.clock.advance(5)
    (worker or Hand(bellhop)).deliver()


def tidied(bellhop: Bellhop) -> None:
    Retention(bellhop.services.database, keep_for=KEEP, clock=bellhop.clock).delete_expired()


def posted(bellhop: Bellhop, channel_id: str = GENERAL) -> list[Message]:
    return list(bellhop.slack.messages(channel_id))


def leave_traces(bellhop: Bellhop) -> None:
    """Let Ann do everything that stores data."""
    worker = Hand(bellhop)
    bellhop.install(BEN)
    bellhop.install(ANN)
    services = bellhop.services
    bellhop.slack.open_home(ANN, ACME)
    bellhop.slack.deliver_due()
    # Not now, in any of Europe's time zones.
    begin = (bellhop.clock().hour + 12) % 24
    quiet = QuietHours(time(begin), time((begin + 1) % 24))
    services.preferences.choose(ACME, ANN, NotificationPreferences(quiet, tz="Europe/Berlin"))
    key = services.api_keys.create(ACME, "monitoring", created_by=ANN)
    record = services.api_keys.find(key)
    assert record is not None
    services.callback_endpoints.set(record.id, "https://127.0.0.1:9/told")
    services.api_keys.create(ACME, "old", created_by=ANN)
    services.api_keys.revoke(record.id + 1, revoked_by=ANN)
    services.webhooks.create(ACME, "ci", [GENERAL], created_by=ANN)
    services.webhooks.revoke(1, revoked_by=ANN)
    for address in (ANN, DEPLOYS):
        services.subscriptions.subscribe(ACME, address, SubscriptionSpec("deploys", created_by=ANN))
    bellhop.slack.invite_bot(BEN, DEPLOYS)
    bellhop.slack.archive_channel(DEPLOYS)
    bellhop.slack.deliver_due()
    for to in (ANN, f"@{EMAIL}", "topic:deploys"):
        accept(bellhop, to, "For one person")
    accept(bellhop, GENERAL, "From Slack")
    request = NotificationRequest.model_validate({"to": [GENERAL], "text": "x"})
    services.intake.submit(Sender(ACME, f"slack:{ANN}"), [request], idempotency_key="a test")
    delivered(bellhop, worker)
    for number, answer in enumerate(ANSWERS):
        asked = {"title": answer, "actions": ["acknowledge", "assign", "snooze", "mute"]}
        told = NotificationRequest.model_validate(
            {"to": [GENERAL], "text": "x", "key": f"disk/{number}", **asked}
        )
        [accepted] = services.intake.submit(
            Sender(ACME, f"api_key:{record.id}"), [told]
        ).notifications
        delivered(bellhop, worker)
        assert services.incidents.answer(ACME, accepted.id, ANN, answer)
        delivered(bellhop, worker)


def unlink(bellhop: Bellhop) -> None:
    asked = bellhop.slack.send_command(ANN, GENERAL, "/profile", "unlink").message
    assert asked is not None
    assert bellhop.slack.click(ANN, asked, ids.UNLINK_PROFILE, confirmed=True).error is None


def take_token_back(bellhop: Bellhop) -> None:
    bellhop.slack.revoke_tokens(ACME, users=[ANN])
    bellhop.settle()


def uninstall(bellhop: Bellhop) -> None:
    bellhop.slack.uninstall(ACME)
    bellhop.settle()


LEAVING = [unlink, take_token_back, uninstall]


@pytest.fixture
def known(bellhop: Bellhop) -> Bellhop:
    bellhop.begin(leave_traces)
    return bellhop


def test_the_person_left_traces_everywhere(known: Bellhop) -> None:
    assert traces(known, *needles(known)) == {
        "api_keys": {"created_by", "revoked_by"},
        "callbacks": {"body"},
        "deliveries": {"target", "recipient_id", "channel_id"},
        "home_tabs": {"user_id"},
        "webhooks": {"created_by", "revoked_by"},
        "idempotency_keys": {"owner"},
        "incidents": {"state_by", "assigned_to", "snoozed_by", "muted_by"},
        "installations": {"user_id"},
        "lanes": {"address"},
        "notifications": {"source"},
        "preferences": {"user_id"},
        "subscriptions": {"address", "created_by"},
        "users": {"user_id", "real_name", "email", "images"},
    }


@pytest.mark.both_databases
@pytest.mark.parametrize("leave", LEAVING)
def test_nothing_of_the_person_is_left_in_any_table(
    known: Bellhop, leave: Callable[[Bellhop], None]
) -> None:
    """Nor of the conversation with the person, which a sender may have named."""
    search, conversation = needles(known), known.slack.app_dm(ACME, ANN).id
    accept(known, conversation, "A sender named the conversation")
    delivered(known)
    assert traces(known, conversation)["lanes"] == {"address"}

    leave(known)
    delivered(known)
    tidied(known)
    known.services.background.shutdown()

    assert traces(known, *search) == {}


@pytest.mark.parametrize("leave", LEAVING)
def test_nothing_of_the_person_is_left_in_the_files(
    known: Bellhop, leave: Callable[[Bellhop], None]
) -> None:
    path, search = database_file(known), needles(known)
    search.remove(ANN)  # which the audit log keeps
    assert EMAIL in "".join(contents(path))

    leave(known)

    for content in contents(path):
        assert [item for item in search if item in content] == []


CHOSEN = NotificationPreferences(direct="daily 03:17", tz="Europe/Vaduz")
TOPIC, OPENED_BY = "watched-by-ann", "U0OPENED01"


def deactivated(bellhop: Bellhop) -> None:
    bellhop.services.preferences.choose(ACME, ANN, CHOSEN)
    bellhop.clock.advance(60)
    bellhop.slack.update_user(ANN, deleted=True)
    bellhop.slack.deliver_due()


def preferences_reset(bellhop: Bellhop) -> None:
    bellhop.services.preferences.choose(ACME, ANN, CHOSEN)
    bellhop.services.preferences.choose(ACME, ANN, NotificationPreferences())


def preferences_undone(bellhop: Bellhop) -> None:
    change = bellhop.services.preferences.choose(ACME, ANN, CHOSEN)
    assert bellhop.services.preferences.undo(ACME, ANN, change)


def unsubscribed(bellhop: Bellhop) -> None:
    bellhop.services.subscriptions.subscribe(ACME, ANN, SubscriptionSpec(TOPIC))
    assert bellhop.services.subscriptions.unsubscribe(ACME, ANN, TOPIC)


def subscription_undone(bellhop: Bellhop) -> None:
    service = bellhop.services.subscriptions
    change = service.subscribe(ACME, ANN, SubscriptionSpec(TOPIC))
    assert change is not None
    assert service.undo(ACME, ANN, [change])


def home_not_shown(bellhop: Bellhop) -> None:
    """The row has only ids, and nothing else has this one."""
    bellhop.services.home_tabs.opened(ACME, OPENED_BY)
    bellhop.services.home_tabs.forget(ACME, OPENED_BY)


@pytest.mark.parametrize(
    "delete",
    [
        deactivated,
        preferences_reset,
        preferences_undone,
        unsubscribed,
        subscription_undone,
        home_not_shown,
    ],
)
def test_nothing_of_a_smaller_deletion_is_left_in_the_files(
    bellhop: Bellhop, delete: Callable[[Bellhop], None]
) -> None:
    bellhop.install(ANN)

    delete(bellhop)

    for content in contents(database_file(bellhop)):
        assert [text for text in (CHOSEN.direct, TOPIC, OPENED_BY) if text in content] == []


def home_of_an_external_user(bellhop: Bellhop) -> None:
    bellhop.slack.share_channel(GENERAL, BEA)
    opened = {"type": "app_home_opened", "user": BEA, "tab": "home", "channel": "D0"}
    bellhop.slack.send_event(ACME, opened)


def defaults_chosen_again(bellhop: Bellhop) -> None:
    bellhop.slack.send_command(BEN, GENERAL, "/notify", "quiet off")


def defaults_undone(bellhop: Bellhop) -> None:
    change = bellhop.services.preferences.choose(ACME, BEN, NotificationPreferences())
    assert bellhop.services.preferences.undo(ACME, BEN, change)


@pytest.mark.parametrize("act", [home_of_an_external_user, defaults_chosen_again, defaults_undone])
def test_the_log_is_emptied_only_after_a_deletion(
    bellhop: Bellhop, act: Callable[[Bellhop], None]
) -> None:
    """All writers wait meanwhile, and everyone may do these things."""
    bellhop.install(ANN)
    log = database_file(bellhop).with_name(f"{database_file(bellhop).name}-wal")
    before = log.stat().st_size
    assert before > 0

    act(bellhop)

    assert log.stat().st_size >= before


# Where rows about people are deleted, and the reason if the log is not emptied at once.
DELETIONS = {
    "notifications/digests/preferences.py": "",
    "notifications/history/erasure.py": "",
    "notifications/queue/merged_subscriptions.py": "a row with the same data is kept",
    "notifications/subscriptions/channel_sync.py": "of a channel, or a row with the same data",
    "notifications/subscriptions/service.py": "",
    "profiles/removal.py": "",
    "profiles/store.py": "of an account that the person has in the organization as well",
    "workspaces/home_tabs.py": "",
}
ABOUT_PEOPLE = {"HomeTab", "Membership", "Preference", "Subscription", "User"}


def test_every_deletion_of_rows_about_people_is_looked_at() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(parsed(path)):
            match node:
                case ast.Call(func=ast.Name(id="delete"), args=[ast.Name(id=model)]):
                    if model in ABOUT_PEOPLE:
                        found.add(path.relative_to(PACKAGE).as_posix())

    assert found == DELETIONS.keys()


def test_a_log_that_is_read_meanwhile_is_emptied_later(known: Bellhop) -> None:
    path = database_file(known)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM users").fetchone()
        unlink(known)
        assert EMAIL in "".join(contents(path))

    tidied(known)

    assert EMAIL not in "".join(contents(path))


def database_file(bellhop: Bellhop) -> Path:
    return Path(str(make_url(bellhop.settings.database_url).database))


def contents(path: Path) -> Iterator[str]:
    """Yield the contents of the database file and its write-ahead log."""
    for file in (path, path.with_name(f"{path.name}-wal")):
        yield file.read_bytes().decode("latin-1")


@pytest.mark.parametrize("leave", ["deactivate", "uninstall"])
def test_no_data_is_left_of_a_person_who_never_linked(bellhop: Bellhop, leave: str) -> None:
    bellhop.install(ANN)
    bellhop.slack.open_home(BEN, ACME)
    bellhop.slack.send_command(BEN, GENERAL, "/notify", "quiet 22:00-07:00")
    bellhop.slack.send_command(BEN, GENERAL, "/notify", "subscribe alerts")
    bellhop.slack.deliver_due()
    bellhop.services.subscriptions.subscribe(ACME, BEN, SubscriptionSpec("deploys", created_by=BEN))
    accept(bellhop, "topic:deploys", "For subscribers")
    delivered(bellhop)
    assert {"home_tabs", "preferences", "subscriptions", "lanes"} <= traces(bellhop, BEN).keys()
    bellhop.clock.advance(60)

    if leave == "uninstall":
        bellhop.slack.uninstall(ACME)
    else:
        bellhop.slack.update_user(BEN, deleted=True)
    bellhop.settle()
    delivered(bellhop)
    tidied(bellhop)
    bellhop.services.background.shutdown()

    assert traces(bellhop, BEN) == {}
    [stays] = bellhop.services.subscriptions.of_address(ACME, GENERAL)
    assert stays.spec.topic == "alerts"


@pytest.mark.both_databases
def test_others_stay(known: Bellhop) -> None:
    known.services.subscriptions.subscribe(ACME, BEN, SubscriptionSpec("deploys", created_by=BEN))
    accept(known, BEN, "For Ben")
    delivered(known)
    before = traces(known, BEN)

    unlink(known)
    tidied(known)

    assert traces(known, BEN) == before
    assert known.services.profiles.find(ACME, BEN) is not None


class TestPromisedDeliveries:
    """Accepted deliveries still reach the person, and are then deleted too."""

    @pytest.fixture
    def promised(self, known: Bellhop) -> str:
        send_at = (known.clock() + timedelta(hours=1)).isoformat()
        return accept(known, f"@{EMAIL}", "Later", send_at=send_at)

    @pytest.mark.both_databases
    def test_it_arrives(self, known: Bellhop, promised: str) -> None:
        unlink(known)
        known.clock.advance(3601)
        delivered(known)

        assert states(known, promised) == ["sent"]
        conversation = known.slack.app_dm(ACME, ANN)
        assert "Later" in [item.text for item in posted(known, conversation.id)]

    def test_only_its_address_is_kept_until_then(self, known: Bellhop, promised: str) -> None:
        search = needles(known)
        unlink(known)
        # The token is revoked, and Slack reports it.
        known.services.background.shutdown()
        known.settle()
        tidied(known)
        assert traces(known, *search) == {"lanes": {"address"}, "deliveries": {"target"}}

        known.clock.advance(3601)
        delivered(known)
        tidied(known)

        assert traces(known, *search) == {}

    def test_their_subscriptions_end(self, known: Bellhop) -> None:
        quiet = NotificationPreferences(direct="hourly", tz="UTC")
        known.services.preferences.choose(ACME, ANN, quiet)
        wanted = accept(known, "topic:deploys", "For subscribers")

        unlink(known)

        assert set(states(known, wanted)) <= {"cancelled", "sent"}
        assert accept(known, "topic:deploys", "More")
        assert known.services.subscriptions.of_address(ACME, ANN) == []


class TestPostedMessages:
    def test_records_of_deleted_people_name_nobody(self, known: Bellhop) -> None:
        assert NAME in shown_messages(known)

        unlink(known)
        delivered(known)
        for _ in ANSWERS:
            delivered(known)

        assert NAME not in shown_messages(known)
        assert ANN not in shown_messages(known)
        assert "Acknowledged by someone (profile deleted)" in shown_messages(known)
        assert "Assigned to someone (profile deleted)" in shown_messages(known)

    def test_a_cancelled_notification_loses_the_name_too(self, known: Bellhop) -> None:
        unlink(known)
        keyed = select(Delivery.notification_id).where(Delivery.key.contains("|disk/")).distinct()
        with known.services.database.reading() as session:
            notification_ids = session.scalars(keyed).all()
        for one in notification_ids:
            known.services.history.cancel(ACME, one)
        delivered(known)
        for _ in ANSWERS:
            delivered(known)

        assert len(notification_ids) == len(ANSWERS)
        assert NAME not in shown_messages(known)

    def test_accepted_deliveries_are_sent_first(self, known: Bellhop) -> None:
        unlink(known)
        accept(known, GENERAL, "News")
        known.clock.advance(5)
        updates = known.slack.calls_to("chat.update")

        Hand(known).deliver()

        assert known.slack.messages(GENERAL)[-1].text == "News"
        assert known.slack.calls_to("chat.update") == updates

    @pytest.mark.both_databases
    def test_nothing_is_posted_after_an_uninstall(self, known: Bellhop) -> None:
        uninstall(known)
        with known.services.database.reading() as session:
            # The end of a snooze is still pending.
            due = select(Delivery).where(
                Delivery.state == "waiting", Delivery.send_at <= known.clock()
            )
            assert session.scalars(due).all() == []

    @pytest.mark.both_databases
    def test_the_incident_continues(self, known: Bellhop) -> None:
        unlink(known)
        with known.services.database.reading() as session:
            notification_id = session.scalars(
                select(Delivery.notification_id).where(Delivery.key.endswith("|disk/1"))
            ).first()
        assert notification_id is not None
        report = known.services.history.find(ACME, notification_id)
        assert report is not None
        assert report.incident is not None
        assert report.incident.assigned_to == "deleted"
        assert known.services.incidents.answer(ACME, notification_id, BEN, IncidentAnswer.RESOLVE)


def shown_messages(bellhop: Bellhop) -> str:
    shown: list[Any] = [[item.text, item.blocks, item.attachments] for item in posted(bellhop)]
    return json.dumps(shown)


@pytest.mark.both_databases
@pytest.mark.parametrize("leave", LEAVING)
def test_a_person_who_unlinks_during_the_lookup_is_not_recorded(
    known: Bellhop, monkeypatch: pytest.MonkeyPatch, leave: Callable[[Bellhop], None]
) -> None:
    profiles, search = known.services.profiles, needles(known)
    [installation] = [item for item in installations(known) if item.user_id == ANN]
    asked = profiles._fetch_user

    def ask_slowly(*given: Any) -> Any:
        facts = asked(*given)
        leave(known)
        return facts

    monkeypatch.setattr(profiles, "_fetch_user", ask_slowly)
    with pytest.raises((SlackCallError, NotInstalledError)):
        profiles.record(installation)
    delivered(known)
    tidied(known)
    known.services.background.shutdown()

    assert traces(known, *search) == {}


def installations(bellhop: Bellhop) -> Iterator[StoredInstallation]:
    with bellhop.services.database.reading() as session:
        ids_ = session.scalars(select(UserInstallation.id)).all()
    for id_ in ids_:
        found = bellhop.services.installations.find_by_id(id_)
        assert found is not None
        yield found


def test_a_test_notification_contains_no_name(known: Bellhop) -> None:
    known.slack.send_command(ANN, GENERAL, "/notify", "test")
    delivered(known)

    unlink(known)
    delivered(known)
    tidied(known)

    assert "notifications" not in traces(known, *needles(known))


@pytest.mark.parametrize("leave", LEAVING)
def test_a_subscription_of_a_conversation_is_forgotten(
    known: Bellhop, leave: Callable[[Bellhop], None]
) -> None:
    conversation = known.slack.app_dm(ACME, ANN).id
    known.services.subscriptions.subscribe(ACME, conversation, SubscriptionSpec("deploys"))
    accept(known, "topic:deploys", "To a conversation")
    delivered(known)

    leave(known)
    delivered(known)
    tidied(known)

    assert traces(known, conversation) == {}


@pytest.mark.parametrize("leave", LEAVING)
def test_a_subscription_of_an_email_address_is_forgotten(
    known: Bellhop, leave: Callable[[Bellhop], None]
) -> None:
    known.services.subscriptions.subscribe(ACME, f"@{EMAIL}", SubscriptionSpec("deploys"))

    leave(known)
    delivered(known)
    tidied(known)
    known.services.background.shutdown()

    assert traces(known, EMAIL) == {}


@pytest.mark.parametrize("leave", [*LEAVING, None])
def test_an_undo_button_does_not_restore_a_deleted_person(
    known: Bellhop, leave: Callable[[Bellhop], None] | None
) -> None:
    known.slack.send_command(ANN, GENERAL, "/notify", "subscribe alerts")
    ended = known.slack.send_command(BEN, GENERAL, "/notify", "unsubscribe alerts").message
    assert ended is not None
    known.clock.advance(1)
    if leave is not None:
        leave(known)
    if leave is uninstall:
        known.install(BEN)

    known.slack.click(BEN, ended, ids.UNDO_SUBSCRIPTIONS)

    [found] = known.services.subscriptions.of_address(ACME, GENERAL)
    assert found.spec.created_by == BEN
    if leave is not None:
        assert "subscriptions" not in traces(known, ANN)


@pytest.mark.both_databases
def test_a_home_that_is_opened_meanwhile_shows_nothing_of_the_person(
    known: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    [installation] = [item for item in installations(known) if item.user_id == ANN]
    render = home_view

    def render_and_lose(*given: Any, **options: Any) -> dict[str, Any]:
        monkeypatch.setattr(home, "home_view", render)
        view = render(*given, **options)
        known.services.lifecycle.profiles.unlink(installation)
        return view

    monkeypatch.setattr(home, "home_view", render_and_lose)
    known.slack.open_home(ANN, ACME)
    known.slack.deliver_due()
    known.services.background.shutdown()

    view = known.slack.home_view(ACME, ANN)
    assert view is not None
    assert EMAIL not in json.dumps(view.blocks)
    assert "home_tabs" not in traces(known, ANN)


def test_an_open_home_shows_nothing_of_the_person(known: Bellhop) -> None:
    unlink(known)
    known.wait_for_home(ACME, ANN, "not linked your profile")
    view = known.slack.home_view(ACME, ANN)
    assert view is not None
    assert EMAIL not in json.dumps(view.blocks)


@pytest.mark.both_databases
def test_notifications_of_a_deleted_person_have_no_owner(known: Bellhop) -> None:
    private = accept(known, ANN, "Only for Ann")
    delivered(known)
    unlink(known)
    tidied(known)

    browser, _ = known.install(BEN)

    assert "Only for Ann" not in browser.get(f"/notifications/{private}").text


@pytest.mark.both_databases
def test_empty_lanes_are_deleted(known: Bellhop) -> None:
    tidied(known)
    with known.services.database.reading() as session:
        used = set(session.scalars(select(Delivery.lane_id)))
        assert set(session.scalars(select(Lane.id))) <= used


@pytest.mark.both_databases
def test_empty_lanes_are_deleted_in_bounded_transactions(
    known: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "MOST_LANES", 2)
    with known.services.database.writing() as session:
        session.add_all(Lane(team_id=ACME, address=f"C0EMPTY{number:04}") for number in range(5))

    tidied(known)

    with known.services.database.reading() as session:
        assert session.scalars(select(Lane).where(Lane.address.startswith("C0EMPTY"))).all() == []


@pytest.mark.both_databases
def test_an_address_that_is_found_late_moves_no_deliveries_to_others(bellhop: Bellhop) -> None:
    """Another worker found it first, its empty lane was deleted, and a lane was created."""
    bellhop.install(ANN)
    for to in (ANN, f"@{EMAIL}"):
        accept(bellhop, to, "For Ann")
    lane = lane_of(bellhop, f"@{EMAIL}")
    delivered(bellhop)
    tidied(bellhop)
    other = accept(bellhop, GENERAL, "For everyone")

    transitions = Transitions(bellhop.services.database, "", clock=bellhop.clock)
    transitions.move(ACME, lane.id, ANN)

    [delivery] = deliveries(bellhop, other)
    assert delivery.lane_id == lane_of(bellhop, GENERAL).id


def test_a_stopping_worker_ends_the_deletion_between_transactions(known: Bellhop) -> None:
    stopping = Event()
    stopping.set()
    known.clock.advance(KEEP.total_seconds() + 60)
    database = known.services.database

    deleted = Retention(
        database, keep_for=KEEP, stopping=stopping, clock=known.clock
    ).delete_expired()

    assert deleted == 0
