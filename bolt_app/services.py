"""The services of an application, created once by `create_app` and used by web, slack and cli."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from bolt_app.access.audit import AuditLog
from bolt_app.access.authorization import Authorization
from bolt_app.access.sessions import Sessions
from bolt_app.blockkit.signed_values import ValueSigner
from bolt_app.clock import Clock
from bolt_app.config import Settings
from bolt_app.credentials.api_keys import ApiKeys
from bolt_app.credentials.limits import SenderLimits
from bolt_app.credentials.webhook_bodies import WebhookBodies
from bolt_app.credentials.webhooks import Webhooks
from bolt_app.db import Database
from bolt_app.guesses import GuessLimit
from bolt_app.http_loop import HttpLoop
from bolt_app.installations.directory import InstallationDirectory
from bolt_app.installations.store import Installations
from bolt_app.installations.tokens.cache import GrantCache
from bolt_app.installations.tokens.revocations import Revocations
from bolt_app.lifecycle.installation_checks import InstallationChecks
from bolt_app.lifecycle.service import Lifecycle
from bolt_app.notifications.digests.preferences import Preferences
from bolt_app.notifications.files.service import Files
from bolt_app.notifications.history.permalinks import Permalinks
from bolt_app.notifications.history.service import History
from bolt_app.notifications.history.statistics import Statistics
from bolt_app.notifications.history.visibility import Visibility
from bolt_app.notifications.incidents.callback_sender import CallbackSender
from bolt_app.notifications.incidents.callbacks import CallbackEndpoints
from bolt_app.notifications.incidents.service import Incidents
from bolt_app.notifications.intake.service import Intake
from bolt_app.notifications.messages.results import MessageResults
from bolt_app.notifications.messages.service import Messages
from bolt_app.notifications.queue.wakeup import Wakeup
from bolt_app.notifications.subscriptions.previews import Previews
from bolt_app.notifications.subscriptions.service import Subscriptions
from bolt_app.profiles.service import Profiles
from bolt_app.readiness import Readiness
from bolt_app.recent_answers import RecentAnswers
from bolt_app.senders.aws_sns.checks import SnsChecks
from bolt_app.signals import Signals
from bolt_app.slack_api import ResponseUrls, SlackApi
from bolt_app.slack_threads import SlackThreads
from bolt_app.sliding_limit import SlidingLimit
from bolt_app.template_runner.runner import TemplateRunner
from bolt_app.thread_limit import SharedThreadLimit, SlackWaits
from bolt_app.workspaces.channels import Channels
from bolt_app.workspaces.client import WorkspaceClient
from bolt_app.workspaces.greetings import Greetings
from bolt_app.workspaces.home_tabs import HomeTabs
from bolt_app.workspaces.lookup_budgets import LookupBudgets
from bolt_app.workspaces.organization_channels import OrganizationChannels
from bolt_app.workspaces.people import People
from bolt_app.workspaces.users import Users


@dataclass(frozen=True)
class Services:
    """The services of one app.

    Attributes:
        store: the installation store of slack_sdk's contract.
        installations: lookups of installations.
        slack_waits: the limit of threads that wait for Slack while someone waits for them.
        exports: the limit of web threads that export personal data, one for each person.
        upload_room: the limit of web threads that receive files, for each credential.
        tests: the limit of test notifications per person.
        refreshes: the limit of profiles that are read from Slack again, per person.
        time_zones: the time zones of people that are not linked, by workspace and person.
        lookup_threads: run lookups that deliveries need.
        requests: runs work that Slack waits for.
        background: runs work that nobody waits for, and that can be repeated.
    """

    settings: Settings
    clock: Clock
    signals: Signals
    database: Database
    readiness: Readiness
    store: Installations
    installations: InstallationDirectory
    sessions: Sessions
    audit: AuditLog
    grants: GrantCache
    http: HttpLoop
    api: SlackApi
    client: WorkspaceClient
    response_urls: ResponseUrls
    signer: ValueSigner
    revocations: Revocations
    access: Authorization
    profiles: Profiles
    lifecycle: Lifecycle
    installation_checks: InstallationChecks
    channels: Channels
    organization_channels: OrganizationChannels
    users: Users
    people: People
    lookup_budgets: LookupBudgets
    lookup_threads: SlackThreads
    greetings: Greetings
    wakeup: Wakeup
    sender_limits: SenderLimits
    guesses: GuessLimit
    tests: SlidingLimit
    refreshes: SlidingLimit
    time_zones: RecentAnswers[tuple[str, str], str]
    intake: Intake
    history: History
    permalinks: Permalinks
    files: Files
    messages: Messages
    message_results: MessageResults
    slack_waits: SlackWaits
    exports: SharedThreadLimit
    upload_room: SharedThreadLimit
    api_keys: ApiKeys
    webhooks: Webhooks
    webhook_bodies: WebhookBodies
    sns: SnsChecks
    templates: TemplateRunner
    subscriptions: Subscriptions
    preferences: Preferences
    previews: Previews
    statistics: Statistics
    home_tabs: HomeTabs
    incidents: Incidents
    callback_endpoints: CallbackEndpoints
    callback_sender: CallbackSender
    visibility: Visibility
    requests: Executor
    background: Executor

    def close(self) -> None:
        """Finish what runs, and close all connections."""
        self.requests.shutdown()
        self.background.shutdown()
        self.templates.close()
        self.callback_sender.close()
        # Threads that wait for Slack end with it.
        self.http.close()
        self.lookup_threads.close()
        self.client.close()
        self.wakeup.close()
        self.audit.flush()
        self.database.close()


# Builds the app where that has not happened yet.
FindServices = Callable[[], Services]
