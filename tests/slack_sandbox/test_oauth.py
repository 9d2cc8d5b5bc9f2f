"""OAuth v2 and token rotation."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from slack_sandbox import AuthorizeError, Sandbox, SandboxServer
from slack_sandbox.seed import ACME, ANN, ANN_AT_BETA, BEN, GRID, GUEST, NORTH, SOUTH, WES
from tests.slack_sandbox.client import FORM, request
from tests.slack_sandbox.conftest import (
    BOT_SCOPES,
    CLIENT_ID,
    CLIENT_SECRET,
    USER_SCOPES,
    FakeClock,
    Installer,
    MakeServer,
)


def _query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def _error(error: pytest.ExceptionInfo[SlackApiError]) -> str:
    code = error.value.response["error"]
    assert isinstance(code, str)
    return code


def _redeem(installer: Installer, code: str, **changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "code": code,
        "redirect_uri": installer.redirect_uri,
        **changes,
    }
    data = installer.client.oauth_v2_access(**arguments).data
    assert isinstance(data, dict)
    return data


def test_an_installation_has_a_bot_and_a_user_token(installer: Installer) -> None:
    answer = installer.install(ANN)

    assert answer["access_token"].startswith("xoxb-")
    assert answer["token_type"] == "bot"
    assert answer["scope"] == ",".join(BOT_SCOPES)
    assert answer["team"] == {"id": ACME, "name": "Acme"}
    assert answer["enterprise"] is None
    assert answer["is_enterprise_install"] is False
    assert answer["app_id"] == "A0BELLHOP01"
    user = answer["authed_user"]
    assert user["id"] == ANN
    assert user["access_token"].startswith("xoxp-")
    assert (user["scope"], user["token_type"]) == (",".join(USER_SCOPES), "user")
    assert "refresh_token" not in answer


def test_client_credentials_in_basic_authorization(installer: Installer) -> None:
    body = urlencode({"code": installer.code(), "redirect_uri": installer.redirect_uri}).encode()
    secret = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    url = f"{installer.url}/api/oauth.v2.access"
    assert request(url, body, {**FORM, "Authorization": f"Basic {secret}"}).json["ok"] is True


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_secret": "wrong"}, "bad_client_secret"),
        ({"client_id": "wrong"}, "invalid_client_id"),
        ({"code": "wrong"}, "invalid_code"),
        ({"redirect_uri": "https://example.com/other"}, "bad_redirect_uri"),
        ({"redirect_uri": None}, "bad_redirect_uri"),
        ({"grant_type": "password"}, "invalid_grant_type"),
    ],
)
def test_an_invalid_redemption_is_rejected(
    installer: Installer, changes: dict[str, Any], error: str
) -> None:
    code = changes.pop("code", None) or installer.code()
    with pytest.raises(SlackApiError) as caught:
        _redeem(installer, code, **changes)
    assert _error(caught) == error


def test_a_code_works_once(installer: Installer) -> None:
    code = installer.code()
    _redeem(installer, code)
    with pytest.raises(SlackApiError) as caught:
        _redeem(installer, code)
    assert _error(caught) == "code_already_used"


def test_a_code_expires_after_ten_minutes(installer: Installer, clock: FakeClock) -> None:
    code = installer.code()
    clock.move(600)
    with pytest.raises(SlackApiError) as caught:
        _redeem(installer, code)
    assert _error(caught) == "invalid_code"


def test_reinstalling_adds_scopes_to_the_same_bot_token(installer: Installer) -> None:
    first = installer.install(ANN, scope="commands", user_scope="users:read")
    again = installer.install(BEN, scope="chat:write", user_scope="users:read")

    assert again["access_token"] == first["access_token"]
    assert again["bot_user_id"] == first["bot_user_id"]
    assert again["scope"] == "commands,chat:write"
    assert again["authed_user"]["access_token"] != first["authed_user"]["access_token"]


def test_user_scopes_alone_create_no_bot_token(installer: Installer) -> None:
    answer = installer.install(BEN, scope="")

    assert "access_token" not in answer
    assert "bot_user_id" not in answer
    assert answer["authed_user"]["access_token"].startswith("xoxp-")


def test_no_user_scope_creates_no_user_token(installer: Installer) -> None:
    assert installer.install(BEN, user_scope="")["authed_user"] == {"id": BEN}


def test_an_organization_wide_install_has_no_team(installer: Installer) -> None:
    answer = installer.install(WES, org=True)

    assert answer["team"] is None
    assert answer["enterprise"] == {"id": GRID, "name": "Globex Grid"}
    assert answer["is_enterprise_install"] is True


def test_an_organization_installation_blocks_workspace_installations(installer: Installer) -> None:
    installer.install(WES, org=True)
    with pytest.raises(SlackApiError) as caught:
        installer.install(WES, team=NORTH)
    assert _error(caught) == "cannot_install_an_org_installed_app"


def test_one_person_in_two_workspaces_gets_two_installations(installer: Installer) -> None:
    here, there = installer.install(ANN), installer.install(ANN_AT_BETA)
    assert here["team"] != there["team"]
    assert here["access_token"] != there["access_token"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "other"}, "invalid_client_id"),
        ({"redirect_uri": "https://evil.example/slack/oauth_redirect"}, "bad_redirect_uri"),
        ({"scope": "chat:write,files:steal"}, "invalid_scope"),
        ({"scope": "search:read"}, "invalid_scope"),
        ({"scope": "chat:write commands"}, "invalid_scope"),
        ({"scope": "", "user_scope": ""}, "invalid_scope"),
    ],
)
def test_the_authorize_page_rejects_invalid_requests(
    installer: Installer, changes: dict[str, str], error: str
) -> None:
    url = installer.authorize_url(**changes)
    with pytest.raises(AuthorizeError) as caught:
        installer.slack.authorize(ANN, url)
    assert caught.value.error == error
    page = request(url)
    assert page.status == 400
    assert error in page.text
    assert "This is not Slack" in page.text


def test_a_guest_cannot_install_a_bot(installer: Installer) -> None:
    with pytest.raises(AuthorizeError) as caught:
        installer.slack.authorize(GUEST, installer.authorize_url())
    assert caught.value.error == "not_allowed"
    assert installer.install(GUEST, scope="")["authed_user"]["id"] == GUEST


def test_a_redirect_url_below_a_configured_one_is_accepted(installer: Installer) -> None:
    below = f"{installer.redirect_uri}/deeper?x=1"
    callback = installer.slack.authorize(ANN, installer.authorize_url(redirect_uri=below))
    assert callback.startswith(f"{installer.redirect_uri}/deeper?x=1&code=")


def test_cancel_returns_access_denied_and_the_state(installer: Installer) -> None:
    query = _query(installer.slack.cancel(installer.authorize_url()))
    assert query == {"error": "access_denied", "state": "state-1"}


def test_a_directory_install_has_an_empty_state(installer: Installer) -> None:
    callback = installer.slack.issue_code(ANN)
    query = _query(callback)
    assert callback.startswith(installer.redirect_uri)
    assert query["state"] == ""
    answer = _redeem(installer, query["code"], redirect_uri=None)
    assert answer["authed_user"]["id"] == ANN


def test_install_grants_the_scopes_of_the_manifest(
    server: SandboxServer, slack: Sandbox, installer: Installer
) -> None:
    answer = slack.install(BEN)
    assert (answer["scope"], answer["team"]["id"]) == (",".join(BOT_SCOPES), ACME)
    assert answer["authed_user"]["id"] == BEN
    client = WebClient(token=answer["access_token"], base_url=f"{server.url}/api/")
    assert client.auth_test()["user_id"] == answer["bot_user_id"]
    assert slack.install(WES, SOUTH)["enterprise"]["id"] == GRID
    with pytest.raises(AuthorizeError):
        slack.install(GUEST)


def test_the_consent_page_lists_people_and_redirects(installer: Installer) -> None:
    url = installer.authorize_url(state="a state & more")
    text = request(url).text
    assert "This is not Slack" in text
    for words in ("Ann Archer", "Ben Baker", "Globex Grid", "Send messages as itself"):
        assert words in text
    assert "Gus Guest" not in text

    form = {**_query(url), "who": f"{ACME}:{BEN}", "decision": "allow"}
    answer = request(url.partition("?")[0], urlencode(form).encode(), FORM)
    assert answer.status == 302
    query = _query(answer.headers["Location"])
    assert query["state"] == "a state & more"
    assert _redeem(installer, query["code"])["authed_user"]["id"] == BEN


def test_optional_scopes_are_left_out_unless_they_are_chosen(
    slack: Sandbox, installer: Installer
) -> None:
    optional = ("files:write", "reactions:write")
    slack.config = replace(
        slack.config, bot_scopes=(*BOT_SCOPES, *optional), optional_bot_scopes=optional
    )
    url = installer.authorize_url(scope=",".join(slack.config.bot_scopes))
    assert 'name="optional" value="files:write"' in request(url).text
    first = _redeem(installer, _query(slack.authorize(ANN, url))["code"])
    assert first["scope"] == ",".join(BOT_SCOPES)

    form = {**_query(url), "who": f"{ACME}:{BEN}", "decision": "allow", "optional": "files:write"}
    answer = request(url.partition("?")[0], urlencode(form).encode(), FORM)
    second = _redeem(installer, _query(answer.headers["Location"])["code"])
    assert second["scope"] == ",".join([*BOT_SCOPES, "files:write"])
    assert slack.install(ANN)["scope"] == second["scope"]


class TestRotation:
    def _installed(self, make_server: MakeServer) -> tuple[Installer, dict[str, Any]]:
        installer = Installer(make_server(token_rotation=True))
        return installer, installer.install()

    def _refresh(self, installer: Installer, refresh_token: str) -> dict[str, Any]:
        data = installer.client.oauth_v2_access(
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            grant_type="refresh_token",
            refresh_token=refresh_token,
        ).data
        assert isinstance(data, dict)
        return data

    def _works(self, installer: Installer, token: str) -> str:
        try:
            installer.client.auth_test(token=token)
        except SlackApiError as error:
            return str(error.response["error"])
        return "yes"

    def test_tokens_expire_at_both_levels(self, make_server: MakeServer) -> None:
        _, answer = self._installed(make_server)
        for level in (answer, answer["authed_user"]):
            assert level["access_token"].startswith("xoxe.xox")
            assert level["refresh_token"].startswith("xoxe-1-")
            assert level["expires_in"] == 43_200

    def test_an_expired_token_is_rejected(self, make_server: MakeServer, clock: FakeClock) -> None:
        installer, answer = self._installed(make_server)
        assert self._works(installer, answer["access_token"]) == "yes"
        clock.move(43_200)
        assert self._works(installer, answer["access_token"]) == "token_expired"

    def test_a_refresh_token_works_once(self, make_server: MakeServer) -> None:
        installer, answer = self._installed(make_server)
        fresh = self._refresh(installer, answer["refresh_token"])
        assert fresh["access_token"] != answer["access_token"]
        assert fresh["scope"] == answer["scope"]
        with pytest.raises(SlackApiError) as caught:
            self._refresh(installer, answer["refresh_token"])
        assert _error(caught) == "invalid_refresh_token"

    def test_two_tokens_at_most_are_live(self, make_server: MakeServer) -> None:
        installer, answer = self._installed(make_server)
        second = self._refresh(installer, answer["refresh_token"])
        assert self._works(installer, answer["access_token"]) == "yes"
        third = self._refresh(installer, second["refresh_token"])
        assert self._works(installer, answer["access_token"]) == "token_expired"
        assert self._works(installer, second["access_token"]) == "yes"
        assert self._works(installer, third["access_token"]) == "yes"

    def test_revoking_a_rotating_token_sends_no_event(self, make_server: MakeServer) -> None:
        installer, answer = self._installed(make_server)
        installer.client.auth_revoke(token=answer["access_token"])
        assert self._works(installer, answer["access_token"]) == "token_revoked"
        assert installer.slack.deliveries == []
