"""Multipart forms as hostile clients write them, and the memory that they need."""

from __future__ import annotations

import threading
import tracemalloc
from contextlib import closing
from socketserver import ThreadingMixIn

from flask import Flask

MULTIPART = "multipart/form-data; boundary=x"
# A header of three bytes, which becomes a text and a tuple.
_SHORT_HEADER = "\u0100\n".encode()
_MOST_HEADERS_BYTES = 400_000


def status_and_memory(
    app: Flask, url: str, body: bytes, headers: dict[str, str]
) -> tuple[int, int]:
    """Post a body to the app without a server; return the status and the peak of the bytes.

    A server allocates 10 MB at once to read what is left of a body, so that earlier requests must
    have ended.
    """
    for thread in threading.enumerate():
        if ThreadingMixIn.process_request_thread.__name__ in thread.name:
            thread.join(30)
    client = app.test_client()
    tracemalloc.start()
    try:
        with closing(client.post(url, data=body, headers=headers, buffered=True)) as response:
            return response.status_code, tracemalloc.get_traced_memory()[1]
    finally:
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
