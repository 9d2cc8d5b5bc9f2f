"""Custom templates in a running server, whose template processes end with it."""

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest
from slack_sdk.oauth.installation_store import Bot

from bolt_app.credentials.webhooks import CUSTOM, Webhooks
from bolt_app.db import Database
from bolt_app.installations.store import Installations
from bolt_app.template_runner import process
from tests.people import ACME
from tests.running import CLIENT_ID
from tests.test_server import APP, environment, started
from tests.web.calling import request

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("empty_database_url", ["sqlite"], indirect=True),
    pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc"),
]
__all__ = ["environment"]

TEMPLATE = "{{ {'text': body.a ~ '!'} | tojson }}"


def template_processes(server_id: int) -> list[int]:
    """Return the template processes below a server."""
    parents = {}
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            status, command = (path / "stat").read_text(), (path / "cmdline").read_bytes()
        except OSError:
            continue
        parents[int(path.name)] = int(status.rpartition(")")[2].split()[1])
        if str(process.__file__).encode() in command:
            found.append(int(path.name))

    def is_below(id_: int) -> bool:
        return id_ == server_id or (id_ in parents and is_below(parents[id_]))

    return [id_ for id_ in found if is_below(id_)]


def test_it_renders_templates_until_it_ends(environment: dict[str, str]) -> None:
    with started(APP, environment) as server:
        server.wait_for("Bellhop is ready")
        database = Database(environment["DATABASE_URL"], [environment["ENCRYPTION_KEYS"]])
        bot = Bot(bot_token="xoxb", bot_id="B1", bot_user_id="U1", team_id=ACME, installed_at=1.0)
        Installations(CLIENT_ID, database).save_bot(bot)
        url = Webhooks(database, server.url).create(
            ACME, "", ["#ops"], sender=CUSTOM, template=TEMPLATE
        )

        assert request("POST", url, b'{"a": "x"}').text == "ok"

        with database.reading_connection() as connection:
            [content] = connection.exec_driver_sql("SELECT content FROM notifications").scalars()
        assert "x!" in content
        database.close()
        [id_] = template_processes(server.process.pid)
        descriptor = os.pidfd_open(id_)
        assert server.end() == 0
        assert select.select([descriptor], [], [], 20)[0], "it is still running"
        os.close(descriptor)
