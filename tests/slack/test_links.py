"""Unfurls of links to notifications, over signed HTTP."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.severity import COLOURS, SIGNS
from bolt_app.slack.listeners.events.links import MOST_SHOWN, REPORTS_A_MINUTE
from slack_sandbox import Fault
from slack_sandbox.world import Message
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, ANN_AT_BETA, BEA, BEN, BETA, GENERAL
from tests.running import Bellhop
from tests.slack.signing import post_signed

pytestmark = pytest.mark.sqlite_only

RANDOM = "C0ACME0002"
BETA_GENERAL = "C0BETA0001"
GUS = "U0GUS00001"


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def delivered(bellhop: Bellhop, to: str | list[str] = GENERAL, text: str = "x", **more: Any) -> str:
    id_ = accept(bellhop, to, text, **more)
    bellhop.clock.advance(5)
    Hand(bellhop).deliver()
    return id_


def link(bellhop: Bellhop, notification_id: str) -> str:
    return f"{bellhop.url}/notifications/{notification_id}"


def post(bellhop: Bellhop, text: str, channel_id: str = RANDOM, by: str = ANN) -> Message:
    """Post a text as a person, and let the app process it."""
    message = bellhop.slack.post_as(by, channel_id, text)
    bellhop.slack.deliver_due()
    return message


def shown(message: Message) -> str:
    return json.dumps(message.attachments, ensure_ascii=False)


def private_channel(bellhop: Bellhop) -> str:
    channel = bellhop.slack.add_channel(ACME, "secret", members=[ANN], is_private=True)
    bellhop.slack.invite_bot(ANN, channel.id)
    return channel.id


def test_a_link_shows_the_notification(installed: Bellhop) -> None:
    id_ = delivered(
        installed, GENERAL, "99 % of *db1*. " * 100, title="Disk full", severity="critical"
    )
    url = link(installed, id_)
    message = post(installed, f"who sees to <{url}>?")

    [attachment] = message.attachments
    text = shown(message)
    assert f"<{url}|Disk full>" in text
    assert "99 % of *db1*." in text
    assert len(text) < 2500
    assert attachment["from_url"] == url
    assert attachment["color"]


def test_markdown_is_shown_as_mrkdwn(installed: Bellhop) -> None:
    id_ = delivered(installed, GENERAL, "**2 of 3** are done", title="Backups", format="markdown")

    text = shown(post(installed, link(installed, id_)))

    assert "*2 of 3* are done" in text
    assert "**" not in text


def test_it_shows_who_answered_and_no_buttons(installed: Bellhop) -> None:
    id_ = delivered(installed, actions=["acknowledge", "resolve"])
    installed.services.incidents.answer(ACME, id_, ANN, IncidentAnswer.ACKNOWLEDGE)
    text = shown(post(installed, link(installed, id_)))

    assert "Acknowledged by *Ann Archer*" in text
    assert '"button"' not in text


def test_a_resolved_incident_is_green_until_it_is_reopened(installed: Bellhop) -> None:
    id_ = delivered(installed, title="Disk full", severity="critical", actions=["resolve"])
    answer = installed.services.incidents.answer

    colours = [post(installed, link(installed, id_)).attachments[0]["color"]]
    answer(ACME, id_, ANN, IncidentAnswer.RESOLVE)
    resolved = post(installed, link(installed, id_))
    answer(ACME, id_, ANN, IncidentAnswer.REOPEN)
    colours.append(post(installed, link(installed, id_)).attachments[0]["color"])

    assert colours == [COLOURS["critical"]] * 2
    assert resolved.attachments[0]["color"] == COLOURS["success"]
    assert SIGNS["critical"] not in shown(resolved)
    assert SIGNS["success"] in shown(resolved)


def test_several_links_show_each_its_own(installed: Bellhop) -> None:
    ids = [delivered(installed, title=title) for title in ("One", "Two")]
    message = post(installed, " and ".join(link(installed, id_) for id_ in ids))

    assert len(message.attachments) == 2


def test_one_message_shows_only_its_first_notifications(installed: Bellhop) -> None:
    ids = [delivered(installed) for _ in range(MOST_SHOWN + 2)]
    urls = [f"{link(installed, id_)}{query}" for id_ in ids for query in ("", "?again")]

    message = post(installed, " ".join(urls))

    shown = sorted(one["from_url"] for one in message.attachments)
    assert len({one.partition("?")[0] for one in shown}) == len(shown) == MOST_SHOWN


def test_the_links_of_one_person_do_not_keep_bellhop_busy(installed: Bellhop) -> None:
    url = link(installed, delivered(installed))
    for _ in range(REPORTS_A_MINUTE):
        post(installed, f"{installed.url}/profile", by=BEN)
    shown = [len(post(installed, url, by=BEN).attachments) for _ in range(REPORTS_A_MINUTE + 1)]

    assert shown == [1] * REPORTS_A_MINUTE + [0]
    assert len(post(installed, url, by=ANN).attachments) == 1
    installed.clock.advance(61)
    assert len(post(installed, url, by=BEN).attachments) == 1


def test_a_repeated_event_changes_nothing(installed: Bellhop) -> None:
    id_ = delivered(installed)
    message = post(installed, link(installed, id_))
    [event] = [one.payload["event"] for one in installed.slack.deliveries if _is_link(one)]
    for _ in range(2):
        installed.slack.send_event(ACME, event)

    assert len(installed.slack.calls_to("chat.unfurl")) == 3
    assert [one["from_url"] for one in message.attachments] == [link(installed, id_)]


def _is_link(delivery: Any) -> bool:
    return bool(delivery.name == "link_shared")


def test_while_it_is_written_what_is_public_is_shown(installed: Bellhop) -> None:
    public, direct = delivered(installed), delivered(installed, BEN)
    text = f"{link(installed, public)} {link(installed, direct)}"
    unfurl_id = installed.slack.compose_as(ANN, ACME, text)
    installed.slack.deliver_due()

    assert unfurl_id is not None
    assert list(installed.slack.shared_links[unfurl_id].shown) == [link(installed, public)]


@pytest.mark.parametrize(
    ("to", "writer"), [(["COMPOSER", BEN], ANN), (["COMPOSER", GENERAL], GUS), (GENERAL, GUS)]
)
def test_a_link_being_typed_shows_nothing_hidden(
    installed: Bellhop, to: str | list[str], writer: str
) -> None:
    """Slack sends `COMPOSER` as the channel, which a sender may also use as a name."""
    unfurl_id = installed.slack.compose_as(writer, ACME, link(installed, delivered(installed, to)))
    installed.slack.deliver_due()

    assert unfurl_id is not None
    assert installed.slack.shared_links[unfurl_id].shown == {}


def test_a_direct_notification_is_not_shown(installed: Bellhop) -> None:
    message = post(installed, link(installed, delivered(installed, BEN, "your password")), by=BEN)

    assert message.attachments == []


def test_a_notification_in_a_private_channel_is_shown_only_there(installed: Bellhop) -> None:
    secret = private_channel(installed)
    url = link(installed, delivered(installed, secret, "we buy Globex"))

    assert "we buy Globex" in shown(post(installed, url, secret))
    assert post(installed, url, GENERAL).attachments == []


def test_another_organization_in_the_channel_sees_nothing(installed: Bellhop) -> None:
    public, here = delivered(installed), delivered(installed, RANDOM)
    text = f"{link(installed, public)} {link(installed, here)}"
    message = post(installed, text)
    [event] = [one.payload for one in installed.slack.deliveries if _is_link(one)]
    assert event["is_ext_shared_channel"] is False
    assert len(message.attachments) == 2

    for outside, count in ((True, 1), (False, 2)):
        shared = [
            installed.services.visibility.find_shared(
                ACME, id_, RANDOM, shared_by=ANN, is_outside=outside
            )
            for id_ in (public, here)
        ]
        assert len([one for one in shared if one is not None]) == count


@pytest.mark.parametrize("is_outside", [True, False])
def test_no_topic_is_shown_where_guests_or_others_read(
    installed: Bellhop, is_outside: bool
) -> None:
    installed.services.subscriptions.subscribe(ACME, RANDOM, SubscriptionSpec("buy-globex"))
    if is_outside:
        installed.slack.share_channel(RANDOM, BEA)
    id_ = delivered(installed, "topic:buy-globex", "Green", title="Build")

    text = shown(post(installed, link(installed, id_)))

    assert "Build" in text
    assert "buy-globex" not in text


def test_another_organisation_is_shown_nothing_before_it_is_posted(installed: Bellhop) -> None:
    installed.slack.share_channel(RANDOM, BEA)
    later = (installed.clock() + timedelta(days=1)).isoformat()
    id_ = accept(installed, RANDOM, "x", send_at=later)

    assert post(installed, link(installed, id_)).attachments == []


def test_a_shared_channel_is_named_as_one(installed: Bellhop) -> None:
    installed.slack.share_channel(RANDOM, BEA)
    message = post(installed, link(installed, delivered(installed)))

    [event] = [one.payload for one in installed.slack.deliveries if _is_link(one)]
    assert event["is_ext_shared_channel"] is True
    assert message.attachments == []


@pytest.mark.parametrize("said", [{}, {"is_ext_shared_channel": None}])
def test_where_slack_does_not_say_others_may_be_there(
    installed: Bellhop, said: dict[str, Any]
) -> None:
    post(installed, link(installed, delivered(installed)))
    [event] = [one.payload for one in installed.slack.deliveries if _is_link(one)]
    before = len(installed.slack.calls_to("chat.unfurl"))
    assert before == 1
    unsaid = {name: value for name, value in event.items() if name != "is_ext_shared_channel"}

    body = json.dumps({**unsaid, **said, "event_id": "Ev1"}).encode()
    assert post_signed(installed, body).status == 200

    assert len(installed.slack.calls_to("chat.unfurl")) == before


def test_a_notification_of_another_workspace_is_not_shown(installed: Bellhop) -> None:
    installed.install(ANN_AT_BETA)
    url = link(installed, delivered(installed))

    assert post(installed, url, BETA_GENERAL, by=ANN_AT_BETA).attachments == []
    assert BETA in {one.team_id for one in installed.slack.deliveries if _is_link(one)}


def test_other_addresses_are_left_alone(installed: Bellhop) -> None:
    id_ = delivered(installed)
    others = [
        f"{installed.url}/profile",
        f"{installed.url}/notifications/{'0' * 32}",
        f"{installed.url}/notifications/{id_}x",
        f"{installed.url}/other/{id_}",
        f"https://elsewhere.example/notifications/{id_}",
    ]
    message = post(installed, " ".join(others))

    assert message.attachments == []
    assert installed.slack.calls_to("chat.unfurl") == []


def test_a_link_with_a_query_is_unfurled(installed: Bellhop) -> None:
    url = f"{link(installed, delivered(installed))}/?from=mail#top"

    assert len(post(installed, url).attachments) == 1


@pytest.mark.parametrize(
    ("fault", "tried"),
    [
        (Fault("chat.unfurl", "server_error", times=1), 2),
        (Fault("chat.unfurl", "api_error", error="cannot_unfurl_url"), 1),
    ],
)
def test_temporary_errors_are_retried(installed: Bellhop, fault: Fault, tried: int) -> None:
    url = link(installed, delivered(installed))
    installed.slack.faults.add(fault)
    message = post(installed, url)
    installed.clock.advance(61)
    installed.slack.deliver_due()

    assert len(installed.slack.calls_to("chat.unfurl")) == tried
    assert len(message.attachments) == tried - 1
