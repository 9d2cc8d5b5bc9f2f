"""Meaning of a sender's layout: severity, title, link and fields, derived from it.

Tools that post to incoming webhooks express by a colour, a field named "Severity" or an
attachment's title what filters, digests and quiet hours need. It is derived once, at acceptance,
and stored as `derived` in the content; messages show the sender's own layout.

https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments has the fields
and colours of attachments.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from bolt_app.notifications.content.schema import FIELDS, Url
from bolt_app.notifications.content.summaries import plain
from bolt_app.severity import SEVERITIES, Severity, known_severity
from bolt_app.text_forms import comparable

DERIVED = "derived"
# The members that meaning is derived from.
_LAYOUT = frozenset(("attachments", "blocks", "fields"))
TITLE_LENGTH, NAME_LENGTH, VALUE_LENGTH = 250, 200, 1500
# The most characters of a value and of a colour that are compared, and the most fields of a layout
# that are read for its severity and its key: comparing takes longer than all other processing.
WORD_LENGTH, COLOUR_LENGTH, FIELDS_READ = 100, 20, 1000
_URL: TypeAdapter[Any] = TypeAdapter(Url)
_COLOURS = {"good": Severity.SUCCESS, "warning": Severity.WARNING, "danger": Severity.ERROR}
_HEX = re.compile("#?([0-9a-fA-F]{6}|[0-9a-fA-F]{3})")
# Upper limits of hue in degrees, and the severities below them; cyan and violet have none.
_HUES = (
    (20, Severity.ERROR),
    (68, Severity.WARNING),
    (170, Severity.SUCCESS),
    (195, None),
    (260, Severity.INFO),
    (330, None),
)
_LEAST_SATURATION = 0.2
_SEVERITY_FIELDS = frozenset(
    ("severity", "level", "loglevel", "priority", "urgency", "criticality", "alertseverity")
)
_STATE_FIELDS = frozenset(("status", "state", "alertstate", "alertstatus"))
_ENDED = frozenset(
    ("resolved", "resolve", "ok", "okay", "recovered", "recovery", "closed", "fixed", "healthy")
)
# Other tools' names of severities: syslog, log libraries, PagerDuty, Zabbix, incident levels.
_NAMES = {
    Severity.CRITICAL: "critical crit fatal emergency emerg alert disaster panic blocker highest "
    "p0 p1 sev0 sev1",
    Severity.ERROR: "error err high major severe failure failed p2 sev2",
    Severity.WARNING: "warning warn medium minor average moderate p3 sev3",
    Severity.INFO: "info information informational notice debug trace low lowest none p4 p5 sev4 "
    "sev5",
    Severity.SUCCESS: " ".join(("success", "good", "passed", "normal", *sorted(_ENDED))),
}
_SEVERITY_OF = {name: severity for severity, names in _NAMES.items() for name in names.split()}
_PLAIN_WORD = re.compile("[^a-z0-9]+")
# As in "*Severity:*\ncritical" or "*Severity* critical".
_BLOCK_FIELD = re.compile(r"\*([^*\n]{1,200})\*:?\s*(\S[^\n]*)")


class WrittenField(NamedTuple):
    """A field of the sender's layout: its name, and its value as written."""

    name: str
    value: str


def with_meaning(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a content with its derived meaning, except what the sender gives explicitly."""
    if _LAYOUT.isdisjoint(content):
        return dict(content)
    attachments = content.get("attachments", ())
    found: dict[str, Any] = {
        "severity": None if "severity" in content else _severity(content),
        "title": None if "title" in content else _title(attachments),
        "link": None if "link" in content else _link(attachments),
        "fields": _fields(content),
    }
    derived = {name: value for name, value in found.items() if value}
    return {**content, DERIVED: derived} if derived else dict(content)


def severity_of(content: Mapping[str, Any]) -> Severity | None:
    """Return the severity of a stored content, given or derived, or None."""
    return known_severity(content.get("severity") or derived(content).get("severity"))


def link_of(content: Mapping[str, Any]) -> str:
    """Return the link of a stored content, or an empty string."""
    return str(content.get("link") or derived(content).get("link", ""))


def title_of(content: Mapping[str, Any]) -> str:
    """Return the title of a stored content, or an empty string."""
    return str(content.get("title") or derived(content).get("title", ""))


def fields_of(content: Mapping[str, Any]) -> Sequence[Mapping[str, str]]:
    """Return the fields of a stored content, given and derived."""
    return [*derived(content).get("fields", ()), *content.get("fields", ())]


def derived(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the derived part of a stored content."""
    found: Mapping[str, Any] = content.get(DERIVED) or {}
    return found


def _severity(content: Mapping[str, Any]) -> Severity | None:
    """Return the worst severity of the parts that have one."""
    given = [WrittenField(one["name"], one["value"]) for one in content.get("fields", ())]
    of_blocks = islice(_block_fields(content), FIELDS_READ)
    severities = [_severity_of_part([*given, *of_blocks], None)]
    left = FIELDS_READ
    for attachment in content.get("attachments", ()):
        fields = list(islice(_attachment_fields(attachment), left))
        left -= len(fields)
        severities.append(_severity_of_part(fields, attachment.get("color")))
    return max(filter(None, severities), key=SEVERITIES.index, default=None)


def _severity_of_part(fields: Sequence[WrittenField], colour: object) -> Severity | None:
    """Return the severity of one part: an end beats a severity field, which beats a colour.

    Of the colours only the word "good" means an end: a green number is in many copied examples.
    """
    named = [(_word(field.name), field.value) for field in fields]
    if colour == "good" or any(
        name in _STATE_FIELDS and _word(plain(value)) in _ENDED for name, value in named
    ):
        return Severity.SUCCESS
    for name, value in named:
        if name in _SEVERITY_FIELDS and (severity := named_severity(plain(value))) is not None:
            return severity
    return _severity_of_colour(colour)


def named_severity(value: str) -> Severity | None:
    """Return the severity that another tool calls so; None where the word has no such meaning."""
    first, *_ = [*value[:WORD_LENGTH].split(maxsplit=1), ""]
    return _SEVERITY_OF.get(_word(value)) or _SEVERITY_OF.get(_word(first))


def _word(text: str) -> str:
    return _PLAIN_WORD.sub("", comparable(text[:WORD_LENGTH]))


def _severity_of_colour(colour: object) -> Severity | None:
    if not isinstance(colour, str) or len(colour) > COLOUR_LENGTH:
        return None
    number = _HEX.fullmatch(colour.strip())
    if number is None:
        return _COLOURS.get(comparable(colour))
    digits = number[1] if len(number[1]) == 6 else "".join(digit * 2 for digit in number[1])
    red, green, blue = (int(digits[start : start + 2], 16) / 255 for start in (0, 2, 4))
    hue, saturation, _ = colorsys.rgb_to_hsv(red, green, blue)
    if saturation < _LEAST_SATURATION:
        return None
    return next((severity for end, severity in _HUES if hue * 360 < end), Severity.ERROR)


def _title(attachments: Sequence[Mapping[str, Any]]) -> str:
    titles = (plain(_text(attachment.get("title"))).strip() for attachment in attachments)
    return next(filter(None, titles), "")[:TITLE_LENGTH]


def _link(attachments: Sequence[Mapping[str, Any]]) -> str:
    return next(
        (
            attachment["title_link"]
            for attachment in attachments
            if _is_url(attachment.get("title_link"))
        ),
        "",
    )


def _is_url(value: object) -> bool:
    try:
        _URL.validate_python(value)
    except ValidationError:
        return False
    return isinstance(value, str)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def written_fields(content: Mapping[str, Any]) -> Iterator[WrittenField]:
    """Return the first `FIELDS_READ` fields of the sender's layout, as written."""
    of_attachments = map(_attachment_fields, content.get("attachments", ()))
    found = chain(_block_fields(content), chain.from_iterable(of_attachments))
    return islice(found, FIELDS_READ)


def _attachment_fields(attachment: Mapping[str, Any]) -> Iterator[WrittenField]:
    """Yield the fields of an attachment, and those of its blocks."""
    fields = attachment.get("fields")
    for field in fields if isinstance(fields, list) else ():
        if isinstance(field, dict) and isinstance(field.get("title"), str):
            value = field.get("value")
            # Tools use numbers and booleans, too.
            yield WrittenField(_name(field["title"]), "" if value is None else str(value))
    yield from _block_fields(attachment)


def _block_fields(part: Mapping[str, Any]) -> Iterator[WrittenField]:
    blocks = part.get("blocks")
    for block in blocks if isinstance(blocks, list) else ():
        fields = block.get("fields") if isinstance(block, dict) else None
        for field in fields if isinstance(fields, list) else ():
            text = field.get("text") if isinstance(field, dict) else None
            match = _BLOCK_FIELD.match(text) if isinstance(text, str) else None
            if match is not None:
                yield WrittenField(_name(match[1]), match[2])


def _name(written: str) -> str:
    return plain(written).strip().rstrip(":")[:NAME_LENGTH]


def _fields(content: Mapping[str, Any]) -> list[dict[str, str]]:
    fields = islice((field for field in written_fields(content) if field.name), FIELDS)
    return [
        {"name": field.name, "value": plain(field.value).strip()[:VALUE_LENGTH]} for field in fields
    ]
