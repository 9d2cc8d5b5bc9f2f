"""Channels of a workspace that the bot can see: listing, search and joining."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import SystemRandom
from threading import Lock
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database, PreparedSelect
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import Channel, ChannelListing, Subscription
from bolt_app.db.upsert import upsert
from bolt_app.recipients import normal_channel_name
from bolt_app.slack_api import OVERLOADED, SlackCallError
from bolt_app.slack_ids import looks_like_channel_id
from bolt_app.text_forms import visible
from bolt_app.workspaces.channel_names import find_named
from bolt_app.workspaces.client import BotWorkspace, WorkspaceClient
from bolt_app.workspaces.lookup_budgets import CONVERSATIONS_INFO, CONVERSATIONS_JOIN
from bolt_app.workspaces.store_ids import StoreIds

logger = logging.getLogger(__name__)

LIST = "conversations.list"
NOT_FOUND = "channel_not_found"
# How long a listing is current. conversations.list is a "tier 2" method, with about twenty calls
# per minute (https://docs.slack.dev/reference/methods/conversations.list).
LISTING_LIFETIME = timedelta(minutes=5)
# How long a listing decides what people may see while Slack does not answer; then none is public.
LISTING_GRACE = timedelta(minutes=15)
# After a listing that Slack did not answer.
LIST_AGAIN_SECONDS = 10.0, 60.0
_RANDOM = SystemRandom()
PAGE_SIZE = 999
_LISTED_AT = PreparedSelect(
    select(ChannelListing.listed_at).where(ChannelListing.team_id == bindparam("team_id"))
)
IS_PUBLIC = and_(Channel.is_private.is_(False), Channel.is_archived.is_(False))


@dataclass(frozen=True)
class PublicChannel:
    """A public channel that is not archived."""

    channel_id: str
    name: str
    is_member: bool
    member_count: int


@dataclass(frozen=True)
class ListedChannel:
    """A channel of the last listing: public, or private with the bot in it."""

    channel_id: str
    name: str
    is_member: bool
    is_private: bool
    is_archived: bool
    member_count: int


@dataclass(frozen=True)
class _Failure:
    """A listing that Slack did not answer: its error, and the end of the pause after it."""

    until: datetime
    code: str


class Channels:
    """Lists, finds and joins channels."""

    def __init__(
        self,
        database: Database,
        client: WorkspaceClient,
        store_ids: StoreIds,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._client = client
        self._store_ids = store_ids
        self._clock = clock
        # By workspace, for the thread that lists.
        self._listing: defaultdict[str, Lock] = defaultdict(Lock)
        # By workspace, of the latest listing if Slack did not answer it.
        self._failures: dict[str, _Failure] = {}

    def search(
        self,
        workspace: BotWorkspace,
        query: str = "",
        *,
        among: Collection[str] | None = None,
        limit: int = 50,
    ) -> list[PublicChannel]:
        """Return the public channels whose name contains `query`, best matches first, then by size.

        Args:
            among: the ids to search, if not all.

        Raises:
            NotInstalledError: the workspace has no bot.
            SlackCallError: the channels had to be listed, and the call failed.
        """
        self.list_if_older(workspace, LISTING_LIFETIME)
        wanted = normal_channel_name(query)
        begins = func.lower(Channel.name).startswith(wanted, autoescape=True)
        statement = (
            select(Channel)
            .where(
                Channel.team_id == workspace.team_id,
                IS_PUBLIC,
                func.lower(Channel.name).contains(wanted, autoescape=True),
            )
            .order_by(begins.desc(), Channel.member_count.desc(), Channel.name)
            .limit(limit)
        )
        if among is not None:
            statement = statement.where(is_any_of(Channel.channel_id, values=among))
        with self._database.reading() as session:
            return [_public_channel(row) for row in session.scalars(statement)]

    def page(
        self,
        workspace: BotWorkspace,
        *,
        public: bool,
        private: bool,
        archived: bool,
        limit: int,
        joined: bool = False,
        among: Collection[str] | None = None,
        after: str = "",
    ) -> list[ListedChannel]:
        """Return channels of the last listing, in the order of their ids.

        Private channels are for callers who may see them all: keys that an operator made.

        Args:
            public, private, archived: whether to include such channels.
            joined: whether to list only those with the bot in them.
            among: the ids to list, if not all.
            after: the id of the last channel of the page before.

        Raises:
            NotInstalledError: the workspace has no bot.
            SlackCallError: the listing is too old, and the call failed.
        """
        self._list_or_use_stale(workspace)
        kinds = [kind for kind, is_wanted in ((False, public), (True, private)) if is_wanted]
        statement = (
            select(Channel)
            .where(
                Channel.team_id == workspace.team_id,
                Channel.is_private.in_(kinds),
                Channel.channel_id > after,
            )
            .order_by(Channel.channel_id)
            .limit(limit)
        )
        if not archived:
            statement = statement.where(Channel.is_archived.is_(False))
        if joined:
            statement = statement.where(Channel.is_member.is_(True))
        if among is not None:
            statement = statement.where(is_any_of(Channel.channel_id, values=among))
        with self._database.reading() as session:
            return [_listed_channel(row) for row in session.scalars(statement)]

    def find(self, workspace: BotWorkspace, name_or_id: str) -> str | None:
        """Return the channel id for `#name`, `name` or an id; None if there is no such channel.

        An id is not checked: it may be a private channel that the bot does not belong to.

        Raises:
            NotInstalledError: the workspace has no bot.
            SlackCallError: the channels had to be listed, and the call failed.
        """
        if looks_like_channel_id(text := visible(name_or_id)):
            return text
        name = normal_channel_name(text)
        found = self.find_listed(workspace.team_id, name)
        if found is None:
            self.refresh_listing(workspace)
            found = self.find_listed(workspace.team_id, name)
        return found

    def names_of_public(self, team_id: str, channel_ids: Collection[str]) -> dict[str, str]:
        """Return the names of the channels that are public and not archived, by id.

        A listing older than `LISTING_LIFETIME` is refreshed. If that fails, a listing up to
        `LISTING_GRACE` old is used.

        Raises:
            NotInstalledError: the workspace has no bot.
            SlackCallError: the listing is too old, and the call failed.
        """
        self._list_or_use_stale(self._client.find_workspace(team_id))
        if not channel_ids:
            return {}
        statement = select(Channel.channel_id, Channel.name).where(
            Channel.team_id == team_id, IS_PUBLIC, is_any_of(Channel.channel_id, values=channel_ids)
        )
        with self._database.reading_connection() as connection:
            return {row.channel_id: row.name for row in connection.execute(statement)}

    def ensure_can_post(self, workspace: BotWorkspace, channel_id: str) -> bool:
        """Require that the bot can post to a channel, as far as Slack reveals it.

        In an organization the channel must be in this workspace, or shared with it.

        https://docs.slack.dev/reference/methods/conversations.info

        Returns: whether people of other organizations may be in the channel.

        Raises:
            NotInstalledError: the workspace has no bot.
            SlackCallError: the bot was not invited to a private channel, or it is another
                workspace's (`channel_not_found`); or it is archived (`is_archived`).
        """
        try:
            answer = self._client.as_bot(workspace, CONVERSATIONS_INFO, channel=channel_id)
        except SlackCallError as error:
            if error.code == NOT_FOUND:
                raise
            # Other failures show with the first message.
            return True
        channel = answer["channel"]
        if not is_in_workspace(workspace, channel):
            raise SlackCallError(CONVERSATIONS_INFO, NOT_FOUND)
        if channel.get("is_archived"):
            raise SlackCallError(CONVERSATIONS_INFO, "is_archived")
        return bool(channel.get("is_ext_shared") or channel.get("is_pending_ext_shared"))

    def join(self, workspace: BotWorkspace, channel_id: str) -> None:
        """Join a public channel as the bot.

        Raises:
            NotInstalledError: the workspace has no bot.
            SlackCallError: the call failed.
        """
        self._client.as_bot(workspace, CONVERSATIONS_JOIN, channel=channel_id)
        self.record_joined(workspace.team_id, channel_id)

    def record_joined(self, team_id: str, channel_id: str) -> None:
        """Record that the bot is in a channel."""
        with self._database.writing() as session:
            session.execute(
                update(Channel)
                .where(Channel.team_id == team_id, Channel.channel_id == channel_id)
                .values(is_member=True)
            )

    def find_listed(self, team_id: str, name: str) -> str | None:
        """Return the id of the channel with a name in the last listing."""
        return self.find_all_listed(team_id, [name]).get(name)

    def find_all_listed(self, team_id: str, names: Collection[str]) -> dict[str, str]:
        """Return the ids of the channels with these names in the last listing, by name."""
        if not names:
            return {}
        with self._database.reading_connection() as connection:
            return find_named(connection, team_id, names)

    def private_among(self, team_id: str, channel_ids: Collection[str]) -> frozenset[str]:
        """Return those of some channels that are private in the last listing."""
        if not channel_ids:
            return frozenset()
        statement = select(Channel.channel_id).where(
            Channel.team_id == team_id,
            Channel.is_private.is_(True),
            is_any_of(Channel.channel_id, values=channel_ids),
        )
        with self._database.reading_connection() as connection:
            return frozenset(connection.scalars(statement))

    def is_listed(self, team_id: str, channel_id: str) -> bool:
        """Return whether a channel is in the last listing, if that is at most `LISTING_GRACE` old.

        The listing is not refreshed: see `listing_age`.
        """
        age = self.listing_age(team_id)
        if age is None or age > LISTING_GRACE:
            return False
        statement = select(Channel.channel_id).where(
            Channel.team_id == team_id, Channel.channel_id == channel_id
        )
        with self._database.reading_connection() as connection:
            return connection.scalar(statement) is not None

    def listed_at(self, team_id: str) -> datetime | None:
        """Return when the channels of a workspace were last listed."""
        rows = self._database.fetch(_LISTED_AT, {"team_id": team_id})
        return rows[0].listed_at if rows else None

    def has_current_listing(self, team_id: str) -> bool:
        """Whether the channels of a workspace need not be listed again yet."""
        age = self.listing_age(team_id)
        return age is not None and age < LISTING_LIFETIME

    def listing_age(self, team_id: str) -> timedelta | None:
        """Return the age of the last listing of a workspace."""
        listed_at = self.listed_at(team_id)
        return None if listed_at is None else self._clock() - listed_at

    def _list_or_use_stale(self, workspace: BotWorkspace) -> None:
        age = self.listing_age(workspace.team_id)
        try:
            self.list_if_older(workspace, LISTING_LIFETIME)
        except SlackCallError as error:
            if age is None or age > LISTING_GRACE:
                raise
            logger.info("the channels could not be listed", extra={"error": error.code})

    def list_if_older(
        self, workspace: BotWorkspace, most: timedelta, *, waits: bool = False
    ) -> None:
        """List the channels of a workspace, unless the last listing is recent enough.

        One thread lists at a time: many callers cause no more calls than one. After a listing that
        Slack did not answer none is made for a while.

        Args:
            most: the last listing is used while it is younger.
            waits: whether to wait for another thread's listing, even if the last one is not older
                than `LISTING_GRACE`.

        Raises:
            NotInstalledError: the workspace has no bot.
            SlackCallError: Slack did not answer, now or just before, or too many threads wait.
        """
        age = self.listing_age(workspace.team_id)
        if age is not None and age < most:
            return
        waits = waits or age is None or age > LISTING_GRACE
        with self._client.room(LIST):
            lock = self._listing[workspace.team_id]
            if not lock.acquire(blocking=waits):
                return
            try:
                age = self.listing_age(workspace.team_id)
                if age is None or age >= most:
                    self._require_no_failure(workspace.team_id)
                    self._list(workspace)
            finally:
                lock.release()

    def _require_no_failure(self, team_id: str) -> None:
        failure = self._failures.get(team_id)
        wait = 0.0 if failure is None else (failure.until - self._clock()).total_seconds()
        if failure is not None and wait > 0:
            raise SlackCallError(LIST, failure.code, retry_after=math.ceil(wait))

    def refresh_listing(self, workspace: BotWorkspace) -> datetime:
        """List the channels of a workspace; return the start of the listing.

        A listing that another thread begins meanwhile is used instead.

        Raises:
            NotInstalledError: the workspace has no bot.
            SlackCallError: Slack did not answer, now or just before.
        """
        team_id, asked_at = workspace.team_id, self._clock()
        with self._listing[team_id]:
            listed_at = self.listed_at(team_id)
            if listed_at is not None and listed_at > asked_at:
                return listed_at
            self._require_no_failure(team_id)
            return self._list(workspace)

    def _list(self, workspace: BotWorkspace) -> datetime:
        team_id, listed_at = workspace.team_id, self._clock()
        kinds = "public_channel"
        if self._client.has_scope(workspace, "groups:read"):
            # Private channels with the bot in them, for senders that use their names.
            kinds += ",private_channel"
        # Includes archived channels, so that senders learn that a channel is archived, not missing.
        pages = self._client.pages_as_bot(
            workspace,
            LIST,
            "channels",
            types=kinds,
            team_id=workspace.team_id,
            limit=PAGE_SIZE,
        )
        try:
            channels = list(pages)
        except SlackCallError as error:
            if not error.is_permanent and error.code != OVERLOADED:
                until = self._clock() + timedelta(seconds=_pause_after(error))
                self._failures[team_id] = _Failure(until, error.code)
            raise
        self._failures.pop(team_id, None)
        with self._database.writing() as session:
            # It may have been uninstalled during the calls.
            self._client.keep_installed(session.connection(), team_id)
            # The row serves as a lock, because two processes may list at once.
            upsert(
                session,
                ChannelListing,
                key={"team_id": team_id},
                insert={},
                update={"listed_at": listed_at},
            )
            ids = _replace_channels(session, team_id, channels)
            self._store_ids(session, team_id, ids)
        return listed_at


def _pause_after(error: SlackCallError) -> float:
    """Return the seconds after which the channels may be listed again.

    They are random: processes that have reached Slack's limit together would reach it again.
    """
    return (error.retry_after or 0) + _RANDOM.uniform(*LIST_AGAIN_SECONDS)


def is_in_workspace(workspace: BotWorkspace, channel: Mapping[str, Any]) -> bool:
    """Whether a channel that the bot sees is in a workspace or shared with it.

    The bot of an organization sees the channels of other workspaces as well.

    Args:
        channel: Slack's conversation object
            (https://docs.slack.dev/reference/objects/conversation-object): `context_team_id` is its
            workspace, `shared_team_ids` are those that share it; in a channel shared with another
            organization `internal_team_ids` are those of this organization.
    """
    if not workspace.is_enterprise_install:
        return True
    team_ids = {channel.get("context_team_id")}
    for name in ("shared_team_ids", "internal_team_ids"):
        team_ids |= set(channel.get(name) or ())
    return workspace.team_id in team_ids


def _replace_channels(
    session: Session, team_id: str, channels: list[dict[str, Any]]
) -> Mapping[str, str]:
    """Store the channels of a workspace; return their ids by `#name`."""
    session.execute(delete(Channel).where(Channel.team_id == team_id))
    rows = {
        channel["id"]: {
            "team_id": team_id,
            "channel_id": channel["id"],
            "name": normal_channel_name(channel["name"]),
            "is_member": bool(channel.get("is_member")),
            "is_private": bool(channel.get("is_private")),
            "is_archived": bool(channel.get("is_archived")),
            "member_count": int(channel.get("num_members") or 0),
        }
        for channel in channels
    }
    if rows:
        session.execute(insert(Channel), list(rows.values()))
    named = select(Subscription.address).where(
        Subscription.team_id == team_id, Subscription.address.startswith("#")
    )
    names = {address[1:] for address in session.scalars(named)}
    ids = find_named(session.connection(), team_id, names)
    return {f"#{name}": channel_id for name, channel_id in ids.items()}


def _listed_channel(row: Channel) -> ListedChannel:
    return ListedChannel(
        channel_id=row.channel_id,
        name=row.name,
        is_member=row.is_member,
        is_private=row.is_private,
        is_archived=row.is_archived,
        member_count=row.member_count,
    )


def _public_channel(row: Channel) -> PublicChannel:
    return PublicChannel(
        channel_id=row.channel_id,
        name=row.name,
        is_member=row.is_member,
        member_count=row.member_count,
    )
