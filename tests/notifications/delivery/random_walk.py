"""A random walk through the delivery protocol, much longer than the state machine of the tests.

    python -m tests.notifications.delivery.random_walk --steps 1000000 --seed 1

Each episode is a run of the model with its own seed, which is printed if a promise is broken.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable

from tests.notifications.delivery.model.run import TEAMS, Run
from tests.notifications.delivery.model.slack import Fate
from tests.notifications.delivery.model.store import NAME_LANE, Commit

STEPS_AN_EPISODE = 500
LANES = (1, 2, 3, NAME_LANE)
SOURCES = ("ci", "alerts")
RANKS = (0, 0, 0, -1, -5)
KEYS = (None, None, "update-a", "new-a", "update-b")
WAITS = (0.05, 0.2, 0.5, 1.0, 1.0, 3.0, 10.0, 25.0, 80.0)
SUSPENSIONS = (10.0, 30.0, 150.0)
JUMPS = (-86_400.0, -60.0, 60.0, 3_600.0)


def episode(seed: int, steps: int) -> Counter[str]:
    """Run one episode; return how its deliveries ended.

    Raises:
        AssertionError: a promise is broken.
    """
    chance, run = random.Random(seed), Run()  # noqa: S311 - repeatable, not secret
    operations = _operations(chance, run)
    names, weights = zip(*((one, weight) for one, weight in operations), strict=True)
    for operation in chance.choices(names, weights, k=steps):
        operation()
    run.drain()
    run.check_deliveries()
    return Counter(row.state for row in run.world.store.rows())


def _operations(chance: random.Random, run: Run) -> list[tuple[Callable[[], None], float]]:
    pick = chance.choice

    def owner() -> int:
        return chance.randrange(2)

    def accept() -> None:
        team, lane, source = pick(TEAMS), pick(LANES), pick(SOURCES)
        for _ in range(chance.randrange(1, 6)):
            run.accept(team, lane, source, pick(RANKS), pick(KEYS))

    return [
        (accept, 10),
        (lambda: run.step(owner(), chance.randrange(1, 6)), 40),
        (lambda: run.advance(pick(WAITS)), 24),
        (lambda: run.plan_request(pick(list(Fate))), 8),
        (lambda: run.plan_commit(pick(list(Commit))), 5),
        (lambda: run.freeze(owner()), 2),
        (lambda: run.suspend(owner(), pick(SUSPENSIONS)), 1),
        (lambda: run.thaw(owner()), 3),
        (lambda: run.kill(owner()), 1),
        (lambda: run.hand_over(owner(), pick(TEAMS)), 2),
        (lambda: run.cancel(chance.randrange(100)), 2),
        (lambda: run.jump(pick(JUMPS)), 1),
    ]


def main() -> None:
    """Run episodes until the number of steps is reached, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    ended: Counter[str] = Counter()
    started = time.process_time()
    for number in range(args.steps // STEPS_AN_EPISODE):
        seed = args.seed * 1_000_000 + number
        try:
            ended += episode(seed, STEPS_AN_EPISODE)
        except BaseException:
            print(f"episode with seed {seed} failed", file=sys.stderr)  # noqa: T201
            raise
    seconds = time.process_time() - started
    print(f"{args.steps} steps, {ended.total()} deliveries {dict(ended)}, {seconds:.0f} s CPU")  # noqa: T201


if __name__ == "__main__":
    main()
