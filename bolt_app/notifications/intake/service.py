"""The intake: accepted notifications are durable, and their deliveries queued."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from bolt_app.batching import Batcher
from bolt_app.clock import Clock, utc_now
from bolt_app.credentials.limits import Charge, Limits, SenderLimits
from bolt_app.credentials.webhook_bodies import SealedBody, record_bodies
from bolt_app.db import DATABASE_UNAVAILABLE, Database
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.digests.hold import hold
from bolt_app.notifications.incidents.service import ChargeResolution, apply_signals
from bolt_app.notifications.intake.attachments import attach_files
from bolt_app.notifications.intake.charges import submission_charges
from bolt_app.notifications.intake.idempotency import claim_key, hash_requests
from bolt_app.notifications.intake.planning import (
    Draft,
    Submission,
    apply_effects,
    is_current,
    plan_deliveries,
    provisional_names,
    without_repeated,
)
from bolt_app.notifications.intake.results import NewNotification, SubmitResult
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.intake.store import insert_deliveries, insert_notifications
from bolt_app.notifications.queue.change_feed import begin_acceptance, stored_urgency
from bolt_app.notifications.queue.wakeup import Wakeup
from bolt_app.notifications.subscriptions.errors import TooManyDeliveriesError


class Intake:
    """Accepts notifications: stored, routed into lanes and queued, in one transaction.

    Notifications that several threads submit at the same time, one each, share a transaction (group
    commit): a commit costs a disk flush and, on PostgreSQL, a round trip for each statement, for
    one notification as for many.
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
        # By workspace, so that none waits for another.
        self._groups: dict[str, Batcher[Submission, SubmitResult]] = {}

    def submit(
        self,
        sender: Sender,
        requests: Sequence[NotificationRequest],
        *,
        idempotency_key: str | None = None,
        as_messages: bool = False,
        body: SealedBody | None = None,
    ) -> SubmitResult:
        """Accept `requests`, all or none.

        Args:
            idempotency_key: a repeated key with the same requests gets the first result again.
            as_messages: whether each is one message of the Slack-compatible Web API, to one channel
                or person.
            body: the body of the webhook that they were read from, to be recorded.

        Raises:
            IdempotencyConflictError: the key was used before with other requests.
            RevokedError: the sender's credential is revoked or has expired.
            LimitError: the sender is over one of its limits.
            NotInstalledError: Bellhop is not installed in the workspace, or no longer.
            TooManyDeliveriesError: several requests have too many deliveries.
            FileUnavailableError: a file of a request is not the sender's, or not ready.
        """
        now = self._clock()
        draft = Draft.of_message if as_messages else Draft.of
        drafts = [draft(sender, request, now) for request in requests]
        submission = Submission(sender, drafts, body)
        with self._limits.counting_rejections(sender.credential):
            if sender.credential is not None:
                self._limits.check(sender.credential)
            return self._submit(submission, requests, idempotency_key, now)

    def submit_in_parts(
        self,
        sender: Sender,
        requests: Sequence[NotificationRequest],
        *,
        body: SealedBody | None = None,
    ) -> Sequence[NewNotification]:
        """Accept `requests`, as `submit` does, or else one after the other if they are too many.

        Args:
            body: the body of the webhook that they were read from, to be recorded.

        Raises:
            RevokedError: the sender's credential is revoked.
            LimitError: the sender is over one of its limits; some requests may be accepted.
        """
        try:
            return self.submit(sender, requests, body=body).notifications
        except TooManyDeliveriesError:
            drafts = [Draft.of(sender, one, self._clock()) for one in requests]
            parts = [Submission(sender, [draft]) for draft in drafts]
            parts[0] = replace(parts[0], body=body)
        with self._limits.counting_rejections(sender.credential):
            # They came as one request.
            results = [self._commit([part], is_counted=part is not parts[0])[0] for part in parts]
        return [one for result in results for one in result.notifications]

    def submit_within(
        self, connection: Connection, sender: Sender, requests: Sequence[NotificationRequest]
    ) -> None:
        """Accept `requests` of a sender without a credential in the transaction of a caller.

        The caller has locked what is locked before the workspace's queue, and wakes its owner
        after the commit.

        Raises:
            NotInstalledError: Bellhop is not installed in the workspace, or no longer.
        """
        drafts = [Draft.of(sender, request, self._clock()) for request in requests]
        self._write(connection, [Submission(sender, drafts)])

    def _submit(
        self,
        submission: Submission,
        requests: Sequence[NotificationRequest],
        idempotency_key: str | None,
        now: datetime,
    ) -> SubmitResult:
        if idempotency_key is not None:
            # A separate transaction: a shared one would let others wait for a concurrent request
            # with the same key.
            return self._commit_once(submission, idempotency_key, hash_requests(requests), now)
        if len(requests) == 1:
            return self._group_of(submission.sender.team_id).call(submission)
        # Already a batch, of as many rows as one statement should have.
        [result] = self._commit([submission])
        return result

    def _group_of(self, team_id: str) -> Batcher[Submission, SubmitResult]:
        group = self._groups.get(team_id)
        if group is None:
            created = Batcher(self._commit, splits=_splits)
            group = self._groups.setdefault(team_id, created)
        return group

    def _commit_once(
        self, submission: Submission, key: str, body_hash: str, now: datetime
    ) -> SubmitResult:
        credential = submission.sender.credential
        with self._database.writing_connection() as connection:
            # A repeated request counts too.
            charges = [] if credential is None else [Charge(credential, requests=1)]
            self._limits.charge(connection, charges, now)
            first = claim_key(connection, submission, key, body_hash, now)
            if first is not None:
                return first
            [result] = self._write(connection, [submission], is_counted=True)
        self._wake(submission.sender.team_id, [result])
        return result

    def _commit(
        self, submissions: Sequence[Submission], *, is_counted: bool = False
    ) -> list[SubmitResult]:
        with self._database.writing_connection() as connection:
            results = self._write(connection, submissions, is_counted=is_counted)
        self._wake(submissions[0].sender.team_id, results)
        return results

    def _charge_resolutions(
        self, connection: Connection, submissions: Sequence[Submission], now: datetime
    ) -> ChargeResolution:
        """Return the function that charges a sender for the messages its resolution refreshes."""
        resolving = {
            (signal.team_id, signal.key): submission.sender.credential
            for submission in submissions
            for draft in submission.drafts
            if (signal := draft.incident_signal) is not None and not signal.asks
        }

        def charge(incident: tuple[str, str], deliveries: int) -> None:
            # The credential's row is already locked.
            credential = resolving.get(incident)
            if credential is not None:
                charges = [Charge(credential, deliveries=deliveries)]
                self._limits.charge(connection, charges, now)

        return charge

    def _write(
        self,
        connection: Connection,
        submissions: Sequence[Submission],
        *,
        is_counted: bool = False,
    ) -> list[SubmitResult]:
        """Store submissions, all for one workspace.

        Args:
            is_counted: whether the requests were already charged.
        """
        drafts = [draft for submission in submissions for draft in submission.drafts]
        now = self._clock()
        planned = plan_deliveries(connection, drafts, now)
        charges = submission_charges(submissions, planned, requests_each=0 if is_counted else 1)
        # Before anything is locked that others wait for.
        self._limits.charge(connection, charges, now, checks_installation=False)
        bodies = [submission.body for submission in submissions if submission.body is not None]
        signals = [signal for draft in drafts if (signal := draft.incident_signal) is not None]
        seq, latest = 0, now
        if planned or signals or bodies:
            seq, latest = begin_acceptance(connection, drafts[0].team_id, now)
        self._limits.require_installed(connection, drafts[0].team_id)
        if not is_current(connection, planned, now):
            # An erasure that ended meanwhile has not seen these deliveries. Another subscription
            # may lead to the same channel: two of them become one when a channel moves.
            planned = plan_deliveries(connection, drafts, now)
        record_bodies(connection, bodies, now)
        charge = self._charge_resolutions(connection, submissions, now)
        effects = apply_signals(connection, signals, seq, now, charge)
        rows = without_repeated(hold(connection, planned, now))
        routed = {delivery.row["notification_id"] for delivery in planned}
        insert_notifications(
            connection,
            [{**draft.row, "is_unrouted": draft.id not in routed} for draft in drafts],
        )
        attach_files(connection, submissions, now)
        names = provisional_names(connection, drafts, latest)
        rows = [
            {
                **row,
                "provisional_ts": names.get(row["notification_id"]),
                "seq": seq,
                "urgency": stored_urgency(row["rank"], max(row["send_at"], latest)),
            }
            for row in apply_effects(connection, rows, effects, now)
        ]
        accepted = insert_deliveries(connection, [draft.id for draft in drafts], rows)
        return [SubmitResult([next(accepted) for _ in one.drafts]) for one in submissions]

    def _wake(self, team_id: str, results: Sequence[SubmitResult]) -> None:
        """Wake the workspace's owner if any delivery was committed."""
        accepted = (notification for result in results for notification in result.notifications)
        if any(notification.deliveries for notification in accepted):
            self._wakeup.notify(team_id)


def _splits(error: BaseException) -> bool:
    return not isinstance(error, DATABASE_UNAVAILABLE)
