"""The one way in: what is accepted here is durable, and on its way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bolt_app.blockkit.broadcasts import without_broadcasts
from bolt_app.clock import Clock, utc_now
from bolt_app.credentials.api_keys import ApiKeyRecord
from bolt_app.credentials.limits import (
    Charge,
    LimitError,
    Limits,
    SenderLimits,
    count_addressed,
)
from bolt_app.credentials.sources import Credential, stored_key
from bolt_app.credentials.webhooks import WebhookRecord
from bolt_app.db import DATABASE_UNAVAILABLE, Database
from bolt_app.db.models import IS_WAITING, Delivery, IdempotencyKey, Notification
from bolt_app.notifications.content.ids import new_id
from bolt_app.notifications.content.meaning import severity_of, with_meaning
from bolt_app.notifications.content.modes import ESCALATE
from bolt_app.notifications.content.schema import Escalation, NotificationRequest
from bolt_app.notifications.digests.hold import PlannedDelivery, Row, hold
from bolt_app.notifications.incidents.service import ChargeEnding, Followed, IncidentSignal, follow
from bolt_app.notifications.intake.group_commit import GroupCommit
from bolt_app.notifications.queue.change_feed import begin_acceptance, state_until, stored_urgency
from bolt_app.notifications.queue.lanes import ensure_lanes, lane_id_of
from bolt_app.notifications.queue.rank import rank_of
from bolt_app.notifications.queue.wakeup import Wakeup
from bolt_app.notifications.subscriptions.routing import Destination, Route, RoutingResult, route
from bolt_app.recipients import topic_of

IDEMPOTENCY_LIFETIME = timedelta(days=1)

# Run for every notification, and so put together once. Those that insert take many rows at once,
# which the drivers send in one go.
_INSERT_NOTIFICATIONS = insert(Notification.__table__)  # type: ignore[arg-type]
_INSERT_DELIVERIES = insert(Delivery.__table__).values(  # type: ignore[arg-type]
    lane_id=lane_id_of(bindparam("lane_team_id"), bindparam("lane_address")),
    team_id=bindparam("lane_team_id"),
)
_INSERT_DELIVERY = _INSERT_DELIVERIES.returning(Delivery.id)
# An earlier delivery of a key goes before a later one, and so becomes as urgent.
_HURRY = (
    update(Delivery.__table__)  # type: ignore[arg-type]
    .where(
        Delivery.lane_id == lane_id_of(bindparam("lane_team_id"), bindparam("lane_address")),
        Delivery.key == bindparam("with_key"),
        Delivery.key.is_not(None),
        IS_WAITING,
        Delivery.urgency > bindparam("latest"),
    )
    .values(urgency=bindparam("latest"), seq=bindparam("number"))
)
_DELIVERIES = (
    select(Delivery.notification_id, Delivery.id, Delivery.target, Delivery.state)
    .where(Delivery.notification_id.in_(bindparam("ids", expanding=True)))
    .order_by(Delivery.id)
)
_KEEP_KEY = {
    dialect.dialect.name: dialect.insert(IdempotencyKey.__table__)
    .on_conflict_do_nothing()
    .returning(IdempotencyKey.key)
    for dialect in (sqlite, postgresql)
}
_BEFORE = select(IdempotencyKey.body_hash, IdempotencyKey.notification_ids).where(
    IdempotencyKey.owner == bindparam("owner"), IdempotencyKey.key == bindparam("key")
)


FirstState = Literal["waiting", "held", "muted"]
# A repeated request gets the first answer: the states that tell what a delivery was accepted as.
_FIRST_STATES: Mapping[str, FirstState] = {"held": "held", "digested": "held", "muted": "muted"}


class IdempotencyConflictError(Exception):
    """The key was used before with another body."""

    def __init__(self) -> None:
        super().__init__(
            "Idempotency-Key was used before with another body: give each request a key of its own."
        )


@dataclass(frozen=True)
class Sender:
    """Who sends, and how it came in: "command", "api_key:3" or "hook:1".

    Attributes:
        source: the source that the keys of its notifications belong to; empty: `name`.
        credential: what is charged, and must not be revoked when the notification is stored.
        allow_broadcast: whether it may call everybody in a channel, or a user group.
    """

    team_id: str
    name: str
    source: str = ""
    credential: Credential | None = None
    allow_broadcast: bool = False

    @property
    def turn(self) -> str:
        """The source whose turn its notifications take; people have one together."""
        is_person = self.name.startswith("slack:")
        return "slack" if is_person else self.source or self.name

    @classmethod
    def of(cls, record: ApiKeyRecord | WebhookRecord) -> Sender:
        """Return who sends with an API key or hook."""
        return cls(
            record.team_id,
            record.credential.name,
            record.source,
            record.credential,
            record.allow_broadcast,
        )


@dataclass(frozen=True)
class AcceptedDelivery:
    """A delivery, the address it is for, and its state: waiting, held or muted at first."""

    id: int
    to: str
    state: FirstState


@dataclass(frozen=True)
class Accepted:
    """A notification that was accepted; unrouted where no subscription to its topics wants it."""

    id: str
    deliveries: Sequence[AcceptedDelivery]

    @property
    def is_unrouted(self) -> bool:
        """Whether nothing of it is delivered."""
        return not self.deliveries


@dataclass(frozen=True)
class Answer:
    """What was accepted, in the order of the requests.

    Attributes:
        is_replay: whether it was accepted before, under the same idempotency key.
    """

    notifications: Sequence[Accepted]
    is_replay: bool = False


class Intake:
    """Accepts notifications: written, routed into lanes and due, in one transaction.

    What several threads accept at the same time, one each, is one transaction for all of them.
    """

    def __init__(
        self,
        database: Database,
        wakeup: Wakeup,
        limits: SenderLimits | None = None,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._wakeup = wakeup
        self._limits = limits or SenderLimits(database, Limits(), clock=clock)
        self._clock = clock
        # By workspace: none waits for another's.
        self._groups: dict[str, GroupCommit[_Submission, Answer]] = {}

    def accept(
        self,
        sender: Sender,
        requests: Sequence[NotificationRequest],
        *,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Accept `requests`, all or none.

        Args:
            idempotency_key: with the same key and requests the first answer is given again.

        Raises:
            IdempotencyConflictError: that key came with other requests before.
            RevokedError: the sender's credential is revoked.
            LimitError: the sender is over one of its limits.
        """
        now = self._clock()
        submission = _Submission(sender, [_Draft.of(sender, one, now) for one in requests])
        if sender.credential is None:
            return self._accept(submission, requests, idempotency_key, now)
        try:
            self._limits.check(sender.credential)
            return self._accept(submission, requests, idempotency_key, now)
        except LimitError as error:
            self._limits.reject(sender.credential, error)
            raise

    def _accept(
        self,
        submission: _Submission,
        requests: Sequence[NotificationRequest],
        idempotency_key: str | None,
        now: datetime,
    ) -> Answer:
        if idempotency_key is not None:
            # In a transaction of its own: others would wait with it for one with the same key.
            return self._commit_once(submission, idempotency_key, _hash(requests), now)
        if len(requests) == 1:
            return self._group_of(submission.sender.team_id).write(submission)
        # Many at once already, and as many as a statement should have.
        [answer] = self._commit([submission])
        return answer

    def _group_of(self, team_id: str) -> GroupCommit[_Submission, Answer]:
        group = self._groups.get(team_id)
        if group is None:
            fresh = GroupCommit(self._commit, splits=_splits)
            group = self._groups.setdefault(team_id, fresh)
        return group

    def _commit_once(
        self, submission: _Submission, key: str, body_hash: str, now: datetime
    ) -> Answer:
        with self._database.writing_connection() as connection:
            # A request counts too where it was answered before.
            charge = _charge(submission.sender, requests=1)
            self._limits.charge(connection, charge, now)
            before = _answered(connection, submission, key, body_hash, now)
            if before is not None:
                return before
            [answer] = self._write(connection, [submission], is_counted=True)
        self._wake(submission.sender.team_id, [answer])
        return answer

    def _commit(self, submissions: Sequence[_Submission]) -> list[Answer]:
        with self._database.writing_connection() as connection:
            answers = self._write(connection, submissions)
        self._wake(submissions[0].sender.team_id, answers)
        return answers

    def _charge_of_endings(
        self, connection: Connection, submissions: Sequence[_Submission], now: datetime
    ) -> ChargeEnding:
        """Return what charges the sender of an ending for the messages that it refreshes."""
        ends = {
            (draft.said.team_id, draft.said.key): one.sender.credential
            for one in submissions
            for draft in one.drafts
            if draft.said is not None and not draft.said.asks
        }

        def charge(about: tuple[str, str], deliveries: int) -> None:
            # The credential's row is locked by now.
            credential = ends.get(about)
            if credential is not None:
                shown = Charge(credential, deliveries=deliveries)
                self._limits.charge(connection, [shown], now)

        return charge

    def _write(
        self,
        connection: Connection,
        submissions: Sequence[_Submission],
        *,
        is_counted: bool = False,
    ) -> list[Answer]:
        """Write what was submitted, all for one workspace.

        Args:
            is_counted: whether the requests were charged already.
        """
        drafts = [draft for one in submissions for draft in one.drafts]
        now = self._clock()
        plans = _plans(connection, drafts, now)
        coming = [_coming(plan, leg) for plan in plans for leg in plan.route.values()]
        charges = _charges(submissions, coming, requests_each=0 if is_counted else 1)
        # Before anything is locked that others wait for.
        self._limits.charge(connection, charges, now)
        said = [draft.said for draft in drafts if draft.said is not None]
        seq, latest = 0, now
        if coming or said:
            seq, latest = begin_acceptance(connection, drafts[0].team_id, now)
        charge = self._charge_of_endings(connection, submissions, now)
        followed = follow(connection, said, seq, now, charge)
        rows = hold(connection, coming, now)
        routed = {plan.draft.id for plan in plans if plan.route}
        connection.execute(
            _INSERT_NOTIFICATIONS,
            [{**draft.row, "is_unrouted": draft.id not in routed} for draft in drafts],
        )
        rows = [
            {
                **_unless_muted(row, followed, now),
                "seq": seq,
                "urgency": stored_urgency(row["rank"], max(row["send_at"], latest)),
            }
            for row in _wanted(rows, followed)
        ]
        ensure_lanes(connection, {(row["lane_team_id"], row["lane_address"]) for row in rows})
        # Only now that the workspace is locked do the deliveries get their ids, in this order.
        accepted = _insert_deliveries(connection, drafts, rows)
        hurry = [_hurrying(row) for row in rows if row["key"] is not None]
        if hurry:
            connection.execute(_HURRY, hurry)
        return [Answer([next(accepted) for _ in one.drafts]) for one in submissions]

    def _wake(self, team_id: str, answers: Sequence[Answer]) -> None:
        """Wake the owner of a workspace, where something was committed."""
        accepted = (one for answer in answers for one in answer.notifications)
        if any(one.deliveries for one in accepted):
            self._wakeup.notify(team_id)


def _splits(error: BaseException) -> bool:
    return not isinstance(error, DATABASE_UNAVAILABLE)


@dataclass(frozen=True)
class _Draft:
    """A notification that is to be written: its row, and what its deliveries have in common."""

    id: str
    team_id: str
    to: Sequence[str]
    row: Mapping[str, Any]
    delivery: Mapping[str, Any]
    escalation: Escalation | None = None

    @classmethod
    def of(cls, sender: Sender, request: NotificationRequest, now: datetime) -> _Draft:
        id_ = new_id(now)
        # What asks for an answer is about something, if only about itself.
        key = id_ if request.actions else None
        if request.key is not None:
            key = stored_key(request.source or sender.source or sender.name, request.key)
        content = with_meaning(request.content())
        row = {
            "id": id_,
            "team_id": sender.team_id,
            "source": sender.name,
            "content": content if sender.allow_broadcast else without_broadcasts(content),
            "key": key,
            "topics": " ".join(filter(None, map(topic_of, request.to))) or None,
            "created_at": now,
        }
        delivery = {
            "notification_id": id_,
            "lane_team_id": sender.team_id,
            "state": state_until(request.due_at(now), now),
            "source": request.source or sender.turn,
            "rank": rank_of(request.priority, severity_of(content)),
            "key": key,
            "mode": request.mode if key is not None else "new",
            "on_unknown": request.on_unknown,
            "send_at": request.due_at(now),
            "expires_at": request.expires_at,
            "attempts": 0,
        }
        return cls(id_, sender.team_id, request.to, row, delivery, request.escalate)

    @property
    def said(self) -> IncidentSignal | None:
        """What it means to the incident of its key, where it has one."""
        key = self.row["key"]
        return (
            None
            if key is None
            else IncidentSignal(self.team_id, key, "actions" in self.row["content"])
        )


@dataclass(frozen=True)
class _Submission:
    """What one sender gave at once."""

    sender: Sender
    drafts: Sequence[_Draft]


@dataclass(frozen=True)
class _Plan:
    """Where a notification goes, and when; or would go, if nobody answered until then."""

    draft: _Draft
    route: Route
    send_at: datetime
    is_escalation: bool = False


def _plans(connection: Connection, drafts: Sequence[_Draft], now: datetime) -> list[_Plan]:
    """Return what is planned with each draft; what may be escalated has two plans."""
    plans: list[_Plan] = []
    for team_id in {draft.team_id: None for draft in drafts}:
        mine = [draft for draft in drafts if draft.team_id == team_id]
        escalating = [(one, one.escalation) for one in mine if one.escalation is not None]
        looking = [_routed(one, one.to) for one in mine]
        looking += [_routed(one, escalation.to or one.to) for one, escalation in escalating]
        found = iter(route(connection, team_id, looking, now))
        plans += [_Plan(one, next(found), one.delivery["send_at"]) for one in mine]
        for one, escalation in escalating:
            send_at = one.delivery["send_at"] + timedelta(seconds=escalation.after)
            plans.append(_Plan(one, next(found), send_at, is_escalation=True))
    return plans


def _routed(draft: _Draft, to: Sequence[str]) -> RoutingResult:
    return RoutingResult(to, draft.row["content"], draft.row["key"])


def _coming(plan: _Plan, leg: Destination) -> PlannedDelivery:
    row = {**plan.draft.delivery, "lane_address": leg.address, "target": leg.target}
    row |= {"subscription_id": leg.subscription_id, "finished_at": None}
    if plan.is_escalation:
        state = state_until(plan.send_at, plan.draft.row["created_at"])
        row |= {"mode": ESCALATE, "send_at": plan.send_at, "state": state}
    elif leg.mode is not None and row["key"] is not None:
        row["mode"] = leg.mode
    notification = plan.draft.row
    severity = severity_of(notification["content"])
    return PlannedDelivery(row, severity, notification["source"], leg.digest)


def _wanted(rows: Sequence[Row], followed: Followed) -> list[Row]:
    """Return the rows of what is to be delivered: what is open is not escalated once more."""
    first = {_about(row): row["notification_id"] for row in reversed(rows) if _escalates(row)}
    return [
        row
        for row in rows
        if not _escalates(row)
        or (_about(row) in followed.opened and first[_about(row)] == row["notification_id"])
    ]


def _hurrying(row: Row) -> dict[str, Any]:
    return {
        "lane_team_id": row["lane_team_id"],
        "lane_address": row["lane_address"],
        "with_key": row["key"],
        "latest": row["urgency"],
        "number": row["seq"],
    }


def _escalates(row: Row) -> bool:
    return bool(row["mode"] == ESCALATE)


def _about(row: Row) -> tuple[str, str]:
    return row["lane_team_id"], row["key"]


def _unless_muted(row: Row, followed: Followed, now: datetime) -> Row:
    # What changes a message that stands there disturbs nobody, and others are told all the same.
    if row["mode"] in ("update", ESCALATE) or _about(row) not in followed.quiet:
        return row
    return {**row, "state": "muted", "finished_at": now}


def _insert_deliveries(
    connection: Connection, drafts: Sequence[_Draft], rows: Sequence[Row]
) -> Iterator[Accepted]:
    """Insert the deliveries, and yield what was accepted, in the order of the drafts."""
    if len(rows) == 1:
        [row] = rows
        delivery_id = connection.execute(_INSERT_DELIVERY, row).scalar_one()
        found = {row["notification_id"]: [_delivery(delivery_id, row["target"], row["state"])]}
    elif rows:
        connection.execute(_INSERT_DELIVERIES, rows)
        found = _deliveries(connection, [draft.id for draft in drafts])
    else:
        found = {}
    return (Accepted(draft.id, found.get(draft.id, ())) for draft in drafts)


def _deliveries(
    connection: Connection, notification_ids: Sequence[str]
) -> dict[str, list[AcceptedDelivery]]:
    found: dict[str, list[AcceptedDelivery]] = {}
    for row in connection.execute(_DELIVERIES, {"ids": notification_ids}):
        delivery = _delivery(row.id, row.target, row.state)
        found.setdefault(row.notification_id, []).append(delivery)
    return found


def _delivery(id_: int, target: str, state: str) -> AcceptedDelivery:
    return AcceptedDelivery(id_, target, _FIRST_STATES.get(state, "waiting"))


def _charge(sender: Sender, **what: Any) -> list[Charge]:
    return [] if sender.credential is None else [Charge(sender.credential, **what)]


def _charges(
    submissions: Sequence[_Submission], coming: Sequence[PlannedDelivery], *, requests_each: int
) -> list[Charge]:
    """Return what each credential is charged for what it submitted.

    A destination counts where the sender named it: subscriptions are others' doing, and all that
    they make of a notification counts once.
    """
    rows: dict[str, list[Row]] = {}
    for one in coming:
        rows.setdefault(one.row["notification_id"], []).append(one.row)
    of_credential: dict[Credential, list[_Submission]] = {}
    for submission in submissions:
        if submission.sender.credential is not None:
            of_credential.setdefault(submission.sender.credential, []).append(submission)
    charges = []
    for credential, its in of_credential.items():
        sent = [row for one in its for draft in one.drafts for row in rows.get(draft.id, ())]
        named = {row["lane_address"] for row in sent if row["subscription_id"] is None}
        addressed = count_addressed(
            (row["notification_id"], row["subscription_id"]) for row in sent
        )
        charges.append(Charge(credential, requests_each * len(its), addressed, named))
    return charges


def _answered(
    connection: Connection, submission: _Submission, key: str, body_hash: str, now: datetime
) -> Answer | None:
    """Return the answer that was given to this key before, or keep it for this submission."""
    owner = f"{submission.sender.team_id}/{submission.sender.name}"
    ids = [draft.id for draft in submission.drafts]
    row = {
        "owner": owner,
        "key": key,
        "body_hash": body_hash,
        "notification_ids": " ".join(ids),
        "created_at": now,
    }
    # Of two requests at once the second waits here for the first.
    if connection.execute(_KEEP_KEY[connection.dialect.name], row).first() is not None:
        return None
    before = connection.execute(_BEFORE, {"owner": owner, "key": key}).one()
    if before.body_hash != body_hash:
        raise IdempotencyConflictError
    ids = str(before.notification_ids).split()
    found = _deliveries(connection, ids)
    return Answer([Accepted(id_, found.get(id_, ())) for id_ in ids], is_replay=True)


def _hash(requests: Sequence[NotificationRequest]) -> str:
    said = [one.model_dump(mode="json", exclude_defaults=True) for one in requests]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
