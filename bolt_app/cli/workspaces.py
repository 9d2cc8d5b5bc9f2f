"""The `workspaces` command: lists the workspace ids for `--team`."""

from __future__ import annotations

import click
from flask import Flask

from bolt_app.cli.errors import fail, one_line_errors
from bolt_app.cli.output import print_line
from bolt_app.services import FindServices, Services
from bolt_app.workspaces.client import BotWorkspace, NotInstalledError
from bolt_app.workspaces.listing import KnownWorkspace, find_workspaces

# More would be unreadable in an error of one line.
MOST_NAMED = 10
team_option = click.option("--team", "team_id", required=True, help="Workspace id, T….")


def register(app: Flask, find_services: FindServices) -> None:
    """Register the command."""

    @app.cli.command("workspaces")
    @one_line_errors
    def show() -> None:
        """List the workspaces that Bellhop is installed in: id, name, organization."""
        services = find_services()
        known = _known(services)
        if not known:
            print_line(_none_installed(services), err=True)
        for workspace in known:
            organization = (
                f"  installed for {workspace.organization}" if workspace.organization else ""
            )
            print_line(f"{workspace.team_id}  {workspace.name or ''}{organization}".rstrip())


def require_workspace(services: Services, team_id: str) -> BotWorkspace:
    """Return an installed workspace, or exit with an error that lists the known ones."""
    try:
        return services.client.find_workspace(team_id)
    except NotInstalledError:
        known = _known(services)
        if not known:
            fail(f"Unknown workspace {team_id}. {_none_installed(services)}")
        named = ", ".join(map(_named, known[:MOST_NAMED]))
        more = " and others (`workspaces` lists all)" if len(known) > MOST_NAMED else ""
        fail(f"Bellhop is not installed in the workspace {team_id}. Known: {named}{more}.")


def _known(services: Services) -> list[KnownWorkspace]:
    return find_workspaces(services.database, services.settings.slack_client_id)


def _named(workspace: KnownWorkspace) -> str:
    return f"{workspace.team_id} ({workspace.name})" if workspace.name else workspace.team_id


def _none_installed(services: Services) -> str:
    url = services.settings.public_url
    return f"Bellhop is not installed in any workspace yet. Open {url} and add it to Slack."
