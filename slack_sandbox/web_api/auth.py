"""``auth.*``: identity and revocation of a token."""

from __future__ import annotations

from slack_sandbox.changes import after_revocation
from slack_sandbox.errors import ApiError
from slack_sandbox.limits import Tier
from slack_sandbox.web_api.call import Call
from slack_sandbox.web_api.paging import page_after
from slack_sandbox.web_api.registry import method
from slack_sandbox.world import JsonDict


@method("auth.test", Tier.SPECIAL, takes_json=True)
def test(call: Call) -> JsonDict:
    """Identify the token (https://docs.slack.dev/reference/methods/auth.test)."""
    core, token = call.core, call.token
    workspace = core.world.workspaces.get(token.key.team_id or "")
    enterprise = core.world.enterprises.get(token.key.enterprise_id or "")
    owner = workspace or enterprise
    if owner is None:
        raise ApiError("invalid_auth")
    host = f"{owner.domain}.slack.com" if workspace else f"{owner.domain}.enterprise.slack.com"
    answer: JsonDict = {
        "ok": True,
        "url": f"https://{host}/",
        "team": owner.name,
        "user": call.viewer.name,
        "team_id": owner.id,
        "user_id": token.user_id,
    }
    if token.kind == "bot":
        answer["bot_id"] = call.viewer.bot_id
    if enterprise is not None:
        answer["enterprise_id"] = enterprise.id
    if token.expires_at is not None:
        answer["expires_in"] = round(token.expires_at - core.clock())
    return answer | {"is_enterprise_install": token.key.is_org}


@method("auth.revoke", Tier.THREE)
def revoke(call: Call) -> JsonDict:
    """Revoke the token (https://docs.slack.dev/reference/methods/auth.revoke).

    With token rotation no event follows (https://github.com/slackapi/bolt-js/issues/1965).
    """
    if call.flag("test"):
        return {"ok": True, "revoked": False}
    core, token, installation = call.core, call.token, call.installation
    core.tokens.revoke(token.key, token.kind, token.user_id)
    token.dead = "token_revoked"
    if not core.config.token_rotation:
        holders = {"oauth": [token.user_id], "bot": []}
        if token.kind == "bot":
            holders = {"oauth": [], "bot": [token.user_id]}
        team_id = token.key.team_id or installation.team_ids[0]
        after_revocation(core, installation, team_id, oauth=holders["oauth"], bot=holders["bot"])
    return {"ok": True, "revoked": True}


@method("auth.teams.list", Tier.TWO)
def list_teams(call: Call) -> JsonDict:
    """List the workspaces of the token (https://docs.slack.dev/reference/methods/auth.teams.list)."""
    teams = sorted(call.installation.team_ids)
    page, cursor = page_after(teams, call.text("cursor"), call.limit(default=100), str)
    return {
        "ok": True,
        "teams": [
            {"id": team_id, "name": call.core.get_workspace(team_id).name} for team_id in page
        ],
        "response_metadata": {"next_cursor": cursor},
    }
