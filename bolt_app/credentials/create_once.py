"""Credentials that a repeated request creates only once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from bolt_app.db.receipts import keep_installed, take_receipt


class AlreadyCreatedError(Exception):
    """An earlier request with the same receipt created the credential."""

    def __init__(self) -> None:
        super().__init__(
            "This was already created, and its secret is shown only once. If you did not see it, "
            "revoke it and create another."
        )


def check_created_once(session: Session, team_id: str, receipt: str | None, now: datetime) -> None:
    """Take the receipt of a request, in the transaction that creates the credential.

    Args:
        team_id: the workspace, in which Bellhop must be installed if a person requested it there.
        receipt: None if every request creates a credential.

    Raises:
        AlreadyCreatedError: the receipt was taken before.
        NotInstalledError: Bellhop is not installed in the workspace, or no longer.
    """
    if receipt is not None and not take_receipt(session, receipt, now):
        raise AlreadyCreatedError
    keep_installed(session, team_id)
