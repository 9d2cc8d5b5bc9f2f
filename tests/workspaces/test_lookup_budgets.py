"""Budgets of the lookups that senders cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from bolt_app.config.loading import MOST_BY_DEFAULT
from bolt_app.workspaces.lookup_budgets import BUDGETS, Purpose, calls_of_one_process

OPERATING = Path(__file__).parents[2] / "docs" / "operating.md"
# The tiers of the methods' pages (https://docs.slack.dev/apis/web-api/rate-limits).
SLACKS = {
    "users.lookupByEmail": 50,
    "conversations.open": 50,
    "conversations.info": 50,
    "conversations.join": 50,
    "users.info": 100,
    "users.list": 20,
    "chat.postEphemeral": 100,
}


@pytest.mark.parametrize("processes", range(1, MOST_BY_DEFAULT + 1))
@pytest.mark.parametrize("method", BUDGETS)
def test_the_budgets_of_a_method_fit_into_slacks_limit(method: str, processes: int) -> None:
    budget = BUDGETS[method]
    calls = processes * calls_of_one_process(budget[Purpose.CALL], processes)

    assert (
        budget.get(Purpose.DELIVERY, 0) + budget.get(Purpose.MENTION, 0) + calls <= SLACKS[method]
    )


def test_each_process_serves_a_second_sender() -> None:
    assert all(calls_of_one_process(15, processes) >= 2 for processes in range(1, 65))


def test_the_guide_lists_them() -> None:
    rows = [
        (f"`{method}`", *(str(budget.get(purpose, "-")) for purpose in Purpose))
        for method, budget in BUDGETS.items()
    ]
    lines = OPERATING.read_text().splitlines()

    assert [row for row in rows if f"| {' | '.join(row)} |" not in lines] == []
