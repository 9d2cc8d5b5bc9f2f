"""Charges of credentials for submitted notifications."""

from __future__ import annotations

from collections.abc import Sequence

from bolt_app.credentials.limits import Charge, count_addressed
from bolt_app.credentials.sources import Credential
from bolt_app.notifications.digests.hold import PlannedDelivery, Row
from bolt_app.notifications.intake.planning import Submission


def submission_charges(
    submissions: Sequence[Submission], planned: Sequence[PlannedDelivery], *, requests_each: int
) -> list[Charge]:
    """Return the charge of each credential for its submissions.

    A destination counts if the sender named it. Subscriptions are made by others, so the topics of
    a notification count once.
    """
    rows: dict[str, list[Row]] = {}
    for delivery in planned:
        rows.setdefault(delivery.row["notification_id"], []).append(delivery.row)
    by_credential: dict[Credential, list[Submission]] = {}
    for submission in submissions:
        if submission.sender.credential is not None:
            by_credential.setdefault(submission.sender.credential, []).append(submission)
    charges = []
    for credential, submitted in by_credential.items():
        drafts = [draft for submission in submitted for draft in submission.drafts]
        sent = [(draft, row) for draft in drafts for row in rows.get(draft.id, ())]
        named = {row["lane_address"] for _, row in sent if row["subscription_id"] is None}
        addressed = count_addressed(
            (draft.id, row["subscription_id"], draft.row["topics"]) for draft, row in sent
        )
        charges.append(Charge(credential, requests_each * len(submitted), addressed, named))
    return charges
