"""Budgets of the calls to Slack that senders cause with names, addresses and ids of their choice.

Slack limits each method in each workspace (https://docs.slack.dev/apis/web-api/rate-limits).
Deliveries, mentions and API calls have separate budgets, so that none of them waits for another;
within a budget each sender has its share (`fair_limit.py`). The budgets of a method add up to
Slack's limit at most. Those of `users.info`, `conversations.info` and `conversations.join` leave
room for the roles of people and for the channels that they choose.

Each process counts for itself. One process delivers, and the web processes divide the budgets of
API calls among themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Self

from bolt_app.clock import Clock, utc_now
from bolt_app.fair_limit import FairLimit
from bolt_app.slack_api import SlackCallError
from bolt_app.workspaces.rate_limits import RateLimits

WINDOW = timedelta(minutes=1)
# How long API calls leave a method alone that Slack has limited: each machine counts only its own.
YIELD_FOR = timedelta(minutes=5)


class Purpose(StrEnum):
    """What a call to Slack is for."""

    DELIVERY = "delivery"
    MENTION = "mention"
    CALL = "call"


# With fewer calls a web process could not leave one of them to a second sender.
LEAST_CALLS = 2

CONVERSATIONS_INFO, CONVERSATIONS_JOIN = "conversations.info", "conversations.join"
USERS_INFO = "users.info"
# Calls per minute and workspace. Slack allows 20 of "tier 2", 50 of "tier 3" and 100 of
# "tier 4"; the tier is on the page of each method (https://docs.slack.dev/reference/methods).
BUDGETS: Mapping[str, Mapping[Purpose, int]] = {
    "users.lookupByEmail": {Purpose.DELIVERY: 20, Purpose.MENTION: 14, Purpose.CALL: 15},
    "conversations.open": {Purpose.DELIVERY: 25, Purpose.CALL: 25},
    CONVERSATIONS_INFO: {Purpose.DELIVERY: 25, Purpose.CALL: 15},
    CONVERSATIONS_JOIN: {Purpose.DELIVERY: 30, Purpose.CALL: 15},
    USERS_INFO: {Purpose.DELIVERY: 35, Purpose.CALL: 25},
    "users.list": {Purpose.CALL: 15},
    "chat.postEphemeral": {Purpose.CALL: 75},
}


@dataclass(frozen=True)
class LookupShare:
    """The shares that a call to Slack may use.

    Attributes:
        purpose: whose budget it is.
        sources: the senders that it serves; at least one.
    """

    purpose: Purpose
    sources: frozenset[str]

    @classmethod
    def of_delivery(cls, *sources: str) -> Self:
        """Return the share of deliveries of some senders."""
        return cls(Purpose.DELIVERY, frozenset(sources))

    @classmethod
    def of_mention(cls, source: str) -> Self:
        """Return the share of mentions in a sender's notifications."""
        return cls(Purpose.MENTION, frozenset([source]))

    @classmethod
    def of_call(cls, source: str) -> Self:
        """Return the share of a sender's API calls."""
        return cls(Purpose.CALL, frozenset([source]))


class LookupLimitError(SlackCallError):
    """A budget of lookups is used up. Slack was not asked, so Slack did not fail.

    Attributes:
        had_share: whether the sender has had an even share of the budget already.
    """

    def __init__(self, method: str, wait: float, *, had_share: bool) -> None:
        super().__init__(method, "ratelimited", retry_after=max(1, math.ceil(wait)))
        self.had_share = had_share


def calls_of_one_process(most: int, web_processes: int) -> int:
    """Return the part of a budget of API calls that each of some web processes has."""
    return max(LEAST_CALLS, most // web_processes)


class LookupBudgets:
    """Counts these calls for each workspace, in each process."""

    def __init__(
        self, rate_limits: RateLimits, *, web_processes: int = 1, clock: Clock = utc_now
    ) -> None:
        """Create it.

        Args:
            web_processes: how many of them answer API calls, this one included.
        """
        self._rate_limits = rate_limits
        self._limits = {
            (method, purpose): FairLimit(
                calls_of_one_process(most, web_processes) if purpose is Purpose.CALL else most,
                WINDOW,
                clock=clock,
            )
            for method, budget in BUDGETS.items()
            for purpose, most in budget.items()
        }

    def take(self, method: str, team_id: str, share: LookupShare) -> None:
        """Count a call.

        Raises:
            LookupLimitError: the budget or the share is used up, or the call is an API call and
                Slack has limited the method in the last minutes.
        """
        if share.purpose is Purpose.CALL:
            quiet = self._rate_limits.quiet_until(team_id, method, YIELD_FOR)
            if quiet > 0:
                raise LookupLimitError(method, quiet, had_share=True)
        refusal = self._limits[method, share.purpose].take(team_id, share.sources)
        if refusal is not None:
            raise LookupLimitError(method, refusal.wait, had_share=refusal.had_share)
