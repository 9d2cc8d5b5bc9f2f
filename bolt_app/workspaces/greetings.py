"""Messages that the bot posts directly: greetings and the welcome after an install."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bolt_app.clock import Clock, utc_now
from bolt_app.slack_api import SlackCallError
from bolt_app.sliding_limit import SlidingLimit
from bolt_app.workspaces.channels import Channels
from bolt_app.workspaces.client import BotWorkspace, WorkspaceClient
from bolt_app.workspaces.hello import (
    hello_blocks,
    hello_text,
    welcome_blocks,
    welcome_text,
)
from bolt_app.workspaces.lookup_budgets import LookupShare
from bolt_app.workspaces.organization_channels import OrganizationChannels

TEXT_LIMIT = 40_000  # Slack cuts what is longer (https://docs.slack.dev/changelog/2018-04-truncating-really-long-messages)

_SHARE = LookupShare.of_call("greetings")
# Per ten minutes.
HELLOS_BY_PERSON, HELLOS_IN_CHANNEL = 5, 3


class MessageError(Exception):
    """The message cannot be posted; the error explains why."""


@dataclass(frozen=True)
class PostedMessage:
    """A posted message."""

    channel_id: str
    ts: str
    permalink: str | None


class TooManyGreetingsError(Exception):
    """The limit of greetings by one person or in one channel is reached."""

    def __init__(self, wait: float) -> None:
        minutes = math.ceil(wait / 60)
        super().__init__(
            "Too many greetings for now: try again in "
            f"{minutes} {'minute' if minutes == 1 else 'minutes'}."
        )


class Greetings:
    """Posts messages as the bot of a workspace."""

    def __init__(
        self,
        client: WorkspaceClient,
        channels: Channels,
        organization_channels: OrganizationChannels,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._client = client
        self._channels = channels
        self._organization_channels = organization_channels
        self._clock = clock
        window = timedelta(minutes=10)
        self._by_person = SlidingLimit(HELLOS_BY_PERSON, window, clock=clock)
        self._in_channel = SlidingLimit(HELLOS_IN_CHANNEL, window, clock=clock)
        # The end of Slack's pause for messages in a workspace.
        self._paused: dict[str, datetime] = {}

    def post(
        self,
        workspace: BotWorkspace,
        channel: str,
        text: str,
        *,
        blocks: list[dict[str, Any]] | None = None,
    ) -> PostedMessage:
        """Post `text` to `channel` (`#name` or an id), joining a public channel if necessary.

        Args:
            text: mrkdwn; with `blocks` it is used for screen readers and banners.

        Raises:
            MessageError: the text is empty or too long.
            NotInstalledError: the workspace has no bot.
            SlackCallError: the call failed.
        """
        if not text.strip():
            raise MessageError("The message has no text.")
        if len(text) > TEXT_LIMIT:
            raise MessageError(
                f"The message has {len(text):,} characters, and Slack allows {TEXT_LIMIT:,}: "
                "shorten it."
            )
        channel_id = self._channels.find(workspace, channel)
        if channel_id is None:
            raise SlackCallError("conversations.list", "channel_not_found")
        self._organization_channels.require(workspace, channel_id, _SHARE)
        answer = self._post_or_join(workspace, channel_id, text, blocks)
        posted_to, ts = str(answer["channel"]), str(answer["ts"])
        return PostedMessage(posted_to, ts, self._permalink(workspace, posted_to, ts))

    def hello(self, workspace: BotWorkspace, channel_id: str, user_id: str) -> PostedMessage:
        """Introduce the bot in a channel, on behalf of the person who chose it.

        Raises:
            NotInstalledError: the workspace has no bot.
            SlackCallError: the call failed.
            TooManyGreetingsError: the limit of this person or channel is reached.
        """
        wait = self._by_person.take(f"{workspace.team_id}/{user_id}")
        wait = wait or self._in_channel.take(f"{workspace.team_id}/{channel_id}")
        if wait:
            raise TooManyGreetingsError(wait)
        return self.post(workspace, channel_id, hello_text(user_id), blocks=hello_blocks(user_id))

    def welcome(self, workspace: BotWorkspace, user_id: str, profile_url: str) -> None:
        """Send the person who installed the bot a direct message with the next steps.

        Raises:
            NotInstalledError: the workspace has no bot.
            SlackCallError: the call failed.
        """
        self._client.as_bot(
            workspace,
            "chat.postMessage",
            channel=user_id,
            text=welcome_text(),
            blocks=welcome_blocks(profile_url),
            unfurl_links=False,
        )

    def _post_or_join(
        self,
        workspace: BotWorkspace,
        channel_id: str,
        text: str,
        blocks: list[dict[str, Any]] | None,
    ) -> dict[str, Any]:
        message = {"channel": channel_id, "text": text, "blocks": blocks}
        try:
            return self._post_once(workspace, message)
        except SlackCallError as error:
            if error.code != "not_in_channel":
                raise
        self._channels.join(workspace, channel_id)
        return self._post_once(workspace, message)

    def _post_once(self, workspace: BotWorkspace, message: dict[str, Any]) -> dict[str, Any]:
        """Post, unless Slack's pause for the workspace is not over.

        `RateLimits` leaves chat.postMessage to the delivery engine, which paces itself.
        """
        now = self._clock()
        left = (self._paused.get(workspace.team_id, now) - now).total_seconds()
        if left > 0:
            raise SlackCallError("chat.postMessage", "ratelimited", retry_after=math.ceil(left))
        try:
            return self._client.as_bot(workspace, "chat.postMessage", **message)
        except SlackCallError as error:
            if error.retry_after is not None:
                self._paused[workspace.team_id] = now + timedelta(seconds=error.retry_after)
            raise

    def _permalink(self, workspace: BotWorkspace, channel_id: str, ts: str) -> str | None:
        try:
            answer = self._client.as_bot(
                workspace, "chat.getPermalink", channel=channel_id, message_ts=ts
            )
        except SlackCallError:
            return None  # the message is posted; the link is optional
        return str(answer["permalink"])
