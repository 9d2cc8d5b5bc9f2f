"""Notification preferences as Block Kit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from typing import Any

from pydantic import AwareDatetime, BaseModel, field_validator

from bolt_app.blockkit.elements import (
    Block,
    Reply,
    actions,
    button,
    context,
    input_block,
    modal,
    option,
    section,
)
from bolt_app.blockkit.mrkdwn import escape
from bolt_app.blockkit.signed_values import OutdatedError
from bolt_app.notifications.digests.preferences import (
    NOW,
    NotificationPreferences,
    PreferenceChange,
)
from bolt_app.notifications.subscriptions.schedules import DAILY, HOURLY, OFF, QuietHours, Schedule
from bolt_app.slack import ids

QUIET_BLOCK, FROM_BLOCK, UNTIL_BLOCK = "quiet", "from", "until"
DIRECT_BLOCK, DAILY_BLOCK = "direct", "daily"
_USUAL_QUIET = QuietHours(time(22), time(7))
_USUAL_DAILY = time(9)
_KEEP = option("keep", "Hold notifications until quiet hours end")
_DIRECT_WORDS = {
    NOW: "immediately",
    HOURLY: "every hour, as a digest",
    DAILY: "every day, as a digest",
    OFF: "not at all",
}


def preferences_section(preferences: NotificationPreferences) -> Block:
    """Describe a person's preferences."""
    if not preferences.unreadable:
        return section(_chosen(preferences))
    fields = ", ".join(preferences.unreadable)
    return section(
        f"{_chosen(preferences)}\n:warning: The stored value is damaged and not used: {fields}. "
        "Save your preferences again to replace it."
    )


def preferences_modal(preferences: NotificationPreferences) -> dict[str, Any]:
    """Return the modal that edits preferences.

    https://docs.slack.dev/reference/block-kit/block-elements/time-picker-element
    """
    quiet, schedule = preferences.quiet or _USUAL_QUIET, preferences.schedule
    daily_at = schedule.daily_at if schedule is not None else None
    options = [_option(kind) for kind in _DIRECT_WORDS]
    chosen = _option(preferences.direct.split()[0])
    keep: Block = {"type": "checkboxes", "options": [_KEEP]}
    if preferences.quiet is not None:
        keep["initial_options"] = [_KEEP]
    select = {"type": "static_select", "options": options, "initial_option": chosen}
    return modal(
        ids.PREFERENCES_VIEW,
        "Your notifications",
        "Save",
        [
            input_block(QUIET_BLOCK, "Quiet hours", keep, optional=True),
            input_block(FROM_BLOCK, "From", _time_picker(quiet.start)),
            input_block(UNTIL_BLOCK, "Until", _time_picker(quiet.end)),
            {"type": "divider"},
            input_block(DIRECT_BLOCK, "Direct notifications are delivered", select),
            input_block(DAILY_BLOCK, "Time of the daily digest", _time_picker(daily_at)),
            context(
                "Times are in your time zone. Critical notifications are delivered immediately."
            ),
        ],
    )


def chosen_reply(preferences: NotificationPreferences, undo: Mapping[str, Any]) -> Reply:
    """Report saved preferences, with an Undo button."""
    button_ = button("Undo", ids.UNDO_PREFERENCES, value=undo)
    return _reply(
        preferences,
        "Saved. Notifications that are already held keep their delivery time.",
        actions(button_),
    )


def undone_preference_reply(preferences: NotificationPreferences) -> Reply:
    """Report that a change was undone."""
    return _reply(preferences, "You undid the change.")


def not_undone_preference_reply(preferences: NotificationPreferences) -> Reply:
    """Report why nothing was undone."""
    return _reply(
        preferences, "That change was already undone, or the preferences have changed since."
    )


def home_notice(reply: Reply) -> Reply:
    """Return a reply without the section that the App Home already shows."""
    return Reply(reply.text, reply.blocks[1:])


def _reply(preferences: NotificationPreferences, small: str, *more: Block) -> Reply:
    chosen = _chosen(preferences)
    return Reply(f"{chosen} {small}", [section(chosen), context(small), *more])


def undo_preference_fields(user_id: str, change: PreferenceChange) -> dict[str, Any]:
    """Return the fields of the button that undoes a person's change."""
    before, at = change.before, change.changed_at
    quiet = before.quiet
    packed = _UndonePreference(
        user=user_id,
        at=at,
        quiet_from=None if quiet is None else quiet.start,
        quiet_until=None if quiet is None else quiet.end,
        direct=before.direct,
        tz=before.tz,
    )
    return packed.model_dump(mode="json", exclude_defaults=True)


def read_undo_preference_fields(user_id: str, fields: Mapping[str, Any]) -> PreferenceChange:
    """Return the change in fields from `undo_preference_fields`.

    Raises:
        OutdatedError: the fields have no change, or one of another person.
    """
    try:
        packed = _UndonePreference.model_validate(fields)
    except ValueError:
        raise OutdatedError from None
    if packed.user != user_id:
        raise OutdatedError
    return packed.change()


class _UndonePreference(BaseModel):
    """The preferences before a change; fields that are added later have a default."""

    user: str
    at: AwareDatetime | None = None
    quiet_from: time | None = None
    quiet_until: time | None = None
    direct: str = NOW
    tz: str = "UTC"

    @field_validator("direct")
    @classmethod
    def _is_direct(cls, direct: str) -> str:
        if direct not in (NOW, OFF) and str(Schedule.read(direct, "UTC")) != direct:
            raise ValueError("must be now, off, hourly or daily with a time")
        return direct

    def change(self) -> PreferenceChange:
        hours = None
        if self.quiet_from is not None and self.quiet_until is not None:
            hours = QuietHours(self.quiet_from, self.quiet_until)
        return PreferenceChange(NotificationPreferences(hours, self.direct, self.tz), self.at)


def _chosen(preferences: NotificationPreferences) -> str:
    tz = escape(preferences.tz)
    quiet = "no quiet hours"
    if preferences.quiet is not None:
        hours = f"{preferences.quiet.start:%H:%M} to {preferences.quiet.end:%H:%M}"
        quiet = f"quiet hours from {hours} ({tz})"
    direct = _DIRECT_WORDS[preferences.direct.split()[0]]
    schedule = preferences.schedule
    if schedule is not None and schedule.daily_at is not None:
        direct = f"every day at {schedule.daily_at:%H:%M} ({tz}), as a digest"
    return f"You have {quiet}. Direct notifications are delivered {direct}."


def _option(kind: str) -> Block:
    words = _DIRECT_WORDS[kind]
    return option(kind, words[0].upper() + words[1:])


def _time_picker(at: time | None) -> Block:
    return {"type": "timepicker", "initial_time": f"{at or _USUAL_DAILY:%H:%M}"}
