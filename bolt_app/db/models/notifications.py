"""Channels, notifications and their way to Slack."""

from __future__ import annotations

from datetime import datetime
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

# SQLite counts up in a column of the type INTEGER alone.
BigId = BigInteger().with_variant(Integer, "sqlite")
NotificationId = String(32)
# In the order of code points, as Python sorts: rows are locked in the order of their addresses.
Address = Text().with_variant(Text(collation="C"), "postgresql")
# The deliveries that ended badly, few as well.
_TROUBLED = text("state IN ('dead', 'unknown')")
IS_TROUBLED = text("deliveries.state IN ('dead', 'unknown')")
# The deliveries that are due now, few among all that ever went. Written out in queries too: neither
# database uses a partial index where the values are parameters.
_WAITING = text("state = 'waiting'")
IS_WAITING = text("deliveries.state = 'waiting'")
# Those that are due later, alone (`scheduled`) or as one with others (`held`).
_LATER = text("state IN ('scheduled', 'held')")
IS_LATER = text("deliveries.state IN ('scheduled', 'held')")
IS_HELD = text("deliveries.state = 'held'")
# Those that people know as waiting, whether they are due or not.
IS_QUEUED = text("deliveries.state IN ('waiting', 'scheduled')")
IS_PENDING = text("deliveries.state IN ('waiting', 'scheduled', 'held')")
_SENDING = text("state = 'sending'")
IS_SENDING = text("deliveries.state = 'sending'")
_OPEN = text("state IN ('waiting', 'scheduled', 'held', 'sending')")
IS_OPEN = text("deliveries.state IN ('waiting', 'scheduled', 'held', 'sending')")
OPEN_STATES = frozenset({"waiting", "scheduled", "held", "sending"})
_BY_PERSON = text("source LIKE 'slack:%'")
IS_BY_PERSON = text("notifications.source LIKE 'slack:%'")
# Those that matched no subscription, few as well.
_UNROUTED = text("is_unrouted")
IS_UNROUTED = text("notifications.is_unrouted")

_ZERO = text("0")


class Channel(Base):
    """A channel as `conversations.list` last described it: public, or private with the bot in it.

    Whatever shows channels to people leaves out those of `is_private`, but for their members.
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
    """A channel whose id has changed: the old one means the new one."""

    __tablename__ = "channel_moves"

    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    old_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    new_id: Mapped[str] = mapped_column(SlackId)


class ChannelListing(Base):
    """When the channels of a team were last listed."""

    __tablename__ = "channel_listings"

    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    listed_at: Mapped[datetime]


class SenderColumns:
    """What API keys and hooks have in common: their source, what they may do, and their use."""

    # Empty: a source of their own, named after the row, as in "api_key:3".
    source: Mapped[str | None] = mapped_column(String(64))
    # Whether what they send may call everybody in a channel or a user group.
    allow_broadcast: Mapped[bool] = mapped_column(server_default=false())
    # Which minute and hour, since 1970, the counters after them are of.
    counted_minute: Mapped[int] = mapped_column(server_default=_ZERO)
    minute_requests: Mapped[int] = mapped_column(server_default=_ZERO)
    minute_deliveries: Mapped[int] = mapped_column(server_default=_ZERO)
    counted_hour: Mapped[int] = mapped_column(server_default=_ZERO)
    hour_destinations: Mapped[int] = mapped_column(server_default=_ZERO)
    # The open deliveries when they were last counted, and all that were accepted since.
    open_at_most: Mapped[int] = mapped_column(server_default=_ZERO)
    rejected: Mapped[int] = mapped_column(BigInteger, server_default=_ZERO)
    rejected_at: Mapped[datetime | None]
    rejected_reason: Mapped[str | None] = mapped_column(String(32))


class ApiKey(SenderColumns, Base):
    """A key for the HTTP API of one workspace, kept as a hash."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[str] = mapped_column(SlackId, index=True)
    name: Mapped[str] = mapped_column(Text)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[str] = mapped_column(Text)  # separated by spaces
    # Where it may send to, as `to` names it, separated by spaces; empty means anywhere.
    channels: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime]
    created_by: Mapped[str | None] = mapped_column(SlackId)  # empty: the command line
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None] = mapped_column(SlackId)


class Hook(SenderColumns, Base):
    """An address that takes what tools post; its secret is kept as a hash."""

    __tablename__ = "hooks"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[str] = mapped_column(SlackId, index=True)
    name: Mapped[str] = mapped_column(Text)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    target: Mapped[str] = mapped_column(Text)
    # The field of what it takes, or the member, whose value is the notification's key. Empty: none;
    # NULL: the key that the sender's own format has.
    key_field: Mapped[str | None] = mapped_column(Text)
    # A folder of `bolt_app/senders`, or "auto".
    sender: Mapped[str] = mapped_column(String(32), server_default="auto")
    # By which the sender signs its bodies; NULL: signatures are not checked.
    signing_secret: Mapped[str | None] = mapped_column(EncryptedText)
    # Bodies that no mapping understood.
    unrecognized: Mapped[int] = mapped_column(BigInteger, server_default=_ZERO)
    unrecognized_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str | None] = mapped_column(SlackId)  # empty: the command line
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None] = mapped_column(SlackId)


class Notification(Base):
    """What was said, once, to whom it concerns. Its id begins with the time, in milliseconds."""

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
        # Those that people sent in Slack, few among all.
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
    # Which way in it took, as in "api_key:3", "hook:1" or "command".
    source: Mapped[str] = mapped_column(String(64))
    content: Mapped[dict[str, Any]] = mapped_column(ContentJson)
    key: Mapped[str | None] = mapped_column(Text)  # behind its source, as in "api_key:3|disk"
    topics: Mapped[str | None] = mapped_column(Text)  # it was sent to, separated by spaces
    # When it was accepted, none of its topics had a subscription that wanted it.
    is_unrouted: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime]


class Delivery(Base):
    """One notification on its way to one channel or person.

    `state` is `waiting` (due), `scheduled` (due later), `held` (due later, as one with others),
    `sending`, or one of the ends: `sent`, `dead`, `unknown`, `cancelled`, `expired`, `muted`,
    `digested`. In one workspace the order of `id` is the order of acceptance.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        # The deletion of a lane looks for rows that refer to it.
        Index("ix_deliveries_lane", "lane_id"),
        # The most urgent of a workspace, and of a source in a lane.
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
        # What is due next, in all workspaces, and in a lane.
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
            "id",
            sqlite_where=text("key IS NOT NULL"),
            postgresql_where=text("key IS NOT NULL"),
        ),
        Index(
            "ix_deliveries_troubled",
            "lane_id",
            "id",
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
        # Which notification a message shows.
        Index(
            "ix_deliveries_message",
            "channel_id",
            "ts",
            sqlite_where=text("ts IS NOT NULL"),
            postgresql_where=text("ts IS NOT NULL"),
        ),
        # Which message is in the place of a deleted one.
        Index(
            "ix_deliveries_replaced",
            "lane_id",
            "replaced_ts",
            sqlite_where=text("replaced_ts IS NOT NULL"),
            postgresql_where=text("replaced_ts IS NOT NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    notification_id: Mapped[str] = mapped_column(
        ForeignKey("notifications.id", ondelete="CASCADE"), index=True
    )
    # The lane's, for indexes.
    team_id: Mapped[str] = mapped_column(SlackId, server_default="")
    lane_id: Mapped[int] = mapped_column(ForeignKey("lanes.id"))
    # The workspace's number of the change that this row was last part of.
    seq: Mapped[int] = mapped_column(BigInteger, server_default=_ZERO)
    target: Mapped[str] = mapped_column(Text)  # as the sender wrote it
    # By which it came; it may have ended since.
    subscription_id: Mapped[int | None]
    # The notification that says it too: a digest, or what came later with its key.
    digest_id: Mapped[str | None] = mapped_column(NotificationId)
    state: Mapped[str] = mapped_column(String(16))
    # Whose turn it takes: the source of the key, else of the sender.
    source: Mapped[str] = mapped_column(String(64), server_default="")
    rank: Mapped[int]  # by priority or severity: the lowest goes first
    # The place in the workspace's order, in milliseconds: the rank counts as time.
    urgency: Mapped[int] = mapped_column(BigInteger, server_default=_ZERO)
    key: Mapped[str | None] = mapped_column(Text)
    mode: Mapped[str] = mapped_column(String(8))
    on_unknown: Mapped[str] = mapped_column(String(8))
    send_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    # Of the latest attempt; unlike the attempts it never counts back.
    attempt_number: Mapped[int] = mapped_column(server_default=_ZERO)
    # When the first and the latest attempt began.
    tried_at: Mapped[datetime | None]
    attempted_at: Mapped[datetime | None]
    # After a failed attempt: not before.
    retry_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)  # Slack's code
    channel_id: Mapped[str | None] = mapped_column(SlackId)
    ts: Mapped[str | None] = mapped_column(String(32))
    thread_ts: Mapped[str | None] = mapped_column(String(32))
    # Of the message, deleted in Slack by then, in whose place this one was posted.
    replaced_ts: Mapped[str | None] = mapped_column(String(32))
    permalink: Mapped[str | None] = mapped_column(Text)
    finished_at: Mapped[datetime | None]
    # When to look whether an earlier attempt has taken effect after all, after a later one has.
    second_look_at: Mapped[datetime | None]


class Lane(Base):
    """The queue of one channel or person.

    `address` is a channel's or person's id, or `#name` or `@email`: such a lane only hands its
    deliveries on, once it is known where it leads.
    """

    __tablename__ = "lanes"
    __table_args__ = (UniqueConstraint("team_id", "address"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[str] = mapped_column(SlackId)
    address: Mapped[str] = mapped_column(Address)
    # When the latest attempt began, by which the next owner keeps the pace.
    attempted_at: Mapped[datetime | None]
    # Since when no attempt has succeeded; empty while all is well.
    failing_since: Mapped[datetime | None]
    # A person's, whose data was deleted: the address goes once nothing is to be delivered there.
    is_erasable: Mapped[bool] = mapped_column(default=False, server_default=false())


class WorkspaceQueue(Base):
    """The deliveries of one workspace: who owns them, and how often they changed."""

    __tablename__ = "workspace_queues"

    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    shard: Mapped[int]
    # The number of the latest change. Every change locks the row, and stamps what it changes.
    seq: Mapped[int] = mapped_column(BigInteger)
    # The latest moment at which anything was accepted: a clock that is set back changes no order.
    accepted_at: Mapped[datetime | None]
    # Slack's Retry-After, or a dead installation: nothing is posted before.
    paused_until: Mapped[datetime | None]
    # Slack's code while the installation is dead.
    pause_reason: Mapped[str | None] = mapped_column(String(64))


class RateLimit(Base):
    """Until when Slack wants no call of a method from a workspace (its `Retry-After`)."""

    __tablename__ = "rate_limits"

    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    method: Mapped[str] = mapped_column(String(64), primary_key=True)
    free_at: Mapped[datetime]


class Subscription(Base):
    """What a channel or person wants of what is sent to topics."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        UniqueConstraint("team_id", "topic", "address"),
        Index("ix_subscriptions_address", "team_id", "address"),
        # What is held names its subscription: an id that ended never comes back for another.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[str] = mapped_column(SlackId)
    topic: Mapped[str] = mapped_column(String(80))  # one, `name/*` or `*`
    address: Mapped[str] = mapped_column(Text)
    filter: Mapped[str] = mapped_column(Text, default="")
    # What becomes of notifications with a key; empty leaves it to the sender.
    mode: Mapped[str | None] = mapped_column(String(8))
    # `hourly` or `daily HH:MM`, in the time zone of whoever said so; empty: all at once.
    digest: Mapped[str | None] = mapped_column(String(16))
    digest_tz: Mapped[str | None] = mapped_column(String(64))
    muted_until: Mapped[datetime | None]
    # Why nothing comes: the channel is `archived`, the bot was `removed`, the person `deactivated`.
    paused: Mapped[str | None] = mapped_column(String(16))
    # A person's: Slack's `updated` (Unix seconds) of the change of theirs that it follows.
    person_updated: Mapped[int] = mapped_column(BigInteger, server_default=_ZERO)
    created_by: Mapped[str | None] = mapped_column(SlackId)  # empty: the command line
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class IdempotencyKey(Base):
    """A request that was accepted, by the key its sender gave, and what it was answered."""

    __tablename__ = "idempotency_keys"

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    body_hash: Mapped[str] = mapped_column(String(64))
    notification_ids: Mapped[str] = mapped_column(Text)  # separated by spaces
    created_at: Mapped[datetime] = mapped_column(index=True)
