"""A worker's process: `python -m benchmarks.engines.work CONTENDER NAME DIRECTORY WORKER_ID`."""

from __future__ import annotations

import ctypes
import signal
import sys
from pathlib import Path

from benchmarks.engines.contenders import CONTENDERS
from benchmarks.engines.engine import Storage


def main(contender: str, storage: str, directory: str, worker_id: str) -> None:
    _die_with_parent()
    engine = CONTENDERS[contender].create(Storage(storage, Path(directory)))
    engine.open()
    engine.work(worker_id)


def _die_with_parent() -> None:
    """Make the kernel kill this process when its parent exits (`man 2 prctl`)."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
