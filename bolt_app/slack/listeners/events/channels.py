"""Events about channels: subscriptions follow, and their creators are notified once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from slack_bolt import App, BoltContext

from bolt_app.access.authorization import Action, Person
from bolt_app.blockkit.text import first_of
from bolt_app.credentials.sources import SourceKind
from bolt_app.lifecycle.events import EventOrigin
from bolt_app.notifications.content.schema import read_one
from bolt_app.notifications.intake.sender import Sender
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
        followed = channels.paused(origin, channel_id, PauseReason.ARCHIVED)
        change = f"<#{channel_id}> was archived", "pauses until it is unarchived"
        _notify_creators(services, _Channel.of(origin, event), followed, *change)

    def unarchived(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        channels.resumed(origin_of(body, context), event["channel"], PauseReason.ARCHIVED)

    def left(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        origin, channel_id = origin_of(body, context), event["channel"]
        services.access.channels_changed(context.team_id or "", channel_id)
        followed = channels.paused(origin, channel_id, PauseReason.REMOVED)
        change = f"Bellhop was removed from <#{channel_id}>", "pauses until it is invited again"
        _notify_creators(services, _Channel.of(origin, event), followed, *change)

    def deleted(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        origin, channel_id = origin_of(body, context), event["channel"]
        services.access.channels_changed(context.team_id or "", channel_id)
        followed = channels.deleted(origin, channel_id)
        change = f"The channel {channel_id} was deleted", "has ended"
        _notify_creators(services, _Channel.of(origin, event), followed, *change)

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
    """A channel, and the origin of the event about it."""

    origin: EventOrigin
    id: str
    is_private: bool

    @classmethod
    def of(cls, origin: EventOrigin, event: Mapping[str, Any]) -> _Channel:
        return cls(origin, event["channel"], event["type"].startswith("group_"))


def _notify_creators(
    services: Services,
    channel: _Channel,
    followed: Sequence[AffectedSubscription],
    change: str,
    consequence: str,
) -> None:
    """Notify each person who created a subscription of the channel that it ended or is paused.

    The topics are named only to people who can see the channel now.
    """
    team_id = channel.origin.team_id or ""
    for user_id in sorted(
        {subscription.created_by for subscription in followed if subscription.created_by}
        - {DELETED_PERSON}
    ):
        topics = first_of(
            [
                f"`{subscription.topic}`"
                for subscription in followed
                if subscription.created_by == user_id
            ]
        )
        try:
            person = services.access.person(team_id, user_id)
            if not person.may(Action.USE):
                continue
            named = f" ({topics})" if _sees(person, channel) else ""
        except NotInstalledError:
            # The next installation would send it too late.
            return
        except SlackCallError as error:
            logger.info("no topics were named", extra={"error": error.code})
            named = ""
        text = f"{change}. Your subscription there{named} {consequence}."
        request = read_one({"to": user_id, "text": text}, services.clock())
        with suppress(NotInstalledError):
            services.intake.submit(
                Sender(team_id, SourceKind.LIFECYCLE),
                [request],
                idempotency_key=f"{channel.origin.event_id}/{user_id}",
            )


def _sees(person: Person, channel: _Channel) -> bool:
    """Whether a person may see a channel, which may be deleted by now."""
    if not channel.is_private and person.may(Action.SEE_WORKSPACE):
        return True
    return channel.id in person.memberships()
