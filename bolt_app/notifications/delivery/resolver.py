"""The resolver: finds the channel or person that a name, e-mail address or conversation means."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bolt_app.clock import Clock, utc_now
from bolt_app.db import DATABASE_UNAVAILABLE
from bolt_app.delays import Delays
from bolt_app.notifications.delivery.outcomes import (
    Outcome,
    classify_error,
    dead_installation,
    internal_error,
)
from bolt_app.slack_api import SlackCallError
from bolt_app.slack_ids import is_conversation
from bolt_app.slack_threads import SlackThreads
from bolt_app.workspaces.channels import Channels
from bolt_app.workspaces.client import NotInstalledError, WorkspaceClient
from bolt_app.workspaces.lookup_budgets import LookupShare
from bolt_app.workspaces.users import Users

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResolvedDestination:
    """A destination: the id of a channel or person."""

    address: str = field(repr=False)


@dataclass(frozen=True)
class UnlistedChannel:
    """A channel name that was not in the latest listing of channels.

    Deliveries accepted after the listing may be for a channel created since.
    """

    listed_at: datetime
    wait: float


class DestinationResolver:
    """Resolves the addresses of lanes, with one listing of channels a minute in each workspace."""

    def __init__(
        self,
        client: WorkspaceClient,
        channels: Channels,
        users: Users,
        delays: Delays,
        threads: SlackThreads,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._client = client
        self._channels = channels
        self._users = users
        self._delays = delays
        self._threads = threads
        self._clock = clock

    async def resolve_soon(
        self, team_id: str, address: str, attempts: int, senders: Collection[str]
    ) -> ResolvedDestination | UnlistedChannel | Outcome:
        """Resolve like `resolve`, from a coroutine on the HTTP loop."""
        return await self._threads.run(team_id, self.resolve, team_id, address, attempts, senders)

    def resolve(
        self, team_id: str, address: str, attempts: int, senders: Collection[str]
    ) -> ResolvedDestination | UnlistedChannel | Outcome:
        """Return the destination of a lane, or the reason why it is unknown.

        Args:
            address: `#name`, `@email`, or the id of a direct message.
            attempts: how often it was tried.
            senders: of the lane's deliveries; at least one.

        Raises:
            DATABASE_UNAVAILABLE: the database is not answering.
        """
        try:
            return self._resolve(team_id, address, LookupShare.of_delivery(*senders))
        except NotInstalledError:
            return dead_installation("not_installed", self._delays)
        except SlackCallError as error:
            return classify_error(error, attempts, self._delays)
        except DATABASE_UNAVAILABLE:
            raise
        except Exception:
            logger.exception("an address cannot be resolved")
            return internal_error(attempts, self._delays)

    def _resolve(
        self, team_id: str, address: str, share: LookupShare
    ) -> ResolvedDestination | UnlistedChannel:
        workspace = self._client.find_workspace(team_id)
        if address.startswith("@"):
            email = address.removeprefix("@")
            return ResolvedDestination(self._users.find(workspace, email, share))
        if is_conversation(address):
            # Its person decides: whether they may receive it, and their quiet hours.
            user_id = self._users.find_by_conversation(workspace, address, share)
            return ResolvedDestination(user_id)
        name = address.removeprefix("#")
        found = self._channels.find_listed(team_id, name)
        if found is not None:
            return ResolvedDestination(found)
        interval = timedelta(seconds=self._delays.listing)
        # Also after a failure none is made for a while: others need the listing too.
        self._channels.list_if_older(workspace, interval, waits=True)
        found = self._channels.find_listed(team_id, name)
        if found is not None:
            return ResolvedDestination(found)
        listed_at = self._channels.listed_at(team_id) or self._clock()
        wait = (listed_at + interval - self._clock()).total_seconds()
        return UnlistedChannel(listed_at, max(wait, 0.0))
