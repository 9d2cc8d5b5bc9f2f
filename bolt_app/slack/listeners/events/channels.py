"""Events about channels: subscriptions follow, and their creators are notified once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slack_bolt import App, BoltContext

from bolt_app.access.authorization import Action, Person
from bolt_app.blockkit.text import first_of
from bolt_app.lifecycle.channels import Notices
from bolt_app.lifecycle.events import EventOrigin
from bolt_app.notifications.content.schema import NotificationRequest, read_one
from bolt_app.notifications.subscriptions.channel_sync import AffectedSubscription, PauseReason
from bolt_app.services import Services
from bolt_app.slack.listeners.events.origin import origin_of
from bolt_app.slack_api import SlackCallError
from bolt_app.slack_ids import DELETED_PERSON
from bolt_app.workspaces.client import NotInstalledError

logger = logging.getLogger(__name__)

# Events of private channels begin with `group`.
KINDS = ("channel", "group")


def register_channel_events(app: App, services: Services) -> None:
    """Register the events about channels."""
    channels = services.lifecycle.channels

    def archived(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        origin, channel_id = origin_of(body, context), event["channel"]
        services.access.channels_changed(context.team_id or "", channel_id)
        change = f"<#{channel_id}> was archived", "pauses until it is unarchived"
        notices = _notices(services, _Channel.of(origin, event), *change)
        channels.paused(origin, channel_id, PauseReason.ARCHIVED, notices)

    def unarchived(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        channels.resumed(origin_of(body, context), event["channel"], PauseReason.ARCHIVED)

    def left(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        origin, channel_id = origin_of(body, context), event["channel"]
        services.access.channels_changed(context.team_id or "", channel_id)
        change = f"Bellhop was removed from <#{channel_id}>", "pauses until it is invited again"
        notices = _notices(services, _Channel.of(origin, event), *change)
        channels.paused(origin, channel_id, PauseReason.REMOVED, notices)

    def deleted(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        origin, channel_id = origin_of(body, context), event["channel"]
        services.access.channels_changed(context.team_id or "", channel_id)
        change = f"The channel {channel_id} was deleted", "has ended"
        channels.deleted(
            origin, channel_id, _notices(services, _Channel.of(origin, event), *change)
        )

    def renamed(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        channel = event["channel"]
        channels.renamed(origin_of(body, context), channel["id"], channel["name"])

    for kind in KINDS:
        app.event(f"{kind}_archive")(archived)
        app.event(f"{kind}_unarchive")(unarchived)
        app.event(f"{kind}_left")(left)
        app.event(f"{kind}_deleted")(deleted)
        app.event(f"{kind}_rename")(renamed)

    @app.event("channel_id_changed")
    def moved(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        ids = event["old_channel_id"], event["new_channel_id"]
        services.access.channels_changed(context.team_id or "", event["old_channel_id"])
        channels.moved(origin_of(body, context), *ids)

    @app.event("member_joined_channel")
    def joined(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        team_id, channel_id = context.team_id or "", event["channel"]
        services.access.membership_changed(team_id, event["user"], channel_id)
        if event["user"] == context.bot_user_id:
            # The bot can now see the members of a private channel.
            services.access.channels_changed(team_id, channel_id)
            channels.resumed(origin_of(body, context), channel_id, PauseReason.REMOVED)

    @app.event("member_left_channel")
    def member_left(event: dict[str, Any], context: BoltContext) -> None:
        team_id = context.team_id or ""
        services.access.membership_changed(team_id, event["user"], event["channel"])


@dataclass(frozen=True)
class _Channel:
    """A channel that an event is about."""

    team_id: str
    id: str
    is_private: bool

    @classmethod
    def of(cls, origin: EventOrigin, event: Mapping[str, Any]) -> _Channel:
        is_private = event["type"].startswith("group_")
        return cls(origin.team_id or "", event["channel"], is_private)


def _notices(services: Services, channel: _Channel, change: str, consequence: str) -> Notices:
    """Return the function that notifies each person who created a subscription of a channel.

    Slack is asked about these people now, before the transaction that changes the subscriptions.
    """
    creators = _ask_about_creators(services, channel)

    def notices(followed: Sequence[AffectedSubscription]) -> list[NotificationRequest]:
        made = []
        for user_id, sees in creators.items():
            topics = [f"`{one.topic}`" for one in followed if one.created_by == user_id]
            if topics:
                named = f" ({first_of(topics)})" if sees else ""
                text = f"{change}. Your subscription there{named} {consequence}."
                made.append(read_one({"to": user_id, "text": text}, services.clock()))
        return made

    return notices


def _ask_about_creators(services: Services, channel: _Channel) -> Mapping[str, bool]:
    """Return the people to be notified, and whether they can see the channel now.

    The topics are named only to people who can.
    """
    stored = services.subscriptions.of_address(channel.team_id, channel.id)
    creators = {one.spec.created_by for one in stored if one.spec.created_by} - {DELETED_PERSON}
    asked: dict[str, bool] = {}
    for user_id in sorted(creators):
        try:
            person = services.access.person(channel.team_id, user_id)
            if person.may(Action.USE):
                asked[user_id] = _sees(person, channel)
        except NotInstalledError:
            # The next installation would send it too late.
            return {}
        except SlackCallError as error:
            logger.info("no topics are named", extra={"error": error.code})
            asked[user_id] = False
    return asked


def _sees(person: Person, channel: _Channel) -> bool:
    """Whether a person may see a channel, which may be deleted by now."""
    if not channel.is_private and person.may(Action.SEE_WORKSPACE):
        return True
    return channel.id in person.memberships()
