"""Custom templates: notifications of a body, as a webhook's own template describes them.

The output of a template is the JSON of one notification or of several, with the members of the HTTP
API. Recipients are the webhook's, and `ends` is a member of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from bolt_app.blockkit.markdown import MARKDOWN_LENGTH
from bolt_app.blockkit.text import cut
from bolt_app.notifications.content.schema import BATCH, FIELDS, TEXT_LENGTH
from bolt_app.notifications.content.webhook_format import PayloadError, read_json
from bolt_app.senders.builder import (
    NAME_LENGTH,
    TITLE_LENGTH,
    VALUE_LENGTH,
    cut_mrkdwn,
    short_key,
)
from bolt_app.senders.known import Notification
from bolt_app.senders.values import text
from bolt_app.template_runner.runner import TemplateError

TITLE = "Custom template"
TEMPLATE_LENGTH = 20_000
# Renders a webhook's template for a body; raises TemplateError.
Render = Callable[[Any], str]
_NOT_JSON = "the output is not JSON: use the filter tojson for each value"
# Decided by the webhook, not by what a sender writes.
_RESERVED = ("to", "source")
_SHORTENED: Mapping[str, Callable[[str], str]] = {
    "title": lambda value: cut(value, TITLE_LENGTH),
    "key": short_key,
}


def normal_template(written: str) -> str:
    """Return a template as it is stored.

    Raises:
        ValueError: it is empty or too long.
    """
    template = written.replace("\r\n", "\n").rstrip()
    if not template:
        raise ValueError("The template is empty.")
    if len(template) > TEMPLATE_LENGTH:
        raise ValueError(f"A template has at most {TEMPLATE_LENGTH:,} characters.")
    if "\0" in template:
        raise ValueError("The template contains a NUL character. Remove it.")
    return template


def notifications_of(output: str) -> list[Notification]:
    """Return the notifications that the output of a template describes.

    Members that are empty are left out, numbers become texts, and long texts are cut.

    Raises:
        TemplateError: it describes none.
    """
    try:
        described = read_json(output)
    except PayloadError:
        raise TemplateError(_NOT_JSON) from None
    found = described if isinstance(described, list) else [described]
    objects = [one for one in found if isinstance(one, dict)]
    if not found or len(found) > BATCH or len(objects) < len(found):
        raise TemplateError(f"the output is not an object, or a list of up to {BATCH} objects")
    return [_notification(one) for one in objects]


def _notification(described: Mapping[str, Any]) -> Notification:
    for name in _reserved_in(described):
        raise TemplateError(f"{name}: leave it out; the webhook decides it")
    found = {name: value for name, value in described.items() if value not in (None, "", [])}
    if found.pop("ends", False) is True:
        found.pop("actions", None)
        found["severity"] = "success"
    for name, shorten in _SHORTENED.items():
        value = found.get(name)
        if isinstance(value, str | int | float):
            found[name] = shorten(text(value))
    if isinstance(found.get("text"), str | int | float):
        is_markdown = found.get("format") == "markdown"
        shorten = partial(cut, length=MARKDOWN_LENGTH) if is_markdown else _cut_text
        found["text"] = shorten(text(found["text"]))
    if isinstance(found.get("fields"), list):
        found["fields"] = [_field(one) for one in found["fields"] if _has_value(one)][:FIELDS]
    return found


def _reserved_in(described: Mapping[str, Any]) -> Iterator[str]:
    """Yield the members that would send it elsewhere, or as another source."""
    yield from (name for name in _RESERVED if name in described)
    escalation = described.get("escalate")
    if isinstance(escalation, Mapping) and "to" in escalation:
        yield "escalate.to"


def _cut_text(value: str) -> str:
    return cut_mrkdwn(value, TEXT_LENGTH)


def _has_value(field: Any) -> bool:
    return not isinstance(field, Mapping) or text(field, "value") != ""


def _field(field: Any) -> Any:
    if not isinstance(field, Mapping):
        return field
    name, value = text(field, "name"), text(field, "value")
    return {**field, "name": cut(name, NAME_LENGTH), "value": cut(value, VALUE_LENGTH)}
