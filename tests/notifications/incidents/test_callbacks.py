"""Callbacks about people's answers to the systems that sent the notifications."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from sqlalchemy import func, select
from standardwebhooks import Webhook

from bolt_app.db.models import Callback
from bolt_app.http_loop import HttpLoop
from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.notifications.incidents.callback_sender import RETRIES, CallbackSender
from tests.commands import assert_failed, run
from tests.notifications.hand import Hand
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop
from tests.slack_sandbox.fake_app import Answer, FakeApp, Received
from tests.web.calling import NOTIFICATIONS, Caller

pytestmark = pytest.mark.sqlite_only

PATH = "/told?by=bellhop"


@pytest.fixture
def system() -> Iterator[FakeApp]:
    """Return the endpoint of a system that sends notifications."""
    fake = FakeApp()
    yield fake
    fake.stop()


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


@pytest.fixture
def sender(installed: Bellhop) -> Caller:
    made = run(installed, "api-key", "create", "--team", ACME, "--name", "monitoring")
    return Caller(installed.url, made.stdout.splitlines()[-1])


@pytest.fixture
def secret(installed: Bellhop, sender: Caller, system: FakeApp) -> str:
    done = run(installed, "api-key", "callback", "1", "--url", system.url + PATH)
    return done.stdout.splitlines()[-1]


def raised(bellhop: Bellhop, sender: Caller, **given: Any) -> str:
    body = {"to": "#general", "title": "Disk full", "actions": ["acknowledge", "resolve"], **given}
    id_: str = sender.send(body).json()["id"]
    bellhop.clock.advance(5)
    Hand(bellhop).deliver()
    return id_


def answered(bellhop: Bellhop, id_: str, *answers: IncidentAnswer, user_id: str = ANN) -> None:
    for answer in answers:
        assert bellhop.services.incidents.answer(ACME, id_, user_id, answer)


def send_due(bellhop: Bellhop) -> int:
    return bellhop.services.callback_sender.send_due()


def waiting(bellhop: Bellhop) -> int:
    with bellhop.services.database.reading() as session:
        return session.scalars(select(func.count()).select_from(Callback)).one()


@pytest.mark.both_databases
def test_an_answer_is_called_back_at_once_and_signed(
    installed: Bellhop, sender: Caller, secret: str, system: FakeApp
) -> None:
    id_ = raised(installed, sender, key="disk/db1")
    message = installed.slack.messages(GENERAL)[-1]
    installed.slack.click(ANN, message, "incident.acknowledge")
    installed.services.background.shutdown(wait=True)
    send_due(installed)
    installed.services.callback_sender.close()

    [told] = system.received
    assert told.path == PATH
    assert told.headers["content-type"] == "application/json"
    said = Webhook(secret).verify(told.body, told.headers)
    report = sender.get(f"{NOTIFICATIONS}/{id_}").json()
    assert said["type"] == "incident.acknowledged"
    assert said["timestamp"].endswith("Z")
    assert said["data"] == {
        "team_id": ACME,
        "key": "disk/db1",
        "notification_id": id_,
        "by": {"user_id": ANN, "name": "Ann Archer"},
        "incident": report["incident"],
    }
    assert waiting(installed) == 0


@pytest.mark.sqlite_only
def test_the_signature_follows_the_standard(
    installed: Bellhop, sender: Caller, secret: str, system: FakeApp
) -> None:
    answered(installed, raised(installed, sender), IncidentAnswer.ACKNOWLEDGE)
    send_due(installed)

    [told] = system.received
    id_, at = told.headers["webhook-id"], told.headers["webhook-timestamp"]
    key = b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{id_}.{at}.{told.body}".encode(), hashlib.sha256).digest()
    assert told.headers["webhook-signature"] == f"v1,{b64encode(digest).decode()}"
    assert int(at) == int(installed.clock.timestamp())


@pytest.mark.both_databases
def test_each_answer_is_called_back_once_in_order(
    installed: Bellhop, sender: Caller, secret: str, system: FakeApp
) -> None:
    id_ = raised(installed, sender)
    answers: list[IncidentAnswer] = [
        IncidentAnswer.ACKNOWLEDGE,
        IncidentAnswer.ASSIGN,
        IncidentAnswer.SNOOZE,
        IncidentAnswer.WAKE,
        IncidentAnswer.MUTE,
        IncidentAnswer.UNMUTE,
    ]
    answered(installed, id_, *answers, IncidentAnswer.RESOLVE, IncidentAnswer.REOPEN)
    assert not installed.services.incidents.answer(ACME, id_, BEN, IncidentAnswer.REOPEN)

    assert send_due(installed) == 8
    assert send_due(installed) == 0
    assert [json.loads(one.body)["type"].split(".")[1] for one in system.received] == [
        "acknowledged",
        "assigned",
        "snoozed",
        "woken",
        "muted",
        "unmuted",
        "resolved",
        "reopened",
    ]
    assert len({one.headers["webhook-id"] for one in system.received}) == 8


@pytest.mark.sqlite_only
@pytest.mark.parametrize("status", [500, 302, 404, 429])
def test_a_rejected_callback_is_retried_with_the_same_id(
    installed: Bellhop, sender: Caller, secret: str, system: FakeApp, status: int
) -> None:
    answered(
        installed, raised(installed, sender), IncidentAnswer.ACKNOWLEDGE, IncidentAnswer.RESOLVE
    )
    elsewhere = {"Location": system.url + "/elsewhere"}
    system.answer = lambda received: Answer(status, headers=elsewhere)

    assert send_due(installed) == 0
    assert len(system.received) == 1
    system.answer = lambda received: Answer(204)
    installed.clock.advance(RETRIES[0].total_seconds())
    assert send_due(installed) == 2

    ids = [one.headers["webhook-id"] for one in system.received]
    assert len(ids) == 3
    assert len(set(ids)) == 2
    assert {one.path for one in system.received} == {PATH}
    for one in system.received:
        Webhook(secret).verify(one.body, one.headers)


def test_it_is_given_up_in_the_end(
    installed: Bellhop,
    sender: Caller,
    secret: str,
    system: FakeApp,
    caplog: pytest.LogCaptureFixture,
) -> None:
    answered(installed, raised(installed, sender), IncidentAnswer.ACKNOWLEDGE)
    system.answer = lambda received: Answer(500)
    for retry in RETRIES:
        send_due(installed)
        assert waiting(installed) == 1
        installed.clock.advance(retry.total_seconds())
    send_due(installed)

    assert waiting(installed) == 0
    assert len(system.received) == len(RETRIES) + 1
    assert "a callback was given up" in caplog.text
    for hidden in (secret, system.url, PATH):
        assert hidden not in caplog.text


def test_a_system_that_is_down_loses_nothing(
    installed: Bellhop, sender: Caller, secret: str, system: FakeApp
) -> None:
    system.stop()
    answered(installed, raised(installed, sender), IncidentAnswer.ACKNOWLEDGE)

    assert send_due(installed) == 0
    assert waiting(installed) == 1
    with installed.services.database.reading() as session:
        assert session.scalars(select(Callback.error)).one() == "ConnectionRefusedError"


def test_the_system_of_an_expired_key_is_told_nothing(installed: Bellhop, system: FakeApp) -> None:
    key = installed.services.api_keys.create(ACME, "monitoring", lifetime=timedelta(hours=1))
    installed.services.callback_endpoints.set(1, system.url + PATH)
    id_ = raised(installed, Caller(installed.url, key))
    answered(installed, id_, IncidentAnswer.ACKNOWLEDGE)
    assert waiting(installed) == 1
    installed.clock.advance(3600)

    answered(installed, id_, IncidentAnswer.RESOLVE)

    assert waiting(installed) == 1
    # Nor what waited before.
    assert send_due(installed) == 0
    assert (waiting(installed), system.received) == (0, [])


def test_callbacks_of_a_dead_process_are_sent_by_another(
    installed: Bellhop, sender: Caller, secret: str, system: FakeApp
) -> None:
    answered(installed, raised(installed, sender), IncidentAnswer.ACKNOWLEDGE)
    sender_object = installed.services.callback_sender
    assert sender_object._claim(1) is not None

    assert send_due(installed) == 0
    installed.clock.advance(61)
    assert send_due(installed) == 1


@pytest.mark.both_databases
def test_two_processes_send_nothing_twice(
    installed: Bellhop, sender: Caller, secret: str, system: FakeApp
) -> None:
    id_ = raised(installed, sender)
    answered(
        installed,
        id_,
        IncidentAnswer.ACKNOWLEDGE,
        IncidentAnswer.MUTE,
        IncidentAnswer.UNMUTE,
        IncidentAnswer.RESOLVE,
        IncidentAnswer.REOPEN,
    )
    services = installed.services
    networks = installed.settings.callback_networks
    senders = [
        CallbackSender(services.database, services.http, networks=networks, clock=services.clock)
        for _ in range(3)
    ]
    with ThreadPoolExecutor(3) as pool:
        taken = sum(pool.map(lambda one: one.send_due(), senders))
    for one in senders:
        one.close()

    assert taken == 5
    assert len(system.received) == 5


def test_an_endpoint_that_answers_gone_is_removed(
    installed: Bellhop, sender: Caller, secret: str, system: FakeApp
) -> None:
    id_ = raised(installed, sender)
    answered(installed, id_, IncidentAnswer.ACKNOWLEDGE, IncidentAnswer.RESOLVE)
    system.answer = lambda received: Answer(410)
    send_due(installed)
    answered(installed, id_, IncidentAnswer.REOPEN)

    assert waiting(installed) == 0
    assert len(system.received) == 1
    assert_failed(run(installed, "api-key", "callback", "1", "--off"), "Key 1 has no callbacks.")


@pytest.mark.both_databases
def test_a_replaced_address_that_answers_gone_does_not_remove_the_current_one(
    installed: Bellhop, sender: Caller, secret: str, system: FakeApp
) -> None:
    """It is replaced while it takes its time to answer."""
    answered(installed, raised(installed, sender), IncidentAnswer.ACKNOWLEDGE)

    def answer(received: Received) -> Answer:
        if received.path != PATH:
            return Answer(200)
        installed.services.callback_endpoints.set(1, system.url + "/current")
        return Answer(410)

    system.answer = answer

    assert [send_due(installed), send_due(installed)] == [0, 1]
    assert [one.path for one in system.received] == [PATH, "/current"]


def test_a_hanging_endpoint_does_not_delay_others(
    installed: Bellhop, sender: Caller, secret: str, system: FakeApp
) -> None:
    other = run(installed, "api-key", "create", "--team", ACME, "--name", "other").stdout
    run(installed, "api-key", "callback", "2", "--url", system.url + "/other")
    bad = raised(installed, sender)
    good = raised(installed, Caller(installed.url, other.splitlines()[-1]))
    answered(
        installed, bad, IncidentAnswer.ACKNOWLEDGE, IncidentAnswer.RESOLVE, IncidentAnswer.REOPEN
    )
    answered(installed, good, IncidentAnswer.ACKNOWLEDGE)

    def answer(received: Received) -> Answer:
        return Answer(200 if received.path == "/other" else 503)

    system.answer = answer
    assert send_due(installed) == 1
    assert {one.path for one in system.received} == {PATH, "/other"}
    assert len(system.received) == 2


@pytest.mark.both_databases
def test_a_person_who_unlinks_meanwhile_is_not_named(
    installed: Bellhop, sender: Caller, secret: str, system: FakeApp
) -> None:
    id_ = raised(installed, sender)
    answered(installed, id_, IncidentAnswer.ACKNOWLEDGE)
    answered(installed, id_, IncidentAnswer.ASSIGN, user_id=BEN)
    with installed.services.database.reading() as session:
        assert "Ann Archer" not in "".join(session.scalars(select(Callback.body)))
    installed.slack.revoke_tokens(ACME, users=[ANN])
    installed.settle()

    send_due(installed)
    named = [json.loads(one.body)["data"]["by"] for one in system.received]
    assert named == [{"user_id": "deleted", "name": None}, {"user_id": BEN, "name": None}]


class TestTheCommand:
    @pytest.mark.sqlite_only
    def test_only_its_host_is_listed(self, installed: Bellhop, secret: str) -> None:
        shown = run(installed, "api-key", "list", "--team", ACME).stdout

        assert shown == "1  monitoring: send, read; active; callbacks to 127.0.0.1\n"

    @pytest.mark.both_databases
    def test_off_ends_it(
        self, installed: Bellhop, sender: Caller, secret: str, system: FakeApp
    ) -> None:
        id_ = raised(installed, sender)
        answered(installed, id_, IncidentAnswer.ACKNOWLEDGE)
        done = run(installed, "api-key", "callback", "1", "--off")
        answered(installed, id_, IncidentAnswer.RESOLVE)

        assert (done.exit_code, done.stdout) == (0, "Callbacks of key 1 are off.\n")
        assert send_due(installed) == 0
        assert waiting(installed) == 0

    def test_so_does_revoking_the_key(
        self, installed: Bellhop, sender: Caller, secret: str, system: FakeApp
    ) -> None:
        id_ = raised(installed, sender)
        answered(installed, id_, IncidentAnswer.ACKNOWLEDGE)
        run(installed, "api-key", "revoke", "1")

        assert send_due(installed) == 0
        assert not system.received

    def test_a_rotated_key_gets_callbacks_for_its_source(
        self, installed: Bellhop, sender: Caller, secret: str, system: FakeApp
    ) -> None:
        more = ["--team", ACME, "--name", "monitoring", "--source", "api_key:1"]
        run(installed, "api-key", "create", *more)
        run(installed, "api-key", "create", "--team", ACME, "--name", "another")
        for key_id in ("2", "3"):
            run(installed, "api-key", "callback", key_id, "--url", f"{system.url}/{key_id}")
        id_ = raised(installed, sender)
        run(installed, "api-key", "revoke", "1")

        answered(installed, id_, IncidentAnswer.ACKNOWLEDGE)

        assert send_due(installed) == 1
        [told] = system.received
        assert told.path == "/2"
        assert json.loads(told.body)["data"]["notification_id"] == id_

    @pytest.mark.both_databases
    def test_it_replaces_the_secret(
        self, installed: Bellhop, sender: Caller, secret: str, system: FakeApp
    ) -> None:
        done = run(installed, "api-key", "callback", "1", "--url", system.url + "/new")
        answered(installed, raised(installed, sender), IncidentAnswer.ACKNOWLEDGE)
        send_due(installed)

        [told] = system.received
        assert told.path == "/new"
        Webhook(done.stdout.splitlines()[-1]).verify(told.body, told.headers)

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["1"], "give --url or --off"),
            (["1", "--off", "--url", "https://x.example"], "give --url or --off"),
            (["1", "--url", "ftp://x.example"], "The URL is invalid"),
            (["9", "--url", "https://x.example"], "Key 9 does not exist or is revoked."),
        ],
    )
    def test_invalid_options_are_reported(
        self, installed: Bellhop, sender: Caller, arguments: list[str], sentence: str
    ) -> None:
        assert_failed(run(installed, "api-key", "callback", *arguments), sentence, status=2)


@pytest.mark.both_databases
def test_secrets_are_encrypted(installed: Bellhop, secret: str, system: FakeApp) -> None:
    with installed.services.database.engine.connect() as connection:
        stored = connection.exec_driver_sql("SELECT url, secret FROM callback_endpoints").one()

    assert secret not in stored[1]
    assert system.url not in stored[0]


def test_a_silent_endpoint_does_not_delay_others(
    installed: Bellhop, sender: Caller, secret: str, system: FakeApp
) -> None:
    other = run(installed, "api-key", "create", "--team", ACME, "--name", "other").stdout
    run(installed, "api-key", "callback", "2", "--url", system.url + "/other")
    bad = raised(installed, sender)
    good = raised(installed, Caller(installed.url, other.splitlines()[-1]))
    released, taken = Event(), Event()

    def answer(received: Received) -> Answer:
        if received.path == "/other":
            taken.set()
        else:
            assert released.wait(30)
        return Answer(200)

    system.answer = answer
    answered(installed, bad, IncidentAnswer.ACKNOWLEDGE)
    hanging = installed.services.callback_sender.start()
    answered(installed, good, IncidentAnswer.ACKNOWLEDGE)
    assert send_due(installed) == 1
    assert taken.is_set()
    released.set()
    assert [one.result() for one in hanging] == [1]


def test_all_processes_send_one_callback_at_a_time_to_an_endpoint(
    installed: Bellhop, sender: Caller, secret: str, system: FakeApp
) -> None:
    id_ = raised(installed, sender)
    answered(
        installed, id_, IncidentAnswer.ACKNOWLEDGE, IncidentAnswer.RESOLVE, IncidentAnswer.REOPEN
    )
    services, arrived, released = installed.services, Event(), Event()
    other = CallbackSender(
        services.database,
        services.http,
        networks=installed.settings.callback_networks,
        clock=services.clock,
    )

    def answer(_received: Received) -> Answer:
        arrived.set()
        assert released.wait(30)
        return Answer(200)

    system.answer = answer
    started = services.callback_sender.start()
    assert arrived.wait(30)
    assert other.send_due() == 0
    assert services.callback_sender.send_due() == 0
    released.set()
    assert started[0].result() == 3
    other.close()
    kinds = [json.loads(one.body)["type"] for one in system.received]
    assert kinds == ["incident.acknowledged", "incident.resolved", "incident.reopened"]


class BrokenLoop(HttpLoop):
    """Fails as a bug of ours would."""

    def run(self, call: Coroutine[Any, Any, Any], timeout: float) -> Any:
        call.close()
        raise RuntimeError("with https://secret.example in it")


@pytest.mark.sqlite_only
def test_a_bug_of_ours_is_a_failed_attempt(
    installed: Bellhop,
    sender: Caller,
    secret: str,
    system: FakeApp,
    caplog: pytest.LogCaptureFixture,
) -> None:
    answered(
        installed, raised(installed, sender), IncidentAnswer.ACKNOWLEDGE, IncidentAnswer.RESOLVE
    )
    services = installed.services
    broken = CallbackSender(services.database, BrokenLoop(), clock=services.clock)
    for wait in RETRIES:
        assert broken.send_due() == 0
        with services.database.reading() as session:
            errors = select(Callback.error).order_by(Callback.id)
            assert session.scalars(errors).all() == ["RuntimeError", None]
        installed.clock.advance(wait.total_seconds())
    assert broken.send_due() == 0
    broken.close()

    assert waiting(installed) == 1
    assert send_due(installed) == 1
    [told] = system.received
    assert json.loads(told.body)["type"] == "incident.resolved"
    said = [one.__dict__.get("error") for one in caplog.records]
    assert "RuntimeError" in said
    assert "secret.example" not in caplog.text


class TestRefusedAddresses:
    @pytest.mark.sqlite_only
    @pytest.mark.parametrize(
        ("url", "sentence"),
        [
            ("http://169.254.169.254/latest", "a link-local address"),
            ("http://10.0.0.1/", "10.0.0.1 is a private address"),
            ("http://[::ffff:10.0.0.1]/", "is a private address"),
            ("http://0/", "0.0.0.0 is the unspecified address"),
            ("http://nowhere.invalid/", "nowhere.invalid cannot be resolved"),
            ("http://ann:secret@127.0.0.1/", "leave out the user name and password"),
        ],
    )
    def test_it_cannot_be_registered(
        self, installed: Bellhop, sender: Caller, url: str, sentence: str
    ) -> None:
        assert_failed(run(installed, "api-key", "callback", "1", "--url", url), sentence, status=2)
        assert "callbacks" not in run(installed, "api-key", "list", "--team", ACME).stdout

    @pytest.mark.both_databases
    def test_a_registered_one_is_kept_and_listed_but_not_called(
        self,
        installed: Bellhop,
        sender: Caller,
        secret: str,
        system: FakeApp,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        answered(installed, raised(installed, sender), IncidentAnswer.ACKNOWLEDGE)
        services = installed.services
        strict = CallbackSender(services.database, services.http, clock=services.clock)
        assert strict.send_due() == 0
        strict.close()

        assert not system.received
        assert waiting(installed) == 1
        with services.database.reading() as session:
            assert session.scalars(select(Callback.error)).one() == "refused_address"
        assert "refused_address" in caplog.records[-1].__dict__["error"]
        monkeypatch.setattr(services.callback_endpoints, "_networks", ())
        shown = run(installed, "api-key", "list", "--team", ACME).stdout
        assert "callbacks to 127.0.0.1, refused: 127.0.0.1 is a loopback address" in shown
