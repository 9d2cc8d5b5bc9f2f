"""The composition root: builds the application and all of its services."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import urlsplit

from flask import Flask

from bolt_app.access.audit import AuditLog
from bolt_app.access.authorization import Authorization
from bolt_app.access.sessions import Sessions
from bolt_app.blockkit.signed_values import ValueSigner
from bolt_app.clock import Clock, utc_now
from bolt_app.config import Settings, Subscribers
from bolt_app.connections import close_connections, serve_in_web_threads
from bolt_app.credentials.api_keys import ApiKeys
from bolt_app.credentials.limits import Limits, SenderLimits
from bolt_app.credentials.webhook_bodies import WebhookBodies
from bolt_app.credentials.webhooks import Webhooks
from bolt_app.db import Database, schema
from bolt_app.guesses import GuessLimit
from bolt_app.http_loop import HttpLoop
from bolt_app.installations.authorize import InstallationAuthorize
from bolt_app.installations.callbacks import build_callbacks
from bolt_app.installations.directory import InstallationDirectory
from bolt_app.installations.flow import STATE_LIFETIME_SECONDS, InstallFlow
from bolt_app.installations.replaced_tokens import ReplacedTokens
from bolt_app.installations.rows import InstallationRows
from bolt_app.installations.state import StateStore
from bolt_app.installations.store import Installations
from bolt_app.installations.tokens.cache import GrantCache
from bolt_app.installations.tokens.grant_reader import GrantReader
from bolt_app.installations.tokens.grants import Grants
from bolt_app.installations.tokens.invalid_tokens import InvalidTokens
from bolt_app.installations.tokens.refresh_leases import RefreshLeases
from bolt_app.installations.tokens.revocations import Revocations
from bolt_app.installations.tokens.rotation import TokenRotator
from bolt_app.lifecycle.installation_checks import InstallationChecks
from bolt_app.lifecycle.on_installed import OnInstalled
from bolt_app.lifecycle.service import Lifecycle
from bolt_app.logs import QuietFlask, log_requests
from bolt_app.manifest import load_scopes
from bolt_app.notifications.digests.preferences import Preferences
from bolt_app.notifications.files.service import FileLimits, Files
from bolt_app.notifications.history.permalinks import Permalinks
from bolt_app.notifications.history.service import History
from bolt_app.notifications.history.statistics import Statistics
from bolt_app.notifications.history.visibility import Visibility
from bolt_app.notifications.incidents.callback_http import CallbackClient
from bolt_app.notifications.incidents.callback_sender import CallbackSender
from bolt_app.notifications.incidents.callbacks import CallbackEndpoints
from bolt_app.notifications.incidents.service import Incidents
from bolt_app.notifications.intake.service import Intake
from bolt_app.notifications.messages.results import MessageResults
from bolt_app.notifications.messages.service import Messages
from bolt_app.notifications.queue.wakeup import open_wakeup
from bolt_app.notifications.subscriptions.channel_sync import use_ids
from bolt_app.notifications.subscriptions.previews import Previews
from bolt_app.notifications.subscriptions.service import SubscriptionLimits, Subscriptions
from bolt_app.profiles.service import Profiles
from bolt_app.readiness import Readiness
from bolt_app.recent_answers import RecentAnswers
from bolt_app.senders.aws_sns.checks import SnsChecks
from bolt_app.services import Services
from bolt_app.signals import Signals
from bolt_app.slack import create_bolt_app
from bolt_app.slack.endpoint import create_blueprint
from bolt_app.slack_api import ResponseUrls, SlackApi
from bolt_app.slack_threads import SlackThreads
from bolt_app.sliding_limit import SlidingLimit
from bolt_app.template_runner.runner import TemplateRunner
from bolt_app.thread_limit import SharedThreadLimit, SlackWaits, ThreadLimit
from bolt_app.web import register_web
from bolt_app.web.pages.install import InstallPages
from bolt_app.workspaces.channels import Channels
from bolt_app.workspaces.client import WorkspaceClient
from bolt_app.workspaces.greetings import Greetings
from bolt_app.workspaces.home_tabs import HomeTabs
from bolt_app.workspaces.lookup_budgets import LookupBudgets
from bolt_app.workspaces.organization_channels import OrganizationChannels
from bolt_app.workspaces.people import People
from bolt_app.workspaces.rate_limits import RateLimits
from bolt_app.workspaces.users import Users

MEGABYTE = 1024 * 1024
MAX_REQUEST_BYTES = MEGABYTE
LEAST_CONNECTIONS = 8
# Amazon SNS waits 15 seconds for an answer, and a message may need two requests.
SNS_TIMEOUT_SECONDS = 5
# Test notifications that one person may send.
TESTS_A_MINUTE = 10
# Times that one person may have their profile read from Slack again.
REFRESHES_A_MINUTE = 10
# Of people who are not linked.
TIME_ZONE_LIFETIME = timedelta(minutes=5)
MOST_TIME_ZONES = 10_000
# Slack answers most calls in less time, so that few people of a crowd are turned away.
SLACK_PATIENCE_SECONDS = 0.5
# Threads for lookups that deliveries need, all and those of one workspace.
LOOKUP_THREADS, LOOKUP_THREADS_OF_ONE = 32, 4


def create_app(settings: Settings, *, clock: Clock = utc_now) -> Flask:
    """Build the WSGI application.

    Migrates an embedded (SQLite) database; `bellhop db upgrade` migrates PostgreSQL.

    Args:
        settings: the result of `load_settings`.
        clock: the source of the current time.
    """
    database = _create_database(settings)
    services = _create_services(settings, database, clock)
    flow = _create_install_flow(services)
    app = QuietFlask(__name__, static_folder=None)
    app.config.update(
        SECRET_KEY=settings.session_secret,
        # Routes do not depend on the Host of a request, which may be no name at all.
        SERVER_NAME=urlsplit(settings.public_url).netloc,
        MAX_CONTENT_LENGTH=MAX_REQUEST_BYTES,
        # The address of a static file changes with its content.
        SEND_FILE_MAX_AGE_DEFAULT=timedelta(days=365),
    )
    # No path is redirected to another spelling: the address would have the scheme of the proxy's
    # request, plain http, and programs would repeat their secret and body there.
    app.url_map.merge_slashes = False
    log_requests(app)
    bolt_app = create_bolt_app(services, flow, InstallationAuthorize(services.grants))
    app.register_blueprint(create_blueprint(bolt_app, flow, services))
    register_web(app, services)
    limited = serve_in_web_threads(app.wsgi_app, services.slack_waits)
    app.wsgi_app = close_connections(limited)  # type: ignore[assignment, method-assign]
    app.extensions["bellhop"] = services
    app.extensions["bolt"] = bolt_app
    return app


def _create_database(settings: Settings) -> Database:
    database = Database(
        settings.database_url,
        settings.encryption_keys,
        # All web processes together open about as many connections as a single one.
        pool_size=max(LEAST_CONNECTIONS, 2 * settings.web_threads // settings.web_workers),
        # With a separate address for sessions, this one is a transaction pooler's.
        prepares=not settings.database_session_url,
    )
    if database.is_sqlite:
        schema.upgrade(database)
    return database


def _create_services(settings: Settings, database: Database, clock: Clock) -> Services:
    """Build every service once, from its dependencies."""
    http = HttpLoop()
    slack_waits = SlackWaits(
        max(1, settings.web_threads // 4),
        most_answers=max(1, settings.web_threads // 2),
        patience=SLACK_PATIENCE_SECONDS,
    )
    api = SlackApi(
        settings.slack_api_url, http, waits=slack_waits, timeout=settings.delays.slack_timeout
    )
    rows = InstallationRows(settings.slack_client_id)
    installations = InstallationDirectory(database, rows)
    background = ThreadPoolExecutor(4, thread_name_prefix="background")
    rotator = _create_rotator(settings, database, api, clock)
    grants = GrantCache(Grants(GrantReader(database, rows), rotator, background))
    rate_limits = RateLimits(database, clock=clock)
    client = WorkspaceClient(
        installations,
        InvalidTokens(database, rows, clock=clock),
        grants,
        api,
        rate_limits,
    )
    channels = Channels(database, client, use_ids, clock=clock)
    budgets = LookupBudgets(rate_limits, web_processes=settings.web_workers, clock=clock)
    organization_channels = OrganizationChannels(database, client, channels, budgets, clock=clock)
    access = Authorization(
        database, client, channels, budgets, subscriptions_by=settings.subscriptions_by, clock=clock
    )
    wakeup = open_wakeup(database, settings.session_url)
    limits = SenderLimits(database, _sender_limits(settings), client.require_installed, clock=clock)
    intake = Intake(database, wakeup, limits, clock=clock)
    history = History(database, wakeup, settings.public_url, limits, clock=clock)
    permalinks = Permalinks(database, client, clock=clock)
    signals = Signals()
    lifecycle = Lifecycle.create(
        database,
        rows,
        signals,
        intake,
        wakeup,
        guests_may_subscribe=settings.subscriptions_by == Subscribers.ANYONE,
        clock=clock,
    )
    return Services(
        settings=settings,
        clock=clock,
        signals=signals,
        database=database,
        readiness=Readiness(database, settings.delays),
        store=Installations(settings.slack_client_id, database, clock=clock),
        installations=installations,
        sessions=Sessions(database, clock=clock),
        audit=AuditLog(database, keep_for=timedelta(days=settings.audit_days), clock=clock),
        grants=grants,
        http=http,
        api=api,
        client=client,
        response_urls=ResponseUrls(settings.slack_base_url, api),
        signer=ValueSigner(settings.session_secret),
        revocations=Revocations(database, api),
        access=access,
        profiles=Profiles(database, rows, installations, client, signals, clock=clock),
        lifecycle=lifecycle,
        installation_checks=InstallationChecks(
            installations,
            client,
            lifecycle.installations,
            lifecycle.workspaces,
            clock=clock,
        ),
        channels=channels,
        users=Users(database, client, use_ids, budgets, clock=clock),
        lookup_budgets=budgets,
        lookup_threads=SlackThreads(
            LOOKUP_THREADS, most_of_one=LOOKUP_THREADS_OF_ONE, name="lookups"
        ),
        organization_channels=organization_channels,
        people=People(database, client, budgets, clock=clock),
        greetings=Greetings(client, channels, organization_channels, clock=clock),
        wakeup=wakeup,
        sender_limits=limits,
        guesses=GuessLimit(settings.wrong_keys_per_minute, clock=clock),
        tests=SlidingLimit(TESTS_A_MINUTE, timedelta(minutes=1), clock=clock),
        refreshes=SlidingLimit(REFRESHES_A_MINUTE, timedelta(minutes=1), clock=clock),
        time_zones=RecentAnswers(TIME_ZONE_LIFETIME, MOST_TIME_ZONES, clock),
        intake=intake,
        history=history,
        permalinks=permalinks,
        files=Files(database, settings.public_url, _file_limits(settings), limits, clock=clock),
        messages=Messages(database, wakeup, limits, clock=clock),
        message_results=MessageResults(
            database, seconds=settings.delays.message_result, most=settings.web_threads // 4
        ),
        slack_waits=slack_waits,
        exports=SharedThreadLimit(max(1, settings.web_threads // 4), most_of_one=1),
        upload_room=SharedThreadLimit(
            max(1, settings.web_threads // 2), most_of_one=max(1, settings.web_threads // 4)
        ),
        api_keys=ApiKeys(database, signals, clock=clock),
        webhooks=Webhooks(database, settings.public_url, signals, limits, clock=clock),
        webhook_bodies=WebhookBodies(database, clock=clock),
        templates=TemplateRunner(most=max(1, settings.web_threads // 2)),
        sns=SnsChecks(
            CallbackClient(http, background, timeout=SNS_TIMEOUT_SECONDS).get,
            ThreadLimit(max(1, settings.web_threads // 4)),
        ),
        subscriptions=Subscriptions(
            database,
            signals,
            SubscriptionLimits(
                settings.subscriptions_per_destination, settings.subscriptions_per_workspace
            ),
            clock=clock,
        ),
        preferences=Preferences(database, signals, clock=clock),
        previews=Previews(database, clock=clock),
        statistics=Statistics(database, clock=clock),
        home_tabs=HomeTabs(database, client.keep_installed, clock=clock),
        incidents=Incidents(database, wakeup, clock=clock),
        callback_endpoints=CallbackEndpoints(
            database, networks=settings.callback_networks, clock=clock
        ),
        callback_sender=CallbackSender(
            database, http, networks=settings.callback_networks, clock=clock
        ),
        visibility=Visibility(database, history, access, permalinks, clock=clock),
        requests=ThreadPoolExecutor(settings.web_threads, thread_name_prefix="slack"),
        background=background,
    )


def _create_rotator(
    settings: Settings, database: Database, api: SlackApi, clock: Clock
) -> TokenRotator:
    rows = InstallationRows(settings.slack_client_id)
    return TokenRotator(
        RefreshLeases(database, rows, clock=clock),
        api,
        client_id=settings.slack_client_id,
        client_secret=settings.slack_client_secret,
        clock=clock,
    )


def _create_install_flow(services: Services) -> InstallFlow:
    settings, clock = services.settings, services.clock
    rows = InstallationRows(settings.slack_client_id)
    invalid_tokens = InvalidTokens(services.database, rows, clock=clock)
    states = StateStore(
        services.database,
        settings.session_secret,
        clock=clock,
        expiration_seconds=STATE_LIFETIME_SECONDS,
    )
    on_installed = OnInstalled(
        services.database,
        services.wakeup,
        services.profiles,
        services.greetings,
        services.lifecycle.installations,
        services.installation_checks,
        services.background,
        public_url=settings.public_url,
    )
    return InstallFlow(
        settings,
        load_scopes(),
        store=services.store,
        state_store=states,
        api=services.api,
        slack_waits=services.slack_waits,
        callbacks=build_callbacks(
            services.installations, states, InstallPages(services), on_installed
        ),
        # Separate from the limit for API keys: a sender with a wrong key does not keep other
        # people at its address from signing in.
        guesses=GuessLimit(settings.wrong_keys_per_minute, clock=clock),
        replaced=ReplacedTokens(services.database, rows, invalid_tokens, services.api),
        clock=clock,
    )


def _sender_limits(settings: Settings) -> Limits:
    """Return the limits of each API key and webhook."""
    return Limits(
        requests=settings.sender_requests_per_minute,
        deliveries=settings.sender_deliveries_per_minute,
        open_deliveries=settings.sender_open_deliveries,
        new_destinations=settings.sender_new_destinations_per_hour,
    )


def _file_limits(settings: Settings) -> FileLimits:
    return FileLimits(
        file=settings.file_megabytes * MEGABYTE,
        workspace=settings.workspace_files_megabytes * MEGABYTE,
    )
