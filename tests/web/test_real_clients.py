"""Real clients of Slack's incoming webhooks, pointed at a webhook of Bellhop."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from slack_sdk.webhook import WebhookClient

from bolt_app.clock import utc_now
from bolt_app.severity import COLOURS
from slack_sandbox.world import Message
from tests.delivering import delivering, install_without_limits, quick_bellhop, wait_until
from tests.people import ACME, GENERAL
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only

ALERTMANAGER = "prometheus-alertmanager"
APPRISE = str(Path(sys.executable).with_name("apprise"))


@pytest.fixture
def running(database_url: str, encryption_key: str) -> Iterator[Bellhop]:
    """Bellhop, installed and delivering."""
    with quick_bellhop(database_url, encryption_key) as bellhop:
        install_without_limits(bellhop)
        with delivering(bellhop):
            yield bellhop


@pytest.fixture
def hook_url(running: Bellhop) -> str:
    """The URL of a webhook that posts to #general."""
    return running.services.webhooks.create(ACME, "tools", ["#general"])


def wait_for_messages(bellhop: Bellhop, number: int) -> list[Message]:
    """Wait until #general has a number of messages."""
    wait_until(bellhop, lambda: len(bellhop.slack.messages(GENERAL)) >= number)
    return bellhop.slack.messages(GENERAL)


def test_slack_sdk(running: Bellhop, hook_url: str) -> None:
    answer = WebhookClient(hook_url).send(
        text="Deployed",
        blocks=[{"type": "section", "text": {"type": "mrkdwn", "text": "*Deployed* 1.2.3"}}],
    )

    assert (answer.status_code, answer.body) == (200, "ok")
    [message] = wait_for_messages(running, 1)
    assert message.text == "Deployed"
    assert message.blocks[0]["text"]["text"] == "*Deployed* 1.2.3"


def test_curl_as_slacks_own_page_shows_it(running: Bellhop, hook_url: str) -> None:
    data = 'payload={"text": "It works\\u0021"}'
    command = ["curl", "-sS", "-X", "POST", "--data-urlencode", data, hook_url]

    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)  # noqa: S603

    assert done.stdout == "ok"
    assert [one.text for one in wait_for_messages(running, 1)] == ["It works!"]


def test_apprise_with_its_mattermost_format(running: Bellhop, hook_url: str) -> None:
    parts = urlsplit(hook_url)
    target = f"mmost://{parts.netloc}/{parts.path.removeprefix('/hooks/')}"
    command = [APPRISE, "--title", "Backup", "--body", "done", target]

    subprocess.run(command, timeout=60, check=True)  # noqa: S603

    [message] = wait_for_messages(running, 1)
    assert "Backup" in message.text
    assert "done" in message.text


@contextmanager
def alertmanager(folder: Path, receiver: dict[str, object]) -> Iterator[str]:
    """Run Debian's Alertmanager with a receiver pointed at Bellhop; yield its URL."""
    if shutil.which(ALERTMANAGER) is None:
        if os.environ.get("REQUIRE_ALERTMANAGER") == "1":
            raise FileNotFoundError(ALERTMANAGER)
        pytest.skip(f"no {ALERTMANAGER} here")
    config = {
        "route": {
            "receiver": "bellhop",
            "group_by": ["alertname"],
            "group_wait": "1ms",
            "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "bellhop", **receiver}],
    }
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        ALERTMANAGER,
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def tell(address: str, alert: dict[str, object]) -> None:
    """Send an alert to Alertmanager, as Prometheus does, as soon as it listens."""
    request = urllib.request.Request(  # noqa: S310
        f"{address}/api/v2/alerts",
        data=json.dumps([alert]).encode(),
        headers={"Content-Type": "application/json"},
    )
    ends = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
        except ConnectionRefusedError:
            assert time.monotonic() < ends
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
            assert time.monotonic() < ends
        else:
            return


def slack_receiver(hook_url: str, **more: object) -> dict[str, object]:
    """Return a receiver that posts Slack's format."""
    config = {
        "api_url": hook_url,
        "channel": "#alerts",
        "send_resolved": True,
        "title": "{{ .CommonLabels.alertname }} is {{ .Status }}",
        "text": "{{ .CommonAnnotations.summary }}",
        "fields": [{"title": "Service", "value": "{{ .CommonLabels.service }}"}],
    }
    return {"slack_configs": [{**config, **more}]}


def webhook_receiver(hook_url: str) -> dict[str, object]:
    """Return a receiver that posts Alertmanager's own format."""
    return {"webhook_configs": [{"url": hook_url, "send_resolved": True}]}


def alert(**labels: str) -> dict[str, object]:
    return {
        "labels": {"alertname": "HighLatency", "service": "orders", **labels},
        "annotations": {"summary": "p99 is over 200 ms"},
        "startsAt": (utc_now() - timedelta(minutes=1)).isoformat(),
    }


def ended(one: dict[str, object]) -> dict[str, object]:
    return {**one, "endsAt": (utc_now() - timedelta(seconds=1)).isoformat()}


@pytest.mark.alertmanager
def test_alertmanager_fires_and_resolves(running: Bellhop, hook_url: str, tmp_path: Path) -> None:
    with alertmanager(tmp_path, slack_receiver(hook_url)) as address:
        tell(address, alert())
        wait_for_messages(running, 1)
        tell(address, ended(alert()))
        firing, resolved = wait_for_messages(running, 2)

    assert firing.attachments[0]["title"] == "HighLatency is firing"
    assert firing.attachments[0]["text"] == "p99 is over 200 ms"
    assert firing.attachments[0]["color"] == "danger"
    assert firing.attachments[0]["fields"][0]["value"] == "orders"
    assert resolved.attachments[0]["title"] == "HighLatency is resolved"
    assert resolved.attachments[0]["color"] == "good"
    assert firing.username == "Alertmanager"


@pytest.mark.alertmanager
def test_with_a_callback_id_slacks_format_resolves_in_place(
    running: Bellhop, hook_url: str, tmp_path: Path
) -> None:
    callback_id = '{{ .GroupLabels.SortedPairs.Values | join "/" }}'
    with alertmanager(tmp_path, slack_receiver(hook_url, callback_id=callback_id)) as address:
        tell(address, alert())
        [firing] = wait_for_messages(running, 1)
        assert firing.attachments[0]["color"] == "danger"
        tell(address, ended(alert()))
        wait_until(running, lambda: "is resolved" in str(running.slack.messages(GENERAL)[0]))

    [resolved] = running.slack.messages(GENERAL)
    assert resolved.ts == firing.ts
    assert resolved.attachments[0]["color"] == "good"


@pytest.mark.alertmanager
def test_alertmanagers_own_format_resolves_in_place(
    running: Bellhop, hook_url: str, tmp_path: Path
) -> None:
    disk = alert(severity="critical", instance="db1"), alert(severity="warning", instance="db2")
    with alertmanager(tmp_path, webhook_receiver(hook_url)) as address:
        tell(address, disk[0])
        [firing] = wait_for_messages(running, 1)
        assert "Critical: HighLatency" in firing.text
        assert "Acknowledge" in str(firing.attachments)
        tell(address, disk[1])
        wait_until(running, lambda: "2 firing" in running.slack.messages(GENERAL)[0].text)
        tell(address, ended(disk[0]))
        tell(address, ended(disk[1]))
        wait_until(running, lambda: "Resolved" in running.slack.messages(GENERAL)[0].text)

    [resolved] = running.slack.messages(GENERAL)
    assert resolved.ts == firing.ts
    assert resolved.attachments[0]["color"] == COLOURS["success"]
    assert "Acknowledge" not in str(resolved.attachments)
    [hook] = running.services.webhooks.of_team(ACME)
    assert hook.unrecognized == 0
