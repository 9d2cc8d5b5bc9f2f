"""The audit log: its events, transactions and limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import event, func, inspect, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from bolt_app.access.audit import MOST_ADDRESSES, AuditLog
from bolt_app.client_address import set_client_address
from bolt_app.credentials.api_keys import ApiKeys
from bolt_app.db import Database
from bolt_app.db.audit import AuditAction
from bolt_app.db.models import ApiKey, AuditEvent
from bolt_app.installations.records import StoredInstallation
from bolt_app.profiles import service
from bolt_app.slack_api import SlackCallError
from slack_sandbox import Fault
from tests.commands import assert_failed, run
from tests.conftest import FakeClock
from tests.people import ACME, ANN, ANN_AT_BETA, BEN, BETA, GENERAL, GRID
from tests.running import Bellhop, Browser, running_bellhop
from tests.web.calling import Caller
from tests.web.forms import send_form

KEEP_FOR = timedelta(days=90)
HERE = "127.0.0.1"
Event = tuple[str, str | None, str | None, str | None, str | None]


@pytest.fixture(autouse=True)
def no_client() -> Iterator[None]:
    """Outside a request, the client address is empty."""
    yield
    set_client_address(None)


@pytest.fixture
def audit(database: Database, clock: FakeClock) -> AuditLog:
    return AuditLog(database, keep_for=KEEP_FOR, clock=clock)


def events(bellhop: Bellhop, action: AuditAction | None = None) -> list[Event]:
    found = bellhop.services.audit.find(action=action, limit=1000)
    return [(one.action, one.team_id, one.user_id, one.credential, one.address) for one in found]


def count(database: Database) -> int:
    with database.reading() as session:
        return session.scalars(select(func.count()).select_from(AuditEvent)).one()


def installation_of(bellhop: Bellhop, team_id: str, user_id: str) -> StoredInstallation:
    stored = bellhop.services.installations.find(
        enterprise_id=None, team_id=team_id, user_id=user_id
    )
    assert stored is not None
    return stored


def unlink(bellhop: Bellhop) -> None:
    bellhop.services.lifecycle.profiles.unlink(installation_of(bellhop, ACME, ANN))


def reject_key(bellhop: Bellhop) -> None:
    assert Caller(bellhop.url, "bh_wrong").send({"to": "#general", "text": "x"}).status == 401


def reject_revoked_key(bellhop: Bellhop) -> None:
    key = bellhop.services.api_keys.create(ACME, "ci")
    caller = Caller(bellhop.url, key)
    assert caller.send({"to": "#general", "text": "x"}).status == 202
    bellhop.services.api_keys.revoke(1)
    # A key that the process remembers, and finds revoked during intake.
    assert caller.send({"to": "#general", "text": "x"}).status == 401


def reject_webhook(bellhop: Bellhop) -> None:
    assert bellhop.browser().post("/hooks/wrong", {"payload": "{}"}).status == 403


def reject_revoked_webhook(bellhop: Bellhop) -> None:
    url = bellhop.services.webhooks.create(ACME, "", [GENERAL])
    bellhop.services.webhooks.revoke(1)
    assert bellhop.browser().post(url, {"payload": "{}"}).status == 404


def join(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    bellhop.install(ANN_AT_BETA, browser=browser)
    send_form(browser, "/profile/join", answer="join")


def revoke_token(bellhop: Bellhop) -> None:
    bellhop.slack.revoke_tokens(ACME, users=[ANN])
    bellhop.settle()


def uninstall(bellhop: Bellhop) -> None:
    bellhop.slack.uninstall(ACME)
    bellhop.settle()


DONE: dict[AuditAction, tuple[Callable[[Bellhop], object], Event]] = {
    AuditAction.INSTALLED: (
        lambda bellhop: None,
        ("installed", ACME, ANN, None, HERE),
    ),
    AuditAction.SIGNED_IN: (
        lambda bellhop: None,
        ("signed_in", ACME, ANN, "session:1", HERE),
    ),
    AuditAction.LINKED: (
        lambda bellhop: bellhop.install("U0BEN00001", query="?only=profile"),
        ("linked", ACME, "U0BEN00001", None, HERE),
    ),
    AuditAction.SIGNED_OUT: (
        lambda bellhop: send_form(bellhop.install(ANN)[0], "/signout"),
        ("signed_out", ACME, ANN, "session:2", HERE),
    ),
    AuditAction.SESSION_ENDED: (
        lambda bellhop: run(bellhop, "session", "end", "1"),
        ("session_ended", ACME, ANN, "session:1", None),
    ),
    AuditAction.UNLINKED: (unlink, ("unlinked", ACME, ANN, None, None)),
    AuditAction.TOKENS_REVOKED: (
        revoke_token,
        # Slack called, not the person.
        ("tokens_revoked", ACME, ANN, None, None),
    ),
    AuditAction.UNINSTALLED: (
        uninstall,
        ("uninstalled", ACME, None, None, None),
    ),
    AuditAction.ACCOUNTS_JOINED: (join, ("accounts_joined", BETA, ANN_AT_BETA, None, HERE)),
    AuditAction.API_KEY_CREATED: (
        lambda bellhop: bellhop.services.api_keys.create(ACME, "ci", created_by=ANN),
        ("api_key_created", ACME, ANN, "api_key:1", None),
    ),
    AuditAction.API_KEY_REVOKED: (
        lambda bellhop: (
            bellhop.services.api_keys.create(ACME, "ci"),
            bellhop.services.api_keys.revoke(1, revoked_by=ANN),
        ),
        ("api_key_revoked", ACME, ANN, "api_key:1", None),
    ),
    AuditAction.API_KEY_REJECTED: (reject_key, ("api_key_rejected", None, None, None, HERE)),
    AuditAction.WEBHOOK_CREATED: (
        lambda bellhop: bellhop.services.webhooks.create(ACME, "", [GENERAL], created_by=ANN),
        ("webhook_created", ACME, ANN, "webhook:1", None),
    ),
    AuditAction.WEBHOOK_REVOKED: (
        lambda bellhop: (
            bellhop.services.webhooks.create(ACME, "", [GENERAL]),
            bellhop.services.webhooks.revoke(1, revoked_by=ANN),
        ),
        ("webhook_revoked", ACME, ANN, "webhook:1", None),
    ),
    AuditAction.WEBHOOK_SIGNING_CHANGED: (
        lambda bellhop: (
            bellhop.services.webhooks.create(ACME, "", [GENERAL], sender="sentry"),
            bellhop.services.webhooks.set_signing_secret(1, "of Sentry", ["sentry"]),
        ),
        ("webhook_signing_changed", ACME, None, "webhook:1", None),
    ),
    AuditAction.WEBHOOK_TOPIC_SET: (
        lambda bellhop: (
            bellhop.services.webhooks.create(ACME, "", [GENERAL], sender="aws-sns"),
            bellhop.services.webhooks.set_topic(1, "arn:aws:sns:eu-central-1:123456789012:alerts"),
        ),
        ("webhook_topic_set", ACME, None, "webhook:1", None),
    ),
    AuditAction.WEBHOOK_TEMPLATE_CHANGED: (
        lambda bellhop: (
            bellhop.services.webhooks.create(ACME, "", [GENERAL]),
            bellhop.services.webhooks.set_template(1, "{}", changed_by=ANN),
        ),
        ("webhook_template_changed", ACME, ANN, "webhook:1", None),
    ),
    AuditAction.WEBHOOK_REJECTED: (reject_webhook, ("webhook_rejected", None, None, None, HERE)),
    AuditAction.CHANNEL_SUBSCRIPTIONS_CHANGED: (
        lambda bellhop: bellhop.slack.send_command(ANN, GENERAL, "/notify", "subscribe deploys"),
        ("channel_subscriptions_changed", ACME, ANN, f"channel:{GENERAL}", None),
    ),
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("action", list(AuditAction))
def test_every_action_is_recorded(bellhop: Bellhop, action: AuditAction) -> None:
    bellhop.install(ANN)
    act, recorded = DONE[action]

    act(bellhop)

    assert recorded in events(bellhop, action)
    assert str(action) in run(bellhop, "audit").stdout


def test_of_requests_to_unlink_at_the_same_time_one_is_recorded(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    found = installation_of(bellhop, ACME, ANN)

    for _ in range(2):
        bellhop.services.lifecycle.profiles.unlink(found)

    assert len(events(bellhop, AuditAction.UNLINKED)) == 1


def test_of_requests_to_join_at_the_same_time_one_is_recorded(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, _ = bellhop.install(ANN)
    bellhop.install(ANN_AT_BETA, browser=browser)
    both = installation_of(bellhop, ACME, ANN), installation_of(bellhop, BETA, ANN_AT_BETA)
    # On PostgreSQL each request sees them apart, until the first is committed.
    monkeypatch.setattr(service, "may_be_joined", lambda *_: True)

    for _ in range(2):
        bellhop.services.profiles.join(*both)

    assert len(events(bellhop, AuditAction.ACCOUNTS_JOINED)) == len(both)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("reject", "recorded"),
    [
        (reject_revoked_key, ("api_key_rejected", ACME, None, "api_key:1", HERE)),
        (reject_revoked_webhook, ("webhook_rejected", ACME, None, "webhook:1", HERE)),
    ],
)
def test_a_formerly_valid_credential_is_named(
    bellhop: Bellhop, reject: Callable[[Bellhop], None], recorded: Event
) -> None:
    bellhop.install(ANN)
    reject(bellhop)

    assert events(bellhop)[-1] == recorded


def test_a_change_and_its_record_are_one_transaction(database: Database, bellhop: Bellhop) -> None:
    with database.writing_connection() as connection:
        connection.execute(text("ALTER TABLE audit_events RENAME TO audit_events_away"))
    try:
        with pytest.raises(Exception, match="audit_events"):
            bellhop.services.api_keys.create(ACME, "ci")
    finally:
        with database.writing_connection() as connection:
            connection.execute(text("ALTER TABLE audit_events_away RENAME TO audit_events"))

    with database.reading() as session:
        assert session.scalars(select(ApiKey)).all() == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_secret_gets_into_it(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    secrets = [next(one.value or "" for one in browser.cookies if one.name == "bellhop")]
    secrets += [bellhop.services.api_keys.create(ACME, "very secret name")]
    secrets += [bellhop.services.webhooks.create(ACME, "very secret name", [GENERAL])]
    wrong = "bh_wrong_" + "x" * 20
    Caller(bellhop.url, wrong).send({"to": "#general", "text": "x"})
    bellhop.browser().post("/hooks/guessed-secret", {"payload": "{}"})

    with bellhop.services.database.reading() as session:
        rows = session.execute(select(*inspect(AuditEvent).columns)).all()
    shown = run(bellhop, "audit").stdout + str(rows)
    for secret in (*secrets, wrong, "guessed-secret", "very secret name", "Ann Archer", "acme.ex"):
        assert secret not in shown


# Addresses.

OTHERS = "203.0.113.9"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_installer_leaves_no_address_in_the_events_of_others(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    with running_bellhop(database_url, encryption_key, clock, trusted_proxies=1) as bellhop:
        begin_at(bellhop, BEN, "198.51.100.7")
        bot = Fault("auth.test", "api_error", error="account_inactive", times=1)
        bellhop.slack.faults.add(bot)
        bellhop.services.client.verify_bot(bellhop.services.client.find_workspace(ACME))

        # Ben's session ends during Ann's request.
        begin_at(bellhop, ANN, OTHERS)

        assert ("session_ended", ACME, BEN, "session:1", None) in events(bellhop)
        bens = begin_at(bellhop, BEN, "198.51.100.8")
        exported = bens.get("/profile/data").json()["security_events"]
        assert {one["address"] for one in exported} == {None, "198.51.100.7", "198.51.100.8"}


def begin_at(bellhop: Bellhop, user_id: str, address: str) -> Browser:
    """Let a person install Bellhop and sign in from an address."""
    browser = bellhop.browser()
    to_slack = browser.get("/slack/install").location
    browser.get(bellhop.slack.authorize(user_id, to_slack), {"X-Forwarded-For": address})
    return browser


def revoke_bens_token(bellhop: Bellhop) -> None:
    bellhop.slack.revoke_tokens(ACME, users=[BEN])
    bellhop.settle()


def find_bens_token_revoked(bellhop: Bellhop) -> None:
    bellhop.slack.faults.add(Fault("users.info", "api_error", error="token_revoked", times=1))
    with pytest.raises(SlackCallError):
        record_ben(bellhop)


def find_ben_deactivated(bellhop: Bellhop) -> None:
    bellhop.slack.users[BEN].deleted = True
    record_ben(bellhop)


def record_ben(bellhop: Bellhop) -> None:
    stored = bellhop.services.installations.find(enterprise_id=None, team_id=ACME, user_id=BEN)
    assert stored is not None
    bellhop.services.profiles.record(stored)


def give_to_an_organization(bellhop: Bellhop) -> None:
    """The organization's installation serves a workspace that had its own, with a key."""
    bellhop.services.api_keys.create(BETA, "ci")
    bellhop.services.webhooks.create(BETA, "", [GENERAL])
    bellhop.slack.uninstall(BETA)
    bellhop.settle()
    bellhop.services.profiles.record_workspace(BETA, GRID, listed_at=bellhop.clock())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("happen", "actions"),
    [
        (revoke_bens_token, {"tokens_revoked"}),
        (find_bens_token_revoked, {"session_ended"}),
        (find_ben_deactivated, {"session_ended"}),
        (give_to_an_organization, {"api_key_revoked", "webhook_revoked"}),
    ],
)
def test_what_only_happens_during_a_request_has_no_address(
    bellhop: Bellhop, happen: Callable[[Bellhop], None], actions: set[str]
) -> None:
    bellhop.install(ANN)
    bellhop.install(BEN, query="?only=profile")
    bellhop.install(ANN_AT_BETA)
    set_client_address(OTHERS)

    happen(bellhop)

    concerned = [one for one in events(bellhop) if one[0] in actions]
    assert {action for action, *_ in concerned} == actions
    assert {address for *_, address in concerned} == {None}


# Floods.


def test_an_outsider_with_wrong_keys_fills_nothing(
    database: Database, audit: AuditLog, clock: FakeClock
) -> None:
    set_client_address("198.51.100.1")
    for _ in range(1000):
        audit.reject(AuditAction.API_KEY_REJECTED)
        clock.advance(0.5)
    audit.flush()

    assert count(database) <= 2  # it may be the turn of the hour
    found = audit.find()
    assert sum(one.count for one in found) == 1000
    assert {one.address for one in found} == {"198.51.100.1"}


def test_many_outsiders_fill_nothing(database: Database, audit: AuditLog, clock: FakeClock) -> None:
    clock.now = clock.now.replace(minute=0)
    for number in range(1000):
        set_client_address(f"198.51.{number // 250}.{number % 250}")
        audit.reject(AuditAction.API_KEY_REJECTED)
        audit.reject(AuditAction.WEBHOOK_REJECTED)
    audit.flush()

    assert count(database) <= MOST_ADDRESSES + 2
    assert sum(one.count for one in audit.find(limit=10_000)) == 2000


def test_one_outsider_with_all_addresses_of_a_network_is_one(audit: AuditLog) -> None:
    for number in range(50):
        set_client_address(f"2001:db8:0:1::{number:x}")
        audit.reject(AuditAction.API_KEY_REJECTED)
    audit.flush()

    assert {one.address for one in audit.find()} == {"2001:db8:0:1::/64"}
    assert sum(one.count for one in audit.find()) == 50


def test_every_hour_has_a_separate_row(audit: AuditLog, clock: FakeClock) -> None:
    clock.now = clock.now.replace(minute=10)
    for _ in range(3):
        for _ in range(5):
            audit.reject(AuditAction.API_KEY_REJECTED)
        clock.advance(3600)
    audit.flush()

    assert [one.count for one in audit.find()] == [5, 5, 5]


def test_the_first_is_written_at_once_and_the_others_within_a_minute(
    audit: AuditLog, clock: FakeClock
) -> None:
    clock.now = clock.now.replace(minute=10)
    for seconds, written in ((0, 1), (30, 1), (29, 1), (1, 4)):
        clock.advance(seconds)
        audit.reject(AuditAction.API_KEY_REJECTED)
        assert [one.count for one in audit.find()] == [written]


def test_threads_lose_no_count(audit: AuditLog) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: audit.reject(AuditAction.API_KEY_REJECTED), range(200)))
    audit.flush()

    assert sum(one.count for one in audit.find()) == 200


def test_a_wrong_key_is_refused_while_nothing_can_be_written(
    database: Database, bellhop: Bellhop
) -> None:
    with database.writing_connection() as connection:
        connection.execute(text("ALTER TABLE audit_events RENAME TO audit_events_away"))
    try:
        reject_key(bellhop)
    finally:
        with database.writing_connection() as connection:
            connection.execute(text("ALTER TABLE audit_events_away RENAME TO audit_events"))


def test_counts_after_a_failed_commit_are_in_a_row_of_their_own(
    database: Database, audit: AuditLog, clock: FakeClock
) -> None:
    """SQLite gives the id of the lost row to the next event."""

    def fail(_session: Session) -> None:
        raise OperationalError("COMMIT", {}, Exception("disk is full"))

    clock.now = clock.now.replace(minute=10)
    event.listen(database._write, "before_commit", fail)
    audit.reject(AuditAction.API_KEY_REJECTED)
    event.remove(database._write, "before_commit", fail)
    ApiKeys(database, clock=clock).create(ACME, "ci")
    clock.advance(60)
    for _ in range(5):
        audit.reject(AuditAction.API_KEY_REJECTED)
    audit.flush()

    found = [(one.action, one.count) for one in audit.find()]
    assert found == [("api_key_created", 1), ("api_key_rejected", 5)]


def test_old_events_are_deleted(audit: AuditLog, clock: FakeClock) -> None:
    audit.reject(AuditAction.API_KEY_REJECTED)
    clock.advance(KEEP_FOR.total_seconds())
    audit.delete_expired()
    assert len(audit.find()) == 1

    clock.advance(1)
    audit.delete_expired()
    assert audit.find() == []


# Commands.


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestCommands:
    def test_the_log_is_shown_the_latest_last(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        bellhop.install(ANN_AT_BETA)
        for _ in range(3):
            reject_key(bellhop)
        bellhop.services.audit.flush()

        at = f"{bellhop.clock():%Y-%m-%dT%H:%M:%SZ}"
        assert run(bellhop, "audit").stdout.splitlines() == [
            f"{at} installed workspace={ACME} person={ANN} address=127.0.0.1",
            f"{at} signed_in workspace={ACME} person={ANN} credential=session:1 address=127.0.0.1",
            f"{at} installed workspace={BETA} person={ANN_AT_BETA} address=127.0.0.1",
            f"{at} signed_in workspace={BETA} person={ANN_AT_BETA} credential=session:2"
            " address=127.0.0.1",
            f"{at} api_key_rejected address=127.0.0.1 count=3",
        ]
        assert run(bellhop, "audit", "--team", ACME, "--limit", "1").stdout.startswith(
            f"{at} signed_in workspace={ACME}"
        )
        assert run(bellhop, "audit", "--action", "unlinked").stdout == ""

    def test_sessions_are_listed_and_ended(self, bellhop: Bellhop) -> None:
        browsers = [bellhop.install(ANN)[0] for _ in range(3)]
        at = f"{bellhop.clock():%Y-%m-%d %H:%M}"

        ended = run(bellhop, "session", "end", "2")
        shown = run(bellhop, "session", "list", "--team", ACME).stdout.splitlines()

        assert ended.stdout == "Session 2 has ended.\n"
        assert shown == [
            f"{number}  {ANN}: {state}; signed in {at}, last seen {at} UTC"
            for number, state in ((1, "active"), (2, "ended"), (3, "active"))
        ]
        assert [browser.get("/profile").status for browser in browsers] == [200, 303, 200]
        all_of_them = run(bellhop, "session", "end", "--team", ACME, "--user", ANN)
        assert all_of_them.stdout == "Sessions ended: 2.\n"
        assert [browser.get("/profile").status for browser in browsers] == [303, 303, 303]

    def test_errors_are_reported(self, bellhop: Bellhop) -> None:
        assert_failed(run(bellhop, "session", "end", "7"), "Session 7 does not exist or has ended.")
        for arguments in ([], ["--team", ACME], ["--user", ANN], ["1", "--team", ACME]):
            answer = run(bellhop, "session", "end", *arguments)
            assert_failed(answer, "give a session id, or --team and --user", status=2)
