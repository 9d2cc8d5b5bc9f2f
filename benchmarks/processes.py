"""Resources of processes, from Linux's /proc (https://man7.org/linux/man-pages/man5/proc.5.html)."""

from __future__ import annotations

import os
from pathlib import Path


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(one for child in children for one in family(int(child)))]


def cpu_seconds(pids: list[int]) -> float:
    """Return the processor time that processes have used."""
    return sum(_ticks(pid) for pid in pids) / os.sysconf("SC_CLK_TCK")


def resident_mebibytes(pids: list[int]) -> float:
    """Return the memory of processes, with shared memory divided among them (PSS)."""
    return sum(_proportional_kibibytes(pid) for pid in pids) / 1024


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _proportional_kibibytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def peak_mebibytes(pid: int) -> float:
    """Return the greatest resident memory of a process so far."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
