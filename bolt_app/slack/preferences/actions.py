"""Actions of one person on their notification preferences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from slack_bolt import BoltContext

from bolt_app.blockkit.elements import Reply
from bolt_app.notifications.digests.preferences import NotificationPreferences, PreferenceChange
from bolt_app.notifications.subscriptions.schedules import QuietHours
from bolt_app.services import Services
from bolt_app.slack.preferences.blocks import (
    chosen_reply,
    not_undone_preference_reply,
    undo_preference_fields,
    undone_preference_reply,
)
from bolt_app.slack.preferences.time_zones import time_zone_of


@dataclass(frozen=True)
class PreferenceActions:
    """One person, and the services their actions use."""

    services: Services
    team_id: str
    user_id: str

    @classmethod
    def of(cls, services: Services, context: BoltContext) -> Self:
        """Return the person who sent a Bolt request."""
        return cls(services, context.team_id or "", context.user_id or "")

    def find(self) -> NotificationPreferences:
        """Return the person's preferences."""
        return self.services.preferences.find(self.team_id, self.user_id)

    def set_quiet_hours(self, hours: QuietHours | None) -> Reply:
        """Set quiet hours in the person's time zone; None ends them."""
        return self.choose(replace(self.find(), quiet=hours))

    def choose(self, preferences: NotificationPreferences) -> Reply:
        """Save preferences, in the person's time zone."""
        local = replace(preferences, tz=time_zone_of(self.services, self.team_id, self.user_id))
        change = self.services.preferences.choose(self.team_id, self.user_id, local)
        return chosen_reply(local, undo_preference_fields(self.user_id, change))

    def undo(self, change: PreferenceChange) -> Reply:
        """Restore the preferences before a change."""
        if not self.services.preferences.undo(self.team_id, self.user_id, change):
            return not_undone_preference_reply(self.find())
        return undone_preference_reply(self.find())
