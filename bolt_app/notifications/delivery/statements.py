"""SQL statements of the store, prepared once because they run for every batch."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Integer,
    String,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import aliased

from bolt_app.db.bulk import BulkUpdate, is_any_of
from bolt_app.db.models import (
    IS_OPEN,
    IS_SENDING,
    IS_WAITING,
    Delivery,
    Lane,
    Notification,
    Shard,
    WorkspaceQueue,
)
from bolt_app.db.types import UTCDateTime
from bolt_app.notifications.content.modes import DeliveryMode
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.delivery.attempts import ATTEMPT_ROWS
from bolt_app.notifications.delivery.outcomes import MESSAGE_GONE
from bolt_app.notifications.queue.requeue import EXPIRED_STATE
from bolt_app.slack_ids import NOBODY

# Rows that one statement reads.
BATCH = 1000
_DELIVERIES = Delivery.__table__
_ROWS = (
    Delivery.id,
    Delivery.team_id,
    Delivery.lane_id,
    Delivery.seq,
    Delivery.state,
    Delivery.source,
    Delivery.rank,
    Delivery.urgency,
    Delivery.key,
    Delivery.mode,
    Delivery.retry_at,
    Delivery.second_look_at,
    Lane.address,
)
_OF_TEAM = select(*_ROWS).join(Lane).where(Delivery.team_id == bindparam("team_id"))
BY_ID = select(*_ROWS).join(Lane).where(is_any_of(Delivery.id, "ids"))
IN_DOUBT = _OF_TEAM.where(IS_SENDING).order_by(Delivery.id)
RETRIED = _OF_TEAM.where(IS_WAITING, Delivery.retry_at.is_not(None)).order_by(Delivery.id)
SECOND_LOOKS = _OF_TEAM.where(Delivery.second_look_at.is_not(None))
URGENT = (
    _OF_TEAM.where(
        IS_WAITING,
        Delivery.retry_at.is_(None),
        tuple_(Delivery.urgency, Delivery.id)
        > tuple_(bindparam("after_urgency"), bindparam("after_id")),
    )
    .order_by(Delivery.urgency, Delivery.id)
    .limit(BATCH)
)
PAGE = (
    select(*_ROWS)
    .join(Lane)
    .where(
        Delivery.lane_id == bindparam("lane_id"),
        Delivery.source == bindparam("source"),
        IS_WAITING,
        Delivery.retry_at.is_(None),
    )
    .order_by(Delivery.urgency, Delivery.id)
    .limit(bindparam("most"))
)
CHANGES = (
    select(WorkspaceQueue.seq.label("latest"), WorkspaceQueue.pause_reason, *_ROWS)
    .outerjoin(
        Delivery,
        and_(
            Delivery.team_id == WorkspaceQueue.team_id,
            tuple_(Delivery.seq, Delivery.id)
            > tuple_(bindparam("after_seq"), bindparam("after_id")),
            IS_OPEN,
        ),
    )
    .outerjoin(Lane, Lane.id == Delivery.lane_id)
    .where(WorkspaceQueue.team_id == bindparam("team_id"))
    .order_by(Delivery.seq, Delivery.id)
    .limit(BATCH)
)
RECENT = select(Lane.id, Lane.attempted_at).where(
    Lane.team_id == bindparam("team_id"), Lane.attempted_at > bindparam("since")
)
# The first of an index: for EXISTS, PostgreSQL would scan all deliveries for each idle workspace.
_MOST_URGENT = (
    select(Delivery.id)
    .where(Delivery.team_id == WorkspaceQueue.team_id, IS_WAITING)
    .order_by(Delivery.urgency, Delivery.id)
    .limit(1)
    .scalar_subquery()
)
_HAS_OTHER_WORK = [
    select(Delivery.id).where(Delivery.team_id == WorkspaceQueue.team_id, condition).exists()
    for condition in (IS_SENDING, Delivery.second_look_at.is_not(None))
]
QUEUES = select(
    WorkspaceQueue.team_id,
    WorkspaceQueue.shard,
    WorkspaceQueue.seq,
    WorkspaceQueue.paused_until,
    WorkspaceQueue.pause_reason,
    case(
        (_MOST_URGENT.is_not(None) | _HAS_OTHER_WORK[0] | _HAS_OTHER_WORK[1], True), else_=False
    ).label("has_work"),
).where(is_any_of(WorkspaceQueue.shard, "shards"))
SUMS = (
    select(WorkspaceQueue.shard, func.sum(WorkspaceQueue.seq))
    .where(is_any_of(WorkspaceQueue.shard, "shards"))
    .group_by(WorkspaceQueue.shard)
)
_EARLIER = aliased(Delivery, name="earlier")
_FIRST_OF_KEY = (
    select(_EARLIER.id)
    .where(
        _EARLIER.lane_id == Delivery.lane_id,
        _EARLIER.key == Delivery.key,
        _EARLIER.key.is_not(None),
        _EARLIER.state == DeliveryState.WAITING,
        _EARLIER.id < Delivery.id,
    )
    .order_by(_EARLIER.id)
    .limit(1)
    .scalar_subquery()
)
TO_BEGIN = (
    ATTEMPT_ROWS.add_columns(
        Delivery.urgency, Delivery.retry_at, _FIRST_OF_KEY.label("first_of_key")
    )
    .where(
        is_any_of(Delivery.id, "ids"),
        Delivery.state.in_((DeliveryState.WAITING, DeliveryState.SENDING)),
    )
    .with_for_update(key_share=True, skip_locked=True, of=[Delivery])
)
# The waiting deliveries of a key before one of them, the earliest first.
EARLIER_OF_KEY = (
    select(Delivery.id)
    .where(
        Delivery.lane_id == bindparam("lane_id"),
        Delivery.key == bindparam("key"),
        Delivery.key.is_not(None),
        Delivery.state == DeliveryState.WAITING,
        Delivery.id < bindparam("before"),
    )
    .order_by(Delivery.id)
    .limit(bindparam("most"))
)
_LESS_URGENT = (
    select(_EARLIER.id)
    .where(is_any_of(_EARLIER.id, "ids"), _EARLIER.urgency > bindparam("better"))
    .with_for_update(key_share=True, skip_locked=True)
)
INHERIT = (
    update(_DELIVERIES)  # type: ignore[arg-type]
    .where(Delivery.id.in_(_LESS_URGENT))
    .values(urgency=bindparam("better"))
)
# Locks the shards: the next acquisition waits until the begin is committed.
FENCED = (
    select(
        Delivery.id,
        Shard.number,
        Shard.token,
        func.length(cast(Notification.content, Text)).label("size"),
    )
    .join(Notification, Notification.id == Delivery.notification_id)
    .join(WorkspaceQueue, WorkspaceQueue.team_id == Delivery.team_id)
    .join(Shard, Shard.number == WorkspaceQueue.shard)
    .where(is_any_of(Delivery.id, "ids"))
    .with_for_update(read=True, skip_locked=True, of=[Shard])
)
STATES = select(Delivery.id, Delivery.lane_id, Delivery.state, Delivery.attempt_number).where(
    is_any_of(Delivery.id, "ids")
)
# KEY SHARE, because inserts of deliveries hold a share lock on the rows of their lanes.
TO_FINISH = (
    STATES.join(Lane)
    .where(IS_SENDING)
    .with_for_update(key_share=True, skip_locked=True, of=[Delivery, Lane])
)
BEGIN = BulkUpdate(
    {
        "delivery_id": BigInteger(),
        "attempts": Integer(),
        "attempt_number": Integer(),
        "tried_at": UTCDateTime(),
        "attempted_at": UTCDateTime(),
        "thread_ts": String(),
    },
    lambda given: (
        update(_DELIVERIES)  # type: ignore[arg-type]
        .where(Delivery.id == given["delivery_id"])
        .values(
            state=DeliveryState.SENDING,
            attempts=given["attempts"],
            attempt_number=given["attempt_number"],
            tried_at=given["tried_at"],
            attempted_at=given["attempted_at"],
            thread_ts=given["thread_ts"],
            retry_at=None,
        )
    ),
)
ATTEMPTED = BulkUpdate(
    {"id_of_lane": Integer(), "last_attempt_at": UTCDateTime(), "first_failure_at": UTCDateTime()},
    lambda given: (
        update(Lane.__table__)  # type: ignore[arg-type]
        .where(Lane.id == given["id_of_lane"])
        .values(
            attempted_at=func.coalesce(given["last_attempt_at"], Lane.attempted_at),
            failing_since=given["first_failure_at"],
        )
    ),
)
FINISH = BulkUpdate(
    {
        "delivery_id": BigInteger(),
        "new_state": String(),
        "not_counted": Integer(),
        "new_error": Text(),
        "new_recipient_id": String(),
        "new_channel_id": String(),
        "new_ts": String(),
        "new_replaced_ts": String(),
        "new_is_root": Boolean(),
        "new_retry_at": UTCDateTime(),
        "new_second_look_at": UTCDateTime(),
        "new_finished_at": UTCDateTime(),
    },
    lambda given: (
        update(_DELIVERIES)  # type: ignore[arg-type]
        .where(Delivery.id == given["delivery_id"])
        .values(
            state=given["new_state"],
            attempts=Delivery.attempts - given["not_counted"],
            error=given["new_error"],
            # Whom it was for once stays.
            recipient_id=func.coalesce(Delivery.recipient_id, given["new_recipient_id"]),
            # A refreshed message keeps its position, whatever the outcome.
            channel_id=func.coalesce(given["new_channel_id"], Delivery.channel_id),
            ts=func.coalesce(given["new_ts"], Delivery.ts),
            replaced_ts=func.coalesce(given["new_replaced_ts"], Delivery.replaced_ts),
            # Slack may have posted a reply in the channel itself.
            thread_ts=case((given["new_is_root"], None), else_=Delivery.thread_ts),
            retry_at=given["new_retry_at"],
            second_look_at=given["new_second_look_at"],
            finished_at=given["new_finished_at"],
        )
    ),
)
# Some of them at once: the others with the next begin in the lane.
_EXPIRED = (
    select(Delivery.id)
    .where(
        is_any_of(Delivery.lane_id, "lane_ids"),
        IS_WAITING,
        Delivery.expires_at <= bindparam("now"),
    )
    .limit(BATCH)
)
_END_EXPIRED = update(_DELIVERIES).values(  # type: ignore[arg-type]
    state=EXPIRED_STATE, finished_at=bindparam("now")
)
EXPIRE = _END_EXPIRED.where(Delivery.id.in_(_EXPIRED), IS_WAITING)
# An attempt in doubt begins again only after a look that found nothing.
EXPIRE_IN_DOUBT = _END_EXPIRED.values(second_look_at=bindparam("look_again_at")).where(
    is_any_of(Delivery.id, "ids"), IS_SENDING
)
# The deletion of a message by its sender.
DELETION = (
    select(Delivery.id)
    .where(
        Delivery.lane_id == bindparam("lane_id"),
        Delivery.key == bindparam("key"),
        Delivery.key.is_not(None),
        Delivery.mode == DeliveryMode.DELETE,
        # Without a message at first there was nothing to delete.
        or_(Delivery.state != DeliveryState.CANCELLED, Delivery.error == MESSAGE_GONE),
    )
    .limit(1)
)
ABSORB = (
    update(_DELIVERIES)  # type: ignore[arg-type]
    .where(
        Delivery.id == bindparam("delivery_id"),
        Delivery.lane_id == bindparam("in_lane_id"),
        IS_WAITING,
    )
    .values(
        state=DeliveryState.DIGESTED, digest_id=bindparam("absorber"), finished_at=bindparam("now")
    )
)
NUMBER = (
    update(_DELIVERIES)  # type: ignore[arg-type]
    .where(Delivery.id == bindparam("delivery_id"))
    .values(seq=bindparam("new_seq"))
)
GIVE_UP = (
    update(_DELIVERIES)  # type: ignore[arg-type]
    .where(
        Delivery.lane_id == bindparam("failing_lane_id"),
        IS_WAITING,
        Delivery.send_at <= bindparam("cutoff"),
    )
    .values(
        state=DeliveryState.DEAD,
        error=bindparam("new_error"),
        finished_at=bindparam("now"),
        # One to an e-mail address that was not looked up has found nobody.
        recipient_id=case(
            (Delivery.target.startswith("@"), func.coalesce(Delivery.recipient_id, NOBODY)),
            else_=Delivery.recipient_id,
        ),
    )
)
