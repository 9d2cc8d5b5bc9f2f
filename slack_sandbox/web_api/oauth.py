"""``oauth.v2.*`` and ``openid.connect.*``: codes and refresh tokens become tokens."""

from __future__ import annotations

from slack_sandbox import installs, openid
from slack_sandbox.errors import ApiError
from slack_sandbox.limits import Tier
from slack_sandbox.oauth import check_client, redeem
from slack_sandbox.tokens import Token
from slack_sandbox.web_api.call import Call
from slack_sandbox.web_api.registry import method
from slack_sandbox.world import JsonDict


@method("oauth.v2.access", Tier.FOUR, needs_token=False)
def access(call: Call) -> JsonDict:
    """Redeem a code or a refresh token
    (https://docs.slack.dev/reference/methods/oauth.v2.access).
    """
    _check_client(call)
    grant_type = call.text("grant_type", "authorization_code")
    if grant_type == "refresh_token":
        issued = call.core.tokens.refresh(call.text("refresh_token"), call.core.clock())
        return installs.refreshed(call.core, issued)
    if grant_type != "authorization_code":
        raise ApiError("invalid_grant_type")
    code = redeem(call.core, call.text("code"), call.text("redirect_uri"), "oauth")
    return installs.install(call.core, code)


@method("oauth.v2.exchange", Tier.TWO, needs_token=False)
def exchange(call: Call) -> JsonDict:
    """Trade a long-lived token for a rotating one
    (https://docs.slack.dev/reference/methods/oauth.v2.exchange).
    """
    _check_client(call)
    token = call.core.tokens.check(call.presented, call.core.clock())
    if not call.core.config.token_rotation:
        raise ApiError("token_rotation_not_enabled")
    issued = call.core.tokens.exchange(token, call.core.clock())
    return installs.refreshed(call.core, issued)


@method("openid.connect.token", Tier.FOUR, needs_token=False)
def openid_token(call: Call) -> JsonDict:
    """Redeem a code of Sign in with Slack
    (https://docs.slack.dev/reference/methods/openid.connect.token).
    """
    _check_client(call)
    if call.text("grant_type", "authorization_code") != "authorization_code":
        raise ApiError("invalid_grant_type")
    code = redeem(call.core, call.text("code"), call.text("redirect_uri"), "openid")
    token: Token = call.core.tokens.issue_openid(code.key, code.user_id, code.user_scopes)
    return {
        "ok": True,
        "access_token": token.value,
        "token_type": "Bearer",
        "id_token": openid.id_token(call.core, code, token),
    }


@method("openid.connect.userInfo", Tier.FOUR, takes_json=True, needs_openid=True)
def openid_user_info(call: Call) -> JsonDict:
    """Who signed in
    (https://docs.slack.dev/reference/methods/openid.connect.userInfo).
    """
    return openid.user_info(call.core, call.token)


def _check_client(call: Call) -> None:
    client_id, client_secret = call.basic or (
        call.text("client_id"),
        call.text("client_secret"),
    )
    check_client(call.core.config, client_id, client_secret)
