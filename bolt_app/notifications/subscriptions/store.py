"""Stored subscriptions, read so that a damaged one does not affect the others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from bolt_app.notifications.content.modes import Mode
from bolt_app.notifications.content.topics import normal_pattern
from bolt_app.notifications.subscriptions.filters import Filter, parse_filter
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.recipients import normal_address, topic_of
from bolt_app.slack_ids import is_id

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadSubscription:
    """The readable fields of a subscription.

    Attributes:
        unreadable: the fields that cannot be read; a subscription with any delivers nothing.
    """

    filter: Filter = field(repr=False)
    mode: Mode | None
    digest: Schedule | None
    unreadable: tuple[str, ...] = ()


def read_subscription(row: Any) -> ReadSubscription:
    """Return the fields of a subscription's row; never raises."""
    return _read(row.topic, row.address, row.filter, row.mode, row.digest, row.digest_tz)


def is_usable(row: Any, read: ReadSubscription) -> bool:
    """Whether a subscription may deliver; a damaged one is logged."""
    if not read.unreadable:
        return True
    extra = {"subscription": row.id, "fields": ", ".join(read.unreadable)}
    logger.warning("a subscription cannot be read and is skipped", extra=extra)
    return False


@lru_cache(maxsize=4096)
def _read(
    topic: str,
    address: str,
    filter_: str,
    mode: str | None,
    digest: str | None,
    digest_tz: str | None,
) -> ReadSubscription:
    unreadable: list[str] = []

    def attempt(name: str, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except ValueError:
            unreadable.append(name)
            return None

    attempt("topic", lambda: _same(normal_pattern(topic), topic))
    attempt("address", lambda: _check_address(address))
    wanted = attempt("filter", lambda: parse_filter(filter_))
    schedule = attempt("digest", lambda: digest and Schedule.read(digest, digest_tz or ""))
    read_mode = attempt("mode", lambda: None if mode is None else Mode(mode))
    return ReadSubscription(wanted or Filter(), read_mode, schedule or None, tuple(unreadable))


def _same(normal: str, stored: str) -> None:
    if normal != stored:
        raise ValueError("not normalized")


def _check_address(address: str) -> None:
    _same(normal_address(address), address)
    if topic_of(address) is not None or not (is_id(address) or address[0] in "#@"):
        raise ValueError("neither a channel nor a person")
