"""Redemption of codes and refresh tokens: installations and their tokens.

See https://docs.slack.dev/reference/methods/oauth.v2.access.
"""

from __future__ import annotations

from slack_sandbox.core import Code, Core
from slack_sandbox.errors import ApiError
from slack_sandbox.tokens import Installation, InstallKey, IssuedToken
from slack_sandbox.world import JsonDict, User


def install(core: Core, code: Code) -> JsonDict:
    """Grant the scopes of a code. Returns the response of ``oauth.v2.access``.

    Raises ``cannot_install_an_org_installed_app`` for a workspace whose organization has the app.
    """
    key = code.key
    org = core.tokens.installations.get(InstallKey(key.enterprise_id, None))
    if not key.is_org and code.bot_scopes and org and key.team_id in org.team_ids:
        raise ApiError("cannot_install_an_org_installed_app")
    installation = core.tokens.installations.setdefault(key, Installation(key))
    installation.team_ids = _teams_of(core, key)
    answer: JsonDict = {"ok": True, "app_id": core.config.app_id}
    if code.user_scopes:
        answer["authed_user"] = _grant_user(core, code)
    else:
        answer["authed_user"] = {"id": code.user_id}
    if code.bot_scopes:
        answer |= _grant_bot(core, installation, code)
    return answer | installation_context(core, key)


def refreshed(core: Core, issued: IssuedToken) -> JsonDict:
    """The response to a token refresh."""
    token = issued.token
    answer: JsonDict = {
        "ok": True,
        "app_id": core.config.app_id,
        **token_fields(core, issued),
        "scope": ",".join(token.scopes),
    }
    if token.kind == "bot":
        answer["bot_user_id"] = token.user_id
    else:
        answer["user_id"] = token.user_id
    return answer | installation_context(core, token.key)


def installation_context(core: Core, key: InstallKey) -> JsonDict:
    """``team``, ``enterprise`` and ``is_enterprise_install`` of an installation."""
    enterprise = core.world.enterprises.get(key.enterprise_id or "")
    team = core.world.workspaces.get(key.team_id or "")
    return {
        "team": team and {"id": team.id, "name": team.name},
        "enterprise": enterprise and {"id": enterprise.id, "name": enterprise.name},
        "is_enterprise_install": key.is_org,
    }


def token_fields(core: Core, issued: IssuedToken) -> JsonDict:
    """A token with its type; with rotation also its refresh token and lifetime."""
    token = issued.token
    shown: JsonDict = {"access_token": token.value, "token_type": token.kind}
    if token.expires_at is not None:
        shown |= {
            "refresh_token": issued.refresh_token,
            "expires_in": round(token.expires_at - core.clock()),
        }
    return shown


def bot_user(core: Core, installation: Installation) -> User:
    """The app's bot in a workspace or organization; reinstallation keeps it."""
    key = installation.key
    for user in core.world.users.values():
        is_ours = user.is_bot and user.app_id == core.config.app_id
        if is_ours and set(user.team_ids) == set(installation.team_ids):
            user.deleted = False
            return user
    bot = User(
        core.world.next_id("U"),
        installation.team_ids[0],
        core.config.bot_name,
        core.config.name,
        tz="America/Los_Angeles",
        is_bot=True,
        updated=int(core.clock()),
        team_ids=installation.team_ids,
        enterprise_id=key.enterprise_id,
        bot_id=core.world.next_id("B"),
        app_id=core.config.app_id,
    )
    core.world.users[bot.id] = bot
    return bot


def _grant_user(core: Core, code: Code) -> JsonDict:
    issued = core.tokens.issue(
        code.key,
        "user",
        code.user_id,
        code.user_scopes,
        now=core.clock(),
        rotating=core.config.token_rotation,
    )
    return {
        "id": code.user_id,
        "scope": ",".join(issued.token.scopes),
        **token_fields(core, issued),
    }


def _grant_bot(core: Core, installation: Installation, code: Code) -> JsonDict:
    bot = bot_user(core, installation)
    installation.bot_user_id, installation.bot_id = bot.id, bot.bot_id
    issued = core.tokens.issue(
        code.key,
        "bot",
        bot.id,
        code.bot_scopes,
        now=core.clock(),
        rotating=core.config.token_rotation,
    )
    return {
        "scope": ",".join(issued.token.scopes),
        **token_fields(core, issued),
        "bot_user_id": bot.id,
    }


def _teams_of(core: Core, key: InstallKey) -> tuple[str, ...]:
    if key.team_id is not None:
        return (key.team_id,)
    return tuple(
        workspace.id
        for workspace in core.world.workspaces.values()
        if workspace.enterprise_id == key.enterprise_id
    )
