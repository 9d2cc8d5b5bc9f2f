"""The App Home tab, and the modal behind its button.

https://docs.slack.dev/surfaces/app-home
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from bolt_app.blockkit.elements import (
    Block,
    Reply,
    actions,
    button,
    context,
    header,
    modal,
    moment,
    section,
    text_input,
)
from bolt_app.blockkit.mrkdwn import escape, link
from bolt_app.notifications.content.page_urls import page_url
from bolt_app.notifications.content.states import STATE_WORDS, ShownState
from bolt_app.notifications.digests.preferences import NotificationPreferences
from bolt_app.notifications.history.statistics import (
    MOST_COUNTED,
    UNROUTED_WITHIN,
    Health,
    SeenDelivery,
)
from bolt_app.notifications.subscriptions.service import StoredSubscription
from bolt_app.severity import SIGNS, Severity
from bolt_app.slack import ids
from bolt_app.slack.preferences.blocks import preferences_section
from bolt_app.slack.subscriptions.blocks import subscription_blocks

# A view has at most a hundred blocks.
MOST_SUBSCRIPTIONS = 35
MOST_TOPICS = 10
TOPIC_BLOCK, FILTER_BLOCK = "topic", "filter"
_DIVIDER: Block = {"type": "divider"}


def home_view(
    profile: Reply,
    preferences: NotificationPreferences,
    subscriptions: Sequence[StoredSubscription],
    health: Health | None,
    now: datetime,
    *,
    public_url: str,
    notice: Reply | None = None,
    failed: Iterable[Block] = (),
    for_admin: Sequence[Block] = (),
    stand_in: str = "",
    may_subscribe: bool = True,
) -> dict[str, Any]:
    """Return the App Home of one person.

    Args:
        profile: the profile, as `/profile` shows it.
        preferences: the person's notification preferences.
        subscriptions: the person's own subscriptions.
        health: the status that the person may see; None if Slack does not report their channels.
        public_url: the base URL of the pages of notifications.
        notice: the result of the latest action.
        failed: the failed deliveries that the person may see.
        for_admin: the section for admins.
        stand_in: the URL of the local Slack, if the app is not connected to Slack.
        may_subscribe: whether the person may subscribe to topics.
    """
    subscribe = [button("Subscribe…", ids.HOME_SUBSCRIBE, style="primary")]
    blocks = [
        *_stand_in_warning(stand_in),
        header("Your profile"),
        *_without_buttons(profile.blocks),
        _DIVIDER,
        header("Your notifications"),
        *(notice.blocks if notice else ()),
        preferences_section(preferences),
        *_subscriptions(subscriptions, now, may_subscribe=may_subscribe),
        actions(
            *(subscribe if may_subscribe else ()),
            button("Quiet hours and direct notifications…", ids.HOME_PREFERENCES),
            button("Send me a test", ids.HOME_TEST),
        ),
        _DIVIDER,
        header("Workspace status"),
        *_health(health, public_url),
        *failed,
        *for_admin,
        context(
            "`/notify` in a channel manages its subscriptions  •  `/profile` shows, refreshes or "
            "unlinks your profile"
        ),
    ]
    return {"type": "home", "blocks": blocks}


def subscribe_modal(topics: Sequence[str]) -> dict[str, Any]:
    """Return the modal that creates a subscription.

    Args:
        topics: the known topics, shown as examples.
    """
    examples = ", ".join(topics[:MOST_TOPICS]) or "deploys"
    return modal(
        ids.SUBSCRIBE_VIEW,
        "Subscribe",
        "Subscribe",
        [
            text_input(
                TOPIC_BLOCK,
                "Topic",
                f"For example {examples}. End with /* to include all topics below a name.",
            ),
            text_input(
                FILTER_BLOCK,
                "Filter",
                "For example severity>=warning service=api -label:bot. Empty: everything.",
                optional=True,
            ),
        ],
    )


def _stand_in_warning(stand_in: str) -> list[Block]:
    if not stand_in:
        return []
    warning = f"*Not connected to Slack.* This Bellhop uses a local Slack at {escape(stand_in)}."
    return [section(f"{SIGNS[Severity.WARNING]} {warning}")]


def _subscriptions(
    subscriptions: Sequence[StoredSubscription], now: datetime, *, may_subscribe: bool
) -> list[Block]:
    if not subscriptions and not may_subscribe:
        return [section("Guests cannot subscribe to topics. Ask a member of this workspace.")]
    if not subscriptions:
        return [
            section(
                "No subscriptions yet. Subscribe to a topic, such as `deploys`, to receive the "
                "notifications that your company's systems send to it."
            )
        ]
    return subscription_blocks(subscriptions, now, most=MOST_SUBSCRIPTIONS)


def _health(health: Health | None, public_url: str) -> Iterator[Block]:
    if health is None:
        yield section(
            "Slack is not answering, so Bellhop cannot check what you may see. Open this tab again "
            "in a minute."
        )
        return
    yield section(_state(health))
    yield from _recent(health.recent, public_url)


def _state(health: Health) -> str:
    if not (health.waiting or health.held or health.troubled or health.unrouted):
        return (
            f"{SIGNS[Severity.SUCCESS]} Everything is delivered: nothing waiting, nothing failed."
        )
    facts = []
    if health.waiting:
        facts.append(f"{_number(health.waiting)} waiting")
    if health.held:
        facts.append(f"{_number(health.held)} held for later")
    if health.troubled:
        facts.append(
            f"{_number(health.troubled)} failed (rejected by Slack, or delivery not confirmed)"
        )
    if health.unrouted:
        facts.append(
            f"{_number(health.unrouted)} unrouted in the last {UNROUTED_WITHIN.days} days "
            "(no subscription matched)"
        )
    is_bad = health.troubled or health.unrouted
    sign = SIGNS[Severity.WARNING if is_bad else Severity.INFO]
    return f"{sign} {', '.join(facts)}."


def _recent(recent: Sequence[SeenDelivery], public_url: str) -> Iterator[Block]:
    if not recent:
        yield context("No notifications yet in channels that you can see.")
        return
    yield section("\n".join(_seen(delivery, public_url) for delivery in recent))


def _seen(delivery: SeenDelivery, public_url: str) -> str:
    page = link(page_url(public_url, delivery.notification_id), delivery.headline)
    sign = SIGNS.get(delivery.severity or "", "•")
    state = STATE_WORDS.get(delivery.state, STATE_WORDS[ShownState.UNKNOWN])
    return f"{sign} {page}  →  <#{delivery.channel_id}>, {state} {moment(delivery.at)}"


def _without_buttons(blocks: Sequence[Block]) -> Iterator[Block]:
    """Yield blocks without buttons, other than links."""
    for block in blocks:
        if block["type"] != "actions":
            yield block
        elif links := [element for element in block["elements"] if "url" in element]:
            yield {**block, "elements": links}


def _number(number: int) -> str:
    return f"{number}+" if number >= MOST_COUNTED else str(number)
