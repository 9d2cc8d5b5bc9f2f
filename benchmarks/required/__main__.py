"""Measure the required results of the delivery engine, and write them into the documents.

    python -m benchmarks.required [--postgres URL] [--beside FOLDER] [--only GROUP …]

`--postgres` names a database that is emptied. `--beside` names a checkout of the first engine,
revision 988bb11, with huey in it:

    git worktree add ../first-engine 988bb11
    .venv/bin/pip install --target ../first-engine 'huey>=3.5,<4'

Without `--only` the tables are written into `docs/benchmarks/required.md`. The tables and unmet
requirements are printed; with unmet requirements the exit status is 1.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.delivery import ROOT
from benchmarks.required import fairness, scale, speed, takeover
from benchmarks.required.report import Requirement, Values, say, table, unmet

DOCUMENT = ROOT / "docs" / "benchmarks" / "required.md"
# In the name of a column without requirements.
FIRST = "first engine"
Databases = dict[str, str]


def main() -> int:
    """Measure, and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--postgres", help="the address of a database that may be emptied")
    parser.add_argument("--beside", type=Path, help="a checkout of the first engine")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS))
    arguments = parser.parse_args()
    databases = {"SQLite": ""}
    if arguments.postgres:
        databases["PostgreSQL"] = arguments.postgres
    began = time.monotonic()
    texts: list[str] = []
    failures: list[str] = []
    for name in arguments.only:
        title, requirements, measure = GROUPS[name]
        values = measure(databases, arguments.beside)
        texts += [f"## {title}", "", *table(requirements, values), ""]
        own = {column: found for column, found in values.items() if FIRST not in column}
        failures += unmet(own)
    minutes = (time.monotonic() - began) / 60
    document = "\n".join([*_head(minutes), *texts])
    print(document)
    for line in failures:
        print(f"not met: {line}")
    if set(arguments.only) == set(GROUPS):
        DOCUMENT.write_text(document, encoding="utf-8")
    return 1 if failures else 0


def alone(
    measure: Callable[[str], dict[Requirement, float]],
) -> Callable[[Databases, Path | None], Values]:
    """Return a measurement of each database, without the other engine."""

    def measure_each(databases: Databases, _beside: Path | None) -> Values:
        values = {}
        for name, url in databases.items():
            say(f"{measure.__module__}: {name}")
            values[name] = measure(url)
        return values

    return measure_each


def beside_first(databases: Databases, beside: Path | None) -> Values:
    """Measure the speed of each engine on each database."""
    values: Values = {}
    for name, url in databases.items():
        say(f"{speed.__name__}: {name}")
        now = speed.measure(url)
        if beside is not None:
            say(f"{speed.__name__}: {name}, the first engine")
            first = speed.measure(url, beside.resolve())
            values[f"{name}, {FIRST}"] = first
            now |= speed.compared(now, first)
        values[name] = now
    return values


GROUPS: dict[str, tuple[str, Sequence[Requirement], Callable[[Databases, Path | None], Values]]] = {
    "fairness": ("Fairness", fairness.REQUIREMENTS, alone(fairness.measure)),
    "takeover": ("Takeover and restart", takeover.REQUIREMENTS, alone(takeover.measure)),
    "scale": ("Scale", scale.REQUIREMENTS, alone(scale.measure)),
    "speed": ("Speed", speed.REQUIREMENTS, beside_first),
}


def _head(minutes: float) -> Iterator[str]:
    revision = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    yield "# Required results of the delivery engine"
    yield ""
    yield "Written by `python -m benchmarks.required`; values in bold do not meet what is required."
    yield (
        f"Revision {revision}, Python {platform.python_version()}, {os.cpu_count()} cores with the"
        f" load, Slack and the database on the same machine; average load of the last 15 minutes"
        f" {os.getloadavg()[2]:.1f}; measured in {minutes:.1f} minutes."
    )
    yield ""


if __name__ == "__main__":
    sys.exit(main())
