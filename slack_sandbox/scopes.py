"""The scopes the sandbox knows, with the descriptions of its consent page.

A subset of https://docs.slack.dev/reference/scopes. Any other scope is rejected as unknown, which
is stricter than Slack.
"""

from __future__ import annotations

BOT_SCOPES = {
    "app_mentions:read": "See messages that mention it directly",
    "channels:history": "See messages in public channels it has been added to",
    "channels:join": "Join public channels",
    "channels:manage": "Manage public channels it has been added to, and create new ones",
    "channels:read": "See basic information about public channels",
    "chat:write": "Send messages as itself",
    "chat:write.customize": "Send messages with a customized name and picture",
    "chat:write.public": "Send messages to channels it is not a member of",
    "commands": "Add shortcuts and slash commands that people can use",
    "files:write": "Upload, edit and delete files",
    "groups:history": "See messages in private channels it has been added to",
    "groups:read": "See basic information about private channels it has been added to",
    "groups:write": "Manage private channels it has been added to, and create new ones",
    "im:history": "See messages in direct messages it has been added to",
    "im:read": "See basic information about direct messages it has been added to",
    "im:write": "Start direct messages with people",
    "links:read": "See links of its own domains in messages",
    "links:write": "Show previews of links in messages",
    "metadata.message:read": "See message metadata in channels it has been added to",
    "mpim:history": "See messages in group direct messages it has been added to",
    "mpim:read": "See basic information about group direct messages it has been added to",
    "mpim:write": "Start group direct messages with people",
    "reactions:read": "See emoji reactions in conversations it has been added to",
    "reactions:write": "Add and edit emoji reactions",
    "team:read": "See the name, e-mail domain and icon of the workspace",
    "usergroups:read": "See user groups in the workspace",
    "users.profile:read": "See profile details about people in the workspace",
    "users:read": "See people in the workspace",
    "users:read.email": "See e-mail addresses of people in the workspace",
}
"""Scopes a bot may be granted."""

USER_SCOPES = {
    "channels:history": "See messages in your public channels",
    "channels:read": "See basic information about public channels",
    "channels:write": "Manage your public channels and create new ones",
    "chat:write": "Send messages on your behalf",
    "groups:history": "See messages in your private channels",
    "groups:read": "See basic information about your private channels",
    "im:history": "See messages in your direct messages",
    "im:read": "See basic information about your direct messages",
    "im:write": "Start direct messages with people on your behalf",
    "identify": "See basic information about you",
    "reactions:read": "See emoji reactions in your conversations",
    "search:read": "Search the workspace's content",
    "team:read": "See the name, e-mail domain and icon of the workspace",
    "users.profile:read": "See profile details about people in the workspace",
    "users.profile:write": "Edit your profile information and status",
    "users:read": "See people in the workspace",
    "users:read.email": "See e-mail addresses of people in the workspace",
}
"""Scopes that let an app act as the person who grants them."""

EVENT_SCOPES: dict[str, tuple[str, ...]] = {
    "app_home_opened": (),
    "app_mention": ("app_mentions:read",),
    "app_uninstalled": (),
    "channel_archive": ("channels:read",),
    "channel_created": ("channels:read",),
    "channel_deleted": ("channels:read",),
    "channel_id_changed": ("channels:read",),
    "channel_left": ("channels:read",),
    "channel_rename": ("channels:read",),
    "channel_unarchive": ("channels:read",),
    "function_executed": (),
    "group_archive": ("groups:read",),
    "group_left": ("groups:read",),
    "group_rename": ("groups:read",),
    "group_unarchive": ("groups:read",),
    "link_shared": ("links:read",),
    "member_joined_channel": ("channels:read", "groups:read"),
    "member_left_channel": ("channels:read", "groups:read"),
    "message.channels": ("channels:history",),
    "message.groups": ("groups:history",),
    "message.im": ("im:history",),
    "team_access_granted": (),
    "team_access_revoked": (),
    "team_domain_change": ("team:read",),
    "team_join": ("users:read",),
    "team_rename": ("team:read",),
    "tokens_revoked": (),
    "user_change": ("users:read",),
}
"""For each event, the scopes of which the app needs at least one."""
