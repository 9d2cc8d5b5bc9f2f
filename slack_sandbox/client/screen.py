"""One screen as pieces of HTML, each with a digest, so that a page replaces only what changed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from flask import render_template
from markupsafe import Markup

from slack_sandbox.client.places import (
    APP,
    Place,
    actors,
    app_bot_id,
    first_place,
    place_url,
    reader_for,
)
from slack_sandbox.client.render import Reader, blocks_tag
from slack_sandbox.client.render.texts import words
from slack_sandbox.client.shown import Day, shown_messages
from slack_sandbox.interactions import shortcuts_in
from slack_sandbox.sandbox import Sandbox
from slack_sandbox.world import Channel, User, View

JsonDict = dict[str, Any]


@dataclass(frozen=True)
class Piece:
    """Some HTML; ``key`` names it among its siblings."""

    html: Markup
    key: str = ""

    @property
    def digest(self) -> str:
        """Differs when the HTML differs."""
        return hashlib.blake2b(self.html.encode(), digest_size=8).hexdigest()


@dataclass
class Screen:
    """What a page shows: ``parts`` and ``lists`` go into the elements of these ids."""

    version: int
    title: str
    about: JsonDict = field(default_factory=dict)
    parts: dict[str, Piece] = field(default_factory=dict)
    lists: dict[str, list[Piece]] = field(default_factory=dict)

    def as_json(self) -> JsonDict:
        """The screen for the page's script."""
        return {
            "version": self.version,
            "title": self.title,
            "about": self.about,
            "parts": {name: _as_json(one) for name, one in self.parts.items()},
            "lists": {name: [_as_json(one) for one in row] for name, row in self.lists.items()},
        }


def _as_json(piece: Piece) -> JsonDict:
    return {"key": piece.key, "digest": piece.digest, "html": piece.html}


def start_screen(sandbox: Sandbox) -> Screen:
    """Where one chooses who to be."""
    screen = Screen(sandbox.version, "Who are you?")
    screen.parts["start"] = _part(
        "start", config=sandbox.config, workspaces=_workspaces(sandbox, APP, first=True)
    )
    return screen


def place_screen(
    sandbox: Sandbox, place: Place, *, thread_ts: str | None = None, tab: str = ""
) -> Screen:
    """A place with everything around it. ``tab`` is one of the app's own: home or about."""
    # Read first: what changes while the rest is put together is then seen by the next look.
    version = sandbox.version
    reader = reader_for(sandbox, place.workspace.id, place.user)
    tab = _tab(sandbox, place, tab)
    screen = Screen(version, f"{place.title} · {place.workspace.name}")
    screen.about = _about(sandbox, place, thread_ts, tab)
    shared: JsonDict = {
        "place": place,
        "config": sandbox.config,
        "tab": tab,
        "is_installed": sandbox.is_installed(place.workspace.id),
        "thread_ts": thread_ts,
    }
    workspaces = _workspaces(sandbox, place.id)
    screen.parts = {
        "who": _part("who", workspaces=workspaces, **shared),
        "places": _part("places", **_sidebar(sandbox, place), **shared),
        "head": _part("head", **_head(sandbox, place), **shared),
        "notice": _part("notice", **shared),
        "tab": _tab_part(sandbox, reader, shared),
        "composer": _part("composer", in_thread=False, **_talk(sandbox, place, tab), **shared),
        "thread-composer": _part(
            "composer", in_thread=True, **_talk(sandbox, place, tab), **shared
        ),
        "modal": _modal(sandbox, place.user, reader),
    }
    screen.lists = {
        "messages": [] if tab else _messages(sandbox, place, reader, None),
        "thread": _messages(sandbox, place, reader, thread_ts) if thread_ts else [],
    }
    return screen


def _part(template: str, **values: Any) -> Piece:
    return Piece(Markup(render_template(f"client/{template}.html", **values).strip()))  # noqa: S704


def _about(sandbox: Sandbox, place: Place, thread_ts: str | None, tab: str) -> JsonDict:
    return {
        "user": place.user.id,
        "team": place.workspace.id,
        "place": place.id,
        "kind": place.kind,
        "tab": tab,
        "thread": thread_ts,
        "commands": [
            {"insert": one.command, "name": f"{one.command} {one.usage_hint}".strip()}
            | {"detail": one.description}
            for one in sandbox.config.slash_commands
            if sandbox.is_installed(place.workspace.id)
        ],
        "people": [
            {"insert": f"@{one.name}", "name": one.label, "detail": one.title}
            for one in actors(sandbox, place.workspace.id)
        ],
        "channels": [
            {"insert": f"#{one.name}", "name": f"#{one.name}", "detail": one.purpose}
            for one in sandbox.conversations_for(place.workspace.id, place.user.id)
            if not one.is_im
        ],
    }


def _workspaces(sandbox: Sandbox, place_id: str, *, first: bool = False) -> list[JsonDict]:
    """Every workspace with its people, each a link to being them."""
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
                        "user": one,
                        "url": _be_url(sandbox, workspace.id, one, None if first else place_id),
                        "picture": one.images("")["image_48"],
                    }
                    for one in actors(sandbox, workspace.id)
                ],
            }
        )
    return shown


def _be_url(sandbox: Sandbox, team_id: str, user: User, place_id: str | None) -> str:
    """Being somebody keeps the channel where they see it too."""
    visible = {one.id for one in sandbox.conversations_for(team_id, user.id) if not one.is_im}
    if place_id not in visible:
        place_id = first_place(sandbox, team_id, user.id)
    return place_url(team_id, place_id, user.id)


def _sidebar(sandbox: Sandbox, place: Place) -> JsonDict:
    team_id, user = place.workspace.id, place.user
    channels = [one for one in sandbox.conversations_for(team_id, user.id) if not one.is_im]

    def row(target: str, name: str, channel_id: str | None) -> JsonDict:
        messages = sandbox.messages(channel_id) if channel_id else []
        own = sandbox.ephemerals(user.id, channel_id) if channel_id else []
        return {
            "id": target,
            "name": name,
            "url": place_url(team_id, target, user.id),
            "latest": max((one.ts for one in (*messages[-1:], *own[-1:])), default=""),
        }

    return {
        "channels": [
            row(one.id, one.name, one.id) | {"channel": one}
            for one in sorted(channels, key=lambda one: (user.id not in one.members, one.name))
        ],
        "people": [
            row(one.id, one.label, _dm_id(sandbox, team_id, user.id, one.id))
            | {"is_self": one.id == user.id, "picture": one.images("")["image_24"]}
            for one in actors(sandbox, team_id)
        ],
        "app": row(APP, sandbox.config.name, _dm_id(sandbox, team_id, user.id, None)),
    }


def _dm_id(sandbox: Sandbox, team_id: str, user_id: str, other_id: str | None) -> str | None:
    other_id = other_id or app_bot_id(sandbox, team_id)
    for channel in sandbox.conversations_for(team_id, user_id):
        if channel.is_im and set(channel.members) == {user_id, other_id}:
            return channel.id
    return None


def _head(sandbox: Sandbox, place: Place) -> JsonDict:
    members: list[User] = []
    bot_id = app_bot_id(sandbox, place.workspace.id)
    channel = place.channel
    if channel is not None and place.kind == "channel":
        members = [one for one in sandbox.users.values() if one.id in channel.members]
    return {
        "members": members,
        "can_invite": bot_id is not None
        and place.kind == "channel"
        and place.is_member
        and channel is not None
        and not channel.is_archived
        and bot_id not in channel.members,
    }


def _tab(sandbox: Sandbox, place: Place, asked: str) -> str:
    """Which of the app's tabs is shown; empty for the conversation."""
    if place.kind != "app":
        return ""
    config = sandbox.config
    if asked == "about" or not sandbox.is_installed(place.workspace.id):
        return "about"
    if asked == "messages":
        return "" if config.messages_tab else "about"
    if config.home_tab:
        return "home"
    return "" if config.messages_tab else "about"


def _tab_part(sandbox: Sandbox, reader: Reader, shared: JsonDict) -> Piece:
    place: Place = shared["place"]
    home = Markup()
    view: View | None = None
    if shared["tab"] == "home":
        view = sandbox.home_view(place.workspace.id, place.user.id)
        home = blocks_tag(view.blocks, reader.within(view.id)) if view else home
    return _part("tab", home=home, view=view, **shared)


def _talk(sandbox: Sandbox, place: Place, tab: str) -> JsonDict:
    """Whether there is a composer, and what stands in its place."""
    channel: Channel | None = place.channel
    hindrance = ""
    if channel is not None and channel.is_archived:
        hindrance = "This channel is archived."
    elif place.other is not None and place.other.deleted:
        hindrance = f"{place.other.label} is no longer here."
    elif place.kind == "app" and not sandbox.is_installed(place.workspace.id):
        hindrance = f"{place.name} is not installed in {place.workspace.name}."
    elif place.kind == "app" and sandbox.config.messages_tab_read_only:
        hindrance = "Sending messages to this app has been turned off."
    return {
        "is_open": not tab,
        "hindrance": hindrance,
        "can_join": not place.is_member and not hindrance,
    }


def _messages(sandbox: Sandbox, place: Place, reader: Reader, thread_ts: str | None) -> list[Piece]:
    pieces: list[Piece] = []
    shortcuts = shortcuts_in(sandbox, place.workspace.id)
    for one in shown_messages(sandbox, place, reader, thread_ts):
        template = "day" if isinstance(one, Day) else "message"
        part = _part(template, one=one, place=place, thread_ts=thread_ts, shortcuts=shortcuts)
        pieces.append(Piece(part.html, one.key))
    return pieces


def _modal(sandbox: Sandbox, user: User, reader: Reader) -> Piece:
    view = sandbox.open_modal(user.id)
    if view is None:
        return Piece(Markup())
    return _part(
        "modal",
        view=view,
        title=words(view.title),
        submit=words(view.submit),
        close=words(view.close),
        body=blocks_tag(view.blocks, reader.within(view.id), view.errors),
    )
