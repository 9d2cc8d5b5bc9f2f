"""The sandbox's data: workspaces, people, channels, messages and views.

Plain dataclasses with Slack's names; ``as_slack`` is their representation in the Web API. Nothing
here locks: :class:`slack_sandbox.sandbox.Sandbox` guards every access with one lock.
"""

from __future__ import annotations

import datetime
import zoneinfo
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from slack_sandbox.message_log import MessageLog

JsonDict = dict[str, Any]

IMAGE_SIZES = (24, 32, 48, 72, 192, 512)
"""Sizes of a profile picture."""

_ZONE_LABELS = {
    "Europe/Helsinki": ("Eastern European Time", "Eastern European Summer Time"),
    "America/New_York": ("Eastern Standard Time", "Eastern Daylight Time"),
    "Europe/London": ("Greenwich Mean Time", "British Summer Time"),
    "Asia/Tokyo": ("Japan Standard Time", "Japan Standard Time"),
}


@dataclass
class Enterprise:
    """An Enterprise organization, which owns several workspaces."""

    id: str
    name: str
    domain: str


@dataclass
class Workspace:
    """One workspace (*team* in Slack's API)."""

    id: str
    name: str
    domain: str
    enterprise_id: str | None = None
    email_domain: str = ""

    def as_slack(self, base_url: str) -> JsonDict:
        """The workspace in the format of ``team.info``; picture URLs start with ``base_url``."""
        shown: JsonDict = {
            "id": self.id,
            "name": self.name,
            "url": f"https://{self.domain}.slack.com/",
            "domain": self.domain,
            "email_domain": self.email_domain,
            "icon": {
                **{
                    f"image_{size}": f"{base_url}/avatars/{self.id}/{size}.svg"
                    for size in (34, 44, 68, 88, 102, 132, 230)
                },
                "image_default": True,
            },
            "avatar_base_url": f"{base_url}/avatars/",
            "is_verified": False,
        }
        if self.enterprise_id is not None:
            shown["enterprise_id"] = self.enterprise_id
        return shown


@dataclass
class User:
    """A person or a bot user. An organization's people may be in several workspaces."""

    id: str
    team_id: str
    name: str
    real_name: str
    display_name: str = ""
    email: str | None = None
    title: str = ""
    tz: str | None = None
    locale: str = "en-US"
    is_admin: bool = False
    is_owner: bool = False
    is_primary_owner: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_bot: bool = False
    deleted: bool = False
    updated: int = 0
    team_ids: tuple[str, ...] = ()
    enterprise_id: str | None = None
    is_org_admin: bool = False
    status_text: str = ""
    status_emoji: str = ""
    phone: str = ""
    pronouns: str = ""
    avatar_hash: str = "g0000000001"
    bot_id: str | None = None
    app_id: str | None = None

    def __post_init__(self) -> None:
        if not self.team_ids:
            self.team_ids = (self.team_id,)

    @property
    def label(self) -> str:
        """The name shown in a client: the display name, or else the real name."""
        return self.display_name or self.real_name

    def is_in(self, team_id: str) -> bool:
        """Whether this person belongs to the workspace ``team_id``."""
        return team_id in self.team_ids

    def zone(self) -> datetime.tzinfo:
        """The person's time zone, or Slack's default (Pacific time)."""
        return zoneinfo.ZoneInfo(self.tz or "America/Los_Angeles")

    def images(self, base_url: str) -> JsonDict:
        """The picture URLs of ``profile``, ``image_24`` to ``image_512``."""
        stem = f"{base_url}/avatars/{self.id}-{self.avatar_hash}"
        pictures: JsonDict = {f"image_{size}": f"{stem}/{size}.svg" for size in IMAGE_SIZES}
        pictures["image_original"] = f"{stem}/512.svg"
        pictures["is_custom_image"] = True
        return pictures

    def profile(self, base_url: str, *, with_email: bool) -> JsonDict:
        """The ``profile`` object; ``email`` only with ``users:read.email``."""
        first, _, last = self.real_name.partition(" ")
        profile: JsonDict = {
            "title": self.title,
            "phone": self.phone,
            "skype": "",
            "real_name": self.real_name,
            "real_name_normalized": self.real_name,
            "display_name": self.display_name,
            "display_name_normalized": self.display_name,
            "pronouns": self.pronouns,
            "fields": None,
            "status_text": self.status_text,
            "status_emoji": self.status_emoji,
            "status_emoji_display_info": [],
            "status_expiration": 0,
            "avatar_hash": self.avatar_hash,
            "first_name": first,
            "last_name": last,
            "status_text_canonical": "",
            "team": self.team_id,
            **self.images(base_url),
        }
        if with_email and self.email is not None:
            profile["email"] = self.email
        if self.is_bot:
            profile |= {"bot_id": self.bot_id, "api_app_id": self.app_id, "always_active": True}
        return profile

    def as_slack(
        self, base_url: str, *, at: float, with_email: bool = False, with_locale: bool = False
    ) -> JsonDict:
        """The person in the format of ``users.info`` at the time ``at``.

        A deactivated account has neither a time zone nor flags
        (https://docs.slack.dev/reference/objects/user-object).
        """
        shown: JsonDict = {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.name,
            "deleted": self.deleted,
            "color": "3c989f",
            "profile": self.profile(base_url, with_email=with_email),
            "is_bot": self.is_bot,
            "is_app_user": False,
            "updated": self.updated,
        }
        if self.deleted:
            return shown
        shown |= {
            "real_name": self.real_name,
            "is_admin": self.is_admin,
            "is_owner": self.is_owner,
            "is_primary_owner": self.is_primary_owner,
            "is_restricted": self.is_restricted,
            "is_ultra_restricted": self.is_ultra_restricted,
            "is_email_confirmed": self.email is not None,
            "who_can_share_contact_card": "EVERYONE",
        }
        if self.tz is not None:
            shown |= _zone_fields(self.tz, at)
        if with_locale:
            shown["locale"] = self.locale
        if self.enterprise_id is not None:
            shown["enterprise_user"] = {
                "id": self.id,
                "enterprise_id": self.enterprise_id,
                "is_admin": self.is_org_admin,
                "is_owner": False,
                "teams": list(self.team_ids),
            }
        return shown


def _zone_fields(tz: str, at: float) -> JsonDict:
    moment = datetime.datetime.fromtimestamp(at, zoneinfo.ZoneInfo(tz))
    standard, summer = _ZONE_LABELS.get(tz, (tz, tz))
    offset = moment.utcoffset() or datetime.timedelta()
    return {
        "tz": tz,
        "tz_label": summer if moment.dst() else standard,
        "tz_offset": int(offset.total_seconds()),
    }


@dataclass
class Channel:
    """A conversation: public or private channel, or a direct message (``is_im``)."""

    id: str
    team_id: str
    name: str
    is_private: bool = False
    is_archived: bool = False
    is_general: bool = False
    is_im: bool = False
    """Whether it is a direct message between the two ``members``."""
    creator: str = ""
    created: int = 0
    topic: str = ""
    purpose: str = ""
    members: list[str] = field(default_factory=list)
    previous_names: list[str] = field(default_factory=list)
    connected_team_ids: list[str] = field(default_factory=list)
    """Workspaces of other organizations that share the channel (Slack Connect)."""
    org_team_ids: list[str] = field(default_factory=list)
    """Other workspaces of the same organization that share the channel."""

    @property
    def home_team_ids(self) -> list[str]:
        """The workspaces of its organization that the channel is in."""
        return [self.team_id, *self.org_team_ids]

    def as_slack(self, viewer_id: str) -> JsonDict:
        """The conversation as the Web API shows it to ``viewer_id``.

        See https://docs.slack.dev/reference/objects/conversation-object.
        """
        if self.is_im:
            return self._im_as_slack(viewer_id)
        return {
            "id": self.id,
            "name": self.name,
            "is_channel": True,
            "is_group": False,
            "is_im": False,
            "is_mpim": False,
            "is_private": self.is_private,
            "created": self.created,
            "is_archived": self.is_archived,
            "is_general": self.is_general,
            "unlinked": 0,
            "name_normalized": self.name,
            "is_shared": bool(self.connected_team_ids or self.org_team_ids),
            "is_org_shared": bool(self.org_team_ids),
            "is_pending_ext_shared": False,
            "pending_shared": [],
            "context_team_id": self.team_id,
            "updated": self.created * 1000,
            "parent_conversation": None,
            "creator": self.creator,
            "is_ext_shared": bool(self.connected_team_ids),
            "shared_team_ids": [*self.home_team_ids, *self.connected_team_ids],
            **({"internal_team_ids": self.home_team_ids} if self.connected_team_ids else {}),
            "pending_connected_team_ids": [],
            "is_member": viewer_id in self.members,
            "topic": {"value": self.topic, "creator": "", "last_set": 0},
            "purpose": {"value": self.purpose, "creator": "", "last_set": 0},
            "previous_names": list(self.previous_names),
        }

    def _im_as_slack(self, viewer_id: str) -> JsonDict:
        other = next((member for member in self.members if member != viewer_id), viewer_id)
        return {
            "id": self.id,
            "created": self.created,
            "is_archived": False,
            "is_im": True,
            "is_org_shared": False,
            "context_team_id": self.team_id,
            "updated": self.created * 1000,
            "user": other,
            "is_user_deleted": False,
            "priority": 0,
        }


@dataclass
class Message:
    """One message. An ephemeral message is visible only to ``ephemeral_to``."""

    channel_id: str
    ts: str
    team_id: str
    text: str = ""
    user_id: str | None = None
    bot_id: str | None = None
    app_id: str | None = None
    blocks: list[JsonDict] = field(default_factory=list)
    attachments: list[JsonDict] = field(default_factory=list)
    metadata: JsonDict | None = None
    thread_ts: str | None = None
    subtype: str | None = None
    username: str | None = None
    icons: JsonDict | None = None
    edited_by: str | None = None
    edited_ts: str | None = None
    ephemeral_to: str | None = None
    deleted: bool = False
    reply_broadcast: bool = False
    reactions: dict[str, list[str]] = field(default_factory=dict)
    bot_profile: JsonDict | None = None

    @property
    def is_ephemeral(self) -> bool:
        """Whether only one person sees the message."""
        return self.ephemeral_to is not None

    def as_slack(self, *, with_metadata: bool = False) -> JsonDict:
        """The message in the format of Slack's API and payloads.

        Without ``with_metadata``, it contains only the type of its metadata
        (https://docs.slack.dev/messaging/message-metadata).
        """
        shown: JsonDict = {"type": "message", "ts": self.ts, "text": self.text}
        optional: JsonDict = {
            "subtype": self.subtype,
            "user": self.user_id,
            "bot_id": self.bot_id,
            "app_id": self.app_id,
            "username": self.username,
            "icons": self.icons,
            "thread_ts": self.thread_ts,
            "bot_profile": self.bot_profile,
        }
        shown |= {name: value for name, value in optional.items() if value is not None}
        shown["team"] = self.team_id
        if self.blocks:
            shown["blocks"] = self.blocks
        if self.attachments:
            shown["attachments"] = self.attachments
        if self.reactions:
            shown["reactions"] = [
                {"name": name, "users": people, "count": len(people)}
                for name, people in self.reactions.items()
            ]
        if self.edited_ts is not None:
            shown["edited"] = {"user": self.edited_by, "ts": self.edited_ts}
        if self.metadata is not None:
            event_type = {"event_type": self.metadata["event_type"]}
            shown["metadata"] = self.metadata if with_metadata else event_type
        return shown


@dataclass
class SlackFile:
    """A file. ``data`` is None until its bytes arrive."""

    id: str
    team_id: str
    user_id: str
    name: str
    length: int
    created: float
    title: str = ""
    data: bytes | None = field(default=None, repr=False)
    is_complete: bool = False


@dataclass
class View:
    """A modal, or a person's App Home tab."""

    id: str
    team_id: str
    user_id: str
    type: Literal["modal", "home"]
    blocks: list[JsonDict]
    hash: str
    app_id: str
    bot_id: str | None
    title: JsonDict | None = None
    submit: JsonDict | None = None
    close: JsonDict | None = None
    private_metadata: str = ""
    callback_id: str = ""
    external_id: str = ""
    clear_on_close: bool = False
    notify_on_close: bool = False
    root_view_id: str = ""
    previous_view_id: str | None = None
    errors: dict[str, str] = field(default_factory=dict)
    """Errors of ``response_action: errors``, by block id."""

    def as_slack(self, values: JsonDict | None = None) -> JsonDict:
        """The view in the format of ``views.*`` and interaction payloads, with its input
        ``values``.
        """
        plain_title: JsonDict = {"type": "plain_text", "text": "View Title", "emoji": True}
        return {
            "id": self.id,
            "team_id": self.team_id,
            "type": self.type,
            "blocks": self.blocks,
            "private_metadata": self.private_metadata,
            "callback_id": self.callback_id,
            "state": {"values": values or {}},
            "hash": self.hash,
            "title": self.title or plain_title,
            "clear_on_close": self.clear_on_close,
            "notify_on_close": self.notify_on_close,
            "close": self.close,
            "submit": self.submit,
            "previous_view_id": self.previous_view_id,
            "root_view_id": self.root_view_id or self.id,
            "app_id": self.app_id,
            "external_id": self.external_id,
            "app_installed_team_id": self.team_id,
            "bot_id": self.bot_id,
        }


@dataclass
class World:
    """All objects by id."""

    enterprises: dict[str, Enterprise] = field(default_factory=dict)
    workspaces: dict[str, Workspace] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    messages: defaultdict[str, MessageLog] = field(default_factory=lambda: defaultdict(MessageLog))
    ephemerals: list[Message] = field(default_factory=list)
    files: dict[str, SlackFile] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    homes: dict[tuple[str, str], View] = field(default_factory=dict)
    """Published App Home tabs by workspace and person."""
    modals: dict[str, list[str]] = field(default_factory=dict)
    """Each person's stack of open modals, as view ids, the top one last."""
    _serial: int = 0
    _last_micros: int = 0

    def next_id(self, prefix: str) -> str:
        """A new, unique id that starts with ``prefix``."""
        self._serial += 1
        return f"{prefix}0S{_base36(self._serial).rjust(8, '0')}"

    def next_ts(self, at: float) -> str:
        """A unique message timestamp for ``at``, later than all before."""
        self._last_micros = max(int(at * 1_000_000), self._last_micros + 1)
        return f"{self._last_micros // 1_000_000}.{self._last_micros % 1_000_000:06d}"

    def people_of(self, team_id: str) -> Iterator[User]:
        """The people and bots of a workspace, in order of creation."""
        return (user for user in self.users.values() if user.is_in(team_id))

    def channels_of(self, team_id: str) -> Iterator[Channel]:
        """The conversations of a workspace, in order of creation."""
        channels = self.channels.values()
        return (channel for channel in channels if team_id in channel.home_team_ids)

    def enterprise_of(self, team_id: str | None) -> Enterprise | None:
        """The organization that owns a workspace, or None."""
        workspace = self.workspaces.get(team_id or "")
        if workspace is None or workspace.enterprise_id is None:
            return None
        return self.enterprises[workspace.enterprise_id]


def _base36(number: int) -> str:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    text = ""
    while number:
        number, rest = divmod(number, 36)
        text = digits[rest] + text
    return text
