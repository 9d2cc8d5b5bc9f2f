"""The client's conversations: a channel, a direct message, or the app's page."""

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
"""The id of the app's page in URLs."""


@dataclass(frozen=True)
class Conversation:
    """A conversation as one person sees it.

    ``channel`` is None for a direct message that has not been opened.
    """

    kind: Literal["channel", "person", "app"]
    id: str
    name: str
    workspace: Workspace
    user: User
    channel: Channel | None
    other: User | None = None

    @property
    def title(self) -> str:
        """The name with its prefix."""
        if self.channel is None or self.kind != "channel":
            return self.name
        return f"{'🔒 ' if self.channel.is_private else '#'}{self.name}"

    @property
    def is_member(self) -> bool:
        """Whether the person may post here (always in a direct message)."""
        if self.channel is None or self.kind != "channel":
            return True
        return self.user.id in self.channel.members

    @property
    def url(self) -> str:
        """The URL of the conversation's page."""
        return conversation_url(self.workspace.id, self.id, self.user.id)


def conversation_url(team_id: str, conversation_id: str, user_id: str) -> str:
    """The URL of a conversation's page for a person."""
    return f"/client/{quote(team_id)}/{quote(conversation_id, safe='')}?as={quote(user_id)}"


def selectable_users(sandbox: Sandbox, team_id: str) -> list[User]:
    """The people of a workspace that the client can act as."""
    return [
        user
        for user in sandbox.users.values()
        if user.is_in(team_id) and not user.is_bot and not user.deleted
    ]


def find_selectable_user(sandbox: Sandbox, team_id: str, user_id: str) -> User:
    """A person that the client can act as. Raises NotFoundError."""
    for user in selectable_users(sandbox, team_id):
        if user.id == user_id:
            return user
    raise NotFoundError("no such person in that workspace")


def find_conversation(
    sandbox: Sandbox, team_id: str, conversation_id: str, user_id: str
) -> Conversation:
    """The conversation at a URL. Raises NotFoundError if the person cannot see it."""
    with sandbox.lock:
        workspace = sandbox.get_workspace(team_id)
        user = find_selectable_user(sandbox, team_id, user_id)
        bot_id = app_bot_id(sandbox, team_id)
        if conversation_id in (APP, bot_id):
            return _app_conversation(sandbox, workspace, user)
        if conversation_id in sandbox.users:
            return _person_conversation(sandbox, workspace, user, conversation_id)
        channel = sandbox.get_channel(conversation_id)
        if channel not in sandbox.conversations_for(team_id, user_id):
            raise NotFoundError(f"{user.label} cannot see that channel")
        if not channel.is_im:
            return Conversation("channel", channel.id, channel.name, workspace, user, channel)
        other = next((member for member in channel.members if member != user_id), user_id)
        if sandbox.get_user(other).app_id == sandbox.config.app_id:
            return _app_conversation(sandbox, workspace, user)
        return _person_conversation(sandbox, workspace, user, other)


def open_channel(sandbox: Sandbox, conversation: Conversation) -> Channel:
    """The channel of a conversation; opened if necessary. Raises SandboxError."""
    if conversation.channel is not None:
        return conversation.channel
    if conversation.kind == "app" or conversation.other is None:
        return sandbox.app_dm(conversation.workspace.id, conversation.user.id)
    with sandbox.edit():
        return sandbox.direct_message(
            conversation.workspace.id, conversation.user.id, conversation.other.id
        )


def app_bot_id(sandbox: Sandbox, team_id: str) -> str | None:
    """The app's bot in a workspace, or None if it is not installed."""
    installation = sandbox.installation_for(team_id)
    return installation.bot_user_id if installation else None


def first_conversation(sandbox: Sandbox, team_id: str, user_id: str) -> str:
    """The initial conversation: the first channel the person is in, or else the app."""
    channels = sandbox.conversations_for(team_id, user_id)
    own = [channel.id for channel in channels if user_id in channel.members and not channel.is_im]
    return own[0] if own else APP


def latest_installer(sandbox: Sandbox, team_id: str) -> User | None:
    """The person who authorized the app last in a workspace, or None."""
    with sandbox.lock:
        installation = sandbox.installation_for(team_id)
        if installation is None:
            return None
        granted = [token.user_id for token in sandbox.tokens.live(installation.key, "user")]
        return next(
            (user for user in selectable_users(sandbox, team_id) if user.id in granted[-1:]), None
        )


def reader_for(sandbox: Sandbox, team_id: str, user: User) -> Reader:
    """The rendering context of a person."""
    users = sandbox.users
    channels = sandbox.conversations_for(team_id, user.id)
    return Reader(
        user_id=user.id,
        team_id=team_id,
        now=datetime.fromtimestamp(sandbox.clock(), UTC),
        zone=user.zone(),
        has_long_day=user.locale != "en-US",
        people={user.id: user.label for user in users.values()},
        pickable_people=tuple(
            user.id for user in users.values() if user.is_in(team_id) and not user.deleted
        ),
        channels={channel.id: channel.name for channel in channels if not channel.is_im},
        picture_hosts=frozenset(
            urlsplit(url).netloc for url in (sandbox.base_url, sandbox.config.app_url)
        ),
    )


def _app_conversation(sandbox: Sandbox, workspace: Workspace, user: User) -> Conversation:
    bots = [
        user.id
        for user in sandbox.users.values()
        if user.app_id == sandbox.config.app_id and user.is_in(workspace.id)
    ]
    found = [_find_dm(sandbox, workspace.id, user.id, bot_id) for bot_id in bots]
    channel = next((channel for channel in found if channel is not None), None)
    return Conversation("app", APP, sandbox.config.name, workspace, user, channel)


def _person_conversation(
    sandbox: Sandbox, workspace: Workspace, user: User, other_id: str
) -> Conversation:
    other = sandbox.get_user(other_id)
    if not other.is_in(workspace.id):
        raise NotFoundError(f"{other.label} is not in {workspace.name}")
    channel = _find_dm(sandbox, workspace.id, user.id, other_id)
    return Conversation("person", other_id, other.label, workspace, user, channel, other)


def _find_dm(sandbox: Sandbox, team_id: str, user_id: str, other: str) -> Channel | None:
    return next(
        (
            channel
            for channel in sandbox.world.channels_of(team_id)
            if channel.is_im and set(channel.members) == {user_id, other}
        ),
        None,
    )
