"""The stand-in for Slack in a process of its own, with as many channels as a benchmark wants."""

from __future__ import annotations

import multiprocessing
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bolt_app.manifest import load_manifest
from slack_sandbox import AppConfig, Fault, SandboxServer
from slack_sandbox.people import add_member

CLIENT_ID, CLIENT_SECRET, SIGNING_SECRET = "111.222", "client-secret", "signing-secret"
TEAM, PERSON = "T0ACME0001", "U0ANN00001"


@dataclass(frozen=True)
class StandIn:
    """A running stand-in, spoken to over a pipe."""

    url: str
    channels: list[str]
    _pipe: Connection

    def authorize(self, address: str) -> str:
        """Approve as a person; return where the browser is sent, with the bot in every channel."""
        return str(self._ask("authorize", address))

    def posted_at(self) -> list[tuple[str, float]]:
        """Return the channel and the Unix time of every message that was posted."""
        posted: list[tuple[str, float]] = self._ask("posted_at", None)
        return posted

    def join(self) -> None:
        """Let the bot be in every channel."""
        self._ask("join", None)

    def connections(self) -> int:
        """Return how many connections were opened to it so far."""
        return int(self._ask("connections", None))

    def close(self) -> None:
        """Stop it."""
        self._ask("close", None)

    def _ask(self, what: str, argument: Any) -> Any:
        self._pipe.send((what, argument))
        return self._pipe.recv()


@contextmanager
def running_stand_in(
    app_url: str, *, channels: int, latency_ms: int = 0, certificate: Path | None = None
) -> Iterator[StandIn]:
    """Run a stand-in without rate limits.

    Args:
        certificate: a file with a certificate and its key, to speak TLS with.
    """
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs, app_url, channels, latency_ms, certificate)
    )
    process.start()
    url, ids = ours.recv()
    stand_in = StandIn(url, ids, ours)
    try:
        yield stand_in
    finally:
        stand_in.close()
        process.join()


def _serve(
    pipe: Connection, app_url: str, channels: int, latency_ms: int, certificate: Path | None
) -> None:
    config = AppConfig.from_manifest(
        load_manifest(app_url),
        app_url=app_url,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        signing_secret=SIGNING_SECRET,
    )
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    with SandboxServer(config, tls=tls) as server:
        sandbox = server.sandbox
        sandbox.limits.enabled = False
        made = sandbox.add_channels(TEAM, channels)
        if latency_ms:
            sandbox.faults.add(Fault("*", "latency", seconds=latency_ms / 1000))
        pipe.send((server.url, [one.id for one in made]))
        while True:
            what, argument = pipe.recv()
            answer: Any = None
            if what == "authorize":
                answer = sandbox.authorize(PERSON, argument)
            elif what == "join":
                installation = sandbox.installation_for(TEAM)
                bot = installation.bot_user_id if installation else None
                for channel in made:
                    add_member(sandbox, channel, str(bot))
            elif what == "posted_at":
                calls = sandbox.calls_to("chat.postMessage")
                answer = [(str(one.arguments["channel"]), one.at) for one in calls]
            elif what == "connections":
                answer = server.connections
            pipe.send(answer)
            if what == "close":
                return
