"""Factories of the delivery worker, which runs alone or in a web process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import timedelta
from threading import Event

from sqlalchemy import make_url

from bolt_app.config import Settings
from bolt_app.db import Database
from bolt_app.db.libpq import libpq_address
from bolt_app.notifications.delivery.dispatcher import Dispatcher
from bolt_app.notifications.delivery.file_links import PATIENCE_SECONDS, FileLinks
from bolt_app.notifications.delivery.owner_clock import OwnerClock
from bolt_app.notifications.delivery.ownership import Ownership
from bolt_app.notifications.delivery.pacing import DeliveryLimits, RateLimit
from bolt_app.notifications.delivery.postgresql_ownership import PostgreSQLOwnership
from bolt_app.notifications.delivery.resolver import DestinationResolver
from bolt_app.notifications.delivery.sender import MessageSender
from bolt_app.notifications.delivery.sqlite_ownership import SQLiteOwnership
from bolt_app.notifications.delivery.store import Store
from bolt_app.notifications.delivery.timetable import PeriodicTask, Timetable
from bolt_app.notifications.delivery.transitions import Transitions
from bolt_app.notifications.delivery.upload_turns import UploadTurns
from bolt_app.notifications.delivery.worker import DeliveryWorker
from bolt_app.notifications.history.failure_watch import FailureWatch
from bolt_app.notifications.history.retention import Retention
from bolt_app.services import Services
from bolt_app.slack_api.uploads import UploadUrls

logger = logging.getLogger(__name__)

# Intervals of periodic tasks.
RARELY_SECONDS = 600.0
OFTEN_SECONDS = 60.0


def create_worker(services: Services) -> DeliveryWorker:
    """Return a worker that is ready to run."""
    settings, database = services.settings, services.database
    if not settings.is_slack:
        logger.warning(
            "connected to a stand-in for Slack, where anyone can sign in as anyone: remove "
            "SLACK_BASE_URL for production",
            extra={"slack_base_url": settings.slack_base_url},
        )
    ownership = create_ownership(settings, database)
    services.readiness.watch(ownership)
    executor = ThreadPoolExecutor(max(2, settings.worker_threads), thread_name_prefix="delivery")
    stopping = Event()
    return DeliveryWorker(
        create_dispatcher(services, ownership, executor),
        Timetable(
            _periodic_tasks(services, stopping),
            lambda: 0 in ownership.owned,
            poll=settings.delays.poll,
            stopping=stopping,
        ),
        services.http,
        services.wakeup,
        executor,
    )


def create_dispatcher(
    services: Services,
    ownership: Ownership,
    executor: Executor,
    monotonic: Callable[[], float] = time.monotonic,
) -> Dispatcher:
    """Return the dispatcher of owned workspaces, with the rate limits of the settings."""
    settings, database, clock = services.settings, services.database, services.clock
    delays, retry_for = settings.delays, timedelta(hours=settings.retry_hours)
    second_look = timedelta(seconds=delays.second_look)
    client, channels, users = services.client, services.channels, services.users
    per_minute = settings.workspace_per_minute
    transitions = Transitions(database, settings.public_url, clock=clock)
    return Dispatcher(
        Store(database, retry_for=retry_for, second_look=second_look, clock=clock),
        transitions,
        MessageSender(
            client,
            channels,
            services.organization_channels,
            users,
            services.access,
            services.signer,
            delays,
            services.lookup_budgets,
            services.lookup_threads,
            FileLinks(
                client,
                UploadUrls(settings.slack_base_url, services.api),
                services.files,
                settings.public_url,
                UploadTurns(
                    max(1, settings.workspace_requests // 4),
                    patience=PATIENCE_SECONDS,
                    monotonic=monotonic,
                ),
            ),
            transitions.follow_move,
            transitions.senders_of,
            clock=clock,
        ),
        DestinationResolver(client, channels, users, delays, services.lookup_threads, clock=clock),
        ownership,
        limits=DeliveryLimits(
            workspace=RateLimit(60 / per_minute, burst=max(1, per_minute // 4)),
            lane=RateLimit(60 / settings.channel_per_minute, burst=settings.channel_burst),
            in_flight=settings.workspace_requests,
        ),
        delays=delays,
        retry_for=retry_for,
        executor=executor,
        notify=services.wakeup.notify,
        clock=OwnerClock(clock, monotonic),
    )


def create_ownership(settings: Settings, database: Database) -> Ownership:
    """Return the ownership of workspaces by this process; its clock is `monotonic`."""
    if database.is_sqlite:
        return SQLiteOwnership(database, settings.delays, now=time.monotonic())
    address = libpq_address(make_url(settings.session_url))
    return PostgreSQLOwnership(address, settings.delays, now=time.monotonic())


def _periodic_tasks(services: Services, stopping: Event) -> list[PeriodicTask]:
    keep_for = timedelta(days=services.settings.keep_days)
    retention = Retention(
        services.database, keep_for=keep_for, stopping=stopping, clock=services.clock
    )
    rarely = {
        "delete_expired": retention.delete_expired,
        "delete_files": services.files.delete_unused,
        "record_profiles": services.profiles.record_pending,
        "revoke_tokens": services.revocations.revoke_pending,
        "delete_sessions": services.sessions.delete_expired,
        "delete_audit_events": services.audit.delete_expired,
        "delete_webhook_bodies": services.webhook_bodies.delete_expired,
    }
    tasks = [PeriodicTask(name, call, RARELY_SECONDS) for name, call in rarely.items()]
    failures = FailureWatch(services.database, services.signals)
    often = {
        "watch_failures": failures.run,
        "send_callbacks": services.callback_sender.start,
        "check_installations": services.installation_checks.run_periodically,
    }
    return [*tasks, *(PeriodicTask(name, call, OFTEN_SECONDS) for name, call in often.items())]
