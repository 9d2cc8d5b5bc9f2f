"""Channels of an organization, and the workspaces that they are in.

The token of an organization-wide installation reaches the channels of all workspaces that it
serves. The senders of a workspace may use only those in the workspace or shared with it.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy import select

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import ChannelMove
from bolt_app.recent_answers import RecentAnswers
from bolt_app.slack_api import SlackCallError
from bolt_app.workspaces.channels import (
    LISTING_LIFETIME,
    NOT_FOUND,
    Channels,
    is_in_workspace,
)
from bolt_app.workspaces.client import BotWorkspace, WorkspaceClient
from bolt_app.workspaces.lookup_budgets import CONVERSATIONS_INFO, LookupBudgets, LookupShare

logger = logging.getLogger(__name__)

REMEMBERED_FOR = timedelta(minutes=5)
MOST_REMEMBERED = 10_000


class OrganizationChannels:
    """Decides whether the senders of a workspace may use a channel's id."""

    def __init__(
        self,
        database: Database,
        client: WorkspaceClient,
        channels: Channels,
        budgets: LookupBudgets,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._client = client
        self._channels = channels
        self._budgets = budgets
        # By workspace and channel.
        self._known: RecentAnswers[tuple[str, str], bool] = RecentAnswers(
            REMEMBERED_FOR, MOST_REMEMBERED, clock
        )

    def require(self, workspace: BotWorkspace, channel_id: str, share: LookupShare) -> None:
        """Require that a channel is in a workspace or shared with it.

        A workspace's own installation reaches no others: Slack itself decides there.

        Raises:
            NotInstalledError: the workspace has no bot.
            LookupLimitError: Slack would have to be asked too often.
            SlackCallError: it is not, or the bot cannot see it (`channel_not_found`), or Slack does
                not answer.
        """
        if not workspace.is_enterprise_install:
            return
        channel_id = self._current_id(workspace.team_id, channel_id)
        if self._is_listed(workspace, channel_id):
            return
        key = workspace.team_id, channel_id
        known = self._known.find(key)
        if known is None:
            known = self._known.ask(key, lambda: self._ask(workspace, channel_id, share))
        if not known:
            raise SlackCallError(CONVERSATIONS_INFO, NOT_FOUND)

    def _current_id(self, team_id: str, channel_id: str) -> str:
        """Return the id of a channel whose id has changed: senders may use the former one."""
        moved = select(ChannelMove.new_id).where(
            ChannelMove.team_id == team_id, ChannelMove.old_id == channel_id
        )
        with self._database.reading_connection() as connection:
            return connection.scalar(moved) or channel_id

    def _is_listed(self, workspace: BotWorkspace, channel_id: str) -> bool:
        try:
            self._channels.list_if_older(workspace, LISTING_LIFETIME)
        except SlackCallError as error:
            if error.is_dead_token:
                raise
            logger.info("the channels could not be listed", extra={"error": error.code})
        return self._channels.is_listed(workspace.team_id, channel_id)

    def _ask(self, workspace: BotWorkspace, channel_id: str, share: LookupShare) -> bool:
        """Ask Slack about a channel that is not listed: a new one, for example.

        https://docs.slack.dev/reference/methods/conversations.info
        """
        self._budgets.take(CONVERSATIONS_INFO, workspace.team_id, share)
        try:
            answer = self._client.as_bot(workspace, CONVERSATIONS_INFO, channel=channel_id)
        except SlackCallError as error:
            if error.is_dead_token or not error.is_permanent:
                raise
            if error.code != NOT_FOUND:
                # A scope is missing, for example: what cannot be verified is not used.
                logger.warning("a channel cannot be verified", extra={"error": error.code})
            return False
        return is_in_workspace(workspace, answer["channel"])
