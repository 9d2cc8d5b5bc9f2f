"""Wires the delivery worker, for a process of its own or beside the web pages."""

from __future__ import annotations

import logging
from datetime import timedelta

from bolt_app.notifications.courier import Courier
from bolt_app.notifications.finding import Finding
from bolt_app.notifications.housekeeping import Housekeeping
from bolt_app.notifications.pacing import Pace
from bolt_app.notifications.pulse import Pulse
from bolt_app.notifications.rounds import Rounds
from bolt_app.notifications.sending import Sending
from bolt_app.notifications.worker import DeliveryWorker
from bolt_app.services import Services

logger = logging.getLogger(__name__)


def create_worker(services: Services) -> DeliveryWorker:
    """Return a worker that is ready to run."""
    settings, database, clock = services.settings, services.database, services.clock
    if not settings.is_slack:
        logger.warning(
            "not connected to Slack, but to a stand-in, where people sign in as anybody: remove "
            "SLACK_BASE_URL for real use",
            extra={"slack_base_url": settings.slack_base_url},
        )
    threads = max(1, settings.worker_threads)
    delays = settings.delays
    pulse = Pulse(database, clock=clock, dead_seconds=delays.dead_worker)
    housekeeping = Housekeeping(database, keep_for=timedelta(days=settings.keep_days), clock=clock)
    return DeliveryWorker(
        Courier(create_rounds(services), pulse.worker_id, threads=threads, clock=clock),
        pulse,
        services.wakeup,
        Sending(services.calls, services.channels, services.people, services.signer, delays),
        Finding(services.calls, services.channels, services.people, delays),
        threads=threads,
        delays=delays,
        chores={
            "tidy": housekeeping.tidy,
            "record_profiles": services.profiles.record_pending,
            "revoke_tokens": services.revocations.revoke_pending,
            "delete_sessions": services.sessions.delete_expired,
            "delete_audit_events": services.audit.delete_expired,
        },
        minutely={
            "send_callbacks": services.callback_sender.start,
            "check_installations": services.installation_checks.run,
        },
    )


def create_rounds(services: Services) -> Rounds:
    """Return what writes and begins deliveries, at the pace of the settings."""
    settings = services.settings
    pace = Pace(
        channel_interval=timedelta(minutes=1) / settings.channel_per_minute,
        channel_burst=settings.channel_burst,
        team_per_minute=settings.workspace_per_minute,
    )
    retry_for = timedelta(hours=settings.retry_hours)
    return Rounds(
        services.database,
        pace=pace,
        public_url=settings.public_url,
        retry_for=retry_for,
        clock=services.clock,
    )
