"""Errors of the intake."""

from __future__ import annotations


class IdempotencyConflictError(Exception):
    """The idempotency key was used before with another body."""

    def __init__(self) -> None:
        super().__init__(
            "Idempotency-Key was already used with another body: use a new key for each request."
        )
