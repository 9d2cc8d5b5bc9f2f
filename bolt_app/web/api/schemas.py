"""What the HTTP API takes and gives beside notifications and their reports."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from bolt_app.notifications.content.ids import ID_PATTERN
from bolt_app.notifications.content.page_urls import is_notification_id
from bolt_app.notifications.content.schema import BATCH, Address, NotificationRequest, Text
from bolt_app.notifications.content.states import State
from bolt_app.notifications.history.reports import DeliveryReport, NotificationReport

PAGE = 50
LONGEST_PAGE = 100
IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{1,255}")
NotificationId = Annotated[
    str,
    StringConstraints(pattern=ID_PATTERN),
    Field(examples=["019b2f3c4d5e0123456789abcdef0123"]),
]


def encode_cursor(notification_id: str) -> str:
    """Return what a caller may hand back for the next page."""
    return base64.urlsafe_b64encode(notification_id.encode()).decode().rstrip("=")


def decode_cursor(cursor: object) -> str:
    """Return the id that `encode_cursor` was given.

    Raises:
        ValueError: this is no cursor of ours.
    """
    try:
        padded = str(cursor).encode() + b"=" * (-len(str(cursor)) % 4)
        decoded = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        decoded = ""
    if not is_notification_id(decoded):
        raise ValueError("is no cursor: give next_cursor of the page before, or none")
    return decoded


def _with_plus(value: object) -> object:
    # A plus that nobody encoded is a space by now.
    return value.replace(" ", "+") if isinstance(value, str) else value


_Moment = Annotated[AwareDatetime, BeforeValidator(_with_plus)]
_Cursor = Annotated[str, BeforeValidator(decode_cursor, json_schema_input_type=str)]


class Batch(BaseModel):
    """Several notifications, accepted all or none."""

    model_config = ConfigDict(extra="forbid")

    notifications: list[NotificationRequest] = Field(min_length=1, max_length=BATCH)


class AcceptedDelivery(BaseModel):
    """A delivery, as it was accepted."""

    id: int
    to: str = Field(description="The address it is for.", examples=["#general"])
    state: State = Field(
        description="As accepted: `waiting`, `held` for quiet hours or a digest, or `muted`: "
        "never delivered. Ask at `url` what became of it."
    )


class AcceptedNotification(BaseModel):
    """A notification that was accepted: stored, and on its way whatever happens."""

    id: NotificationId
    url: str = Field(description="Where to ask what became of it.")
    page_url: str = Field(description="Its page, for people who may see it in Slack.")
    unrouted: bool = Field(
        description="Nothing is delivered: no subscription to its topics wants it."
    )
    deliveries: list[AcceptedDelivery] = Field(description="One for each channel or person.")


class AcceptedBatch(BaseModel):
    """The notifications of a batch, in its order."""

    notifications: list[AcceptedNotification]


class NotificationList(BaseModel):
    """Notifications, the newest first."""

    notifications: list[NotificationReport]
    next_cursor: str | None = Field(
        description="What to give as `cursor` for the next page; null on the last one. A page may "
        "have fewer notifications than asked for, or none, and still be followed by others."
    )


class CancelledNotification(BaseModel):
    """What was cancelled, and what could not be: it had gone out, or ended otherwise.

    A key without the scope `read` is told no more of a delivery than when it was accepted.
    """

    id: NotificationId
    cancelled: list[DeliveryReport] | list[AcceptedDelivery]
    kept: list[DeliveryReport] | list[AcceptedDelivery]


class ListQuery(BaseModel):
    """Which notifications to list."""

    model_config = ConfigDict(extra="forbid")

    state: Literal[State, "unrouted"] | None = Field(
        None, description="One of their deliveries is in this state, or none exists: `unrouted`."
    )
    to: Address | None = Field(None, description="One of their deliveries is for this address.")
    key: Text | None = Field(None, max_length=255, description="They have this key.")
    source: Text | None = Field(
        None,
        max_length=64,
        description="Sent by this credential, such as `hook:1`, or by this source.",
    )
    since: _Moment | None = Field(None, description="Accepted at this moment or later.")
    until: _Moment | None = Field(None, description="Accepted before this moment.")
    id: list[NotificationId] | None = Field(
        None, max_length=LONGEST_PAGE, description="These and no others; give it several times."
    )
    limit: int = Field(PAGE, ge=1, le=LONGEST_PAGE, description="So many on a page.")
    cursor: _Cursor | None = Field(None, description="`next_cursor` of the page before.")


class ProblemField(BaseModel):
    """What is wrong with one field."""

    field: str = Field(
        description="Its path; in a batch beginning with the notification's place.",
        examples=["fields[2].value", "[3].to[0]"],
    )
    detail: str = Field(description="What is wrong, and the mend.", examples=["is required"])


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str | None = Field(description="By which the request is found in the log.")
    errors: list[ProblemField] = Field(default_factory=list)


def query_of(arguments: Any) -> dict[str, Any]:
    """Return the query parameters as `ListQuery` takes them."""
    given: dict[str, Any] = arguments.to_dict()
    if "id" in given:
        given["id"] = [id_ for value in arguments.getlist("id") for id_ in value.split(",")]
    return given
