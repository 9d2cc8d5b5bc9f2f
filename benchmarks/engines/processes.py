"""Worker processes: start, resources and SIGKILL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.engines.engine import Storage

ROOT = Path(__file__).resolve().parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")


class Worker:
    """A worker in a separate session."""

    def __init__(self, contender: str, storage: Storage, worker_id: str) -> None:
        arguments = [contender, storage.name, str(storage.directory), worker_id]
        with (storage.directory / f"worker-{worker_id}.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "benchmarks.engines.work", *arguments],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def kill(self) -> None:
        """Kill it with SIGKILL, as the kernel does when memory runs out."""
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def cpu_seconds(self) -> float:
        """Return the processor time used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_megabytes(self) -> float:
        """Return its resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def running(contender: str, storage: Storage, *worker_ids: str) -> Iterator[list[Worker]]:
    """Start workers, and kill them at the end."""
    workers = [Worker(contender, storage, worker_id) for worker_id in worker_ids]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()
