"""Every entry point for names, topics, filters and addresses treats texts that look equal as equal.

A new entry point belongs into one of the tables.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given as given_by
from hypothesis import strategies as st

from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.text_forms import MOST_MARKS, comparable, lowered, normalized, visible
from tests.commands import run
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop
from tests.slack.test_credentials import create_key
from tests.slack.test_home import home, subscribe
from tests.slack.test_send_step import step
from tests.web.calling import NOTIFICATIONS, caller

pytestmark = pytest.mark.sqlite_only

CHANNEL, CHANNELS = (
    "#caf\u00e9",
    [
        "#caf\u00e9",
        "#cafe\u0301",
        "#CAFE\u0301",
        "#ca\u200bf\u00e9",
        "\ufeff#caf\u00e9\u2060 ",
    ],
)
TOPIC, TOPICS = (
    "team-a/deploys",
    [
        "team-a/deploys",
        "Team-A/Deploys",
        "topic:team-a/deploys",
        "Topic:team-a/deploys",
        "team\u2013a/deploys",
        "team-a/\u00addeploys\u200b",
    ],
)
FILTER, FILTERS = (
    "place!=caf\u00e9",
    [
        "-place:caf\u00e9",
        "\u2013place:CAFE\u0301",
        "\u2014pla\u200bce:caf\u00e9",
        "place<>caf\u00e9",
        "-\u201cplace\u201d:\u2018caf\u00e9\u2019",
    ],
)
PERSON, PEOPLE = (
    "@zo\u00eb@acme.example",
    ["zo\u00eb@acme.example", "@Zoe\u0308@ACME.example\u200b"],
)


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def reported_to(bellhop: Bellhop, notification_id: str) -> str:
    found = bellhop.services.history.find(ACME, notification_id)
    assert found is not None
    [one] = found.deliveries
    return one.to


def by_api(bellhop: Bellhop, address: str) -> str:
    answer = caller(bellhop).send({"to": address, "text": "x"}).json()
    return reported_to(bellhop, answer["id"])


def by_send(bellhop: Bellhop, address: str) -> str:
    done = run(bellhop, "send", "--team", ACME, "--to", address, "x")
    found = re.match(r"[0-9a-f]{32}", done.stdout)
    assert found is not None, done.stderr
    return reported_to(bellhop, found[0])


def by_escalation(bellhop: Bellhop, address: str) -> str:
    body = {"to": "#x", "text": "x", "actions": ["acknowledge"]}
    later = {"escalate": {"after": 60, "to": address}}
    answer = caller(bellhop).send({**body, **later}).json()
    return str(answer["deliveries"][-1]["to"])


def by_hook(bellhop: Bellhop, address: str) -> str:
    assert run(bellhop, "webhook", "create", "--team", ACME, "--to", address).exit_code == 0
    return bellhop.services.webhooks.of_team(ACME)[-1].to[0]


def by_key(bellhop: Bellhop, address: str) -> str:
    names = ("--team", ACME, "--name", "x", "--channel", address)
    assert run(bellhop, "api-key", "create", *names).exit_code == 0
    return bellhop.services.api_keys.of_team(ACME)[-1].channels[0]


def by_key_form(bellhop: Bellhop, address: str) -> str:
    create_key(bellhop, channels=address)
    return bellhop.services.api_keys.of_team(ACME)[-1].channels[0]


def by_topic_command(bellhop: Bellhop, address: str) -> str:
    assert run(bellhop, "topic", "subscribe", "--team", ACME, "x", address).exit_code == 0
    return bellhop.services.subscriptions.of_team(ACME)[-1].address


def by_listing(bellhop: Bellhop, address: str) -> str:
    """Find with the API the notifications to the plain address."""
    known = PERSON if "@" in address else CHANNEL
    sender = caller(bellhop)
    sender.send({"to": known, "text": "x"})
    query = f"?to={_quoted(address)}"
    [found] = sender.get(NOTIFICATIONS + query).json()["notifications"]
    return str(found["deliveries"][0]["to"])


# The first one finds its own notification alone.
ADDRESS_WAYS: list[Callable[[Bellhop, str], str]] = [
    by_listing,
    by_api,
    by_send,
    by_escalation,
    by_hook,
    by_key,
    by_key_form,
    by_topic_command,
]


@pytest.mark.parametrize("address", [*CHANNELS, *PEOPLE], ids=ascii)
def test_an_address_is_the_same_by_every_way(
    installed: Bellhop, address: str, subtests: pytest.Subtests
) -> None:
    for way in ADDRESS_WAYS:
        with subtests.test(way.__name__):
            assert way(installed, address) == (PERSON if "@" in address else CHANNEL)


def topics(bellhop: Bellhop) -> list[str]:
    return [item.spec.topic for item in bellhop.services.subscriptions.of_team(ACME)]


def notify(bellhop: Bellhop, words: str) -> None:
    result = bellhop.slack.send_command(ANN, GENERAL, "/notify", words)
    assert (result.status, result.error) == (200, None)


def subscribe_by_command(bellhop: Bellhop, topic: str) -> None:
    notify(bellhop, f"subscribe {topic}")


def subscribe_at_home(bellhop: Bellhop, topic: str) -> None:
    home(bellhop)
    assert subscribe(bellhop, topic).errors == {}


def subscribe_by_flask(bellhop: Bellhop, topic: str) -> None:
    assert run(bellhop, "topic", "subscribe", "--team", ACME, topic, GENERAL).exit_code == 0


@pytest.mark.parametrize("way", [subscribe_by_command, subscribe_at_home, subscribe_by_flask])
def test_a_topic_is_subscribed_to_in_one_form(
    installed: Bellhop, way: Callable[[Bellhop, str], None], subtests: pytest.Subtests
) -> None:
    for topic in TOPICS:
        with subtests.test(ascii(topic)):
            way(installed, topic)

            assert topics(installed) == [TOPIC]
            [made] = installed.services.subscriptions.of_team(ACME)
            assert installed.services.subscriptions.unsubscribe(ACME, made.address, TOPIC)


def unsubscribe_by_flask(bellhop: Bellhop, topic: str) -> None:
    assert run(bellhop, "topic", "unsubscribe", "--team", ACME, topic, GENERAL).exit_code == 0


@pytest.mark.parametrize(
    "way",
    [
        lambda bellhop, topic: notify(bellhop, f"unsubscribe {topic}"),
        lambda bellhop, topic: notify(bellhop, f"mute {topic} 2h"),
        lambda bellhop, topic: notify(bellhop, f"digest {topic} hourly"),
        unsubscribe_by_flask,
    ],
)
def test_a_subscription_is_found_by_every_spelling_of_its_topic(
    installed: Bellhop, way: Callable[[Bellhop, str], None], subtests: pytest.Subtests
) -> None:
    service = installed.services.subscriptions
    for topic in TOPICS:
        with subtests.test(ascii(topic)):
            service.unsubscribe(ACME, GENERAL, TOPIC)
            service.subscribe(ACME, GENERAL, SubscriptionSpec(TOPIC))
            before = service.of_team(ACME)

            way(installed, topic)

            assert service.of_team(ACME) != before


@pytest.mark.parametrize("topic", TOPICS, ids=ascii)
def test_a_topic_is_sent_to_in_one_form(installed: Bellhop, topic: str) -> None:
    installed.services.subscriptions.subscribe(ACME, GENERAL, SubscriptionSpec(TOPIC))
    address = topic if ":" in topic else f"topic:{topic}"

    for way in (by_api, by_send):
        assert way(installed, address) == GENERAL
    assert by_hook(installed, address) == f"topic:{TOPIC}"
    sent = step(installed, topic=topic).outputs["notification_id"]
    assert reported_to(installed, sent) == GENERAL


def filter_by_command(bellhop: Bellhop, words: str) -> None:
    notify(bellhop, f"subscribe x {words}")


def filter_at_home(bellhop: Bellhop, words: str) -> None:
    home(bellhop)
    assert subscribe(bellhop, "x", words).errors == {}


def filter_by_flask(bellhop: Bellhop, words: str) -> None:
    given = ("topic", "subscribe", "--team", ACME, "--", "x", GENERAL, words)
    assert run(bellhop, *given).exit_code == 0


FILTER_WAYS = [filter_by_command, filter_at_home, filter_by_flask]


@pytest.mark.parametrize("way", FILTER_WAYS)
@pytest.mark.parametrize("words", FILTERS, ids=ascii)
def test_a_filter_means_the_same_by_every_way(
    installed: Bellhop, way: Callable[[Bellhop, str], None], words: str
) -> None:
    way(installed, words)

    [one] = installed.services.subscriptions.of_team(ACME)
    assert one.spec.filter == FILTER


def test_a_mistyped_severity_is_refused_by_every_way(installed: Bellhop) -> None:
    words, meant = "severty>=warning", "severity>=warning"
    answer = installed.slack.send_command(ANN, GENERAL, "/notify", f"subscribe x {words}")
    assert answer.message is not None
    assert meant.replace(">", "&gt;") in str(answer.message.blocks)
    home(installed)
    assert meant in str(subscribe(installed, "x", words).errors)
    refused = run(installed, "topic", "subscribe", "--team", ACME, "x", GENERAL, words)
    assert (refused.exit_code, meant in refused.stderr) == (2, True)
    assert topics(installed) == []


def test_fields_and_topics_that_nobody_sent_are_doubted(installed: Bellhop) -> None:
    sent = {"text": "x", "fields": [{"name": "label", "value": "bot"}]}
    caller(installed).send({"to": [GENERAL, "topic:deploys"], **sent})

    answer = installed.slack.send_command(ANN, GENERAL, "/notify", "subscribe deploys lable:bot")
    assert answer.message is not None
    assert "`lable`: did you mean `label`?" in str(answer.message.blocks)
    done = run(installed, "topic", "subscribe", "--team", ACME, "deplyos", GENERAL, "label=bot")
    assert "did you mean deploys?" in done.stdout


def test_channels_of_slack_are_known_by_every_form(installed: Bellhop) -> None:
    installed.slack.channels[GENERAL].name = "cafe\u0301"
    workspace = installed.services.client.find_workspace(ACME)

    for written in CHANNELS:
        assert installed.services.channels.find(workspace, written) == GENERAL
        [found] = installed.services.channels.search(workspace, written)
        assert found.channel_id == GENERAL


def test_severities_and_modes_may_be_written_with_capitals(bellhop: Bellhop) -> None:
    said: Any = {"to": "#x", "text": "x", "key": "k", "severity": "Critical ", "mode": "THREAD"}
    assert caller(bellhop).send(said).status == 202

    words = ("--severity", "ERROR", "--key", "k", "--mode", "New")
    assert run(bellhop, "send", "--team", ACME, "--to", "#x", *words, "x").exit_code == 0
    given = ("--team", ACME, "--mode", "Thread", "x", GENERAL)
    assert run(bellhop, "topic", "subscribe", *given).exit_code == 0
    assert bellhop.services.subscriptions.of_team(ACME)[0].spec.mode == "thread"


def test_keys_are_compared_byte_by_byte(bellhop: Bellhop) -> None:
    sender = caller(bellhop)
    for key in ("caf\u00e9", "cafe\u0301", "CAF\u00c9", "caf\u00e9\u200b"):
        sender.send({"to": "#x", "text": "x", "key": key})
        [found] = sender.get(f"{NOTIFICATIONS}?key={_quoted(key)}").json()["notifications"]
        assert found["key"] == key


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


@given_by(st.text())
def test_each_form_is_one(text: str) -> None:
    for form in (visible, lowered, comparable):
        assert form(form(text)) == form(text)


@given_by(st.lists(st.sampled_from(["a", "\u00e9", "\u0301" * 3, "\u1100\u1161", " "])))
def test_text_of_any_language_is_normalized(pieces: list[str]) -> None:
    text = "x".join(pieces)

    assert normalized("NFC", text) == unicodedata.normalize("NFC", text)


def test_a_letter_has_a_bounded_number_of_marks() -> None:
    pile = "a" + "\u0301\u0316" * 50_000 + "b"

    assert len(normalized("NFD", pile)) == 1 + MOST_MARKS + 1
