"""Plots of the measurements of `benchmarks.delivery`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from benchmarks.delivery import Results

COLORS = ("#1f3a5f", "#c98a1b", "#7d8894")
mpl.use("svg")
plt.rcParams.update(
    {
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#e4e0d6",
        "font.size": 9,
        "figure.facecolor": "white",
        "svg.hashsalt": "bellhop",
    }
)


def draw(results: Sequence[Results], folder: Path) -> None:
    """Draw a plot of each measurement into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with plot(folder / "accepting.svg", "Accepted a second, 8 clients at once") as axes:
        bars(axes, results, [list(result.accept.items()) for result in results])
    with plot(folder / "latency.svg", "From 202 to Slack's receipt, when idle") as axes:
        for result, color in zip(results, COLORS, strict=False):
            times = sorted(1000 * each for each in result.latencies)
            shares = [100 * (index + 1) / len(times) for index in range(len(times))]
            axes.step(times, shares, where="post", label=result.database, color=color)
        axes.set(xlabel="milliseconds", ylabel="% of the notifications", xlim=(0, None))
        axes.legend(frameon=False)
    with plot(folder / "draining.svg", "300 channels of 3 messages, one a second each") as axes:
        for result, color in zip(results, COLORS, strict=False):
            counts = range(1, len(result.drained) + 1)
            axes.step(result.drained, counts, where="post", label=result.database, color=color)
        axes.axvline(2, color="#7d8894", linestyle="--", label="the pace alone")
        axes.set(xlabel="seconds", ylabel="messages in Slack", xlim=(0, None))
        axes.legend(frameon=False)
    with plot(folder / "sustained.svg", "Posts a second, with Slack at 100 ms") as axes:
        bars(axes, results, [[("Bellhop", result.sustained)] for result in results])
    with plot(folder / "old-rows.svg", "Accepted a second, beside old rows") as axes:
        values = [
            [("none", result.accept_empty), ("a million", result.accept_full)] for result in results
        ]
        bars(axes, results, values)
    with plot(folder / "idle.svg", "Idle: % of a core, and MiB of memory") as axes:
        values = [
            [("% of a core", result.idle_cpu_percent), ("MiB / 100", result.resident_mib / 100)]
            for result in results
        ]
        bars(axes, results, values, digits=2)


def bars(
    axes: Any,
    results: Sequence[Results],
    groups: Sequence[Sequence[tuple[str, float]]],
    *,
    digits: int = 0,
) -> None:
    """Draw a group of bars for each database."""
    width = 0.8 / max(len(group) for group in groups)
    for index, group in enumerate(groups):
        for number, (name, value) in enumerate(group):
            at = index + (number - (len(group) - 1) / 2) * width
            label = name if index == 0 else None
            bar = axes.bar(at, value, width * 0.92, color=COLORS[number], label=label)
            axes.bar_label(bar, fmt=f"%.{digits}f", padding=2)
    axes.set_xticks(range(len(results)), [result.database for result in results])
    axes.grid(visible=False, axis="x")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


@contextmanager
def plot(path: Path, title: str) -> Iterator[Any]:
    """Yield the axes of one plot, and save it."""
    figure, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
    axes.set_title(title, loc="left", fontweight="bold")
    yield axes
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
