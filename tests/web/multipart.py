"""Multipart forms as hostile clients write them, and the memory that they need."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MULTIPART = "multipart/form-data; boundary=x"
# A header of three bytes, which becomes a text and a tuple.
_SHORT_HEADER = "\u0100\n".encode()
_MOST_HEADERS_BYTES = 400_000


@dataclass
class Peak:
    """The largest number of bytes that Python allocated within a context, once it ended."""

    size: int = 0


@contextmanager
def measured_memory() -> Iterator[Peak]:
    """Measure the memory of all threads of this process."""
    peak = Peak()
    tracemalloc.start()
    try:
        yield peak
    finally:
        peak.size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


def form_of_headers(size: int) -> bytes:
    """Return a form of up to `size` bytes, whose files have as many headers as fit."""
    parts: list[bytes] = []
    written = 0
    while (left := size - written - 100) > 200 and len(parts) < 99:
        headers = _SHORT_HEADER * ((min(left, _MOST_HEADERS_BYTES) - 100) // len(_SHORT_HEADER))
        start = b"--x\r\nContent-Disposition: form-data; name=a; filename=a\n"
        parts.append(start + headers + b"\r\n\r\n\r\n")
        written += len(parts[-1])
    return b"".join(parts) + b"--x--\r\n"
