"""Changes of organizations in the stand-in for Slack, which Slack reports with no event."""

from __future__ import annotations

from slack_sandbox.tokens import InstallKey
from slack_sandbox.world import Enterprise
from tests.running import Bellhop


def add_organization(bellhop: Bellhop, enterprise_id: str) -> None:
    name = enterprise_id.lower()
    bellhop.slack.world.enterprises[enterprise_id] = Enterprise(enterprise_id, name, name)


def move_workspace(bellhop: Bellhop, team_id: str, enterprise_id: str | None) -> None:
    """A workspace joins or leaves an organization. Its own tokens stay valid."""
    slack = bellhop.slack
    tokens, workspace = slack.tokens, slack.workspaces[team_id]
    former = workspace.enterprise_id
    workspace.enterprise_id = enterprise_id
    before, after = InstallKey(former, team_id), InstallKey(enterprise_id, team_id)
    for token in tokens.live(before):
        token.key = after
    own = tokens.installations.pop(before, None)
    if own is not None:
        own.key = after
        tokens.installations[after] = own
    served = tokens.installations.get(InstallKey(former, None))
    if served is not None and former is not None:
        served.team_ids = tuple(one for one in served.team_ids if one != team_id)
