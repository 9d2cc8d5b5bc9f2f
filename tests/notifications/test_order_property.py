"""Whatever happens in between: every message once, and each channel in its order."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from bolt_app.notifications.jobs import Job
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bolt_app.sandbox import Fault
from bolt_app.sandbox.faults import FaultKind
from tests.notifications.hand import Hand, accept, states, texts
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
    """A worker takes some jobs, carries some of them out, writes down some of those, and dies."""

    worker: int
    jobs: int
    carried_out: int
    written: int
    dies: bool


@dataclass(frozen=True)
class Pass:
    """Time passes."""

    seconds: float


@dataclass(frozen=True)
class Fail:
    """Slack fails once."""

    kind: FaultKind


few = st.integers(0, CHANNELS)
steps = st.lists(
    st.one_of(
        st.builds(Accept, st.integers(0, CHANNELS - 1)),
        st.builds(Work, st.integers(0, 2), few, few, few, st.booleans()),
        st.builds(Pass, st.sampled_from([0.5, 1, 2, 30])),
        st.builds(Fail, st.sampled_from(["lost_answer", "server_error", "rate_limited", "reset"])),
    ),
    max_size=40,
)


@pytest.fixture(scope="module")
def installed() -> set[str]:
    """Which of the module's apps Bellhop has been installed in."""
    return set()


@settings(
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=steps)
def test_every_message_once_and_in_order(
    bellhop: Bellhop, installed: set[str], steps: list[object]
) -> None:
    if bellhop.url not in installed:
        bellhop.install(ANN)
        installed.add(bellhop.url)
    bellhop.slack.limits.enabled = False
    example = next(_example)
    channels = [bellhop.slack.add_channel(ACME, f"e{example}-{n}").id for n in range(CHANNELS)]
    for one in channels:
        bellhop.slack.join_as(ANN, one)
        bellhop.slack.invite_bot(ANN, one)
    run = Run(bellhop, channels, example)

    for step in steps:
        run.do(step)
    run.finish()

    assert set(states(bellhop, *run.ids)) <= {"sent"}
    for number, one in enumerate(channels):
        assert texts(bellhop, one) == run.accepted[number]


class Run:
    """One example: what was accepted, and the workers that live."""

    def __init__(self, bellhop: Bellhop, channels: list[str], example: int) -> None:
        self.bellhop = bellhop
        self.channels = channels
        self.ids: list[str] = []
        self.accepted: list[list[str]] = [[] for _ in channels]
        self._names = (f"{example}-{number}" for number in itertools.count())
        self._workers = [Hand(bellhop, next(self._names)) for _ in range(3)]
        self._held: list[list[Job]] = [[] for _ in range(3)]

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
        """Let Slack work again, everybody die, and one worker do the rest."""
        self.bellhop.slack.faults.clear()
        for number in range(3):
            self._die(number)
        last = Hand(self.bellhop, next(self._names))
        for _ in range(len(self.ids) + 10):
            self.bellhop.clock.advance(700)
            last.deliver()

    def _work(self, step: Work) -> None:
        hand, held = self._workers[step.worker], self._held[step.worker]
        held += hand.begin(step.jobs) if step.jobs else []
        done = [hand.carry_out(job) for job in held[: step.carried_out]]
        hand.write(done[: step.written])
        # What was carried out and not written down is lost with the worker.
        del held[: len(done)]
        if step.dies or len(done) > step.written:
            self._die(step.worker)

    def _die(self, number: int) -> None:
        self._workers[number].die()
        self._workers[number] = Hand(self.bellhop, next(self._names))
        self._held[number] = []
