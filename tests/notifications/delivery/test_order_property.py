"""Random faults: every message is posted once, in the order of its channel."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slack_sandbox import Fault
from slack_sandbox.faults import FaultKind
from tests.notifications.hand import CALM_ROUNDS, Hand, accept, is_calm, states, texts
from tests.people import ACME, ANN
from tests.property import examples
from tests.running import Bellhop

CHANNELS = 3
_example = itertools.count()


@dataclass(frozen=True)
class Accept:
    """Somebody sends a notification."""

    channel: int


@dataclass(frozen=True)
class Work:
    """A worker does all due work, and may die at its first request."""

    dies: Literal["", "before_request", "after_request"]


@dataclass(frozen=True)
class Pass:
    """Time passes."""

    seconds: float


@dataclass(frozen=True)
class Fail:
    """Slack fails once."""

    kind: FaultKind


FAULTS = ("lost_answer", "api_error_after", "server_error", "rate_limited", "reset")
steps = st.lists(
    st.one_of(
        st.builds(Accept, st.integers(0, CHANNELS - 1)),
        st.builds(Work, st.sampled_from(["", "before_request", "after_request"])),
        st.builds(Pass, st.sampled_from([0.5, 1, 2, 30])),
        st.builds(Fail, st.sampled_from(FAULTS)),
    ),
    max_size=40,
)


@settings(
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=steps)
def test_every_message_once_and_in_order(bellhop: Bellhop, steps: list[object]) -> None:
    if not bellhop.slack.installations:
        bellhop.install(ANN)
    bellhop.slack.limits.enabled = False
    example = next(_example)
    channels = [bellhop.slack.add_channel(ACME, f"e{example}-{n}").id for n in range(CHANNELS)]
    for one in channels:
        bellhop.slack.join_as(ANN, one)
        bellhop.slack.invite_bot(ANN, one)
    run = Run(bellhop, channels)

    for step in steps:
        run.do(step)
    run.finish()

    assert set(states(bellhop, *run.ids)) <= {"sent"}
    for number, one in enumerate(channels):
        assert texts(bellhop, one) == run.accepted[number]


class Run:
    """One example: the accepted notifications, and the live workers."""

    def __init__(self, bellhop: Bellhop, channels: list[str]) -> None:
        self.bellhop = bellhop
        self.channels = channels
        self.ids: list[str] = []
        self.accepted: list[list[str]] = [[] for _ in channels]
        self._worker = Hand(bellhop)

    def do(self, step: object) -> None:
        """Take one step."""
        match step:
            case Accept(channel):
                text = str(len(self.ids))
                self.ids.append(accept(self.bellhop, self.channels[channel], text))
                self.accepted[channel].append(text)
            case Work():
                self._work(step)
            case Pass(seconds):
                self.bellhop.clock.advance(seconds)
            case Fail(kind):
                fault = Fault("chat.postMessage", kind, times=1, retry_after=5)
                self.bellhop.slack.faults.add(fault)

    def finish(self) -> None:
        """Let Slack work again, the worker die, and another one finish."""
        self.bellhop.slack.faults.clear()
        last = Hand(self.bellhop)
        left = len(self.ids) + 10
        while left:
            self.bellhop.clock.advance(700)
            last.deliver()
            left = min(left - 1, CALM_ROUNDS) if is_calm(self.bellhop) else left - 1

    def _work(self, step: Work) -> None:
        if step.dies == "before_request":
            self._worker.die_before_request()
        elif step.dies == "after_request":
            self._worker.die_after_request()
        self._worker.deliver()
        if step.dies:
            self._worker = Hand(self.bellhop)
