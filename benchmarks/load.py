"""Load on one HTTP server, made by wrk where it is installed (https://github.com/wg/wrk).

A load generator in Python uses as much of the machine as the measured server, and so hides the
server's speed.
"""

from __future__ import annotations

import http.client
import json
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.signed_requests import SignedRequest

# Each thread of wrk would need separate requests; one makes more load than a server here handles.
_SCRIPT = Path(__file__).with_name("signed_requests.lua")


@dataclass
class Run:
    """The times of one run and its duration, in seconds."""

    times: list[float] = field(default_factory=list)
    elapsed: float = 0.0


@dataclass(frozen=True)
class Load:
    """A server under load: its answers, and percentiles of their times in milliseconds."""

    answers: int
    elapsed: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """The requests answered a second."""
        return self.answers / self.elapsed


def generator() -> str:
    """Return the name of the load generator."""
    return "wrk" if shutil.which("wrk") else "Python threads"


def put_load(
    url: str, requests: Sequence[SignedRequest], answer: str, *, connections: int, seconds: int
) -> Load:
    """Send each request once over persistent connections, each waiting for one answer at a time.

    Args:
        answer: a text that each correct answer contains.

    Raises:
        SystemExit: an answer was not 200 or not correct, or there were too few requests.
    """
    if shutil.which("wrk"):
        return _put_load_with_wrk(url, requests, answer, connections, seconds)
    return _put_load_with_threads(url, requests, answer, connections, seconds)


def quantile(times: list[float], percent: int) -> float:
    """Return a percentile of `times`, in milliseconds."""
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1] * 1000


def _put_load_with_wrk(
    url: str, requests: Sequence[SignedRequest], answer: str, connections: int, seconds: int
) -> Load:
    with tempfile.NamedTemporaryFile("w", suffix=".tsv", encoding="utf-8") as file:
        for one in requests:
            fields = one.content_type, one.timestamp, one.signature, one.body
            file.write("\t".join(fields) + "\n")
        file.flush()
        load = ["--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
        printed = subprocess.run(  # noqa: S603
            ["wrk", *load, "--script", str(_SCRIPT), url, "--", file.name, answer],  # noqa: S607
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    result = json.loads(printed.splitlines()[-1])
    if result["wrong"]:
        raise SystemExit(f"{result['wrong']} of {result['answers']} requests were not answered")
    _require_enough(result["sent"], requests)
    elapsed, p50, p99 = (result[name] for name in ("elapsed_us", "p50_us", "p99_us"))
    return Load(result["answers"], elapsed / 1e6, p50 / 1e3, p99 / 1e3)


def _put_load_with_threads(
    url: str, requests: Sequence[SignedRequest], answer: str, connections: int, seconds: int
) -> Load:
    parts = urlsplit(url)
    run, lock, queue, ends = Run(), threading.Lock(), iter(requests), time.perf_counter() + seconds
    wrong: list[int] = []

    def work() -> None:
        connection = http.client.HTTPConnection(parts.netloc, timeout=30)
        while time.perf_counter() < ends:
            with lock:
                request = next(queue, None)
            if request is None:
                break
            began = time.perf_counter()
            connection.request("POST", parts.path, body=request.body, headers=request.headers)
            response = connection.getresponse()
            is_right = answer.encode() in response.read() and response.status == 200
            with lock:
                run.times.append(time.perf_counter() - began)
                if not is_right:
                    wrong.append(response.status)
        connection.close()

    began = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.elapsed = time.perf_counter() - began
    if wrong:
        raise SystemExit(f"{len(wrong)} requests were not answered, the first with {wrong[0]}")
    _require_enough(len(run.times) + 1, requests)
    return Load(len(run.times), run.elapsed, quantile(run.times, 50), quantile(run.times, 99))


def _require_enough(sent: int, requests: Sequence[SignedRequest]) -> None:
    if sent > len(requests):
        raise SystemExit(f"{len(requests)} signed requests are too few")
