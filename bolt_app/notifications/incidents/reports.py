"""Incidents and the answers to them, as the HTTP API and callbacks report them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from bolt_app.notifications.content.moment import Moment
from bolt_app.notifications.content.states import IncidentState


class IncidentReport(BaseModel):
    """The incident of the notifications with one key."""

    state: IncidentState
    state_by: str | None = Field(
        description="Slack user id of the person who set the state; null if a sender did, "
        "`deleted` after that person's data was deleted."
    )
    state_at: Moment
    assigned_to: str | None = Field(description="Slack user id of the assignee.")
    snoozed_until: Moment | None = Field(
        description="No new messages about it are posted before this moment."
    )
    muted_by: str | None = Field(
        description="Slack user id of the person who muted it until it is resolved."
    )


def incident_report(incident: Any) -> IncidentReport:
    """Return the report of a stored incident; an unknown state counts as open."""
    report = {name: getattr(incident, name) for name in IncidentReport.model_fields}
    if report["state"] not in set(IncidentState):
        report["state"] = IncidentState.OPEN
    return IncidentReport.model_validate(report)


class Answerer(BaseModel):
    """The person who answered."""

    user_id: str = Field(description="Slack user id; `deleted` after their data was deleted.")
    name: str | None = Field(description="Their name, if they linked their profile.")


class Answered(BaseModel):
    """An answer, and the incident after it."""

    team_id: str
    key: str
    notification_id: str = Field(description="The latest notification about it from your source.")
    by: Answerer
    incident: IncidentReport


class IncidentCallback(BaseModel):
    """A callback to the sender's system after an answer."""

    type: Literal[
        "incident.acknowledged",
        "incident.assigned",
        "incident.resolved",
        "incident.reopened",
        "incident.snoozed",
        "incident.woken",
        "incident.muted",
        "incident.unmuted",
    ] = Field(description="The answer.")
    timestamp: Moment = Field(description="Time of the answer.")
    data: Answered = Field(
        description="`team_id`; `key`; `notification_id` of your system's latest notification "
        "about it; `by`, with `user_id` and `name`; `incident`, as in a notification's report."
    )
