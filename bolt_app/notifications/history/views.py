"""Notifications as a person may see them, without the parts that are hidden from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bolt_app.notifications.history.reports import DeliveryReport
from bolt_app.notifications.incidents.view import IncidentView


@dataclass(frozen=True)
class Viewer:
    """The account of a viewing person in one workspace."""

    team_id: str
    user_id: str


@dataclass(frozen=True)
class ViewedDelivery:
    """A delivery that the viewer may see.

    Attributes:
        place: the destination, in words: "#general", or "you".
    """

    place: str
    report: DeliveryReport


@dataclass(frozen=True)
class ViewedNotification:
    """A notification, limited to what the viewer may see.

    Attributes:
        content: the part that a page shows; `is_cut` if that is not all.
        sender: in words.
        topics: those it was sent to.
        hidden: how many deliveries the viewer may not see.
        people: names of mentioned people who linked their profiles, by id.
        channels: names of mentioned channels that the viewer may know, by id.
    """

    id: str
    team_id: str
    content: Mapping[str, Any] = field(repr=False)
    is_cut: bool
    sender: str
    topics: Sequence[str]
    key: str | None
    created_at: datetime
    incident: IncidentView | None
    deliveries: Sequence[ViewedDelivery]
    hidden: int
    people: Mapping[str, str]
    channels: Mapping[str, str]


@dataclass(frozen=True)
class FailedNotification:
    """A notification with the failed deliveries that the viewer may see."""

    id: str
    headline: str = field(repr=False)
    deliveries: Sequence[ViewedDelivery]


@dataclass(frozen=True)
class SharedNotification:
    """A notification behind a posted link, limited to what the readers of the link may see."""

    id: str
    content: Mapping[str, Any] = field(repr=False)
    created_at: datetime
    incident: IncidentView | None
