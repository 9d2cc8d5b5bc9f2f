"""Lookups that other senders have used up."""

from __future__ import annotations

from bolt_app.workspaces.lookup_budgets import (
    BUDGETS,
    LookupLimitError,
    LookupShare,
    Purpose,
)
from tests.people import ACME
from tests.running import Bellhop


def use_up(bellhop: Bellhop, method: str, purpose: Purpose) -> None:
    """Let many senders use up what they may look up for a purpose within a minute."""
    for number in range(BUDGETS[method][purpose]):
        share = LookupShare(purpose, frozenset([f"api_key:{1000 + number}"]))
        while True:
            try:
                bellhop.services.lookup_budgets.take(method, ACME, share)
            except LookupLimitError:
                break
