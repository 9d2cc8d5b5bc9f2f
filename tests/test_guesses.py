"""Wrong API keys and webhook URLs: guesses are limited per client address."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from bolt_app import guesses
from bolt_app.credentials import records
from bolt_app.credentials.api_keys import Scope
from bolt_app.credentials.records import RememberedCredentials
from bolt_app.credentials.sources import Credential, SourceKind
from bolt_app.credentials.webhooks import AUTO, AWS_SNS, CUSTOM, REMEMBERED_FOR
from bolt_app.guesses import GuessLimit, TooManyGuessesError
from bolt_app.senders.registry import known_senders
from tests.conftest import FakeClock
from tests.people import ACME, ANN
from tests.running import Bellhop, running_bellhop
from tests.web.calling import NOTIFICATIONS, Caller, caller, put_bot, request

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

BODY = {"to": "#general", "text": "x"}
HOOK_BODY = b'{"text": "x"}'


@pytest.fixture
def strict(database_url: str, encryption_key: str, clock: FakeClock) -> Iterator[Bellhop]:
    """Bellhop with a limit of two wrong credentials per minute."""
    with running_bellhop(database_url, encryption_key, clock, wrong_keys_per_minute=2) as running:
        yield running


@on_sqlite
def test_wrong_api_keys_are_refused_before_they_are_looked_up(strict: Bellhop) -> None:
    known, unknown = caller(strict), caller(strict)
    assert known.send(BODY).status == 202
    guesser = Caller(strict.url, "bh_wrong")

    answers = [guesser.send(BODY), guesser.get(NOTIFICATIONS), guesser.send(BODY)]

    assert [answer.status for answer in answers] == [401, 401, 429]
    assert answers[2].headers["Retry-After"] == "60"
    assert answers[2].headers["Content-Type"] == "application/problem+json"
    # A correct guess reveals nothing; known credentials continue to work.
    assert unknown.send(BODY).status == 429
    assert known.send(BODY).status == 202
    strict.clock.advance(60)
    assert unknown.send(BODY).status == 202
    assert guesser.send(BODY).status == 401


@on_sqlite
def test_wrong_keys_do_not_block_signing_in(strict: Bellhop) -> None:
    guesser = Caller(strict.url, "bh_wrong")
    assert [guesser.get(NOTIFICATIONS).status for _ in range(3)] == [401, 401, 429]

    assert strict.install(ANN)[1].status == 303


@on_sqlite
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_known_key_continues_to_work(strict: Bellhop, method: str) -> None:
    known, guesser = caller(strict, Scope.ADMIN), Caller(strict.url, "bh_wrong")
    assert known.get(NOTIFICATIONS).status == 200
    assert [guesser.get(NOTIFICATIONS).status for _ in range(3)] == [401, 401, 429]

    assert known.call(method, NOTIFICATIONS, BODY).status in (200, 202)


@on_sqlite
@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_keys_that_have_ended_are_guesses_too(strict: Bellhop, end: str) -> None:
    text = strict.services.api_keys.create(ACME, "ci", lifetime=timedelta(hours=1))
    put_bot(strict)
    ended, unknown = Caller(strict.url, text), caller(strict)
    assert ended.send(BODY).status == 202
    if end == "expired":
        strict.clock.advance(3600)
    else:
        strict.services.api_keys.revoke(1)
    assert ended.send(BODY).status == 401

    answers = [ended.get(NOTIFICATIONS).status for _ in range(3)]

    assert answers[-1] == 429
    assert unknown.send(BODY).status == 429


@on_sqlite
def test_revoked_webhook_urls_count_as_guesses(strict: Bellhop) -> None:
    put_bot(strict)
    revoked = strict.services.webhooks.create(ACME, "", ["#ops"])
    strict.services.webhooks.revoke(1)

    answers = [request("POST", revoked, HOOK_BODY).status for _ in range(3)]

    assert answers == [404, 404, 429]


@on_sqlite
def test_webhook_urls_count_as_guesses(strict: Bellhop) -> None:
    put_bot(strict)
    known, unknown = (strict.services.webhooks.create(ACME, "", ["#ops"]) for _ in range(2))
    assert request("POST", known, HOOK_BODY).text == "ok"

    answers = [request("POST", f"{strict.url}/hooks/guess{n}", b"{}") for n in range(3)]

    assert [answer.status for answer in answers] == [403, 403, 429]
    assert (answers[2].text, answers[2].headers["Retry-After"]) == ("rate_limited", "60")
    assert request("POST", unknown, HOOK_BODY).status == 429
    assert request("POST", known, HOOK_BODY).text == "ok"
    strict.clock.advance(REMEMBERED_FOR.total_seconds() + 1)
    assert request("POST", unknown, HOOK_BODY).status == 429
    assert request("POST", known, HOOK_BODY).text == "ok"


@on_sqlite
@pytest.mark.parametrize("sender", [AUTO, CUSTOM, *known_senders()])
def test_a_known_webhook_of_any_sender_continues_to_work(strict: Bellhop, sender: str) -> None:
    put_bot(strict)
    known = strict.services.webhooks.create(ACME, "", ["#ops"], sender=sender)
    first = request("POST", known, HOOK_BODY)
    assert first.text == ("invalid_signature" if sender == AWS_SNS else "ok")

    guess_webhooks(strict)

    assert request("POST", known, HOOK_BODY).text == first.text
    strict.clock.advance(REMEMBERED_FOR.total_seconds() + 1)
    assert request("POST", known, HOOK_BODY).text == first.text


@on_sqlite
def test_a_known_webhook_continues_to_work_with_another_template(strict: Bellhop) -> None:
    put_bot(strict)
    known = strict.services.webhooks.create(ACME, "", ["#ops"])
    assert request("POST", known, HOOK_BODY).text == "ok"
    guess_webhooks(strict)

    for template in ('{"title": "Backup"}', None):
        assert strict.services.webhooks.set_template(1, template)
        assert request("POST", known, HOOK_BODY).text == "ok"


@on_sqlite
@pytest.mark.parametrize("sender", [AUTO, "slack"])
def test_a_known_webhook_that_was_revoked_is_a_guess(strict: Bellhop, sender: str) -> None:
    put_bot(strict)
    revoked = strict.services.webhooks.create(ACME, "", ["#ops"], sender=sender)
    assert request("POST", revoked, HOOK_BODY).text == "ok"
    strict.services.webhooks.revoke(1)
    strict.clock.advance(REMEMBERED_FOR.total_seconds() + 1)

    answers = [request("POST", revoked, HOOK_BODY).status for _ in range(3)]

    assert answers == [404, 404, 429]


@on_sqlite
def test_a_known_key_continues_to_work_after_a_request_that_it_may_not_make(
    strict: Bellhop,
) -> None:
    known = caller(strict, channels=["#general"])
    assert known.send(BODY).status == 202
    guesser = Caller(strict.url, "bh_wrong")
    assert [guesser.send(BODY).status for _ in range(3)] == [401, 401, 429]

    assert known.send({"to": "#ops", "text": "x"}).status == 403
    assert known.send(BODY).status == 202


@on_sqlite
def test_a_request_without_a_key_is_no_guess(strict: Bellhop) -> None:
    answers = [request("GET", strict.url + NOTIFICATIONS) for _ in range(4)]

    assert {answer.status for answer in answers} == {401}


def test_addresses_are_counted_apart_and_ipv6_by_network(clock: FakeClock) -> None:
    limit = GuessLimit(1, clock=clock)
    limit.count("2001:db8::1")
    limit.count("::ffff:192.0.2.1")

    for address in ("2001:db8::ffff", "192.0.2.1"):
        with pytest.raises(TooManyGuessesError):
            limit.check(address)
    for other in ("2001:db8:0:1::1", "192.0.2.2", None):
        limit.check(other)


def test_known_credentials_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST_REMEMBERED", 3)
    known = RememberedCredentials[Credential]()
    for number in [*range(3), 0]:
        known.add(f"secret{number}", Credential(SourceKind.WEBHOOK, number))
    assert all(known.find(f"secret{number}") for number in range(3))

    known.add("another", Credential(SourceKind.WEBHOOK, 4))

    assert len(known._records) == 1
    assert known.find("another")


def test_memory_is_bounded(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guesses, "MOST_ADDRESSES", 10)
    limit = GuessLimit(1, clock=clock)
    for number in range(100):
        limit.count(f"192.0.2.{number}")

    limit.check("192.0.2.1")
    with pytest.raises(TooManyGuessesError):
        limit.check("192.0.2.99")
    assert len(limit._seen) == 10


def guess_webhooks(strict: Bellhop) -> None:
    """Send wrong webhook URLs until the client address is limited."""
    answers = [request("POST", f"{strict.url}/hooks/guess{n}", b"{}").status for n in range(3)]
    assert answers == [403, 403, 429]
