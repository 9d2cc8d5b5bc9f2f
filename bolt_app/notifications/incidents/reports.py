"""Incidents and the answers to them, as the HTTP API and callbacks report them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from bolt_app.notifications.content.moment import Moment
from bolt_app.notifications.content.states import INCIDENT_STATES


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
