"""The stand-in for Slack in a separate process, with a configurable number of channels."""

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
from slack_sandbox import AppConfig, Fault, Sandbox, SandboxServer
from slack_sandbox.people import add_member
from slack_sandbox.world import Channel, User, Workspace

CLIENT_ID, CLIENT_SECRET, SIGNING_SECRET = "111.222", "client-secret", "signing-secret"
TEAM, PERSON = "T0ACME0001", "U0ANN00001"


def channel_ids(team_id: str, number: int) -> list[str]:
    """Return the ids of a workspace's channels, as `add_workspace` creates them."""
    return [f"C{team_id[1:]}X{index:04}" for index in range(number)]


def team_of(channel_id: str) -> str:
    """Return the workspace of such a channel."""
    return "T" + channel_id[1:].partition("X")[0]


@dataclass(frozen=True)
class StandIn:
    """A running stand-in, controlled over a pipe."""

    url: str
    channels: list[str]
    _pipe: Connection

    def authorize(self, address: str, person: str = PERSON) -> str:
        """Approve as a person; return where the browser is sent."""
        return str(self._ask("authorize", (person, address)))

    def add_workspace(self, number: int, channels: int) -> tuple[str, str]:
        """Create a workspace with channels (`channel_ids`); return its id and its admin's id."""
        team_id, person = f"T0MORE{number:04}", f"U0MORE{number:04}"
        self._ask("add_workspace", (team_id, person, channels))
        return team_id, person

    def posted_at(self) -> list[tuple[str, float]]:
        """Return the channel and the Unix time of every message that was posted."""
        posted: list[tuple[str, float]] = self._ask("posted_at", None)
        return posted

    def join(self) -> None:
        """Add the bot to every channel."""
        self._ask("join", None)

    def connections(self) -> int:
        """Return the number of connections opened so far."""
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
        certificate: a file with a certificate and its key, for TLS.
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


def _add_workspace(sandbox: Sandbox, team_id: str, person: str, channels: int) -> list[Channel]:
    name = team_id.lower()
    made = [
        Channel(id_, team_id, f"channel-{index}", members=[person])
        for index, id_ in enumerate(channel_ids(team_id, channels))
    ]
    with sandbox.edit():
        sandbox.world.workspaces[team_id] = Workspace(team_id, name, name)
        sandbox.world.users[person] = User(person, team_id, name, name, is_admin=True)
        sandbox.world.channels.update((one.id, one) for one in made)
    return made


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
                answer = sandbox.authorize(*argument)
            elif what == "add_workspace":
                made += _add_workspace(sandbox, *argument)
            elif what == "join":
                for channel in made:
                    installation = sandbox.installation_for(channel.team_id)
                    bot = installation.bot_user_id if installation else None
                    add_member(sandbox, channel, str(bot))
            elif what == "posted_at":
                calls = sandbox.calls_to("chat.postMessage")
                answer = [(str(one.arguments["channel"]), one.at) for one in calls]
            elif what == "connections":
                answer = server.connections
            pipe.send(answer)
            if what == "close":
                return
