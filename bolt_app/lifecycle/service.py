"""The lifecycle of installations, people, workspaces and channels, driven by Slack's events."""

from __future__ import annotations

from dataclasses import dataclass

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.installations.removals import InstallationRemovals
from bolt_app.installations.rows import InstallationRows
from bolt_app.lifecycle.channels import ChannelLifecycle
from bolt_app.lifecycle.erasure import Erasure
from bolt_app.lifecycle.events import Events
from bolt_app.lifecycle.installations import InstallationLifecycle
from bolt_app.lifecycle.profiles import ProfileLifecycle
from bolt_app.lifecycle.served_workspaces import ServedWorkspaces
from bolt_app.notifications.intake.service import Intake
from bolt_app.notifications.queue.wakeup import Wakeup
from bolt_app.signals import Signals


@dataclass(frozen=True)
class Lifecycle:
    """The handlers of events, by their subject."""

    events: Events
    installations: InstallationLifecycle
    workspaces: ServedWorkspaces
    profiles: ProfileLifecycle
    channels: ChannelLifecycle

    @classmethod
    def create(
        cls,
        database: Database,
        rows: InstallationRows,
        signals: Signals,
        intake: Intake,
        wakeup: Wakeup,
        *,
        guests_may_subscribe: bool = False,
        clock: Clock = utc_now,
    ) -> Lifecycle:
        """Return the handlers for one database."""
        events = Events(database, clock)
        removals = InstallationRemovals(rows, clock=clock)
        erasure = Erasure(database, signals, wakeup, clock)
        workspaces = ServedWorkspaces(database, rows, removals, erasure, clock)
        return cls(
            events,
            InstallationLifecycle(database, rows, events, removals, workspaces, erasure, clock),
            workspaces,
            ProfileLifecycle(
                database,
                events,
                removals,
                erasure,
                signals,
                guests_may_subscribe=guests_may_subscribe,
                clock=clock,
            ),
            ChannelLifecycle(events, intake, wakeup, clock),
        )
