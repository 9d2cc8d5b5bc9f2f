"""Representations of objects, which may be logged, contain nothing private."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

import bolt_app
from bolt_app.notifications.content.schema import MessageField, NotificationRequest

PRIVATE = re.compile(
    r"(^|_)(secret|key|token|cookie|password|url|email|body|content|text|headline|title|message"
    r"|row|block|subject|note|argument|value"
    # People's addresses and typed text.
    r"|to|target|recipient|addresse?|filter|detail|unknown|nearest)s?$"
)
# Fields with such a name that are not private, and the reason.
HARMLESS = {
    "Settings.slack_base_url": "an origin",
    "Settings.public_url": "an origin",
    "Services.api_keys": "a service",
    "Services.response_urls": "a service",
    "InstallFailure.title": "ours",
    "_Secrets.key": "a column",
    # Notification keys also appear in page URLs and logs.
    "Call.key": "a record without the secret",
    "Services.messages": "a service",
    "Destination.needs_message": "a flag",
    "Draft.is_message": "a flag",
    "FirstDelivery.rows": "records without contents",
    "Feed.rows": "records without contents",
    "IncidentSignal.key": "a notification's key",
    "IncidentMessage.key": "a notification's key",
    "RoutingRequest.key": "a notification's key",
    "HistoryQuery.key": "a notification's key",
    "HistoryQuery.stored_keys": "notifications' keys",
    "ViewedNotification.key": "a notification's key",
    "Profile.title": "a job title",
    "IncidentView.assigned_to": "a person's id and name, as in a profile",
    "Attempt.on_unknown": "one of our words",
    "Message.on_unknown": "one of our words",
    "_Tally.unknown": "a number",
}
# Private fields whose names are harmless elsewhere.
ALSO_PRIVATE = {"ParseError.reason", "StoredFile.name", "Condition.name"}
LEFT_OUT = ("bolt_app.db.migrations",)


def classes() -> Iterator[type]:
    """Yield every class of the application."""
    for found in pkgutil.walk_packages(bolt_app.__path__, "bolt_app."):
        if found.name.startswith(LEFT_OUT) or found.name.endswith("__main__"):
            continue
        for var in vars(importlib.import_module(found.name)).values():
            if isinstance(var, type) and var.__module__ == found.name:
                yield var


def test_no_field_with_a_private_name_is_shown() -> None:
    shown = {
        f"{class_.__name__}.{field.name}"
        for class_ in classes()
        if dataclasses.is_dataclass(class_)
        for field in dataclasses.fields(class_)
        if field.repr
        and (
            PRIVATE.search(field.name) is not None
            or f"{class_.__name__}.{field.name}" in ALSO_PRIVATE
        )
    }

    assert shown - set(HARMLESS) == set()
    assert set(HARMLESS) - shown == set(), "these are not needed any more"


@pytest.mark.parametrize("model", [NotificationRequest, MessageField])
def test_senders_contents_are_not_in_representations(model: type[BaseModel]) -> None:
    given = {name: "SECRET" for name in ("to", "text", "title", "key", "name", "value")}
    known = {name: value for name, value in given.items() if name in model.model_fields}

    assert "SECRET" not in repr(model.model_construct(None, **known))
