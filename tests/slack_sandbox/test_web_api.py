"""The Web API: dispatch, authentication, users, conversations and rate limits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from slack_sandbox import Sandbox, SandboxServer
from slack_sandbox.limits import Tier
from slack_sandbox.seed import (
    ACME,
    ANN,
    ANN_AT_BETA,
    BEN,
    DEACTIVATED,
    GRID,
    GUEST,
    NORTH,
    PLAIN,
    SOUTH,
    WES,
)
from tests.slack_sandbox.client import request
from tests.slack_sandbox.conftest import FakeClock, Installer, MakeServer


def _error(error: pytest.ExceptionInfo[SlackApiError]) -> str:
    code = error.value.response["error"]
    assert isinstance(code, str)
    return code


def _post(
    server: SandboxServer, method: str, body: bytes, headers: dict[str, str]
) -> dict[str, Any]:
    parsed = request(f"{server.url}/api/{method}", body, headers).json
    assert isinstance(parsed, dict)
    return parsed


def _org_client(server: SandboxServer, installer: Installer) -> WebClient:
    token = installer.install(WES, org=True)["access_token"]
    return WebClient(token=token, base_url=f"{server.url}/api/")


class TestDispatch:
    def test_a_call_without_a_token_is_not_authed(self, installer: Installer) -> None:
        with pytest.raises(SlackApiError) as caught:
            installer.client.auth_test()
        assert _error(caught) == "not_authed"

    def test_an_unknown_token_is_invalid_auth(self, installer: Installer) -> None:
        with pytest.raises(SlackApiError) as caught:
            installer.client.auth_test(token="xoxb-1")
        assert _error(caught) == "invalid_auth"

    def test_an_unknown_method_is_rejected(self, bot: WebClient) -> None:
        with pytest.raises(SlackApiError) as caught:
            bot.api_call("users.banish")
        assert _error(caught) == "unknown_method"

    def test_missing_scope_contains_needed_and_provided_scopes(self, installer: Installer) -> None:
        token = installer.install(scope="commands")["access_token"]
        with pytest.raises(SlackApiError) as caught:
            installer.client.users_info(token=token, user=ANN)
        answer = caught.value.response
        assert answer["error"] == "missing_scope"
        assert (answer["needed"], answer["provided"]) == ("users:read", "commands")
        assert answer.headers["x-oauth-scopes"] == "commands"
        assert answer.headers["x-accepted-oauth-scopes"] == "users:read"

    def test_json_without_a_charset_has_a_warning(
        self, server: SandboxServer, bot: WebClient
    ) -> None:
        headers = {"Authorization": f"Bearer {bot.token}", "Content-Type": "application/json"}
        answer = _post(server, "auth.test", b"{}", headers)
        assert answer["ok"] is True
        assert answer["warning"] == "missing_charset"
        assert answer["response_metadata"] == {"warnings": ["missing_charset"]}

    def test_a_token_in_a_json_body_is_ignored(self, server: SandboxServer, bot: WebClient) -> None:
        body = json.dumps({"token": bot.token}).encode()
        headers = {"Content-Type": "application/json; charset=utf-8"}
        assert _post(server, "auth.test", body, headers)["error"] == "not_authed"

    def test_json_is_ignored_by_methods_that_accept_forms(
        self, server: SandboxServer, bot: WebClient
    ) -> None:
        headers = {
            "Authorization": f"Bearer {bot.token}",
            "Content-Type": "application/json; charset=utf-8",
        }
        body = json.dumps({"user": ANN}).encode()
        assert _post(server, "users.info", body, headers)["error"] == "invalid_arguments"

    @pytest.mark.parametrize(
        ("kind", "body", "error"),
        [
            ("application/json; charset=utf-8", b"{", "invalid_json"),
            ("application/json; charset=utf-8", b"[]", "json_not_object"),
            ("text/plain", b"hello", "invalid_post_type"),
        ],
    )
    def test_a_malformed_body_is_rejected(
        self, server: SandboxServer, bot: WebClient, kind: str, body: bytes, error: str
    ) -> None:
        headers = {"Authorization": f"Bearer {bot.token}", "Content-Type": kind}
        assert _post(server, "chat.postMessage", body, headers)["error"] == error

    def test_a_token_can_be_a_form_field(self, server: SandboxServer, bot: WebClient) -> None:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = _post(server, "auth.test", f"token={bot.token}".encode(), headers)
        assert answer["ok"] is True


class TestAuth:
    def test_auth_test_identifies_the_bot(self, bot: WebClient, slack: Sandbox) -> None:
        answer = bot.auth_test()
        assert (answer["team_id"], answer["team"]) == (ACME, "Acme")
        assert answer["url"] == "https://acme.slack.com/"
        user = slack.users[answer["user_id"]]
        assert user.is_bot
        assert answer["bot_id"] == user.bot_id

    def test_auth_test_of_an_organization(
        self, server: SandboxServer, installer: Installer
    ) -> None:
        answer = _org_client(server, installer).auth_test()
        assert answer["enterprise_id"] == GRID
        assert answer["is_enterprise_install"] is True

    def test_revoking_a_user_token_keeps_the_bot_token(
        self, installer: Installer, slack: Sandbox
    ) -> None:
        answer = installer.install()
        token = answer["authed_user"]["access_token"]
        client = installer.client
        assert client.auth_revoke(token=token, test=True)["revoked"] is False
        assert client.auth_revoke(token=token)["revoked"] is True
        with pytest.raises(SlackApiError) as caught:
            client.auth_test(token=token)
        assert _error(caught) == "token_revoked"
        assert client.auth_test(token=answer["access_token"])["ok"] is True
        slack.deliver_due()
        assert [delivery.name for delivery in slack.deliveries] == ["tokens_revoked"]

    def test_revoking_the_last_token_uninstalls(self, installer: Installer, slack: Sandbox) -> None:
        token = installer.install(scope="", user_scope="users:read")["authed_user"]["access_token"]
        installer.client.auth_revoke(token=token)
        assert slack.installations == {}
        assert [delivery.name for delivery in slack.deliveries] == [
            "tokens_revoked",
            "app_uninstalled",
        ]


class TestUsers:
    def test_users_info_returns_a_user(self, bot: WebClient) -> None:
        user = bot.users_info(user=ANN, include_locale=True)["user"]
        assert (user["id"], user["team_id"], user["tz"]) == (ANN, ACME, "Europe/Helsinki")
        assert user["tz_offset"] == 10_800  # summer time in June 2025
        assert user["locale"] == "en-GB"
        assert user["is_admin"] is True
        assert user["profile"]["email"] == "ann@acme.example"
        assert user["profile"]["title"] == "Head Porter"
        assert user["profile"]["image_72"].endswith("/72.svg")

    def test_the_profile_picture_can_be_fetched(self, bot: WebClient) -> None:
        url = bot.users_info(user=ANN)["user"]["profile"]["image_192"]
        picture = request(url)
        assert picture.headers["Content-Type"].startswith("image/svg+xml")
        assert ">AA<" in picture.text

    def test_the_email_needs_its_scope(self, installer: Installer) -> None:
        token = installer.install(scope="users:read")["access_token"]
        user = installer.client.users_info(token=token, user=ANN)["user"]
        assert "email" not in user["profile"]
        assert "locale" not in user

    def test_a_user_without_time_zone_and_email(self, bot: WebClient) -> None:
        user = bot.users_info(user=PLAIN)["user"]
        assert "tz" not in user
        assert "email" not in user["profile"]

    def test_a_deactivated_user_and_a_guest(self, bot: WebClient) -> None:
        gone = bot.users_info(user=DEACTIVATED)["user"]
        assert gone["deleted"] is True
        assert "is_admin" not in gone
        assert bot.users_info(user=GUEST)["user"]["is_restricted"] is True

    @pytest.mark.parametrize("user", ["U0NOBODY", ANN_AT_BETA])
    def test_a_user_outside_the_workspace_is_not_found(self, bot: WebClient, user: str) -> None:
        with pytest.raises(SlackApiError) as caught:
            bot.users_info(user=user)
        assert _error(caught) == "user_not_found"

    def test_lookup_by_email_ignores_case(self, bot: WebClient) -> None:
        assert bot.users_lookupByEmail(email="BEN@acme.example")["user"]["id"] == BEN
        with pytest.raises(SlackApiError) as caught:
            bot.users_lookupByEmail(email="nobody@acme.example")
        assert _error(caught) == "users_not_found"

    def test_an_organization_token_needs_a_team_id(
        self, server: SandboxServer, installer: Installer
    ) -> None:
        client = _org_client(server, installer)
        with pytest.raises(SlackApiError) as caught:
            client.conversations_list()
        assert _error(caught) == "missing_argument"
        with pytest.raises(SlackApiError) as caught:
            client.conversations_list(team_id=ACME)
        assert _error(caught) == "team_access_not_granted"
        for team_id in (NORTH, SOUTH):
            channels = client.conversations_list(team_id=team_id)["channels"]
            assert {channel["context_team_id"] for channel in channels} == {team_id}
        user = client.users_info(user=WES)["user"]
        assert user["enterprise_user"]["teams"] == [NORTH, SOUTH]

    def test_users_are_listed_by_page(self, bot: WebClient) -> None:
        whole = [user["id"] for user in bot.users_list()["members"]]
        pages = [user["id"] for page in bot.users_list(limit=2) for user in page["members"]]

        assert ANN in whole
        assert pages == whole

    def test_team_info(self, bot: WebClient) -> None:
        team = bot.team_info()["team"]
        assert (team["id"], team["name"], team["domain"]) == (ACME, "Acme", "acme")


@pytest.mark.parametrize(
    "method",
    [
        "apps.uninstall",
        "chat.scheduleMessage",
        "conversations.members",
        "oauth.v2.exchange",
        "openid.connect.token",
        "openid.connect.userInfo",
        "views.push",
    ],
)
def test_an_unsupported_method_is_unknown(bot: WebClient, method: str) -> None:
    with pytest.raises(SlackApiError) as caught:
        bot.api_call(method)
    assert _error(caught) == "unknown_method"


class TestConversations:
    def _names(self, answer: Any) -> list[str]:
        return [channel["name"] for channel in answer["channels"]]

    def test_the_list_is_filtered(self, bot: WebClient) -> None:
        assert "old-news" in self._names(bot.conversations_list())
        assert self._names(bot.conversations_list(exclude_archived=True)) == [
            "general",
            "random",
            "deploys",
            "alerts",
        ]
        assert self._names(bot.conversations_list(types="private_channel")) == []

    def test_a_member_sees_private_channels(self, installer: Installer) -> None:
        answer = installer.install(user_scope="groups:read,channels:read")
        token = answer["authed_user"]["access_token"]
        listed = installer.client.conversations_list(token=token, types="private_channel")
        assert self._names(listed) == ["leads"]

    def test_hundreds_of_channels_have_pages(self, bot: WebClient, slack: Sandbox) -> None:
        slack.add_channels(ACME, 250)
        names = [
            name
            for page in bot.conversations_list(limit=100, exclude_archived=True)
            for name in self._names(page)
        ]
        assert len(names) == len(set(names)) == 254
        assert names[-1] == "channel-250"

    def test_adding_a_channel_between_pages_neither_skips_nor_repeats(
        self, bot: WebClient, slack: Sandbox
    ) -> None:
        first = bot.conversations_list(limit=2)
        slack.add_channel(ACME, "late")
        second = bot.conversations_list(limit=10, cursor=first["response_metadata"]["next_cursor"])
        assert self._names(second)[0] == "deploys"
        assert self._names(second)[-1] == "late"

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"cursor": "bad"}, "invalid_cursor"),
            ({"limit": 5000}, "invalid_limit"),
            ({"types": "secret_channel"}, "invalid_types"),
            ({"types": "im"}, "missing_scope"),
        ],
    )
    def test_invalid_list_arguments_are_rejected(
        self, bot: WebClient, arguments: dict[str, Any], error: str
    ) -> None:
        with pytest.raises(SlackApiError) as caught:
            bot.conversations_list(**arguments)
        assert _error(caught) == error

    def test_users_conversations_hides_channels_the_bot_cannot_see(
        self, bot: WebClient, slack: Sandbox
    ) -> None:
        channels = ("private_channel", "public_channel,private_channel")
        assert self._names(bot.users_conversations(user=ANN, types=channels[0])) == []
        leads = next(channel for channel in slack.channels.values() if channel.name == "leads")
        slack.invite_bot(ANN, leads.id)

        assert self._names(bot.users_conversations(user=ANN, types=channels[0])) == ["leads"]
        assert self._names(bot.users_conversations(user=BEN, types=channels[0])) == []
        assert self._names(bot.users_conversations(user=BEN, types=channels[1])) == [
            "general",
            "random",
            "deploys",
            "old-news",
        ]
        assert self._names(bot.users_conversations(types=channels[0])) == ["leads"]
        first_page = bot.users_conversations(user=ANN, limit=1)
        assert "is_member" not in first_page["channels"][0]
        assert first_page["response_metadata"]["next_cursor"]
        for arguments, error in (
            ({"user": "U0NOBODY"}, "user_not_found"),
            ({"limit": 1000}, "invalid_limit"),
            ({"types": "im"}, "missing_scope"),
        ):
            with pytest.raises(SlackApiError) as caught:
                bot.users_conversations(**arguments)
            assert _error(caught) == error

    def test_joining_a_channel(self, bot: WebClient, general: str) -> None:
        assert bot.conversations_info(channel=general)["channel"]["is_member"] is False
        assert bot.conversations_join(channel=general)["channel"]["is_member"] is True
        again = bot.conversations_join(channel=general)
        assert again["warning"] == "already_in_channel"
        info = bot.conversations_info(channel=general, include_num_members=True)["channel"]
        assert info["num_members"] == 4

    def test_archived_and_private_channels_cannot_be_joined(
        self, bot: WebClient, slack: Sandbox
    ) -> None:
        ids = {
            channel.name: channel.id
            for channel in slack.channels.values()
            if channel.team_id == ACME
        }
        for name, error in (("old-news", "is_archived"), ("leads", "channel_not_found")):
            with pytest.raises(SlackApiError) as caught:
                bot.conversations_join(channel=ids[name])
            assert _error(caught) == error

    def test_opening_a_direct_message(self, bot: WebClient) -> None:
        first = bot.conversations_open(users=BEN)
        again = bot.conversations_open(users=[BEN], return_im=True)
        assert first["channel"]["id"] == again["channel"]["id"]
        assert again["already_open"] is True
        assert again["channel"]["user"] == BEN

    @pytest.mark.parametrize(
        ("user", "error"), [(DEACTIVATED, "user_disabled"), ("U0NOBODY", "user_not_found")]
    )
    def test_a_direct_message_needs_an_active_user(
        self, bot: WebClient, user: str, error: str
    ) -> None:
        with pytest.raises(SlackApiError) as caught:
            bot.conversations_open(users=user)
        assert _error(caught) == error

    def test_history_has_pages_without_replies(
        self, bot: WebClient, slack: Sandbox, general: str
    ) -> None:
        with pytest.raises(SlackApiError) as caught:
            bot.conversations_history(channel=general)
        assert _error(caught) == "not_in_channel"
        bot.conversations_join(channel=general)
        posted = [slack.post_as(ANN, general, f"number {index}") for index in range(5)]
        slack.post_as(BEN, general, "a reply", thread_ts=posted[0].ts)

        pages = [
            (page["messages"], page["has_more"])
            for page in bot.conversations_history(channel=general, limit=2)
        ]
        assert [message["text"] for messages, _ in pages for message in messages] == [
            f"number {index}" for index in (4, 3, 2, 1, 0)
        ]
        assert [more for _, more in pages] == [True, True, False]
        parent = pages[-1][0][-1]
        assert parent["reply_count"] == 1
        thread = bot.conversations_replies(channel=general, ts=posted[0].ts)["messages"]
        assert [message["text"] for message in thread] == ["number 0", "a reply"]
        assert thread[1]["parent_user_id"] == ANN
        after = bot.conversations_history(channel=general, oldest=posted[3].ts)["messages"]
        assert [message["text"] for message in after] == ["number 4"]


class TestLimits:
    def test_a_tier_limits_a_workspace_and_refills(
        self, bot: WebClient, slack: Sandbox, clock: FakeClock
    ) -> None:
        for _ in range(slack.limits.per_minute[Tier.TWO]):
            bot.conversations_list()
        with pytest.raises(SlackApiError) as caught:
            bot.conversations_list()
        answer = caught.value.response
        assert answer.status_code == 429
        assert answer["error"] == "ratelimited"
        seconds = int(answer.headers["Retry-After"])
        assert seconds == 3
        bot.users_info(user=ANN)
        clock.move(seconds)
        bot.conversations_list()

    def test_posting_is_limited_to_one_per_second_per_channel(
        self, bot: WebClient, slack: Sandbox, clock: FakeClock, general: str
    ) -> None:
        random = next(
            channel.id
            for channel in slack.channels.values()
            if (channel.team_id, channel.name) == (ACME, "random")
        )
        for channel in (general, random):
            bot.conversations_join(channel=channel)
        for _ in range(slack.limits.posting_burst):
            bot.chat_postMessage(channel=general, text="hello")
        with pytest.raises(SlackApiError) as caught:
            bot.chat_postMessage(channel=general, text="hello")
        assert caught.value.response.status_code == 429
        assert caught.value.response.headers["Retry-After"] == "1"
        bot.chat_postMessage(channel=random, text="hello")
        clock.move(1)
        bot.chat_postMessage(channel=general, text="hello")
        with pytest.raises(SlackApiError):
            bot.chat_postMessage(channel=general, text="hello")

    def test_posting_is_limited_per_workspace(
        self, bot: WebClient, slack: Sandbox, general: str
    ) -> None:
        bot.conversations_join(channel=general)
        slack.limits.posting_burst, slack.limits.posts_per_minute = 100, 6
        for _ in range(6):
            bot.chat_postMessage(channel=general, text="hello")
        with pytest.raises(SlackApiError) as caught:
            bot.chat_postMessage(channel=general, text="hello")
        assert caught.value.response.headers["Retry-After"] == "10"

    def test_an_hour_without_calls_earns_no_more_than_a_burst(
        self, bot: WebClient, slack: Sandbox, clock: FakeClock
    ) -> None:
        bot.conversations_list()
        clock.move(3600)
        for _ in range(slack.limits.per_minute[Tier.TWO]):
            bot.conversations_list()
        with pytest.raises(SlackApiError):
            bot.conversations_list()

    def test_limits_can_be_disabled(self, bot: WebClient, slack: Sandbox) -> None:
        slack.limits.enabled = False
        for _ in range(30):
            bot.conversations_list()


def test_calls_are_logged_until_reset(bot: WebClient, slack: Sandbox) -> None:
    bot.users_info(user=ANN)
    call = slack.calls_to("users.info")[0]
    assert call.arguments["user"] == ANN
    assert call.token == bot.token
    assert call.answer is not None
    assert call.answer["ok"] is True
    assert bot.token is not None
    assert bot.token not in repr(call)
    slack.reset()
    assert slack.calls == []
    with pytest.raises(SlackApiError) as caught:
        bot.auth_test()
    assert _error(caught) == "invalid_auth"


def test_servers_are_independent(make_server: MakeServer) -> None:
    first, second = Installer(make_server()), Installer(make_server())
    token = first.install()["access_token"]
    with pytest.raises(SlackApiError) as caught:
        second.client.auth_test(token=token)
    assert _error(caught) == "invalid_auth"
