"""Datadog: the Webhooks integration, with its default payload or the one in our documentation.

https://docs.datadoghq.com/integrations/webhooks/ describes the variables. Requests are not signed.
The key is `$AGGREG_KEY`; in the default payload, which lacks it, the title without the state.
"""

from __future__ import annotations

import re
from typing import Any

from bolt_app.senders.builder import key_of, notification, plain
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.states import severity_of_problem
from bolt_app.senders.values import first, text
from bolt_app.severity import Severity

# As in "[Triggered on {host:db1}] Disk is full" and "[P1] [Recovered] …".
_TAG = re.compile(r"\[([^\[\]]{1,200})\]\s*")
_PRIORITY = re.compile("P[1-5]")
_SEVERITIES = {"recovered": Severity.SUCCESS, "warn": Severity.WARNING, "no data": Severity.WARNING}


def _recognizes(_headers: Headers, body: Any) -> bool:
    return bool(text(body, "title") and text(body, "event_type") and text(body, "org", "id"))


def _read(_headers: Headers, body: Any) -> list[Notification]:
    title = text(body, "title")
    tags = _TAG.findall(title[:1000])
    bare = first(_TAG.sub("", title).strip(), title)
    priority = first(text(body, "priority"), *(one for one in tags if _PRIORITY.fullmatch(one)))
    state = first(text(body, "alert_transition"), *(one for one in tags if one != priority))
    severity = _severity(state, priority)
    is_over = severity == Severity.SUCCESS
    words = text(body, "body").replace("%%%", "").strip()
    return [
        notification(
            f"Recovered: {bare}" if is_over else bare,
            plain(words),
            severity=severity,
            link=text(body, "link"),
            fields=[
                ("State", state),
                ("Priority", priority),
                ("Host", text(body, "hostname")),
                ("Tags", text(body, "tags")),
                ("Organization", text(body, "org", "name")),
            ],
            key=key_of("alert", first(text(body, "aggreg_key"), bare)),
            asks=not is_over and bool(state),
        )
    ]


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
