"""What became of notifications, as the HTTP API and the commands tell it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from bolt_app.notifications.content.moment import Moment
from bolt_app.notifications.content.states import OPEN_STATES, State
from bolt_app.notifications.incidents.reports import IncidentReport


class DeliveryError(BaseModel):
    """What Slack said last."""

    code: str = Field(description="Slack's error code.", examples=["is_archived"])
    sentence: str = Field(
        description="The same in words, with what to do.",
        examples=["That channel is archived. Choose another, or unarchive it in Slack."],
    )


class DeliveryReport(BaseModel):
    """A notification on its way to one channel or person."""

    id: int = Field(description="Its number, by which deliveries go out in their order.")
    to: str = Field(description="The address it is for.", examples=["#general"])
    state: State = Field(
        description="`waiting`, `held` and `sending` may still change: what is held goes out at "
        "`send_at`, as one with others. `sent` is in Slack, `digested` was said by `digest_id`. "
        "`dead` was given up, `unknown` may be in Slack or not; both can be retried. "
        "`cancelled`, `expired` and `muted` never went out."
    )
    attempts: int = Field(description="How often it was tried.")
    error: DeliveryError | None = Field(description="What Slack said last: `code`, `sentence`.")
    channel_id: str | None = Field(description="Where in Slack it stands.")
    ts: str | None = Field(description="The message's ts in Slack.")
    permalink: str | None = Field(description="A link to the message, where it is known.")
    digest_id: str | None = Field(
        description="The notification that says it too: a digest, or what came later with its key."
    )
    send_at: Moment = Field(description="Not before this moment.")
    expires_at: Moment | None = Field(description="Not after this moment.")
    finished_at: Moment | None = Field(description="When it got the state it has for good.")


class NotificationReport(BaseModel):
    """A notification and what became of it."""

    id: str
    page_url: str = Field(description="Its page, for people who may see it in Slack.")
    source: str = Field(
        description="Which way in it took.", examples=["api_key:3", "hook:1", "command"]
    )
    key: str | None
    created_at: Moment
    content: dict[str, Any] = Field(
        repr=False,
        description="The content, without members left out. `derived` has the severity, title, "
        "link and fields that were read from attachments and blocks.",
    )
    incident: IncidentReport | None = Field(
        None, description="What people answered, where it asks them to."
    )
    unrouted: bool = Field(
        False, description="Nothing is delivered: no subscription to its topics wanted it."
    )
    deliveries: list[DeliveryReport]

    @property
    def is_open(self) -> bool:
        """Whether anything of it may still change."""
        return any(one.state in OPEN_STATES for one in self.deliveries)
