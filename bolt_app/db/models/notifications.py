"""Channels, credentials, notifications, deliveries and subscriptions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from bolt_app.db.content import ContentJson
from bolt_app.db.encryption import EncryptedText
from bolt_app.db.models.base import Base, SlackId

# SQLite autoincrements only columns of the type INTEGER.
BigId = BigInteger().with_variant(Integer, "sqlite")
NotificationId = String(32)
# Sorted by code point, as in Python, because rows are locked in the order of their addresses.
Address = Text().with_variant(Text(collation="C"), "postgresql")
# Failed deliveries: few.
_TROUBLED = text("state IN ('dead', 'unknown')")
IS_TROUBLED = text("deliveries.state IN ('dead', 'unknown')")
# Deliveries that are due now: few compared with all. Queries use these literals too, because
# neither database uses a partial index if the values are parameters.
_WAITING = text("state = 'waiting'")
IS_WAITING = text("deliveries.state = 'waiting'")
# Deliveries that are due later, alone (`scheduled`) or in a digest (`held`).
_LATER = text("state IN ('scheduled', 'held')")
IS_LATER = text("deliveries.state IN ('scheduled', 'held')")
IS_HELD = text("deliveries.state = 'held'")
# Deliveries shown as waiting, whether they are due or not.
IS_QUEUED = text("deliveries.state IN ('waiting', 'scheduled')")
_PENDING = text("state IN ('waiting', 'scheduled', 'held')")
IS_PENDING = text("deliveries.state IN ('waiting', 'scheduled', 'held')")
# Edits and deletions that took effect, or may do so.
_CHANGES = text(
    "mode IN ('edit', 'delete')"
    " AND state IN ('waiting', 'scheduled', 'held', 'sending', 'sent', 'unknown')"
)
IS_CHANGE = text(
    "deliveries.mode IN ('edit', 'delete') AND deliveries.state"
    " IN ('waiting', 'scheduled', 'held', 'sending', 'sent', 'unknown')"
)
_SENDING = text("state = 'sending'")
IS_SENDING = text("deliveries.state = 'sending'")
_OPEN = text("state IN ('waiting', 'scheduled', 'held', 'sending')")
IS_OPEN = text("deliveries.state IN ('waiting', 'scheduled', 'held', 'sending')")
OPEN_STATES = frozenset({"waiting", "scheduled", "held", "sending"})
# The `expires_at` of a delivery that was cancelled after an attempt had begun: it may have been
# posted, and must not be posted again. A sender's own one is never in the past.
CANCELLED_EXPIRY = datetime(1970, 1, 1, tzinfo=UTC)
_BY_PERSON = text("source LIKE 'slack:%'")
IS_BY_PERSON = text("notifications.source LIKE 'slack:%'")
# Notifications that matched no subscription: few.
_UNROUTED = text("is_unrouted")
IS_UNROUTED = text("notifications.is_unrouted")

_ZERO = text("0")


class Channel(Base):
    """A channel from the last `conversations.list`: public, or private with the bot in it.

    Private channels must be shown only to their members.
    """

    __tablename__ = "channels"

    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    channel_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    is_member: Mapped[bool]
    is_private: Mapped[bool] = mapped_column(server_default=false())
    is_archived: Mapped[bool] = mapped_column(server_default=false())
    member_count: Mapped[int]


class ChannelMove(Base):
    """A channel whose id changed: the old id means the new one."""

    __tablename__ = "channel_moves"

    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    old_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    new_id: Mapped[str] = mapped_column(SlackId)


class ChannelListing(Base):
    """The time of the last listing of a team's channels."""

    __tablename__ = "channel_listings"

    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    listed_at: Mapped[datetime]


class SenderColumns:
    """Columns shared by API keys and webhooks: source, permissions and counters."""

    # Empty: the default source, named after the row, such as "api_key:3".
    source: Mapped[str | None] = mapped_column(String(64))
    # Whether their notifications may mention everyone in a channel, or a user group.
    allow_broadcast: Mapped[bool] = mapped_column(server_default=false())
    # The minute and hour, since 1970, that the following counters belong to.
    counted_minute: Mapped[int] = mapped_column(server_default=_ZERO)
    minute_requests: Mapped[int] = mapped_column(server_default=_ZERO)
    minute_deliveries: Mapped[int] = mapped_column(server_default=_ZERO)
    counted_hour: Mapped[int] = mapped_column(server_default=_ZERO)
    hour_destinations: Mapped[int] = mapped_column(server_default=_ZERO)
    # The open deliveries at the last count, plus all accepted since.
    open_at_most: Mapped[int] = mapped_column(server_default=_ZERO)
    rejected: Mapped[int] = mapped_column(BigInteger, server_default=_ZERO)
    rejected_at: Mapped[datetime | None]
    rejected_reason: Mapped[str | None] = mapped_column(String(32))


class ApiKey(SenderColumns, Base):
    """A key for the HTTP API of one workspace, stored as a hash."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[str] = mapped_column(SlackId, index=True)
    name: Mapped[str] = mapped_column(Text)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[str] = mapped_column(Text)  # separated by spaces
    # The recipients it may send to, separated by spaces; empty means anywhere.
    channels: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime]
    created_by: Mapped[str | None] = mapped_column(SlackId)  # empty: the command line
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None] = mapped_column(SlackId)


class Webhook(SenderColumns, Base):
    """An incoming webhook; its secret is stored as a hash."""

    __tablename__ = "webhooks"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[str] = mapped_column(SlackId, index=True)
    name: Mapped[str] = mapped_column(Text)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    target: Mapped[str] = mapped_column(Text)
    # The payload field whose value is the notification's key. Empty: none; NULL: the key of the
    # sender's own format.
    key_field: Mapped[str | None] = mapped_column(Text)
    # A folder of `bolt_app/senders`, or "auto".
    # Or "custom": `template` maps its bodies.
    sender: Mapped[str] = mapped_column(String(32), server_default="auto")
    template: Mapped[str | None] = mapped_column(Text)
    # By which the sender signs its bodies; NULL: signatures are not checked.
    signing_secret: Mapped[str | None] = mapped_column(EncryptedText)
    # The only topic of Amazon SNS whose messages are accepted; NULL: the next signed one sets it.
    topic_arn: Mapped[str | None] = mapped_column(Text)
    # Bodies that no mapping understood.
    unrecognized: Mapped[int] = mapped_column(BigInteger, server_default=_ZERO)
    unrecognized_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str | None] = mapped_column(SlackId)  # empty: the command line
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None] = mapped_column(SlackId)


class WebhookBody(Base):
    """One of the latest bodies of a webhook: a new one replaces the oldest, in its slot."""

    __tablename__ = "webhook_bodies"
    __table_args__ = (UniqueConstraint("webhook_id", "slot"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    slot: Mapped[int]
    # Counts the bodies of a webhook.
    number: Mapped[int] = mapped_column(BigInteger)
    body: Mapped[str] = mapped_column(EncryptedText)  # JSON; the beginning of it if `is_cut`
    is_cut: Mapped[bool]
    # Why no mapping understood it; empty if one did.
    problem: Mapped[str | None] = mapped_column(EncryptedText)  # may quote the body
    received_at: Mapped[datetime]


class Notification(Base):
    """A notification, accepted once. Its id begins with the time in milliseconds."""

    __tablename__ = "notifications"
    __table_args__ = (
        Index("ix_notifications_team_id_id", "team_id", "id"),
        Index(
            "ix_notifications_topics",
            "team_id",
            "id",
            sqlite_where=text("topics IS NOT NULL"),
            postgresql_where=text("topics IS NOT NULL"),
        ),
        Index(
            "ix_notifications_unrouted",
            "team_id",
            "id",
            sqlite_where=_UNROUTED,
            postgresql_where=_UNROUTED,
        ),
        # Notifications sent by people in Slack: few.
        Index(
            "ix_notifications_by_person",
            "team_id",
            "source",
            sqlite_where=_BY_PERSON,
            postgresql_where=_BY_PERSON,
        ),
    )

    id: Mapped[str] = mapped_column(NotificationId, primary_key=True)
    team_id: Mapped[str] = mapped_column(SlackId)
    # The source, such as "api_key:3", "hook:1" or "command".
    source: Mapped[str] = mapped_column(String(64))
    content: Mapped[dict[str, Any]] = mapped_column(ContentJson)
    key: Mapped[str | None] = mapped_column(
        Text
    )  # prefixed with its source, such as "api_key:3|disk"
    topics: Mapped[str | None] = mapped_column(Text)  # separated by spaces
    # Whether no subscription to its topics matched it when it was accepted.
    is_unrouted: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime]


class Delivery(Base):
    """The delivery of one notification to one channel or person.

    `state` is `waiting` (due), `scheduled` (due later), `held` (due later, in a digest),
    `sending`, or final: `sent`, `dead`, `unknown`, `cancelled`, `expired`, `muted`, `digested`.
    Within a workspace the order of `id` is the order of acceptance.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        # The deletion of a lane looks for rows that refer to it.
        Index("ix_deliveries_lane", "lane_id"),
        # The most urgent deliveries of a workspace, and of a source in a lane.
        Index(
            "ix_deliveries_urgent",
            "team_id",
            "urgency",
            "id",
            sqlite_where=_WAITING,
            postgresql_where=_WAITING,
        ),
        Index(
            "ix_deliveries_waiting",
            "lane_id",
            "source",
            "urgency",
            "id",
            sqlite_where=_WAITING,
            postgresql_where=_WAITING,
        ),
        # The next due deliveries, of all workspaces and of a lane.
        Index(
            "ix_deliveries_due",
            "send_at",
            sqlite_where=_LATER,
            postgresql_where=_LATER,
        ),
        Index(
            "ix_deliveries_later",
            "lane_id",
            "send_at",
            sqlite_where=_LATER,
            postgresql_where=_LATER,
        ),
        # The change feed of a workspace.
        Index(
            "ix_deliveries_changed",
            "team_id",
            "seq",
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
        Index(
            "ix_deliveries_sending",
            "team_id",
            "id",
            sqlite_where=_SENDING,
            postgresql_where=_SENDING,
        ),
        Index(
            "ix_deliveries_second_look",
            "team_id",
            "second_look_at",
            sqlite_where=text("second_look_at IS NOT NULL"),
            postgresql_where=text("second_look_at IS NOT NULL"),
        ),
        Index(
            "ix_deliveries_key",
            "lane_id",
            "key",
            "state",
            "id",
            sqlite_where=text("key IS NOT NULL"),
            postgresql_where=text("key IS NOT NULL"),
        ),
        # The pending deliveries of a key, and the changes of a message, of which one may have any
        # number of ended ones.
        Index(
            "ix_deliveries_key_pending",
            "lane_id",
            "key",
            "urgency",
            sqlite_where=_PENDING,
            postgresql_where=_PENDING,
        ),
        Index(
            "ix_deliveries_key_changes",
            "lane_id",
            "key",
            "mode",
            "id",
            sqlite_where=_CHANGES,
            postgresql_where=_CHANGES,
        ),
        Index(
            "ix_deliveries_troubled",
            "lane_id",
            "id",
            sqlite_where=_TROUBLED,
            postgresql_where=_TROUBLED,
        ),
        # The latest failures of a workspace.
        Index(
            "ix_deliveries_failed",
            "team_id",
            "finished_at",
            sqlite_where=_TROUBLED,
            postgresql_where=_TROUBLED,
        ),
        Index(
            "ix_deliveries_subscription",
            "subscription_id",
            "id",
            sqlite_where=text("subscription_id IS NOT NULL"),
            postgresql_where=text("subscription_id IS NOT NULL"),
        ),
        # The notification that a message shows.
        Index(
            "ix_deliveries_message",
            "channel_id",
            "ts",
            sqlite_where=text("ts IS NOT NULL"),
            postgresql_where=text("ts IS NOT NULL"),
        ),
        # The message that replaced a deleted one.
        Index(
            "ix_deliveries_replaced",
            "lane_id",
            "replaced_ts",
            sqlite_where=text("replaced_ts IS NOT NULL"),
            postgresql_where=text("replaced_ts IS NOT NULL"),
        ),
        # The message that a provisional ts names.
        Index(
            "ix_deliveries_provisional",
            "team_id",
            "provisional_ts",
            unique=True,
            sqlite_where=text("provisional_ts IS NOT NULL"),
            postgresql_where=text("provisional_ts IS NOT NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    notification_id: Mapped[str] = mapped_column(
        ForeignKey("notifications.id", ondelete="CASCADE"), index=True
    )
    # Copied from the lane, for indexes.
    team_id: Mapped[str] = mapped_column(SlackId, server_default="")
    lane_id: Mapped[int] = mapped_column(ForeignKey("lanes.id"))
    # The workspace's number of the last change of this row.
    seq: Mapped[int] = mapped_column(BigInteger, server_default=_ZERO)
    target: Mapped[str] = mapped_column(Text)  # as the sender wrote it
    # The person of a direct delivery, and the only one who may see it: to an e-mail address, once
    # they are found; `nobody` if it led to none. NULL: not known, or erased; no person sees it.
    recipient_id: Mapped[str | None] = mapped_column(SlackId)
    # The subscription that caused it; it may have ended since.
    subscription_id: Mapped[int | None]
    # The credential that makes a change of a message, such as "api_key:3"; others with its source
    # may have sent the message. NULL: the sender of the notification.
    changed_by: Mapped[str | None] = mapped_column(String(64))
    # The notification that includes it: a digest, or a later one with the same key.
    digest_id: Mapped[str | None] = mapped_column(NotificationId)
    state: Mapped[str] = mapped_column(String(16))
    # The source for fair scheduling: of the key, else of the sender.
    source: Mapped[str] = mapped_column(String(64), server_default="")
    rank: Mapped[int]  # from priority or severity: the lowest is first
    # The position in the workspace's order, in milliseconds: the rank counts as time.
    urgency: Mapped[int] = mapped_column(BigInteger, server_default=_ZERO)
    key: Mapped[str | None] = mapped_column(Text)
    mode: Mapped[str] = mapped_column(String(8))
    on_unknown: Mapped[str] = mapped_column(String(8))
    send_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    # The number of the latest attempt; unlike `attempts` it never decreases.
    attempt_number: Mapped[int] = mapped_column(server_default=_ZERO)
    # The start of the first and of the latest attempt.
    tried_at: Mapped[datetime | None]
    attempted_at: Mapped[datetime | None]
    # The earliest time of the next attempt, after a failed one.
    retry_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)  # Slack's code
    channel_id: Mapped[str | None] = mapped_column(SlackId)
    ts: Mapped[str | None] = mapped_column(String(32))
    thread_ts: Mapped[str | None] = mapped_column(String(32))
    # The message, deleted in Slack, that this one replaced.
    replaced_ts: Mapped[str | None] = mapped_column(String(32))
    # Names a message of the Slack-compatible Web API, also after it has Slack's ts.
    provisional_ts: Mapped[str | None] = mapped_column(String(32))
    permalink: Mapped[str | None] = mapped_column(Text)
    finished_at: Mapped[datetime | None]
    # When to check whether an earlier attempt took effect after all, although a later one did.
    second_look_at: Mapped[datetime | None]


class Reaction(Base):
    """The emoji that a delivery in the mode REACT adds to a message."""

    __tablename__ = "reactions"

    delivery_id: Mapped[int] = mapped_column(
        BigId,
        ForeignKey("deliveries.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )
    name: Mapped[str] = mapped_column(String(100))


class Lane(Base):
    """The queue of one channel or person.

    `address` is a channel's or person's id, or `#name` or `@email`: such a lane only passes its
    deliveries on once the name is resolved.
    """

    __tablename__ = "lanes"
    __table_args__ = (
        UniqueConstraint("team_id", "address"),
        # The owner of a workspace knows lanes by id, so an id must never be reused.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[str] = mapped_column(SlackId)
    address: Mapped[str] = mapped_column(Address)
    # The start of the latest attempt, so that the next owner keeps the rate limit.
    attempted_at: Mapped[datetime | None]
    # The first failed attempt since the last success; empty if there is none.
    failing_since: Mapped[datetime | None]
    # The lane of a deleted person: its address is erased once nothing is left to deliver.
    is_erasable: Mapped[bool] = mapped_column(default=False, server_default=false())


class WorkspaceQueue(Base):
    """The queue of one workspace: its shard, its change number and its pause."""

    __tablename__ = "workspace_queues"

    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    shard: Mapped[int]
    # The number of the latest change. Every change locks the row and stamps the changed rows.
    seq: Mapped[int] = mapped_column(BigInteger)
    # The latest time of acceptance, so that a clock that is set back does not change the order.
    accepted_at: Mapped[datetime | None]
    # The end of a pause: Slack's Retry-After, or an installation without a valid token.
    paused_until: Mapped[datetime | None]
    # Slack's error code while the installation has no valid token.
    pause_reason: Mapped[str | None] = mapped_column(String(64))


class RateLimit(Base):
    """The end of Slack's `Retry-After` for a method in a workspace."""

    __tablename__ = "rate_limits"

    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    method: Mapped[str] = mapped_column(String(64), primary_key=True)
    free_at: Mapped[datetime]


class Subscription(Base):
    """The subscription of a channel or person to a topic."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        UniqueConstraint("team_id", "topic", "address"),
        Index("ix_subscriptions_address", "team_id", "address"),
        # Held deliveries refer to their subscription, so an id must never be reused.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[str] = mapped_column(SlackId)
    topic: Mapped[str] = mapped_column(String(80))  # a topic, `name/*` or `*`
    address: Mapped[str] = mapped_column(Text)
    filter: Mapped[str] = mapped_column(Text, default="")
    # The mode of notifications with a key; empty means the sender's choice.
    mode: Mapped[str | None] = mapped_column(String(8))
    # `hourly` or `daily HH:MM`, in the time zone of its author; empty: immediately.
    digest: Mapped[str | None] = mapped_column(String(16))
    digest_tz: Mapped[str | None] = mapped_column(String(64))
    muted_until: Mapped[datetime | None]
    # Why it is paused: the channel is `archived`, the bot was `removed`, the person `deactivated`.
    paused: Mapped[str | None] = mapped_column(String(16))
    # For a person: Slack's `updated` (Unix seconds) of the last change applied.
    person_updated: Mapped[int] = mapped_column(BigInteger, server_default=_ZERO)
    created_by: Mapped[str | None] = mapped_column(SlackId)  # empty: the command line
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class IdempotencyKey(Base):
    """An accepted request and its result, by the idempotency key of its sender."""

    __tablename__ = "idempotency_keys"

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    body_hash: Mapped[str] = mapped_column(String(64))
    notification_ids: Mapped[str] = mapped_column(Text)  # separated by spaces
    created_at: Mapped[datetime] = mapped_column(index=True)
