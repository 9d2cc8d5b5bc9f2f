"""Commands for web sessions and the audit log."""

from __future__ import annotations

import click
from flask import Flask
from flask.cli import AppGroup

from bolt_app.access.audit import AuditRecord
from bolt_app.cli.errors import MISUSED, fail, one_line_errors
from bolt_app.cli.output import print_line
from bolt_app.cli.workspaces import require_workspace
from bolt_app.db.audit import AuditAction
from bolt_app.services import FindServices


def register(app: Flask, find_services: FindServices) -> None:
    """Register the commands."""
    _register_session(app, find_services)

    @app.cli.command("audit")
    @click.option("--team", "team_id", help="Only events of this workspace (T…).")
    @click.option(
        "--action",
        type=click.Choice([action.value for action in AuditAction]),
        help="Only events of this kind.",
    )
    @click.option(
        "--limit",
        type=click.IntRange(1, 100_000),
        default=100,
        show_default=True,
        help="Maximum number of events.",
    )
    @one_line_errors
    def audit(team_id: str | None, action: str | None, limit: int) -> None:
        """Show the latest security events, oldest first."""
        services = find_services()
        for record in services.audit.find(team_id=team_id, action=action, limit=limit):
            print_line(_line(record))


def _register_session(app: Flask, find_services: FindServices) -> None:
    group = AppGroup("session", help="Web sessions of signed-in people.")
    app.cli.add_command(group)

    @group.command("list")
    @click.option(
        "--team", "team_id", required=True, help="Workspace or organization id, T… or E…."
    )
    @one_line_errors
    def show(team_id: str) -> None:
        """List the sessions of a workspace."""
        services = find_services()
        now = services.clock()
        found = services.sessions.of_team(team_id)
        if not found and not team_id.startswith("E"):
            require_workspace(services, team_id)
        for session in found:
            signed_in = f"{session.created_at:%Y-%m-%d %H:%M}"
            last_seen = f"{session.last_seen_at:%Y-%m-%d %H:%M} UTC"
            print_line(
                f"{session.id}  {session.user_id}: {session.state(now)}; signed in {signed_in}, "
                f"last seen {last_seen}"
            )

    @group.command("end")
    @click.argument("session_id", type=int, required=False)
    @click.option("--team", "team_id", help="Workspace or organization id, T… or E….")
    @click.option(
        "--user", "user_id", help="User id, U…: end all sessions of this person in the workspace."
    )
    @one_line_errors
    def end(session_id: int | None, team_id: str | None, user_id: str | None) -> None:
        """End one session, or all sessions of a person."""
        services = find_services()
        if session_id is not None and team_id is None and user_id is None:
            if not services.sessions.end(session_id):
                fail(f"Session {session_id} does not exist or has ended.")
            print_line(f"Session {session_id} has ended.")
        elif session_id is None and team_id is not None and user_id is not None:
            ended = services.sessions.end_of_person(team_id, user_id)
            print_line(f"Sessions ended: {ended}.")
        else:
            fail("give a session id, or --team and --user", status=MISUSED)


def _line(record: AuditRecord) -> str:
    facts = {
        "organization": record.enterprise_id,
        "workspace": record.team_id,
        "person": record.user_id,
        "credential": record.credential,
        "address": record.address,
        "count": record.count if record.count > 1 else None,
    }
    known = "".join(f" {name}={value}" for name, value in facts.items() if value is not None)
    return f"{record.at:%Y-%m-%dT%H:%M:%SZ} {record.action}{known}"
