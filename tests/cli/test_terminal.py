"""Commands print texts of other people so that a terminal obeys none of them."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from sqlalchemy import update

from bolt_app.config import ROOT
from bolt_app.db.models import ApiKey, AuditEvent, Delivery, Subscription, Team, Webhook
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from tests.commands import command_runner, commands
from tests.notifications.hand import accept
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop
from tests.senders.test_bodies import post
from tests.senders.test_templates import TEMPLATE
from tests.sources import parsed

pytestmark = pytest.mark.sqlite_only

# Sets the window's title, erases the line above, begins another line, and reverses directions.
HOSTILE = 'x\x1b]0;owned\x07\x1b[1A\x1b[2K\n7  "admin"\r\x9b2J\x7f\u202e\u2028y'
COLUMNS = (
    (Team.name, HOSTILE),
    (ApiKey.name, HOSTILE),
    (Webhook.name, HOSTILE),
    (Subscription.filter, f'service="{HOSTILE}"'),
    (Subscription.topic, HOSTILE),
    (AuditEvent.address, HOSTILE),
    (Delivery.target, f"#{HOSTILE}"),
    (Delivery.error, HOSTILE),
)
# The arguments of every command: `{id}` is a notification, {file} has a template.
COMMANDS = {
    "api-key callback": ["999", "--url", "https://127.0.0.1/" + HOSTILE],
    "api-key create": ["--team", ACME, "--name", HOSTILE, "--channel", f"#{HOSTILE}"],
    "api-key list": ["--team", ACME],
    "api-key revoke": ["999"],
    "audit": [],
    "db upgrade": [],
    "manifest": [],
    "new-key": [],
    "notifications cancel": ["--team", ACME, "{id}"],
    "notifications list": ["--team", ACME],
    "notifications retry": ["--team", ACME, "{id}"],
    "notifications show": ["--team", ACME, "{id}"],
    "retry-pending": [],
    "rotate-keys": [],
    "send": ["--team", ACME, "--to", f"topic:{HOSTILE}", "--to", f"#{HOSTILE}", "Hello"],
    "session end": ["999"],
    "session list": ["--team", ACME],
    "topic list": ["--team", ACME],
    "topic subscribe": ["--team", ACME, HOSTILE, f"#{HOSTILE}", f'a="{HOSTILE}"'],
    "topic unsubscribe": ["--team", ACME, HOSTILE, f"#{HOSTILE}"],
    "webhook bodies": ["1"],
    "webhook create": ["--team", ACME, "--to", f"#{HOSTILE}", "--name", HOSTILE],
    "webhook list": ["--team", ACME],
    "webhook preview": ["1", "--template", "{file}"],
    "webhook revoke": ["999"],
    "webhook secret": ["999"],
    "webhook template": ["999", "{file}"],
    "workspaces": [],
}
# Runs until it is stopped; it prints one constant line.
ENDLESS = {"worker"}


@pytest.fixture
def hostile(bellhop: Bellhop) -> Bellhop:
    """An installation whose people and senders wrote control characters wherever they can."""
    bellhop.install(ANN)
    services = bellhop.services
    services.api_keys.create(ACME, "ci")
    url = services.webhooks.create(ACME, "Backups", [GENERAL], sender="custom", template=TEMPLATE)
    post(url, json.dumps({"title": HOSTILE}).encode())
    services.subscriptions.subscribe(ACME, GENERAL, SubscriptionSpec("deploys", "service=api"))
    accept(bellhop, [GENERAL, "#nowhere"], "x")
    with services.database.writing() as session:
        for column, value in COLUMNS:
            session.execute(update(column.class_).values({column.key: value}))
    return bellhop


@pytest.mark.parametrize("team_id", [ACME, "T0NOWHERE1"])
def test_no_command_prints_control_characters(
    hostile: Bellhop, tmp_path: Path, team_id: str
) -> None:
    template = tmp_path / "template"
    template.write_text(TEMPLATE)
    values = {"{id}": accept(hostile, BEN, "x"), "{file}": str(template), ACME: team_id}
    runner = command_runner(hostile, PUBLIC_URL="https://bell.acme.example")

    outputs = {}
    for name, arguments in COMMANDS.items():
        given = [*name.split(), *(values.get(one, one) for one in arguments)]
        # With `color`, click does not remove escape sequences, as it does not on a terminal.
        done = runner.invoke(args=given, color=True, input=f"{HOSTILE}\n")
        assert done.exception is None or isinstance(done.exception, SystemExit), name
        outputs[name] = done.stdout + done.stderr

    assert {name for name, output in outputs.items() if is_obeyed(output)} == set()
    # The texts are printed, in another form.
    is_shown = {name for name, output in outputs.items() if "\\x1b]0;owned" in output}
    assert {"audit", "workspaces"} - is_shown == set()


def is_obeyed(output: str) -> bool:
    """Whether a terminal would obey a part of the output, or show a line of others' making."""
    has_controls = any(not one.isprintable() and one != "\n" for one in output)
    return has_controls or any(line.startswith('7  "admin"') for line in output.split("\n"))


def test_every_command_is_tried(bellhop: Bellhop) -> None:
    aliases = {"hook", "catch-up"}
    flasks = {"run", "shell", "routes"}

    found = {
        name
        for name in names_of(commands(bellhop).cli)
        if not {name, name.split()[0]} & (aliases | flasks)
    }

    assert found == COMMANDS.keys() | ENDLESS


def names_of(group: click.Group, prefix: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from names_of(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}"


def test_nothing_else_writes_to_the_terminal() -> None:
    """`click.echo` and the like are called in one module, which escapes."""
    writers = {"echo", "secho", "print", "echo_via_pager", "style"}
    found = set()
    for path in ROOT.glob("bolt_app/**/*.py"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "attr", getattr(node.func, "id", None))
                if called in writers:
                    found.add(str(path.relative_to(ROOT)))

    assert found == {"bolt_app/cli/output.py"}
