"""Bodies of webhooks as notifications: recognition, mapping, and the check of the result.

A body in Slack's format is read as such, a known sender's by its mapping, and any other by the
fallback. Only an empty body is rejected.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from pydantic import ValidationError

from bolt_app.charsets import UTF_8, CharsetError, codec_of, decode
from bolt_app.credentials.webhooks import CUSTOM
from bolt_app.notifications.content.errors import problems_of
from bolt_app.notifications.content.schema import BATCH, NotificationRequest, read_one
from bolt_app.notifications.content.webhook_format import (
    FORM_FIELDS,
    PayloadError,
    payload_of,
    read_json,
    read_webhook,
)
from bolt_app.senders.builder import notification, short_key
from bolt_app.senders.custom import Render, notifications_of
from bolt_app.senders.fallback import UNKNOWN_TITLE, readable
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.registry import known_senders
from bolt_app.senders.slack.mapping import is_slack
from bolt_app.template_runner.runner import TemplateError
from bolt_app.text_forms import comparable

logger = logging.getLogger(__name__)

SLACK = "slack"
UNKNOWN_FORMAT = "unknown format"
NO_TEMPLATE = "the webhook has no template"


@dataclass(frozen=True)
class Incoming:
    """A request to a webhook.

    Attributes:
        sender: a known sender's name, `AUTO` or `CUSTOM`.
        headers: by their names in lower case.
        key: from the URL; it takes precedence over all others.
        key_field: as `WebhookRecord.key_field`.
        render: renders the webhook's own template; None if it has none.
    """

    sender: str
    headers: Headers = field(repr=False)
    body: Any = field(repr=False)
    to: Sequence[str] = field(repr=False)
    now: datetime
    key: str | None = field(default=None, repr=False)
    key_field: str | None = field(default=None, repr=False)
    render: Render | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Understood:
    """The notifications of a body.

    Attributes:
        problem: why no mapping understood it, for admins; None if one did.
    """

    requests: Sequence[NotificationRequest]
    problem: str | None = field(default=None, repr=False)


def body_of(raw: bytes, charset: str | None) -> Any:
    """Return a body as JSON, as the members of a form, or otherwise as text.

    Raises:
        PayloadError: it is in a charset that is not accepted.
    """
    try:
        return payload_of(raw, charset)
    except PayloadError as error:
        if error.code != "invalid_payload":
            raise
    try:
        written = decode(raw, charset, errors="replace").replace("\0", "")
    except CharsetError:
        raise PayloadError("invalid_charset") from None
    try:
        return read_json(written)
    except PayloadError:
        return _form(written, codec_of(charset) or UTF_8) or written


def read(incoming: Incoming) -> Understood:
    """Return the notifications of a request.

    Raises:
        PayloadError: it is empty, or Slack would reject it and the webhook accepts only Slack's
            format.
    """
    if incoming.sender == SLACK:
        return Understood([_slack(incoming)])
    if incoming.sender == CUSTOM:
        return _by_template(incoming)
    sender = _sender_of(incoming)
    if sender is not None:
        requests = _mapped(sender, incoming)
        if requests:
            return Understood(requests)
    elif is_slack(incoming.body):
        try:
            return Understood([_slack(incoming)])
        except PayloadError:
            logger.info("a body in Slack's format is shown by the fallback")
    return Understood([_fallback(incoming)], problem=UNKNOWN_FORMAT)


def read_by_template(incoming: Incoming) -> list[NotificationRequest]:
    """Return the notifications of a request by the webhook's own template.

    Raises:
        TemplateError: the template has no result, or an invalid one.
    """
    if incoming.render is None:
        raise TemplateError(NO_TEMPLATE)
    found = notifications_of(incoming.render(incoming.body))
    try:
        return [_request(one, incoming, has_key=len(found) == 1) for one in found]
    except ValidationError as error:
        problem = problems_of(error)[0]
        raise TemplateError(f"{problem.field} {problem.detail}".strip()) from None


def recognize(headers: Headers, body: Any) -> str | None:
    """Return the name of a body's sender; None if it is unknown, or the format is Slack's."""
    names = (name for name, one in known_senders().items() if one.recognizes(headers, body))
    return next(names, None)


def _by_template(incoming: Incoming) -> Understood:
    """Return the notifications by the webhook's own template, or else by the fallback."""
    try:
        return Understood(read_by_template(incoming))
    except TemplateError as error:
        problem = str(error)
    try:
        return Understood([_fallback(incoming)], problem=problem)
    except PayloadError:
        # A template may understand a body that shows nothing to people.
        nothing = _request(notification(UNKNOWN_TITLE), incoming, has_key=True)
        return Understood([nothing], problem=problem)


def _sender_of(incoming: Incoming) -> KnownSender | None:
    """Return the webhook's sender if the body is in its format, otherwise the recognized one."""
    known = known_senders()
    named = known.get(incoming.sender)
    if named is not None and named.recognizes(incoming.headers, incoming.body):
        return named
    # A body in Slack's format is another sender's only if its headers say so.
    body = {} if is_slack(incoming.body) else incoming.body
    name = recognize(incoming.headers, body)
    return None if name is None else known[name]


def _slack(incoming: Incoming) -> NotificationRequest:
    return read_webhook(
        incoming.body,
        incoming.to,
        incoming.now,
        key=incoming.key,
        key_field=incoming.key_field,
    )


def _mapped(sender: KnownSender, incoming: Incoming) -> list[NotificationRequest]:
    """Return the notifications of a sender's body; none if its mapping fails."""
    try:
        found = sender.read(incoming.headers, incoming.body)[:BATCH]
        return [_request(one, incoming, has_key=len(found) == 1) for one in found]
    except Exception as error:
        # Not the error itself: it may quote the body.
        logger.error("the mapping of %s failed: %s", sender.title, type(error).__name__)
        return []


def _fallback(incoming: Incoming) -> NotificationRequest:
    found = readable(incoming.body)
    if found is None:
        raise PayloadError("no_text" if isinstance(incoming.body, dict) else "invalid_payload")
    try:
        return _request(found, incoming, has_key=True)
    except ValidationError:
        raise PayloadError("invalid_payload") from None


def _request(found: Notification, incoming: Incoming, *, has_key: bool) -> NotificationRequest:
    """Return a notification, validated like those of the HTTP API.

    Args:
        has_key: whether it gets the webhook's key, which no two notifications of a body may share.
    """
    key = found.get("key")
    if has_key:
        key = incoming.key or _key_of_field(found, incoming) or key
    said = {**found, "to": list(incoming.to)}
    # A template may describe anything, which is then rejected.
    if key and isinstance(key, str):
        said["key"] = short_key(key)
    return read_one(said, incoming.now)


def _key_of_field(found: Notification, incoming: Incoming) -> str | None:
    if not incoming.key_field:
        return None
    wanted = comparable(incoming.key_field)
    fields = found.get("fields")
    named = filter(_is_named, fields if isinstance(fields, list) else ())
    value = next((one.get("value") for one in named if comparable(one["name"]) == wanted), None)
    if value is None and isinstance(incoming.body, dict):
        value = incoming.body.get(incoming.key_field)
    return value if isinstance(value, str) else None


def _form(written: str, encoding: str) -> Mapping[str, str]:
    """Return the members of a form; none if the text is not a form."""
    if "=" not in written or any(sign in written for sign in "\n {<"):
        return {}
    try:
        found = parse_qs(written, encoding=encoding, errors="replace", max_num_fields=FORM_FIELDS)
    except ValueError:
        return {}
    return {name: values[0].replace("\0", "") for name, values in found.items() if name}


def _is_named(field: Any) -> bool:
    return isinstance(field, Mapping) and isinstance(field.get("name"), str)
