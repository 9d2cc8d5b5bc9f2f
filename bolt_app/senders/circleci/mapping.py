"""CircleCI: outbound webhooks.

https://circleci.com/docs/outbound-webhooks-reference/ describes the bodies, and
https://circleci.com/docs/outbound-webhooks/ the signature. A workflow, or a job, of a branch has
one message, which turns green when a later run passes.
"""

from __future__ import annotations

from typing import Any

from bolt_app.senders.builder import key_of, notification, plain
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.signatures import versioned_hmac
from bolt_app.senders.states import in_words, severity_of_state
from bolt_app.senders.values import first, get, text
from bolt_app.severity import Severity


def _recognizes(headers: Headers, body: Any) -> bool:
    return bool(headers.get("circleci-event-type")) and isinstance(body, dict)


def _read(_headers: Headers, body: Any) -> list[Notification]:
    vcs, project = get(body, "pipeline", "vcs"), text(body, "project", "slug")
    workflow, job = text(body, "workflow", "name"), text(body, "job", "name")
    state = first(text(body, "job", "status") if job else "", text(body, "workflow", "status"))
    severity = severity_of_state(state)
    branch = first(text(vcs, "branch"), text(vcs, "tag"))
    name = f"{workflow}/{job}" if job else workflow
    return [
        notification(
            f"{text(body, 'project', 'name')}: {name} {in_words(state)}",
            plain(text(vcs, "commit", "subject"), 300),
            severity=severity,
            link=text(body, "workflow", "url"),
            fields=[
                ("Branch", branch),
                ("Commit", text(vcs, "revision")[:7]),
                ("Author", text(vcs, "commit", "author", "name")),
                ("Pipeline", text(body, "pipeline", "number")),
            ],
            key=key_of(project, name, branch),
            asks=severity == Severity.ERROR,
        )
    ]


SENDER = KnownSender("CircleCI", _recognizes, _read, versioned_hmac("Circleci-Signature"))
