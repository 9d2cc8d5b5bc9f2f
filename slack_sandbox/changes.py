"""Changes at Slack that the app does not make itself, with their events."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from slack_sandbox.core import Core
from slack_sandbox.errors import SandboxError
from slack_sandbox.message_log import MessageLog
from slack_sandbox.tokens import Installation, InstallKey, TokenKind
from slack_sandbox.world import Channel, JsonDict, User, Workspace

_FIXED = frozenset({"id", "team_id", "team_ids", "is_bot", "bot_id", "app_id"})


def update_user(core: Core, user_id: str, **changes: Any) -> User:
    """Change a person's fields and publish ``user_change``."""
    with core.edit():
        user = core.get_user(user_id)
        known = {field.name for field in dataclasses.fields(user)} - _FIXED
        unknown = set(changes) - known
        if unknown:
            raise SandboxError(f"a user has no field {', '.join(sorted(unknown))}")
        for name, value in changes.items():
            setattr(user, name, value)
        user.updated = int(core.clock())
        for team_id in user.team_ids:
            _publish_user_change(core, team_id, user)
        return user


def _publish_user_change(core: Core, team_id: str, user: User) -> None:
    installation = core.installation_for(team_id)
    if installation is None:
        return
    with_email = "users:read.email" in core.bot_scopes(installation)
    shown = user.as_slack(core.base_url, at=core.clock(), with_email=with_email, with_locale=True)
    event = {"type": "user_change", "user": shown, "cache_ts": int(core.clock())}
    core.publish(team_id, event)


def rename_team(core: Core, team_id: str, name: str) -> Workspace:
    """Rename a workspace and publish ``team_rename``."""
    with core.edit():
        workspace = core.get_workspace(team_id)
        workspace.name = name
        core.publish(team_id, {"type": "team_rename", "name": name, "team_id": team_id})
        return workspace


def change_domain(core: Core, team_id: str, domain: str) -> Workspace:
    """Change a workspace's domain and publish ``team_domain_change``."""
    with core.edit():
        workspace = core.get_workspace(team_id)
        workspace.domain = domain
        event = {
            "type": "team_domain_change",
            "url": f"https://{domain}.slack.com",
            "domain": domain,
            "team_id": team_id,
        }
        core.publish(team_id, event)
        return workspace


def change_team_access(core: Core, team_id: str, *, is_granted: bool) -> None:
    """Grant or revoke an organization installation's access to a workspace.

    https://docs.slack.dev/reference/events/team_access_granted and
    https://docs.slack.dev/reference/events/team_access_revoked
    """
    with core.edit():
        key = InstallKey(core.get_workspace(team_id).enterprise_id, None)
        installation = core.tokens.installations.get(key)
        if installation is None:
            raise SandboxError("the app is not installed in the organization")
        others = tuple(served for served in installation.team_ids if served != team_id)
        if not others:
            raise SandboxError("an organization's installation needs at least one workspace")
        installation.team_ids = (*others, team_id) if is_granted else others
        kind = "team_access_granted" if is_granted else "team_access_revoked"
        core.publish(others[0], {"type": kind, "team_ids": [team_id]})


def add_channel(
    core: Core,
    team_id: str,
    name: str,
    *,
    members: Iterable[str] = (),
    is_private: bool = False,
) -> Channel:
    """Create a channel, and publish ``channel_created`` if it is public."""
    with core.edit():
        core.get_workspace(team_id)
        # The names first: among hundreds of channels, most time went into whose they are.
        same = [channel for channel in core.world.channels.values() if channel.name == name]
        if any(team_id in channel.home_team_ids for channel in same):
            raise SandboxError(f"#{name} already exists")
        now = int(core.clock())
        channel = Channel(core.world.next_id("C"), team_id, name, is_private, created=now)
        channel.members = list(members)
        channel.creator = channel.members[0] if channel.members else ""
        core.world.channels[channel.id] = channel
        if not is_private:
            shown = {
                "id": channel.id,
                "name": name,
                "created": now,
                "creator": channel.creator,
                "context_team_id": team_id,
            }
            core.publish(team_id, {"type": "channel_created", "channel": shown})
        return channel


def rename_channel(core: Core, channel_id: str, name: str) -> Channel:
    """Rename a channel and publish ``channel_rename``."""
    with core.edit():
        channel = core.get_channel(channel_id)
        channel.previous_names.insert(0, channel.name)
        channel.name = name
        shown = {
            "id": channel.id,
            "name": name,
            "name_normalized": name,
            "created": channel.created,
            "is_channel": not channel.is_private,
            "is_mpim": False,
        }
        _publish_channel(core, channel, "rename", {"channel": shown})
        return channel


def archive_channel(core: Core, channel_id: str, by: str = "USLACKBOT") -> Channel:
    """Archive a channel and publish ``channel_archive``."""
    return _set_archived(core, channel_id, by, archived=True)


def unarchive_channel(core: Core, channel_id: str, by: str = "USLACKBOT") -> Channel:
    """Unarchive a channel and publish ``channel_unarchive``."""
    return _set_archived(core, channel_id, by, archived=False)


def _set_archived(core: Core, channel_id: str, by: str, *, archived: bool) -> Channel:
    with core.edit():
        channel = core.get_channel(channel_id)
        channel.is_archived = archived
        kind = "archive" if archived else "unarchive"
        _publish_channel(core, channel, kind, {"channel": channel.id, "user": by})
        return channel


def delete_channel(core: Core, channel_id: str, by: str = "USLACKBOT") -> None:
    """Delete a channel with its messages and publish ``channel_deleted``."""
    with core.edit():
        channel = core.get_channel(channel_id)
        _publish_channel(core, channel, "deleted", {"channel": channel.id, "actor_id": by})
        del core.world.channels[channel_id]
        core.world.messages.pop(channel_id, None)


def change_channel_id(core: Core, channel_id: str) -> Channel:
    """Change a channel's id, as sharing a channel can, and publish ``channel_id_changed``."""
    with core.edit():
        channel = core.world.channels.pop(core.get_channel(channel_id).id)
        channel.id = core.world.next_id("C")
        core.world.channels[channel.id] = channel
        core.world.messages[channel.id] = core.world.messages.pop(channel_id, MessageLog())
        for message in core.world.messages[channel.id]:
            message.channel_id = channel.id
        event = {
            "type": "channel_id_changed",
            "old_channel_id": channel_id,
            "new_channel_id": channel.id,
        }
        core.publish(channel.team_id, event)
        return channel


def remove_bot(core: Core, channel_id: str, by: str = "USLACKBOT") -> None:
    """Remove the app's bot from a channel and publish ``channel_left``."""
    with core.edit():
        channel = core.get_channel(channel_id)
        installation = core.installation_for(channel.team_id)
        bot = installation.bot_user_id if installation else None
        if bot is None or bot not in channel.members:
            raise SandboxError("the app is not in that channel")
        channel.members.remove(bot)
        _publish_channel(core, channel, "left", {"channel": channel.id, "actor_id": by})


def _publish_channel(core: Core, channel: Channel, change: str, event: JsonDict) -> None:
    kind = "group" if channel.is_private else "channel"
    core.publish(channel.team_id, {"type": f"{kind}_{change}", **event})


def revoke_tokens(
    core: Core, team_id: str, *, users: Iterable[str] = (), bot: bool = False
) -> None:
    """Revoke tokens of people, or the bot's, and publish ``tokens_revoked``.

    Without any token left, the app is uninstalled
    (https://docs.slack.dev/reference/events/app_uninstalled).
    """
    with core.edit():
        installation = _installed(core, team_id)
        people = [
            user_id for user_id in users if core.tokens.revoke(installation.key, "user", user_id)
        ]
        bots: list[str] = []
        bot_user_id = installation.bot_user_id
        if bot and bot_user_id and core.tokens.revoke(installation.key, "bot", bot_user_id):
            bots = [bot_user_id]
        after_revocation(core, installation, team_id, oauth=people, bot=bots)


def after_revocation(
    core: Core,
    installation: Installation,
    team_id: str,
    *,
    oauth: list[str],
    bot: list[str],
) -> None:
    """Publish the revocation, remove a revoked bot from its channels, and uninstall if no token is
    left.
    """
    event = {"type": "tokens_revoked", "tokens": {"oauth": oauth, "bot": bot}}
    if oauth or bot:
        core.publish(team_id, event)
    for channel in core.world.channels.values():
        channel.members = [member for member in channel.members if member not in bot]
    if not core.tokens.live(installation.key):
        core.publish(team_id, {"type": "app_uninstalled"})
        _forget(core, installation)


def uninstall(core: Core, team_id: str, *, uninstalled_first: bool = True) -> None:
    """Uninstall the app and publish ``app_uninstalled`` and ``tokens_revoked``, in either order."""
    with core.edit():
        uninstall_installation(
            core, _installed(core, team_id), team_id, uninstalled_first=uninstalled_first
        )


def uninstall_installation(
    core: Core, installation: Installation, team_id: str, *, uninstalled_first: bool = True
) -> None:
    """Remove an installation with all its tokens."""
    tokens = {
        "oauth": _holders(core, installation.key, "user"),
        "bot": _holders(core, installation.key, "bot"),
    }
    events: list[JsonDict] = [
        {"type": "app_uninstalled"},
        {"type": "tokens_revoked", "tokens": tokens},
    ]
    for event in events if uninstalled_first else reversed(events):
        core.publish(team_id, event)
    _forget(core, installation)


def _holders(core: Core, key: InstallKey, kind: TokenKind) -> list[str]:
    return list(dict.fromkeys(token.user_id for token in core.tokens.live(key, kind)))


def _forget(core: Core, installation: Installation) -> None:
    core.tokens.uninstall(installation.key)
    bot = installation.bot_user_id
    if bot is not None and bot in core.world.users:
        core.world.users[bot].deleted = True
    for channel in core.world.channels.values():
        if bot in channel.members and not channel.is_im:
            channel.members.remove(bot)
    teams = set(installation.team_ids)
    core.world.homes = {
        where: view for where, view in core.world.homes.items() if where[0] not in teams
    }


def _installed(core: Core, team_id: str) -> Installation:
    installation = core.installation_for(team_id)
    if installation is None:
        raise SandboxError(f"the app is not installed in {team_id}")
    return installation
