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
from bolt_app.notifications.content.message import SIGNS
from bolt_app.notifications.content.page_urls import page_url
from bolt_app.notifications.content.states import STATE_WORDS
from bolt_app.notifications.digests.preferences import NotificationPreferences
from bolt_app.notifications.history.statistics import (
    MOST_COUNTED,
    UNROUTED_WITHIN,
    Health,
    SeenDelivery,
)
from bolt_app.notifications.subscriptions.service import StoredSubscription
from bolt_app.slack import ids
from bolt_app.slack.preferences.blocks import preferences_section
from bolt_app.slack.subscriptions.blocks import subscription_blocks

# Of the hundred blocks that Slack takes.
MOST_SUBSCRIPTIONS = 35
MOST_TOPICS = 10
TOPIC_BLOCK, FILTER_BLOCK = "topic", "filter"
_DIVIDER: Block = {"type": "divider"}


def home_view(
    profile: Reply,
    preferred: NotificationPreferences,
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
    """Return the view of one person.

    Args:
        profile: as `/profile` shows it.
        preferred: what the person chose of what comes to them.
        subscriptions: the person's own.
        health: as the person may see it; None where Slack does not say what they may see.
        public_url: below it are the pages of notifications.
        notice: what was done just now.
        failed: failed deliveries, as the person may see them.
        for_admin: what only admins see.
        stand_in: the address of what stands in for Slack, where it is not Slack.
        may_subscribe: whether the person may subscribe to topics.
    """
    subscribe = [button("Subscribe…", ids.HOME_SUBSCRIBE, style="primary")]
    blocks = [
        *_stand_in_warning(stand_in),
        header("Your profile"),
        *_without_buttons(profile.blocks),
        _DIVIDER,
        header("What comes to you"),
        *(notice.blocks if notice else ()),
        preferences_section(preferred),
        *_subscriptions(subscriptions, now, may_subscribe=may_subscribe),
        actions(
            *(subscribe if may_subscribe else ()),
            button("Quiet hours and direct notifications…", ids.HOME_PREFERENCES),
            button("Send me a test", ids.HOME_TEST),
        ),
        _DIVIDER,
        header("Notifications here"),
        *_health(health, public_url),
        *failed,
        *for_admin,
        context(
            "`/notify` in a channel sets what is delivered there  •  `/profile` shows, refreshes "
            "or unlinks your profile"
        ),
    ]
    return {"type": "home", "blocks": blocks}


def subscribe_modal(topics: Sequence[str]) -> dict[str, Any]:
    """Return the modal that asks what somebody wants.

    Args:
        topics: those that are known, to choose from in words.
    """
    known = f"For example {', '.join(topics[:MOST_TOPICS])}." if topics else "For example deploys."
    return modal(
        ids.SUBSCRIBE_VIEW,
        "Subscribe",
        "Subscribe",
        [
            text_input(TOPIC_BLOCK, "Topic", f"{known} A name with /* stands for all below it."),
            text_input(
                FILTER_BLOCK,
                "Only where",
                "For example severity>=warning service=api -label:bot. Empty means everything.",
                optional=True,
            ),
        ],
    )


def _stand_in_warning(stand_in: str) -> list[Block]:
    if not stand_in:
        return []
    words = f"*Not connected to Slack.* This Bellhop talks to a stand-in at {escape(stand_in)}."
    return [section(f"{SIGNS['warning']} {words}")]


def _subscriptions(
    subscriptions: Sequence[StoredSubscription], now: datetime, *, may_subscribe: bool
) -> list[Block]:
    if not subscriptions and not may_subscribe:
        return [section("Guests cannot subscribe to topics: ask a member of this workspace.")]
    if not subscriptions:
        return [
            section(
                "No subscriptions yet. Subscribe to a topic, such as `deploys`, to get what your "
                "company's systems send there."
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
        return f"{SIGNS['success']} All is well: nothing waits, and nothing has failed."
    facts = []
    if health.waiting:
        facts.append(f"{_number(health.waiting)} waiting to go out")
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
    return f"{SIGNS['warning' if is_bad else 'info']} {', '.join(facts)}."


def _recent(recent: Sequence[SeenDelivery], public_url: str) -> Iterator[Block]:
    if not recent:
        yield context("Nothing has been posted yet to a channel that you can see.")
        return
    yield section("\n".join(_seen(one, public_url) for one in recent))


def _seen(one: SeenDelivery, public_url: str) -> str:
    page = link(page_url(public_url, one.notification_id), one.headline)
    sign = SIGNS.get(one.severity or "", "•")
    state = STATE_WORDS.get(one.state, STATE_WORDS["unknown"])
    return f"{sign} {page}  →  <#{one.channel_id}>, {state} {moment(one.at)}"


def _without_buttons(blocks: Sequence[Block]) -> Iterator[Block]:
    """Yield blocks without the buttons that answer in a message; a link is one anywhere."""
    for block in blocks:
        if block["type"] != "actions":
            yield block
        elif links := [one for one in block["elements"] if "url" in one]:
            yield {**block, "elements": links}


def _number(number: int) -> str:
    return f"{number}+" if number >= MOST_COUNTED else str(number)
