"""The HTTP loop: it never waits for itself, and ends with its owner or the process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bolt_app.config import ROOT
from bolt_app.http_loop import HttpLoop
from bolt_app.slack_api import SlackApi, SlackCallError
from tests.installations.fake_slack import fake_slack

UNUSED = "http://127.0.0.1:9/api/"


async def answer() -> int:
    return 42


def is_running() -> bool:
    return any(item.name == "http" for item in threading.enumerate())


def test_it_starts_with_the_first_request_and_ends_when_it_is_closed() -> None:
    loop = HttpLoop()
    assert not is_running()

    assert loop.run(answer(), 10) == 42
    assert is_running()

    loop.close()
    assert not is_running()


def test_it_may_be_closed_before_it_began_and_twice() -> None:
    loop = HttpLoop()

    loop.close()
    loop.close()

    with pytest.raises(ConnectionAbortedError):
        loop.run(answer(), 10)


def test_it_does_not_wait_for_itself(http: HttpLoop) -> None:
    async def call() -> int:
        return http.run(answer(), 10)

    with pytest.raises(RuntimeError):
        http.run(call(), 10)


def test_a_synchronous_call_on_the_loop_is_an_error_instead_of_a_deadlock(http: HttpLoop) -> None:
    api = SlackApi(UNUSED, http)

    async def call() -> None:
        api.call("xoxb", "auth.test")

    with pytest.raises(RuntimeError):
        http.run(call(), 10)


def test_a_call_on_another_loop_is_an_error(http: HttpLoop) -> None:
    async def call() -> None:
        await SlackApi(UNUSED, http).call_async("xoxb", "auth.test")

    # In a separate thread, because a browser in other tests keeps a loop in this one.
    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="HTTP loop"):
        pool.submit(lambda: asyncio.run(call())).result()


def test_closing_cancels_running_requests() -> None:
    loop, begun = HttpLoop(), threading.Event()

    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    def close() -> None:
        begun.wait(30)
        loop.close()

    closing = threading.Thread(target=close)
    closing.start()
    with pytest.raises(ConnectionAbortedError):
        loop.run(hang(), 30)
    closing.join()


def test_a_call_after_the_end_is_not_ambiguous(http: HttpLoop) -> None:
    http.close()

    with pytest.raises(SlackCallError) as caught:
        SlackApi(UNUSED, http).call("xoxb", "auth.test")

    assert (caught.value.code, caught.value.ambiguous) == ("unavailable", False)


@pytest.mark.slow
def test_a_process_ends_without_closing_it() -> None:
    """Exit like a command: immediately, without warnings about open connections."""
    with fake_slack() as slack:
        slack.answers("auth.test", {"ok": True})
        program = (
            "from bolt_app.http_loop import HttpLoop\n"
            "from bolt_app.slack_api import SlackApi\n"
            f"print(SlackApi({slack.url!r}, HttpLoop()).call('xoxb', 'auth.test'))\n"
        )
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-X", "dev", "-W", "error", "-c", program],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert (done.returncode, done.stderr) == (0, "")
    assert "'ok': True" in done.stdout
