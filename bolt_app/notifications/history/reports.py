"""What became of notifications, as the HTTP API and the commands tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AwareDatetime, BaseModel, Field

State = Literal[
    "waiting",
    "held",
    "sending",
    "sent",
    "dead",
    "unknown",
    "cancelled",
    "expired",
    "muted",
    "digested",
]
STATES: tuple[State, ...] = get_args(State)
UNROUTED = "unrouted"
STATE_WORDS: Mapping[str, str] = {
    "waiting": "waiting",
    "held": "held until",
    "sending": "on its way",
    "sent": "sent",
    "dead": "refused by Slack",
    "unknown": "outcome unknown",
    "expired": "expired",
    "cancelled": "cancelled",
    "muted": "muted",
    "digested": "in a digest",
}
INCIDENT_STATES = ("open", "acknowledged", "resolved")
# Ended without having been posted, as far as is known: what can be retried.
FAILED_STATES: tuple[State, ...] = ("dead", "unknown")
OPEN_STATES = frozenset({"waiting", "held", "sending"})


def shown_state(stored: str) -> State:
    """Return the state that people know a delivery in, by the stored one."""
    if stored == "scheduled":
        return "waiting"
    return stored if stored in STATES else "unknown"


Moment = Annotated[AwareDatetime, Field(examples=["2026-01-31T09:30:00Z"])]


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


class IncidentReport(BaseModel):
    """What people answered to the notifications with one key."""

    state: Literal["open", "acknowledged", "resolved"]
    state_by: str | None = Field(
        description="Whose answer it was, by their id in Slack; empty where a sender ended it, "
        "`deleted` once that person's data was deleted."
    )
    state_at: Moment
    assigned_to: str | None = Field(description="Who takes care of it, by their id in Slack.")
    snoozed_until: Moment | None = Field(description="Nothing new is posted about it before.")
    muted_by: str | None = Field(description="Who wants nothing new posted until it is resolved.")


def incident_report(incident: Any) -> IncidentReport:
    """Return the report of a stored incident; a state that is none counts as open."""
    report = {name: getattr(incident, name) for name in IncidentReport.model_fields}
    if report["state"] not in INCIDENT_STATES:
        report["state"] = "open"
    return IncidentReport.model_validate(report)


class Answerer(BaseModel):
    """Who answered."""

    user_id: str = Field(description="Their id in Slack; `deleted` once their data was deleted.")
    name: str | None = Field(description="Their name, where they linked their profile.")


class Answered(BaseModel):
    """What somebody answered, and how things are since."""

    team_id: str
    key: str
    notification_id: str = Field(description="The latest about it that your source sent.")
    by: Answerer
    incident: IncidentReport


class IncidentCallback(BaseModel):
    """What a system is told when somebody answered."""

    type: Literal[
        "incident.acknowledged",
        "incident.assigned",
        "incident.resolved",
        "incident.reopened",
        "incident.snoozed",
        "incident.woken",
        "incident.muted",
        "incident.unmuted",
    ] = Field(description="What somebody answered.")
    timestamp: Moment = Field(description="When they did.")
    data: Answered = Field(
        description="`team_id`, `key`, `notification_id` of the latest about it that your system "
        "sent; `by`, with `user_id` and `name`; `incident`, as in a notification's report."
    )


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
