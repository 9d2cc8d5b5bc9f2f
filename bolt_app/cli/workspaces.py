"""`workspaces`: the workspaces Bellhop is installed in, whose ids `--team` takes."""

from __future__ import annotations

import click
from flask import Flask

from bolt_app.cli.errors import fail, one_line_errors
from bolt_app.services import FindServices, Services
from bolt_app.workspaces.client import BotWorkspace, NotInstalledError
from bolt_app.workspaces.listing import KnownWorkspace, find_workspaces

# More would not be read in the one line of an error.
MOST_NAMED = 10


def register(app: Flask, find_services: FindServices) -> None:
    """Add the command."""

    @app.cli.command("workspaces")
    @one_line_errors
    def show() -> None:
        """Show the workspaces Bellhop is installed in: id, name, organization."""
        services = find_services()
        known = _known(services)
        if not known:
            click.echo(_none_installed(services), err=True)
        for one in known:
            organization = f"  installed for {one.organization}" if one.organization else ""
            click.echo(f"{one.team_id}  {one.name or ''}{organization}".rstrip())


def require_workspace(services: Services, team_id: str) -> BotWorkspace:
    """Return a workspace that Bellhop is installed in, or end the command with the known ones."""
    try:
        return services.client.find_workspace(team_id)
    except NotInstalledError:
        known = _known(services)
        if not known:
            fail(f"There is no workspace {team_id}. {_none_installed(services)}")
        named = ", ".join(map(_named, known[:MOST_NAMED]))
        more = " and others; `workspaces` lists all" if len(known) > MOST_NAMED else ""
        fail(f"Bellhop is not installed in the workspace {team_id}. Known: {named}{more}.")


def _known(services: Services) -> list[KnownWorkspace]:
    return find_workspaces(services.database, services.settings.slack_client_id)


def _named(workspace: KnownWorkspace) -> str:
    return f"{workspace.team_id} ({workspace.name})" if workspace.name else workspace.team_id


def _none_installed(services: Services) -> str:
    url = services.settings.public_url
    return f"Bellhop is not installed in any workspace yet: open {url} and add it to Slack."
