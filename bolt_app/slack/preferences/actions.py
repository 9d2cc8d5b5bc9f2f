"""What one person chooses of what comes to them."""

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
    """A person who chooses."""

    services: Services
    team_id: str
    user_id: str

    @classmethod
    def of(cls, services: Services, context: BoltContext) -> Self:
        """Return the person a Bolt request comes from."""
        return cls(services, context.team_id or "", context.user_id or "")

    def find(self) -> NotificationPreferences:
        """Return what they have chosen."""
        return self.services.preferences.find(self.team_id, self.user_id)

    def set_quiet_hours(self, hours: QuietHours | None) -> Reply:
        """Let nothing come in these hours that is not critical, where they live."""
        return self.choose(replace(self.find(), quiet=hours))

    def choose(self, preferred: NotificationPreferences) -> Reply:
        """Let them have it as they want, where they live."""
        local = replace(preferred, tz=time_zone_of(self.services, self.team_id, self.user_id))
        change = self.services.preferences.choose(self.team_id, self.user_id, local)
        return chosen_reply(local, undo_preference_fields(self.user_id, change))

    def undo(self, change: PreferenceChange) -> Reply:
        """Put it back as it was."""
        if not self.services.preferences.undo(self.team_id, self.user_id, change):
            return not_undone_preference_reply(self.find())
        return undone_preference_reply(self.find())
