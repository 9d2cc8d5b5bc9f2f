"""Schemas of the HTTP API, other than notifications and their reports."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from bolt_app.credentials.webhooks import AUTO, AWS_SNS, CUSTOM, KEY_FIELD_LENGTH
from bolt_app.notifications.content.ids import ID_PATTERN
from bolt_app.notifications.content.schema import (
    BATCH,
    Address,
    NotificationRequest,
    Recipients,
    Text,
)
from bolt_app.notifications.content.states import ShownState, StateFilter
from bolt_app.notifications.history.reports import (
    DeliveryNumber,
    DeliveryReport,
    NotificationReport,
)
from bolt_app.senders.aws_sns.messages import is_topic
from bolt_app.senders.custom import normal_template
from bolt_app.senders.registry import known_senders, own_secret
from bolt_app.web.api.cursors import Cursors

PAGE = 50
LONGEST_PAGE = 100
IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{1,255}")
NotificationId = Annotated[
    str,
    StringConstraints(pattern=ID_PATTERN),
    Field(examples=["019b2f3c4d5e0123456789abcdef0123"]),
]


def _with_plus(value: object) -> object:
    # An unencoded plus arrives as a space.
    return value.replace(" ", "+") if isinstance(value, str) else value


def _read_cursor(cursor: str, info: ValidationInfo) -> str:
    """Return the id in a cursor; the context of the validation has the caller's `cursors`."""
    cursors: Cursors = (info.context or {})["cursors"]
    return cursors.read(cursor)


_Moment = Annotated[AwareDatetime, BeforeValidator(_with_plus)]
_Cursor = Annotated[str, AfterValidator(_read_cursor)]


class Batch(BaseModel):
    """A batch of notifications, accepted completely or not at all."""

    model_config = ConfigDict(extra="forbid")

    notifications: list[NotificationRequest] = Field(min_length=1, max_length=BATCH)


class AcceptedDelivery(BaseModel):
    """An accepted delivery."""

    id: DeliveryNumber
    to: str = Field(description="Address of the channel or person.", examples=["#general"])
    state: ShownState = Field(
        description="State when accepted: `waiting`, `held` for quiet hours or a digest, or "
        "`muted` (never delivered). `url` has the current state."
    )


class AcceptedNotification(BaseModel):
    """An accepted notification, durably stored for delivery."""

    id: NotificationId
    url: str = Field(description="URL of its current state.")
    page_url: str = Field(description="URL of its page for people who can see it in Slack.")
    unrouted: bool = Field(
        description="True if nothing is delivered, because no subscription matched."
    )
    deliveries: list[AcceptedDelivery] = Field(
        description="One delivery for each channel or person. Of the subscribers of topics, only "
        "a key that reads the whole workspace sees any here."
    )


class AcceptedBatch(BaseModel):
    """The notifications of a batch, in order."""

    notifications: list[AcceptedNotification]


class NotificationList(BaseModel):
    """Notifications, newest first."""

    notifications: list[NotificationReport]
    next_cursor: str | None = Field(
        description="Value of `cursor` for the next page; null on the last one. A page may have "
        "fewer notifications than `limit`, or none, although another page follows."
    )


class CancelledNotification(BaseModel):
    """The cancelled deliveries, and the kept ones, which were already sent or had ended.

    A key without the scope `read` sees only the fields of accepted deliveries.
    """

    id: NotificationId
    cancelled: list[DeliveryReport] | list[AcceptedDelivery]
    kept: list[DeliveryReport] | list[AcceptedDelivery]


class ListQuery(BaseModel):
    """Filters of a list of notifications."""

    model_config = ConfigDict(extra="forbid")

    state: StateFilter | None = Field(
        None, description="With a delivery in this state, or without deliveries: `unrouted`."
    )
    to: Address | None = Field(
        None, description="With a delivery to this address, as far as the key is shown it."
    )
    key: Text | None = Field(None, max_length=255, description="With this key.")
    source: Text | None = Field(
        None,
        max_length=64,
        description="Sent by this credential, such as `hook:1`, or source.",
    )
    since: _Moment | None = Field(None, description="Accepted at or after this time.")
    until: _Moment | None = Field(None, description="Accepted before this time.")
    id: list[NotificationId] | None = Field(
        None, max_length=LONGEST_PAGE, description="Only this notification. Repeatable."
    )
    limit: int = Field(PAGE, ge=1, le=LONGEST_PAGE, description="Notifications on a page.")
    cursor: _Cursor | None = Field(None, description="`next_cursor` of the previous page.")


def _known_sender(sender: str) -> str:
    if sender in (AUTO, CUSTOM) or sender in known_senders():
        return sender
    raise ValueError(f"must be {AUTO}, {CUSTOM} or the name of a known tool, such as github")


def _topic(arn: str) -> str:
    if is_topic(arn):
        return arn
    raise ValueError("must be the ARN of an SNS topic: arn:aws:sns:REGION:ACCOUNT:NAME")


class WebhookRequest(BaseModel):
    """A webhook to be created."""

    model_config = ConfigDict(extra="forbid")

    to: Recipients = Field(
        description="Recipients of its notifications.", examples=["#ops", ["topic:alerts"]]
    )
    name: Text = Field("", max_length=80, description="Purpose of the webhook, shown in lists.")
    sender: Annotated[str, AfterValidator(_known_sender)] = Field(
        AUTO,
        alias="from",
        description="The tool that posts to it, such as `github`: its signature is then required, "
        "if the tool signs and `secret` is known. `auto` recognizes it by each body, `custom` uses "
        "`template`.",
    )
    secret: Text | None = Field(
        None,
        repr=False,
        description="The secret that the tool shows, with `pagerduty` and `sentry`. Without it, "
        "unsigned messages are accepted until `bellhop webhook secret`. Other tools get a secret "
        "in the response.",
    )
    template: Annotated[Text, AfterValidator(normal_template)] | None = Field(
        None,
        description="Jinja template whose output is the JSON of a notification, with `custom`.",
    )
    topic_arn: Annotated[str, AfterValidator(_topic)] | None = Field(
        None,
        description="The only topic whose messages are accepted, with `aws-sns`; by default the "
        "first that subscribes the webhook.",
        examples=["arn:aws:sns:eu-central-1:123456789012:alerts"],
    )
    key_field: Text | None = Field(
        None,
        max_length=KEY_FIELD_LENGTH,
        description="Field of a message whose value is its key; by default the key of the tool's "
        "own format.",
    )

    @model_validator(mode="after")
    def _has_fields_of_its_sender_only(self) -> Self:
        problems = [
            (name, f"requires from {sender}: set it, or leave {name} out")
            for name, sender in (("template", CUSTOM), ("topic_arn", AWS_SNS))
            if getattr(self, name) is not None and self.sender != sender
        ]
        if self.secret is not None:
            try:
                self.secret = own_secret(self.sender, self.secret)
            except ValueError as error:
                problems.append(("secret", str(error)))
        if problems:
            raise PydanticCustomError("contradiction", "{problems}", {"problems": problems})
        return self


class CreatedWebhook(BaseModel):
    """A new webhook, shown only once."""

    url: str = Field(
        description="Address to paste into the tool; anyone with it can send, unless `signed`."
    )
    secret: str | None = Field(
        description="Secret to paste into the tool, if it signs what it sends with one that is "
        "generated here."
    )
    signed: bool = Field(
        description="Whether only messages with the tool's signature are accepted. False with a "
        "tool that shows its own secret, until it is known."
    )


class ProblemField(BaseModel):
    """An invalid field."""

    field: str = Field(
        description="Path of the field; in a batch, it begins with the index of the notification.",
        examples=["fields[2].value", "[3].to[0]"],
    )
    detail: str = Field(description="The error, and how to fix it.", examples=["is required"])


class Problem(BaseModel):
    """The reason why a request was rejected (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str | None = Field(description="Id of the request in the log.")
    errors: list[ProblemField] = Field(default_factory=list)


def query_of(arguments: Any) -> dict[str, Any]:
    """Return the query parameters as input for `ListQuery`."""
    given: dict[str, Any] = arguments.to_dict()
    if "id" in given:
        given["id"] = [id_ for value in arguments.getlist("id") for id_ in value.split(",")]
    return given
