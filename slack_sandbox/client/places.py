"""Where a person is in the client: a channel, a direct message, or the app's own place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote, urlsplit

from slack_sandbox.client.render import Reader
from slack_sandbox.errors import NotFoundError
from slack_sandbox.sandbox import Sandbox
from slack_sandbox.world import Channel, User, Workspace

APP = "app"
"""The last part of the address of the app's own place."""


@dataclass(frozen=True)
class Place:
    """One conversation as one person sees it. ``channel`` is None until somebody speaks."""

    kind: Literal["channel", "person", "app"]
    id: str
    name: str
    workspace: Workspace
    user: User
    channel: Channel | None
    other: User | None = None

    @property
    def title(self) -> str:
        """The name with its sign."""
        if self.channel is None or self.kind != "channel":
            return self.name
        return f"{'🔒 ' if self.channel.is_private else '#'}{self.name}"

    @property
    def is_member(self) -> bool:
        """Whether the person may speak here (in a direct message, always)."""
        if self.channel is None or self.kind != "channel":
            return True
        return self.user.id in self.channel.members

    @property
    def url(self) -> str:
        """The address of its page."""
        return place_url(self.workspace.id, self.id, self.user.id)


def place_url(team_id: str, place_id: str, user_id: str) -> str:
    """The page of a place, seen by a person."""
    return f"/client/{quote(team_id)}/{quote(place_id, safe='')}?as={quote(user_id)}"


def actors(sandbox: Sandbox, team_id: str) -> list[User]:
    """The people of a workspace one can be."""
    return [
        one
        for one in sandbox.users.values()
        if one.is_in(team_id) and not one.is_bot and not one.deleted
    ]


def find_actor(sandbox: Sandbox, team_id: str, user_id: str) -> User:
    """A person one can be. Raises NotFoundError."""
    for one in actors(sandbox, team_id):
        if one.id == user_id:
            return one
    raise NotFoundError("there is nobody of that name in that workspace")


def find_place(sandbox: Sandbox, team_id: str, place_id: str, user_id: str) -> Place:
    """The place of an address. Raises NotFoundError where that person cannot see one."""
    with sandbox.lock:
        workspace = sandbox.get_workspace(team_id)
        user = find_actor(sandbox, team_id, user_id)
        bot_id = app_bot_id(sandbox, team_id)
        if place_id in (APP, bot_id):
            return _app_place(sandbox, workspace, user)
        if place_id in sandbox.users:
            return _person_place(sandbox, workspace, user, place_id)
        channel = sandbox.get_channel(place_id)
        if channel not in sandbox.conversations_for(team_id, user_id):
            raise NotFoundError(f"{user.label} cannot see that channel")
        if not channel.is_im:
            return Place("channel", channel.id, channel.name, workspace, user, channel)
        other = next((one for one in channel.members if one != user_id), user_id)
        if sandbox.get_user(other).app_id == sandbox.config.app_id:
            return _app_place(sandbox, workspace, user)
        return _person_place(sandbox, workspace, user, other)


def open_channel(sandbox: Sandbox, place: Place) -> Channel:
    """The conversation of a place, opened when there is none yet. Raises SandboxError."""
    if place.channel is not None:
        return place.channel
    if place.kind == "app" or place.other is None:
        return sandbox.app_dm(place.workspace.id, place.user.id)
    with sandbox.edit():
        return sandbox.direct_message(place.workspace.id, place.user.id, place.other.id)


def app_bot_id(sandbox: Sandbox, team_id: str) -> str | None:
    """The app's bot in a workspace, if it is installed there."""
    installation = sandbox.installation_for(team_id)
    return installation.bot_user_id if installation else None


def first_place(sandbox: Sandbox, team_id: str, user_id: str) -> str:
    """Where a person begins: the first channel they are in, or else the app."""
    channels = sandbox.conversations_for(team_id, user_id)
    own = [one.id for one in channels if user_id in one.members and not one.is_im]
    return own[0] if own else APP


def latest_person(sandbox: Sandbox, team_id: str) -> User | None:
    """Whoever authorized the app last in a workspace, if anyone did."""
    with sandbox.lock:
        installation = sandbox.installation_for(team_id)
        if installation is None:
            return None
        granted = [one.user_id for one in sandbox.tokens.live(installation.key, "user")]
        return next((one for one in actors(sandbox, team_id) if one.id in granted[-1:]), None)


def reader_for(sandbox: Sandbox, team_id: str, user: User) -> Reader:
    """How things look to a person."""
    users = sandbox.users
    channels = sandbox.conversations_for(team_id, user.id)
    return Reader(
        user_id=user.id,
        team_id=team_id,
        now=datetime.fromtimestamp(sandbox.clock(), UTC),
        zone=user.zone(),
        has_long_day=user.locale != "en-US",
        people={one.id: one.label for one in users.values()},
        pickable_people=tuple(
            one.id for one in users.values() if one.is_in(team_id) and not one.deleted
        ),
        channels={one.id: one.name for one in channels if not one.is_im},
        picture_hosts=frozenset(
            urlsplit(url).netloc for url in (sandbox.base_url, sandbox.config.app_url)
        ),
    )


def _app_place(sandbox: Sandbox, workspace: Workspace, user: User) -> Place:
    bots = [
        one.id
        for one in sandbox.users.values()
        if one.app_id == sandbox.config.app_id and one.is_in(workspace.id)
    ]
    found = [_find_dm(sandbox, workspace.id, user.id, one) for one in bots]
    channel = next((one for one in found if one is not None), None)
    return Place("app", APP, sandbox.config.name, workspace, user, channel)


def _person_place(sandbox: Sandbox, workspace: Workspace, user: User, other_id: str) -> Place:
    other = sandbox.get_user(other_id)
    if not other.is_in(workspace.id):
        raise NotFoundError(f"{other.label} is not in {workspace.name}")
    channel = _find_dm(sandbox, workspace.id, user.id, other_id)
    return Place("person", other_id, other.label, workspace, user, channel, other)


def _find_dm(sandbox: Sandbox, team_id: str, one: str, other: str) -> Channel | None:
    return next(
        (
            channel
            for channel in sandbox.world.channels_of(team_id)
            if channel.is_im and set(channel.members) == {one, other}
        ),
        None,
    )
