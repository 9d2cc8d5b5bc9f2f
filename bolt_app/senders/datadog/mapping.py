"""Datadog: the Webhooks integration, with its default payload or the one in our documentation.

https://docs.datadoghq.com/integrations/webhooks/ describes the variables. Requests are not signed.
The key is `$AGGREG_KEY`; in the default payload, which lacks it, the title without the state but
with the group.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from bolt_app.senders.builder import key_of, notification, plain
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.states import severity_of_problem
from bolt_app.senders.values import first, text
from bolt_app.severity import Severity

# As in "[Triggered on {host:db1}] Disk is full" and "[P1] [Recovered] [prod] …"; [prod] is a part
# of the monitor's name.
_TAG = re.compile(r"\[([^\[\]]{1,200})\]\s*")
_PRIORITY = re.compile("P[1-5]")
_STATE = re.compile("(re-)?(triggered|recovered|warn|no data|renotify)", re.IGNORECASE)
_SCOPE = re.compile(r"\{[^{}]*\}")
_SEVERITIES = {"recovered": Severity.SUCCESS, "warn": Severity.WARNING, "no data": Severity.WARNING}
# Markdown of a message: pictures in links, links, and lines with mentions alone.
_LONGEST_BODY = 5000
_PICTURE = re.compile(r"\[!\[[^\]\n]{0,200}\]\([^)\s]{0,1000}\)\]\([^)\s]{0,1000}\)")
_LINK = re.compile(r"\[([^\[\]\n]{1,300})\]\((https?://[^)\s]{1,1000})?\)")
_MENTIONS = re.compile(r"^[ \t]*@\S{1,200}([ \t]+@\S{1,200})*[ \t]*$", re.MULTILINE)
_BLANK = re.compile(r"\n\s*\n")
_RULE = "\n- - -"
_STATUS = "Monitor Status"


def _recognizes(_headers: Headers, body: Any) -> bool:
    return bool(text(body, "title") and text(body, "event_type") and text(body, "org", "id"))


def _read(_headers: Headers, body: Any) -> list[Notification]:
    tags, bare = _split(text(body, "title"))
    priority = first(text(body, "priority"), tags.priority)
    state = first(text(body, "alert_transition"), tags.state)
    scope = _SCOPE.search(tags.state)
    severity = _severity(state, priority)
    is_over = severity == Severity.SUCCESS
    written = text(body, "body")[:_LONGEST_BODY]
    status = (url for label, url in _LINK.findall(written) if label == _STATUS)
    return [
        notification(
            f"Recovered: {bare}" if is_over else bare,
            plain(_words(written)),
            severity=severity,
            link=first(text(body, "link"), *status),
            fields=[
                ("State", state),
                ("Priority", priority),
                ("Host", text(body, "hostname")),
                ("Tags", text(body, "tags")),
                ("Organization", text(body, "org", "name")),
            ],
            # A monitor has a state for each group, which the title names.
            key=key_of(
                "alert", first(text(body, "aggreg_key"), f"{bare} {scope[0]}" if scope else bare)
            ),
            asks=not is_over and bool(state),
        )
    ]


@dataclass(frozen=True)
class _Tags:
    """The state and the priority in a title; empty if it has none."""

    state: str = ""
    priority: str = ""


def _split(title: str) -> tuple[_Tags, str]:
    """Return the tags that Datadog writes before the name of a monitor, and the name."""
    tags, bare = _Tags(), title
    while found := _TAG.match(bare):
        if not tags.priority and _PRIORITY.fullmatch(found[1]):
            tags = replace(tags, priority=found[1])
        elif not tags.state and _STATE.match(found[1]):
            tags = replace(tags, state=found[1])
        else:
            break
        bare = bare[found.end() :]
    return tags, first(bare.strip(), title)


def _words(written: str) -> str:
    """Return a message without its pictures and mentions, and without the links at its end."""
    said = _PICTURE.sub("", written.replace("%%%", "")).partition(_RULE)[0]
    said = _MENTIONS.sub("", _LINK.sub(_label, said)).replace("**", "*")
    return _BLANK.sub("\n", said).strip()


def _label(link: re.Match[str]) -> str:
    """Return a link as text, without a URL of Datadog itself, which is long."""
    label, url = link[1], link[2] or ""
    is_own = "://app.datadoghq." in url or "://app.ddog-gov." in url
    return f"{label} ({url})" if url and not is_own else label


def _severity(state: str, priority: str) -> Severity:
    word = state.lower().removeprefix("re-")
    for name, severity in _SEVERITIES.items():
        if word.startswith(name):
            return severity
    if not word:
        return Severity.INFO
    found = severity_of_problem(priority)
    return Severity.ERROR if found == Severity.INFO else found


SENDER = KnownSender("Datadog", _recognizes, _read)
