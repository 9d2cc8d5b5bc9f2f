"""The public channels of a workspace: listed with paging, searched by name, joined."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import Channel, ChannelListing
from bolt_app.db.upsert import upsert
from bolt_app.logs import describe_error
from bolt_app.oauth.calls import BotPlace, InstallationCalls, NotInstalledError
from bolt_app.slack_api import SlackCallError

logger = logging.getLogger(__name__)

# conversations.list is a "tier 2" method, some twenty calls a minute
# (https://docs.slack.dev/reference/methods/conversations.list): what it said is kept this long.
LISTING_LIFETIME = timedelta(minutes=5)
PAGE_SIZE = 999


@dataclass(frozen=True)
class PublicChannel:
    """A public channel that is not archived."""

    channel_id: str
    name: str
    is_member: bool
    member_count: int


class Channels:
    """Lists, finds and joins the public channels of workspaces."""

    def __init__(
        self, database: Database, calls: InstallationCalls, *, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._calls = calls
        self._clock = clock

    def search(self, place: BotPlace, query: str = "", *, limit: int = 50) -> list[PublicChannel]:
        """Return the channels whose name contains `query`, best matches and largest first.

        Raises:
            NotInstalledError: there is no bot in that workspace.
            SlackCallError: the list had to be fetched and Slack refused or did not answer.
        """
        self._list_if_old(place)
        wanted = query.strip().removeprefix("#").lower()
        begins = func.lower(Channel.name).startswith(wanted, autoescape=True)
        statement = (
            select(Channel)
            .where(
                Channel.team_id == place.team_id,
                func.lower(Channel.name).contains(wanted, autoescape=True),
            )
            .order_by(begins.desc(), Channel.member_count.desc(), Channel.name)
            .limit(limit)
        )
        with self._database.reading() as session:
            return [_public_channel(row) for row in session.scalars(statement)]

    def find(self, place: BotPlace, name_or_id: str) -> str | None:
        """Return the channel id that `#name`, `name` or an id means; None where there is none.

        An id is believed: it may be a private channel, which no list shows.

        Raises:
            NotInstalledError: there is no bot in that workspace.
            SlackCallError: the list had to be fetched and Slack refused or did not answer.
        """
        name = name_or_id.strip().removeprefix("#")
        if name == name_or_id.strip() and looks_like_channel_id(name):
            return name
        found = self._find_listed(place.team_id, name)
        if found is None:
            self._list(place)
            found = self._find_listed(place.team_id, name)
        return found

    def names_of_public(self, team_id: str, channel_ids: Collection[str]) -> dict[str, str]:
        """Return the names of those channels that are public, by their ids.

        The list is fetched anew where it is old and Slack answers.
        """
        try:
            self._list_if_old(self._calls.find_place(team_id))
        except (SlackCallError, NotInstalledError) as error:
            logger.info("the channels are not listed anew", extra={"error": describe_error(error)})
        statement = select(Channel.channel_id, Channel.name).where(
            Channel.team_id == team_id, Channel.channel_id.in_(channel_ids)
        )
        with self._database.reading_connection() as connection:
            return {row.channel_id: row.name for row in connection.execute(statement)}

    def names_of_member(self, team_id: str, user_id: str) -> dict[str, str]:
        """Return the names of the channels a person is in, by their ids, as far as the bot may see.

        That is public ones, and private ones the bot is in too
        (https://docs.slack.dev/reference/methods/users.conversations). Where Slack refuses or does
        not answer there are none.
        """
        try:
            place = self._calls.find_place(team_id)
            answers = self._pages(
                place, "users.conversations", user=user_id, types="public_channel,private_channel"
            )
            return {one["id"]: one["name"] for one in answers}
        except (SlackCallError, NotInstalledError) as error:
            logger.info(
                "nobody knows who is in which channel", extra={"error": describe_error(error)}
            )
            return {}

    def check_reach(self, place: BotPlace, channel_id: str) -> None:
        """Make sure that the bot can post to a channel, as far as it may know.

        https://docs.slack.dev/reference/methods/conversations.info

        Raises:
            NotInstalledError: there is no bot in that workspace.
            SlackCallError: the bot was not invited to a private channel (`channel_not_found`), or
                the channel is archived (`is_archived`).
        """
        try:
            answer = self._calls.as_bot(place, "conversations.info", channel=channel_id)
        except SlackCallError as error:
            if error.code == "channel_not_found":
                raise
            # Whatever else keeps Slack from telling: the first message shows.
            return
        if answer["channel"].get("is_archived"):
            raise SlackCallError("conversations.info", "is_archived")

    def join(self, place: BotPlace, channel_id: str) -> None:
        """Let the bot join a public channel.

        Raises:
            NotInstalledError: there is no bot in that workspace.
            SlackCallError: Slack refused or did not answer.
        """
        self._calls.as_bot(place, "conversations.join", channel=channel_id)
        with self._database.writing() as session:
            session.execute(
                update(Channel)
                .where(Channel.team_id == place.team_id, Channel.channel_id == channel_id)
                .values(is_member=True)
            )

    def _find_listed(self, team_id: str, name: str) -> str | None:
        with self._database.reading() as session:
            return session.scalar(
                select(Channel.channel_id).where(
                    Channel.team_id == team_id, Channel.name == name.lower()
                )
            )

    def _list_if_old(self, place: BotPlace) -> None:
        with self._database.reading() as session:
            listing = session.get(ChannelListing, place.team_id)
        if listing is None or self._clock() - listing.listed_at > LISTING_LIFETIME:
            self._list(place)

    def _list(self, place: BotPlace) -> None:
        team_id = place.team_id
        channels = list(
            self._pages(place, "conversations.list", types="public_channel", exclude_archived=True)
        )
        with self._database.writing() as session:
            # The row of the listing is the lock: two processes may list at once.
            upsert(
                session,
                ChannelListing,
                key={"team_id": team_id},
                insert={},
                update={"listed_at": self._clock()},
            )
            _replace_channels(session, team_id, channels)

    def _pages(self, place: BotPlace, method: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            answer = self._calls.as_bot(
                place,
                method,
                team_id=place.team_id,
                limit=PAGE_SIZE,
                cursor=cursor,
                **arguments,
            )
            yield from answer["channels"]
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return


def looks_like_channel_id(text: str) -> bool:
    """Whether `text` has the form of a channel's or conversation's id (C…, G… or D…)."""
    return len(text) >= 9 and text[0] in "CGD" and text.isalnum() and text.isupper()


def _replace_channels(session: Session, team_id: str, channels: list[dict[str, Any]]) -> None:
    session.execute(delete(Channel).where(Channel.team_id == team_id))
    rows = {
        channel["id"]: {
            "team_id": team_id,
            "channel_id": channel["id"],
            "name": channel["name"],
            "is_member": bool(channel.get("is_member")),
            "member_count": int(channel.get("num_members") or 0),
        }
        for channel in channels
    }
    if rows:
        session.execute(insert(Channel), list(rows.values()))


def _public_channel(row: Channel) -> PublicChannel:
    return PublicChannel(
        channel_id=row.channel_id,
        name=row.name,
        is_member=row.is_member,
        member_count=row.member_count,
    )
