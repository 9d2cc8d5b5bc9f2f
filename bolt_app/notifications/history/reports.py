"""Reports of notifications and their deliveries, for the HTTP API and the commands."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, PlainSerializer, SerializationInfo

from bolt_app.notifications.content.moment import Moment
from bolt_app.notifications.content.states import OPEN_STATES, ShownState
from bolt_app.notifications.incidents.reports import IncidentReport


def _shown_number(delivery_id: int, info: SerializationInfo) -> int:
    number: int = info.context["number"](delivery_id) if info.context else delivery_id
    return number


# The id of a delivery, which the context of a serialization may replace.
DeliveryNumber = Annotated[int, PlainSerializer(_shown_number, return_type=int)]


class DeliveryError(BaseModel):
    """The latest error from Slack."""

    code: str = Field(description="Slack's error code.", examples=["is_archived"])
    sentence: str = Field(
        description="The error in words, with how to fix it.",
        examples=["That channel is archived. Choose another, or unarchive it in Slack."],
    )


class DeliveryReport(BaseModel):
    """The delivery of a notification to one channel or person."""

    id: DeliveryNumber = Field(
        description="Its number. To a key that sees all subscribers, deliveries are numbered in "
        "order of acceptance."
    )
    to: str = Field(description="The recipient.", examples=["#general"])
    state: ShownState = Field(
        description="`waiting`, `held` and `sending` may still change; a `held` delivery goes out "
        "at `send_at`, in a digest with others. `sent`: the message is in Slack. `digested`: the "
        "notification `digest_id` covers it. `dead`: given up; `unknown`: may be in Slack or not; "
        "both can be retried. `cancelled`, `expired` and `muted` never went out."
    )
    attempts: int = Field(description="Number of attempts.")
    error: DeliveryError | None = Field(
        description="The latest error from Slack: `code`, `sentence`; `mention_skipped` if the "
        "message was sent without a mention."
    )
    channel_id: str | None = Field(description="The message's channel in Slack.")
    ts: str | None = Field(description="The message's ts in Slack.")
    permalink: str | None = Field(description="A link to the message, if known.")
    digest_id: str | None = Field(
        description="The notification that covers it: a digest, or a later one with its key."
    )
    send_at: Moment = Field(description="Not delivered before this moment.")
    expires_at: Moment | None = Field(description="Not delivered after this moment.")
    finished_at: Moment | None = Field(description="When it reached its final state.")


class NotificationReport(BaseModel):
    """A notification and its deliveries."""

    id: str
    page_url: str = Field(description="Its page, for people who may see it in Slack.")
    source: str = Field(
        description="The credential or entry point.", examples=["api_key:3", "hook:1", "command"]
    )
    key: str | None
    created_at: Moment
    content: dict[str, Any] = Field(
        repr=False,
        description="The content, without default members. `derived` has the severity, title, "
        "link and fields that were read from attachments and blocks, `files` the files that were "
        "uploaded with it.",
    )
    incident: IncidentReport | None = Field(None, description="Its incident, if it has actions.")
    unrouted: bool = Field(
        False, description="Not delivered: no subscription to its topics matched."
    )
    deliveries: list[DeliveryReport] = Field(
        description="Without subscribers that the key may not see."
    )

    @property
    def is_open(self) -> bool:
        """Whether any delivery may still change."""
        return any(delivery.state in OPEN_STATES for delivery in self.deliveries)
