"""Recipients in commands: their stored ids, and warnings about unknown ones."""

from __future__ import annotations

from collections.abc import Iterable

from bolt_app.cli.output import print_line
from bolt_app.credentials.sources import SourceKind
from bolt_app.recipients import normal_address
from bolt_app.services import Services
from bolt_app.slack_api import SENTENCES, SlackCallError
from bolt_app.slack_ids import is_conversation
from bolt_app.workspaces.client import BotWorkspace, NotInstalledError
from bolt_app.workspaces.lookup_budgets import LookupShare

_SHARE = LookupShare.of_call(SourceKind.COMMAND)


def warn_of_unknown(services: Services, workspace: BotWorkspace, addresses: Iterable[str]) -> None:
    """Warn on standard error about channels and people that cannot be reached now.

    They are not rejected, because they may exist later. No warning is printed if Slack does not
    answer.
    """
    for address in addresses:
        code = _problem(services, workspace, normal_address(address))
        if code is not None:
            sentence = SENTENCES.get(code, f"Slack answered {code}.")
            print_line(f"Warning: {address} cannot receive notifications now. {sentence}", err=True)


def stored_address(services: Services, team_id: str, address: str) -> str:
    """Return the id of a channel or person, or the address while Slack does not know it.

    Raises:
        ValueError: the address is malformed.
    """
    normal = normal_address(address)
    try:
        if normal.startswith("#"):
            return services.channels.find(services.client.find_workspace(team_id), normal) or normal
        if normal.startswith("@"):
            email = normal.removeprefix("@")
            return services.users.find(services.client.find_workspace(team_id), email, _SHARE)
        if is_conversation(normal):
            workspace = services.client.find_workspace(team_id)
            return services.users.find_by_conversation(workspace, normal, _SHARE)
    except (SlackCallError, NotInstalledError):
        # The id replaces the address once Slack knows it (`subscriptions.channel_sync`).
        return normal
    return normal


def _problem(services: Services, workspace: BotWorkspace, address: str) -> str | None:
    try:
        if address.startswith("#"):
            is_known = services.channels.find(workspace, address) is not None
            return None if is_known else "channel_not_found"
        if address.startswith("@"):
            services.users.find(workspace, address.removeprefix("@"), _SHARE)
        elif address[0] in "CG" and not address.startswith("topic:"):
            services.channels.ensure_can_post(workspace, address)
    except SlackCallError as error:
        return error.code if error.is_permanent and not error.is_dead_token else None
    return None
