"""``users.*`` and ``team.info``."""

from __future__ import annotations

from slack_sandbox.errors import ApiError
from slack_sandbox.limits import Tier
from slack_sandbox.web_api.call import MOST_PER_PAGE, Call
from slack_sandbox.web_api.paging import page_after
from slack_sandbox.web_api.registry import method
from slack_sandbox.world import JsonDict


@method("users.info", Tier.FOUR, scopes=("users:read",))
def info(call: Call) -> JsonDict:
    """Return a user (https://docs.slack.dev/reference/methods/users.info).

    ``email`` requires ``users:read.email``.
    """
    return {"ok": True, "user": call.show_user(call.find_seen_user(call.need_text("user")))}


@method("users.list", Tier.TWO, scopes=("users:read",))
def list_users(call: Call) -> JsonDict:
    """List the users of a workspace (https://docs.slack.dev/reference/methods/users.list)."""
    team_id = call.team_id()
    users = [user for user in call.core.world.users.values() if user.is_in(team_id)]
    page, cursor = page_after(
        users, call.text("cursor"), call.limit(MOST_PER_PAGE), lambda user: user.id
    )
    return {
        "ok": True,
        "members": [call.show_user(user) for user in page],
        "cache_ts": int(call.core.clock()),
        "response_metadata": {"next_cursor": cursor},
    }


@method("users.lookupByEmail", Tier.THREE, scopes=("users:read.email",))
def lookup_by_email(call: Call) -> JsonDict:
    """Find the active user with an email address
    (https://docs.slack.dev/reference/methods/users.lookupByEmail).
    """
    email = call.need_text("email").lower()
    teams = set(call.installation.team_ids)
    for user in call.core.world.users.values():
        same = (user.email or "").lower() == email
        if same and not user.deleted and teams & set(user.team_ids):
            return {"ok": True, "user": call.show_user(user)}
    raise ApiError("users_not_found")


@method("team.info", Tier.THREE, scopes=("team:read",))
def team_info(call: Call) -> JsonDict:
    """Return the workspace (https://docs.slack.dev/reference/methods/team.info)."""
    own = call.token.key.team_id
    team_id = call.text("team") or call.text("team_id") or own or call.installation.team_ids[0]
    if team_id not in call.installation.team_ids:
        raise ApiError("team_not_found")
    team = call.core.get_workspace(team_id).as_slack(call.core.base_url)
    enterprise = call.core.world.enterprise_of(team_id)
    if enterprise is not None:
        team |= {
            "enterprise_name": enterprise.name,
            "enterprise_domain": enterprise.domain,
        }
    return {"ok": True, "team": team}
