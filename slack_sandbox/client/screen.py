"""Screens as HTML fragments with digests, so that a page replaces only changed parts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from flask import render_template
from markupsafe import Markup

from slack_sandbox.client.conversations import (
    APP,
    Conversation,
    app_bot_id,
    conversation_url,
    first_conversation,
    reader_for,
    selectable_users,
)
from slack_sandbox.client.render import Reader, blocks_tag
from slack_sandbox.client.render.texts import label_text
from slack_sandbox.client.timeline import DayDivider, timeline
from slack_sandbox.interactions import shortcuts_in
from slack_sandbox.sandbox import Sandbox
from slack_sandbox.world import Channel, User, View

JsonDict = dict[str, Any]


@dataclass(frozen=True)
class Fragment:
    """A piece of HTML; ``key`` identifies it among its siblings."""

    html: Markup
    key: str = ""

    @property
    def digest(self) -> str:
        """A hash of the HTML."""
        return hashlib.blake2b(self.html.encode(), digest_size=8).hexdigest()


@dataclass
class Screen:
    """The content of a page: ``parts`` and ``lists`` fill the elements with these ids."""

    version: int
    title: str
    about: JsonDict = field(default_factory=dict)
    parts: dict[str, Fragment] = field(default_factory=dict)
    lists: dict[str, list[Fragment]] = field(default_factory=dict)

    def as_json(self) -> JsonDict:
        """The screen for the page's script."""
        return {
            "version": self.version,
            "title": self.title,
            "about": self.about,
            "parts": {name: _as_json(fragment) for name, fragment in self.parts.items()},
            "lists": {
                name: [_as_json(fragment) for fragment in row] for name, row in self.lists.items()
            },
        }


def _as_json(fragment: Fragment) -> JsonDict:
    return {"key": fragment.key, "digest": fragment.digest, "html": fragment.html}


def start_screen(sandbox: Sandbox) -> Screen:
    """The start page, for choosing a person."""
    screen = Screen(sandbox.version, "Choose a person")
    screen.parts["start"] = _part(
        "start", config=sandbox.config, workspaces=_workspaces(sandbox, APP, first=True)
    )
    return screen


def conversation_screen(
    sandbox: Sandbox, conversation: Conversation, *, thread_ts: str | None = None, tab: str = ""
) -> Screen:
    """A conversation with its surroundings. ``tab`` is the app's: home, messages or about."""
    # Read first, so that a change during rendering triggers another refresh.
    version = sandbox.version
    reader = reader_for(sandbox, conversation.workspace.id, conversation.user)
    tab = _tab(sandbox, conversation, tab)
    screen = Screen(version, f"{conversation.title} · {conversation.workspace.name}")
    screen.about = _about(sandbox, conversation, thread_ts, tab)
    shared: JsonDict = {
        "conversation": conversation,
        "config": sandbox.config,
        "tab": tab,
        "is_installed": sandbox.is_installed(conversation.workspace.id),
        "thread_ts": thread_ts,
    }
    workspaces = _workspaces(sandbox, conversation.id)
    screen.parts = {
        "who": _part("who", workspaces=workspaces, **shared),
        "conversations": _part("conversations", **_sidebar(sandbox, conversation), **shared),
        "head": _part("head", **_head(sandbox, conversation), **shared),
        "notice": _part("notice", **shared),
        "tab": _tab_part(sandbox, reader, shared),
        "composer": _part(
            "composer", in_thread=False, **_composer(sandbox, conversation, tab), **shared
        ),
        "thread-composer": _part(
            "composer", in_thread=True, **_composer(sandbox, conversation, tab), **shared
        ),
        "modal": _modal(sandbox, conversation.user, reader),
    }
    screen.lists = {
        "messages": [] if tab else _messages(sandbox, conversation, reader, None),
        "thread": _messages(sandbox, conversation, reader, thread_ts) if thread_ts else [],
    }
    return screen


def _part(template: str, **values: Any) -> Fragment:
    return Fragment(Markup(render_template(f"client/{template}.html", **values).strip()))  # noqa: S704


def _about(
    sandbox: Sandbox, conversation: Conversation, thread_ts: str | None, tab: str
) -> JsonDict:
    return {
        "user": conversation.user.id,
        "team": conversation.workspace.id,
        "conversation": conversation.id,
        "kind": conversation.kind,
        "tab": tab,
        "thread": thread_ts,
        "commands": [
            {"insert": command.command, "name": f"{command.command} {command.usage_hint}".strip()}
            | {"detail": command.description}
            for command in sandbox.config.slash_commands
            if sandbox.is_installed(conversation.workspace.id)
        ],
        "people": [
            {"insert": f"@{user.name}", "name": user.label, "detail": user.title}
            for user in selectable_users(sandbox, conversation.workspace.id)
        ],
        "channels": [
            {"insert": f"#{channel.name}", "name": f"#{channel.name}", "detail": channel.purpose}
            for channel in sandbox.conversations_for(
                conversation.workspace.id, conversation.user.id
            )
            if not channel.is_im
        ],
    }


def _workspaces(sandbox: Sandbox, conversation_id: str, *, first: bool = False) -> list[JsonDict]:
    """Every workspace with its people and their links."""
    shown: list[JsonDict] = []
    for workspace in sandbox.workspaces.values():
        enterprise = sandbox.world.enterprise_of(workspace.id)
        shown.append(
            {
                "id": workspace.id,
                "name": workspace.name,
                "enterprise": enterprise.name if enterprise else None,
                "is_installed": sandbox.is_installed(workspace.id),
                "people": [
                    {
                        "user": user,
                        "url": _switch_url(
                            sandbox, workspace.id, user, None if first else conversation_id
                        ),
                        "picture": user.images("")["image_48"],
                    }
                    for user in selectable_users(sandbox, workspace.id)
                ],
            }
        )
    return shown


def _switch_url(sandbox: Sandbox, team_id: str, user: User, conversation_id: str | None) -> str:
    """The link to another person; keeps the channel if that person can see it."""
    visible = {
        channel.id for channel in sandbox.conversations_for(team_id, user.id) if not channel.is_im
    }
    if conversation_id not in visible:
        conversation_id = first_conversation(sandbox, team_id, user.id)
    return conversation_url(team_id, conversation_id, user.id)


def _sidebar(sandbox: Sandbox, conversation: Conversation) -> JsonDict:
    team_id, user = conversation.workspace.id, conversation.user
    channels = [
        channel for channel in sandbox.conversations_for(team_id, user.id) if not channel.is_im
    ]

    def row(target: str, name: str, channel_id: str | None) -> JsonDict:
        messages = sandbox.messages(channel_id) if channel_id else []
        own = sandbox.ephemerals(user.id, channel_id) if channel_id else []
        return {
            "id": target,
            "name": name,
            "url": conversation_url(team_id, target, user.id),
            "latest": max((message.ts for message in (*messages[-1:], *own[-1:])), default=""),
        }

    return {
        "channels": [
            row(channel.id, channel.name, channel.id) | {"channel": channel}
            for channel in sorted(
                channels, key=lambda channel: (user.id not in channel.members, channel.name)
            )
        ],
        "people": [
            row(person.id, person.label, _dm_id(sandbox, team_id, user.id, person.id))
            | {"is_self": person.id == user.id, "picture": person.images("")["image_24"]}
            for person in selectable_users(sandbox, team_id)
        ],
        "app": row(APP, sandbox.config.name, _dm_id(sandbox, team_id, user.id, None)),
    }


def _dm_id(sandbox: Sandbox, team_id: str, user_id: str, other_id: str | None) -> str | None:
    other_id = other_id or app_bot_id(sandbox, team_id)
    for channel in sandbox.conversations_for(team_id, user_id):
        if channel.is_im and set(channel.members) == {user_id, other_id}:
            return channel.id
    return None


def _head(sandbox: Sandbox, conversation: Conversation) -> JsonDict:
    members: list[User] = []
    bot_id = app_bot_id(sandbox, conversation.workspace.id)
    channel = conversation.channel
    if channel is not None and conversation.kind == "channel":
        members = [user for user in sandbox.users.values() if user.id in channel.members]
    return {
        "members": members,
        "can_invite": bot_id is not None
        and conversation.kind == "channel"
        and conversation.is_member
        and channel is not None
        and not channel.is_archived
        and bot_id not in channel.members,
    }


def _tab(sandbox: Sandbox, conversation: Conversation, requested: str) -> str:
    """The selected tab of the app; empty for its messages."""
    if conversation.kind != "app":
        return ""
    config = sandbox.config
    if requested == "about" or not sandbox.is_installed(conversation.workspace.id):
        return "about"
    if requested == "messages":
        return "" if config.messages_tab else "about"
    if config.home_tab:
        return "home"
    return "" if config.messages_tab else "about"


def _tab_part(sandbox: Sandbox, reader: Reader, shared: JsonDict) -> Fragment:
    conversation: Conversation = shared["conversation"]
    home = Markup()
    view: View | None = None
    if shared["tab"] == "home":
        view = sandbox.home_view(conversation.workspace.id, conversation.user.id)
        home = blocks_tag(view.blocks, reader.within(view.id)) if view else home
    return _part("tab", home=home, view=view, **shared)


def _composer(sandbox: Sandbox, conversation: Conversation, tab: str) -> JsonDict:
    """The composer, or the reason for its absence."""
    channel: Channel | None = conversation.channel
    disabled_reason = ""
    if channel is not None and channel.is_archived:
        disabled_reason = "This channel is archived."
    elif conversation.other is not None and conversation.other.deleted:
        disabled_reason = f"{conversation.other.label} has been deactivated."
    elif conversation.kind == "app" and not sandbox.is_installed(conversation.workspace.id):
        disabled_reason = f"{conversation.name} is not installed in {conversation.workspace.name}."
    elif conversation.kind == "app" and sandbox.config.messages_tab_read_only:
        disabled_reason = "Sending messages to this app has been turned off."
    return {
        "is_open": not tab,
        "disabled_reason": disabled_reason,
        "can_join": not conversation.is_member and not disabled_reason,
    }


def _messages(
    sandbox: Sandbox, conversation: Conversation, reader: Reader, thread_ts: str | None
) -> list[Fragment]:
    fragments: list[Fragment] = []
    shortcuts = shortcuts_in(sandbox, conversation.workspace.id)
    for message in timeline(sandbox, conversation, reader, thread_ts):
        template = "day" if isinstance(message, DayDivider) else "message"
        part = _part(
            template,
            item=message,
            conversation=conversation,
            thread_ts=thread_ts,
            shortcuts=shortcuts,
        )
        fragments.append(Fragment(part.html, message.key))
    return fragments


def _modal(sandbox: Sandbox, user: User, reader: Reader) -> Fragment:
    view = sandbox.open_modal(user.id)
    if view is None:
        return Fragment(Markup())
    return _part(
        "modal",
        view=view,
        title=label_text(view.title),
        submit=label_text(view.submit),
        close=label_text(view.close),
        body=blocks_tag(view.blocks, reader.within(view.id), view.errors),
    )
