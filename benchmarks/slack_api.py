"""slack_sdk over Bellhop's Slack-compatible Web API, and straight to Slack, in one run.

    .venv/bin/python -m benchmarks.slack_api [--postgres URL]

Unmodified clients post with `chat.postMessage`. The stand-in for Slack is a separate process, takes
100 ms for an answer, and has no limits: straight posts are never answered 429 here. Idle: one
message at a time, each to another channel, so that Bellhop answers Slack's `ts`. Under load: eight
clients at once to one channel that takes a message a second, so that it answers a provisional one.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

from slack_sdk import WebClient

from benchmarks.delivery import AT_ONCE, Deployment, bellhop, say
from benchmarks.load import quantile
from benchmarks.stand_in import CLIENT_ID, CLIENT_SECRET

LATENCY_MS = 100
IDLE_MESSAGES = 200
LOADED_SECONDS = 8.0
TEXT = "p99 latency has been over *200 ms* for five minutes."


@dataclass
class Calls:
    """The times of calls in seconds, and the number of answers with Slack's `ts`."""

    times: list[float] = field(default_factory=list)
    in_slack: int = 0

    def row(self, name: str) -> str:
        """Return a line of the table."""
        p50, p99 = (quantile(self.times, percent) for percent in (50, 99))
        return f"| {name} | {p50:.0f} | {p99:.0f} | {len(self.times)} | {self.in_slack} |"


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--postgres", help="a database that may be emptied")
    arguments = parser.parse_args()
    databases = [("SQLite", "")]
    if arguments.postgres:
        databases.append(("PostgreSQL", arguments.postgres))
    for name, url in databases:
        say(f"{name}: calls of chat.postMessage")
        print(f"\n{name}\n\n| | p50 ms | p99 ms | calls | Slack's `ts` |")
        print("| --- | ---: | ---: | ---: | ---: |")
        with bellhop(url, channels=IDLE_MESSAGES, latency_ms=LATENCY_MS) as deployment:
            print("\n".join(measure(deployment)))


def measure(deployment: Deployment) -> list[str]:
    """Return the lines of the table for one database."""
    deployment.slack.join()
    public_url = f"http://{deployment.host}/api/"
    clients: dict[str, Callable[[], WebClient]] = {
        "straight": lambda: WebClient(token=straight, base_url=f"{deployment.slack.url}/api/"),
        "Bellhop": lambda: WebClient(token=deployment.key, base_url=public_url),
    }
    straight = bot_token(deployment)
    rows = [idle(deployment, client()).row(f"idle, {name}") for name, client in clients.items()]
    channel = deployment.slack.channels[0]
    rows += [
        loaded(client, channel, deployment).row(f"under load, {name}")
        for name, client in clients.items()
    ]
    return rows


def bot_token(deployment: Deployment) -> str:
    """Return the bot's token, by the steps of an install."""
    redirect_uri = f"http://{deployment.host}/slack/oauth_redirect"
    asked = {"client_id": CLIENT_ID, "scope": "chat:write", "redirect_uri": redirect_uri}
    address = f"{deployment.slack.url}/oauth/v2/authorize?{urlencode(asked)}"
    [code] = parse_qs(urlsplit(deployment.slack.authorize(address)).query)["code"]
    answer = WebClient(base_url=f"{deployment.slack.url}/api/").oauth_v2_access(
        client_id=CLIENT_ID, client_secret=CLIENT_SECRET, code=code, redirect_uri=redirect_uri
    )
    return str(answer["access_token"])


def idle(deployment: Deployment, client: WebClient) -> Calls:
    """Post one message at a time, each to another channel."""
    calls = Calls()
    for channel in deployment.slack.channels:
        post(client, channel, calls)
    return calls


def loaded(client: Callable[[], WebClient], channel: str, deployment: Deployment) -> Calls:
    """Post from several threads at once to one channel."""
    calls, ends = Calls(), time.perf_counter() + LOADED_SECONDS

    def work() -> None:
        poster = client()
        while time.perf_counter() < ends:
            post(poster, channel, calls)

    threads = [threading.Thread(target=work) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return calls


def post(client: WebClient, channel: str, calls: Calls) -> None:
    """Post a message, and add the time of the call."""
    began = time.perf_counter()
    answer = client.chat_postMessage(channel=channel, text=TEXT)
    calls.times.append(time.perf_counter() - began)
    calls.in_slack += not answer.get("is_provisional", False)


if __name__ == "__main__":
    main()
