"""What is made for a person once, however often their request comes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from bolt_app.db.receipts import take_receipt


class AlreadyCreatedError(Exception):
    """The request came before, and what it asked for was made."""

    def __init__(self) -> None:
        super().__init__(
            "This was made already, and its secret is shown only once. If you have not seen it, "
            "revoke what was made and make another."
        )


def check_created_once(session: Session, receipt: str | None, now: datetime) -> None:
    """Take the receipt of a request, in the transaction that makes what it asks for.

    Args:
        receipt: None where every request makes something.

    Raises:
        AlreadyCreatedError: it was taken before.
    """
    if receipt is not None and not take_receipt(session, receipt, now):
        raise AlreadyCreatedError
