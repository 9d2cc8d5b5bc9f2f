"""The App Home over signed HTTP: its content, buttons and modals."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.signals import ChangeSignal
from bolt_app.slack import ids
from bolt_app.workspaces.home_tabs import RECORDED_AGAIN_AFTER
from slack_sandbox import Fault
from slack_sandbox.interactions import InteractionResult
from slack_sandbox.world import Message, View
from tests.conftest import FakeClock
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop
from tests.statements import statements_of

pytestmark = pytest.mark.sqlite_only

LEADS = "C0ACME0006"


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def home(bellhop: Bellhop, user_id: str = ANN) -> View:
    """Open the App Home as a person."""
    bellhop.slack.open_home(user_id, ACME)
    bellhop.slack.deliver_due()
    return shown(bellhop, user_id)


def shown(bellhop: Bellhop, user_id: str = ANN) -> View:
    view = bellhop.slack.home_view(ACME, user_id)
    assert view is not None
    return view


def text_of(view: View) -> str:
    return json.dumps(view.blocks, ensure_ascii=False)


def subscribe(bellhop: Bellhop, topic: str, filter_: str = "") -> Any:
    """Click the button, fill in the modal and submit it."""
    bellhop.slack.click(ANN, shown(bellhop), ids.HOME_SUBSCRIBE)
    modal = bellhop.slack.open_modal(ANN)
    assert modal is not None
    values = {"topic": {"value": topic}, "filter": {"value": filter_}}
    result = bellhop.slack.submit_view(ANN, modal.id, values)
    if not result.errors:
        bellhop.wait_for_home(ACME, ANN, "subscribed themselves")
    return result


def choose_from_menu(
    bellhop: Bellhop, source: Message | View, what: str, topic: str
) -> InteractionResult:
    """Choose from the menu of a subscription as Ann."""
    [block_id] = [
        block["block_id"]
        for block in source.blocks
        if "accessory" in block and f"`{topic}`" in block["text"]["text"]
    ]
    return bellhop.slack.select_option(
        ANN, source, ids.CHANGE_SUBSCRIPTION, what, block_id=block_id
    )


def choose(bellhop: Bellhop, what: str, topic: str) -> None:
    """Choose from the menu of one of Ann's subscriptions."""
    done = choose_from_menu(bellhop, home(bellhop), what, topic)
    assert done.error is None


def offered(view: View) -> list[str]:
    menus = (block.get("accessory", {}) for block in view.blocks)
    options = [one for menu in menus for one in menu.get("options", ())]
    return [one["text"]["text"] for one in options]


def reached(bellhop: Bellhop, topic: str = "topic:deploys", **given: Any) -> list[str]:
    report = bellhop.services.history.find(ACME, accept(bellhop, topic, "x", **given))
    assert report is not None
    return [one.to for one in report.deliveries]


def is_recorded(bellhop: Bellhop) -> bool:
    """Open Ann's home; return whether that was recorded."""
    with statements_of(bellhop.services.database) as statements:
        home(bellhop)
    writes = ("INSERT INTO home_tabs", "UPDATE home_tabs")
    return any(one.startswith(writes) for one in statements)


def test_a_home_that_is_opened_again_is_not_recorded_again(
    installed: Bellhop, clock: FakeClock
) -> None:
    assert [is_recorded(installed), is_recorded(installed)] == [True, False]

    clock.advance(RECORDED_AGAIN_AFTER.total_seconds())
    assert [is_recorded(installed), is_recorded(installed)] == [True, False]

    installed.services.home_tabs.forget(ACME, ANN)
    assert [is_recorded(installed), is_recorded(installed)] == [True, False]


def test_a_home_is_recorded_again_when_its_person_is_no_admin_any_more(installed: Bellhop) -> None:
    home(installed)
    assert installed.services.home_tabs.of(ChangeSignal(ACME, None)) == [ANN]

    installed.slack.update_user(ANN, is_admin=False, is_owner=False, is_primary_owner=False)
    installed.slack.deliver_due()
    home(installed)

    assert installed.services.home_tabs.of(ChangeSignal(ACME, None)) == []


def test_a_person_sees_their_profile_and_is_taught(installed: Bellhop) -> None:
    text = text_of(home(installed))

    assert "Ann Archer" in text
    assert "ann@acme.example" in text
    assert "No subscriptions yet." in text
    assert "Everything is delivered" in text
    assert ids.UNLINK_PROFILE not in text


def test_a_person_without_a_profile_can_link_one(installed: Bellhop) -> None:
    text = text_of(home(installed, BEN))

    assert "not linked your profile" in text
    assert "/slack/install?only=profile" in text
    assert "Ann Archer" not in text


def test_a_topic_is_subscribed_to_and_undone(installed: Bellhop) -> None:
    home(installed)

    assert subscribe(installed, "Deploys", "severity>=error").error is None

    text = text_of(shown(installed))
    assert f"<@{ANN}> subscribed themselves to `deploys`" in text
    assert "`deploys` where `severity&gt;=error`" in text
    assert reached(installed, severity="error") == [ANN]
    assert reached(installed) == []
    installed.slack.click(ANN, shown(installed), ids.UNDO_SUBSCRIPTIONS)
    assert "undid the change" in text_of(shown(installed))
    assert reached(installed, severity="error") == []


def test_errors_are_shown_beside_their_input(installed: Bellhop) -> None:
    home(installed)

    result = subscribe(installed, "de*", "severity>=eror")

    assert "use a star alone" in result.errors["topic"]
    assert "“eror” is not a severity" in result.errors["filter"]
    assert installed.slack.open_modal(ANN) is not None


def test_an_ended_subscription_is_restored_by_undo(installed: Bellhop) -> None:
    home(installed)
    subscribe(installed, "deploys")

    choose(installed, "unsubscribe", "deploys")
    assert reached(installed) == []
    assert "No subscriptions yet." in text_of(shown(installed))

    installed.slack.click(ANN, shown(installed), ids.UNDO_SUBSCRIPTIONS)
    assert reached(installed) == [ANN]


def test_a_subscription_is_switched_by_its_menu(installed: Bellhop) -> None:
    home(installed)
    subscribe(installed, "deploys/*")

    def spec() -> SubscriptionSpec:
        [one] = installed.services.subscriptions.of_address(ACME, ANN)
        return one.spec

    for what, hours in (("mute-hour", 1), ("mute-day", 24)):
        choose(installed, what, "deploys/*")
        assert spec().muted_until == installed.clock() + timedelta(hours=hours)
        assert f"<@{ANN}> muted `deploys/*` for themselves until" in text_of(shown(installed))
        assert "Unmute" in offered(shown(installed))
        choose(installed, "unmute", "deploys/*")
        assert spec().muted_until is None

    for what, words in (("digest-hourly", "hourly"), ("digest-daily", "daily 09:00")):
        choose(installed, what, "deploys/*")
        assert str(spec().digest) == words
        assert "End the digest" in offered(shown(installed))
        choose(installed, "digest-off", "deploys/*")
        assert spec().digest is None
    installed.slack.click(ANN, shown(installed), ids.UNDO_SUBSCRIPTIONS)
    assert str(spec().digest) == "daily 09:00"


def test_possible_follow_ups_do_not_count_as_waiting(installed: Bellhop) -> None:
    id_ = accept(
        installed,
        GENERAL,
        title="Disk full",
        actions=["acknowledge", "snooze"],
        escalate={"after": 600},
    )
    Hand(installed).deliver()
    message = installed.slack.messages(GENERAL)[-1]
    installed.slack.select_option(ANN, message, "incident.snooze", "30")
    installed.clock.advance(5)
    Hand(installed).deliver()
    assert "Everything is delivered" in text_of(home(installed))
    installed.slack.click(BEN, message, "incident.acknowledge")

    text = text_of(home(installed))
    assert "Everything is delivered" in text
    assert f"<{installed.url}/notifications/{id_}|Disk full>" in text
    assert text.count("|Disk full>") == 1


def test_the_longest_topic_fits_into_the_menu(installed: Bellhop) -> None:
    topic = "d" * 78 + "/*"
    home(installed)
    subscribe(installed, topic)

    choose(installed, "digest-hourly", topic)
    assert "every hour" in text_of(shown(installed))


def test_a_test_is_delivered_as_a_direct_message(installed: Bellhop) -> None:
    installed.slack.click(ANN, home(installed), ids.HOME_TEST)
    Hand(installed).deliver()

    messages = installed.slack.messages(installed.slack.app_dm(ACME, ANN).id)
    assert "A test notification" in messages[-1].text


def test_it_shows_only_notifications_in_public_channels(installed: Bellhop) -> None:
    accept(installed, GENERAL, title="<Build> 7 is out", severity="success")
    accept(installed, LEADS, title="A secret plan")
    accept(installed, BEN, title="A word to Ben")
    accept(installed, GENERAL, title="Later", delay=3600)
    Hand(installed).deliver()

    text = text_of(home(installed))

    assert "&lt;Build&gt; 7 is out" in text
    assert f"<#{GENERAL}>, sent <!date^" in text
    for hidden in ("secret", "Ben", "Later"):
        assert hidden not in text
    assert "1 waiting, 1 failed (rejected" in text


def test_it_is_shown_though_the_channels_cannot_be_listed(installed: Bellhop) -> None:
    installed.slack.faults.add(Fault("conversations.list", "rate_limited", retry_after=30))

    assert "Ann Archer" in text_of(home(installed))


def test_the_messages_tab_is_ignored(installed: Bellhop) -> None:
    installed.slack.open_home(ANN, ACME, "messages")
    installed.slack.deliver_due()

    assert installed.slack.home_view(ACME, ANN) is None


def test_a_guest_is_offered_nothing_that_guests_may_not(installed: Bellhop) -> None:
    installed.slack.users[BEN].is_restricted = True

    text = text_of(home(installed, BEN))

    assert ids.HOME_SUBSCRIBE not in text
    assert "Guests cannot subscribe to topics" in text
    assert ids.HOME_TEST in text
