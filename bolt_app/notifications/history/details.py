"""Details of a notification's view: sender, topics, incident, and names of mentioned people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, select

from bolt_app.credentials.sources import SourceKind, read_default_source
from bolt_app.db.models import ApiKey, Notification, Webhook
from bolt_app.notifications.incidents.view import IncidentView, find_incident_view, find_responders

# The most mentioned people, and channels, whose names are looked up.
MOST_MENTIONED = 1000
PERSON_MENTION = re.compile(r"<@([UW][A-Z0-9]+)[|>]")
CHANNEL_MENTION = re.compile(r"<#([CG][A-Z0-9]+)[|>]")


def sender_label(connection: Connection, team_id: str, source: str) -> str:
    """Return the sender in words."""
    kind, id_ = read_default_source(source)
    if kind == SourceKind.PERSON:
        return find_names(connection, team_id, {id_}).get(id_, "someone in Slack")
    if kind == SourceKind.COMMAND:
        return "the command line"
    if kind == SourceKind.WORKFLOW:
        return "a workflow in Slack"
    if not id_.isdecimal():
        return "Bellhop itself"
    if kind == SourceKind.API_KEY:
        return f"the API key {connection.scalar(select(ApiKey.name).where(ApiKey.id == int(id_)))}"
    if kind == SourceKind.WEBHOOK:
        name = connection.scalar(select(Webhook.name).where(Webhook.id == int(id_)))
        return f"the webhook {name}"
    return "Bellhop itself"


def find_topics(connection: Connection, notification_id: str) -> list[str]:
    """Return the topics that a notification was sent to."""
    topics = select(Notification.topics).where(Notification.id == notification_id)
    return (connection.scalar(topics) or "").split()


def find_incident(
    connection: Connection,
    team_id: str,
    notification_id: str,
    content: Mapping[str, Any],
    now: datetime,
) -> IncidentView | None:
    """Return the view of a notification's incident, if it has one."""
    if "actions" not in content:
        return None
    # The stored key, which is prefixed by its source.
    key = connection.scalar(select(Notification.key).where(Notification.id == notification_id))
    return None if key is None else find_incident_view(connection, team_id, key, now)


def find_names(connection: Connection, team_id: str, user_ids: set[str]) -> dict[str, str]:
    """Return the names of people who linked their profiles, by id."""
    people = find_responders(connection, team_id, user_ids)
    return {id_: person.name for id_, person in people.items() if person.name is not None}


def mentioned_ids(pattern: re.Pattern[str], value: object) -> set[str]:
    """Return the first `MOST_MENTIONED` ids in the texts anywhere in `value`."""
    found = dict.fromkeys(islice(_each_id(pattern, value), MOST_MENTIONED))
    return set(found)


def _each_id(pattern: re.Pattern[str], value: object) -> Iterator[str]:
    if isinstance(value, str):
        for match in pattern.finditer(value):
            yield match[1]
    elif isinstance(value, Mapping):
        yield from _each_id(pattern, list(value.values()))
    elif isinstance(value, list):
        for item in value:
            yield from _each_id(pattern, item)
