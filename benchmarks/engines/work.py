"""A worker's process: `python -m benchmarks.engines.work CONTENDER PLACE DIRECTORY WORKER_ID`."""

from __future__ import annotations

import ctypes
import signal
import sys
from pathlib import Path

from benchmarks.engines.contenders import CONTENDERS
from benchmarks.engines.engine import Place


def main(contender: str, place: str, directory: str, worker_id: str) -> None:
    _die_with_parent()
    engine = CONTENDERS[contender].create(Place(place, Path(directory)))
    engine.open()
    engine.work(worker_id)


def _die_with_parent() -> None:
    """Let the kernel kill this process when the one that measures it is gone (`man 2 prctl`)."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
