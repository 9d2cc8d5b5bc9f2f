"""The tables. Slack's ids keep Slack's names: `team_id` is `T…`, `user_id` is `U…`.

A missing id (`team_id` of an organization-wide installation, `enterprise_id` outside an
organization) is stored as an empty string, because unique constraints of neither database treat two
NULLs as equal.
"""

from bolt_app.db.models.access import AuditEvent, WebSession
from bolt_app.db.models.base import DELETED_ADDRESS, Base
from bolt_app.db.models.delivery import SHARD_COUNT, Shard
from bolt_app.db.models.files import File, FileChunk, NotificationFile
from bolt_app.db.models.incidents import Callback, CallbackEndpoint, Incident
from bolt_app.db.models.installations import (
    BotInstallation,
    EventReceipt,
    EventTime,
    InstallationCheck,
    InstallationRevision,
    OAuthState,
    TokenRevocation,
    UserInstallation,
)
from bolt_app.db.models.notifications import (
    IS_BY_PERSON,
    IS_HELD,
    IS_LATER,
    IS_OPEN,
    IS_PENDING,
    IS_QUEUED,
    IS_SENDING,
    IS_TROUBLED,
    IS_UNROUTED,
    IS_WAITING,
    OPEN_STATES,
    ApiKey,
    Channel,
    ChannelListing,
    ChannelMove,
    Delivery,
    IdempotencyKey,
    Lane,
    Notification,
    RateLimit,
    Reaction,
    Subscription,
    Webhook,
    WebhookBody,
    WorkspaceQueue,
)
from bolt_app.db.models.people import (
    HomeTab,
    Membership,
    Preference,
    Team,
    User,
)

__all__ = [
    "DELETED_ADDRESS",
    "IS_BY_PERSON",
    "IS_HELD",
    "IS_LATER",
    "IS_OPEN",
    "IS_PENDING",
    "IS_QUEUED",
    "IS_SENDING",
    "IS_TROUBLED",
    "IS_UNROUTED",
    "IS_WAITING",
    "OPEN_STATES",
    "SHARD_COUNT",
    "ApiKey",
    "AuditEvent",
    "Base",
    "BotInstallation",
    "Callback",
    "CallbackEndpoint",
    "Channel",
    "ChannelListing",
    "ChannelMove",
    "Delivery",
    "EventReceipt",
    "EventTime",
    "File",
    "FileChunk",
    "HomeTab",
    "IdempotencyKey",
    "Incident",
    "InstallationCheck",
    "InstallationRevision",
    "Lane",
    "Membership",
    "Notification",
    "NotificationFile",
    "OAuthState",
    "Preference",
    "RateLimit",
    "Reaction",
    "Shard",
    "Subscription",
    "Team",
    "TokenRevocation",
    "User",
    "UserInstallation",
    "WebSession",
    "Webhook",
    "WebhookBody",
    "WorkspaceQueue",
]
