"""Block Kit of an incident under its messages: the answers so far, and buttons.

https://docs.slack.dev/reference/block-kit/blocks/actions-block
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from bolt_app.blockkit.elements import Block
from bolt_app.blockkit.mrkdwn import escape, is_misread_in_bold, moment, person_mention
from bolt_app.notifications.content.schema import IncidentAction
from bolt_app.notifications.content.states import IncidentState
from bolt_app.notifications.incidents.view import IncidentView, Responder


class IncidentAnswer(StrEnum):
    """A person's answer to an incident."""

    ACKNOWLEDGE = "acknowledge"
    ASSIGN = "assign"
    RESOLVE = "resolve"
    REOPEN = "reopen"
    SNOOZE = "snooze"
    WAKE = "wake"
    MUTE = "mute"
    UNMUTE = "unmute"


PREFIX = "incident."
SNOOZE = f"{PREFIX}{IncidentAnswer.SNOOZE}"
# The answers that each action of a notification allows, in the course of an incident.
ANSWERS: Mapping[str, tuple[IncidentAnswer, ...]] = {
    IncidentAction.ACKNOWLEDGE: (IncidentAnswer.ACKNOWLEDGE,),
    IncidentAction.ASSIGN: (IncidentAnswer.ASSIGN,),
    IncidentAction.RESOLVE: (IncidentAnswer.RESOLVE, IncidentAnswer.REOPEN),
    IncidentAction.SNOOZE: (IncidentAnswer.SNOOZE, IncidentAnswer.WAKE),
    IncidentAction.MUTE: (IncidentAnswer.MUTE, IncidentAnswer.UNMUTE),
}
ACTION_IDS = frozenset(PREFIX + answer for answers in ANSWERS.values() for answer in answers)
SNOOZES = {"30": "30 minutes", "60": "1 hour", "240": "4 hours", "1440": "1 day"}
_LABELS = {
    IncidentAnswer.ACKNOWLEDGE: "Acknowledge",
    IncidentAnswer.ASSIGN: "Assign to me",
    IncidentAnswer.RESOLVE: "Resolve",
    IncidentAnswer.MUTE: "Mute",
    IncidentAnswer.UNMUTE: "Unmute",
    IncidentAnswer.WAKE: "End the snooze",
    IncidentAnswer.REOPEN: "Reopen",
}


def incident_blocks(
    notification_id: str, actions: Sequence[str], incident: IncidentView
) -> list[Block]:
    """Return the blocks under a message; the values of its buttons are not yet signed.

    Args:
        actions: those of the notification.
    """
    blocks = [_line(*line) for line in _lines(incident)]
    fields = {"notification": notification_id}
    elements = [_element(answer, fields) for answer in _offered(actions, incident)]
    if elements:
        # Slack requires a new id when the message changes.
        block_id = {**fields, "changed": int(incident.changed_at.timestamp())}
        blocks.append({"type": "actions", "block_id": block_id, "elements": elements})
    return blocks


def _offered(actions: Sequence[str], incident: IncidentView) -> Iterator[IncidentAnswer]:
    """Yield the answers that the incident's state allows."""
    if incident.state == IncidentState.RESOLVED:
        if IncidentAction.RESOLVE in actions and incident.state_by is not None:
            yield IncidentAnswer.REOPEN
        return
    for action in actions:
        if action == IncidentAction.ACKNOWLEDGE and incident.state != IncidentState.OPEN:
            continue
        if action == IncidentAction.SNOOZE and incident.snoozed_until is not None:
            yield IncidentAnswer.WAKE
        elif action == IncidentAction.MUTE and incident.muted_by is not None:
            yield IncidentAnswer.UNMUTE
        else:
            yield IncidentAnswer(action)


def _element(answer: IncidentAnswer, fields: Mapping[str, Any]) -> Block:
    if answer == IncidentAnswer.SNOOZE:
        return {
            "type": "static_select",
            "action_id": SNOOZE,
            "placeholder": _plain("Snooze…"),
            "options": [
                {"text": _plain(words), "value": minutes} for minutes, words in SNOOZES.items()
            ],
        }
    element: Block = {"type": "button", "action_id": PREFIX + answer, "value": fields}
    element["text"] = _plain(_LABELS[answer])
    return element | {"style": "primary"} if answer == IncidentAnswer.ACKNOWLEDGE else element


def _lines(incident: IncidentView) -> Iterator[tuple[Responder | None, str]]:
    """Yield lines about answers, each with the person who gave it."""
    when = moment(incident.state_at)
    if incident.state == IncidentState.RESOLVED:
        by = incident.state_by
        yield by, f"Resolved by {_name(by)} {when}" if by else f"Resolved {when}"
        return
    if incident.assigned_to is not None:
        yield incident.assigned_to, f"Assigned to {_name(incident.assigned_to)}"
    elif incident.state == IncidentState.ACKNOWLEDGED and incident.state_by is not None:
        yield incident.state_by, f"Acknowledged by {_name(incident.state_by)} {when}"
    if incident.snoozed_until is not None and incident.snoozed_by is not None:
        until = moment(incident.snoozed_until)
        yield incident.snoozed_by, f"Snoozed by {_name(incident.snoozed_by)} until {until}"
    if incident.muted_by is not None:
        yield incident.muted_by, f"Muted by {_name(incident.muted_by)} until it is resolved"


def _line(person: Responder | None, words: str) -> Block:
    elements: list[Block] = []
    if person is not None and person.image_url is not None:
        picture = {"type": "image", "image_url": person.image_url}
        elements.append({**picture, "alt_text": person.name or "Picture"})
    elements.append({"type": "mrkdwn", "text": words})
    return {"type": "context", "elements": elements}


def _name(person: Responder) -> str:
    """Return a person's name in bold, or a mention if mrkdwn would misread the name."""
    if not person.name or is_misread_in_bold(person.name):
        return person_mention(person.user_id)
    return f"*{escape(person.name)}*"


def _plain(words: str) -> Block:
    return {"type": "plain_text", "text": words}
