"""SonarQube Server and Cloud: webhooks after an analysis.

https://docs.sonarsource.com/sonarqube-server/project-administration/webhooks/ describes the body
and the signature. A branch of a project has one message, which follows its quality gate.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bolt_app.senders.builder import key_of, notification
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.signatures import hmac_of_body
from bolt_app.senders.states import in_words
from bolt_app.senders.values import first, get, items, text
from bolt_app.severity import Severity


def _recognizes(_headers: Headers, body: Any) -> bool:
    return bool(text(body, "taskId") and text(body, "project", "key"))


def _read(_headers: Headers, body: Any) -> list[Notification]:
    project, branch = get(body, "project"), get(body, "branch")
    gate = get(body, "qualityGate")
    is_bad = text(gate, "status") == "ERROR" or text(body, "status") == "FAILED"
    state = "passed" if text(gate, "status") == "OK" else "failed" if is_bad else "unknown"
    # An analysis that failed has no gate.
    subject = "quality gate" if gate or not is_bad else "analysis"
    is_pull_request = text(branch, "type") == "PULL_REQUEST"
    name = first(text(project, "name"), text(project, "key"))
    return [
        notification(
            f"{name}: {subject} {state}",
            severity=Severity.ERROR
            if is_bad
            else Severity.SUCCESS
            if state == "passed"
            else Severity.INFO,
            link=first(text(branch, "url"), text(project, "url")),
            fields=[
                ("Pull request" if is_pull_request else "Branch", text(branch, "name")),
                ("Gate", text(gate, "name")),
                ("Commit", text(body, "revision")[:7]),
            ],
            rows=[("Failed condition", "Value", "Limit"), *_failed(gate)],
            key=key_of("gate", text(project, "key"), text(branch, "name") or "main"),
            asks=is_bad,
        )
    ]


def _failed(gate: Any) -> Iterator[tuple[str, str, str]]:
    for one in items(gate, "conditions"):
        if text(one, "status") == "ERROR":
            metric = in_words(text(one, "metric"))
            yield metric, text(one, "value"), text(one, "errorThreshold")


SENDER = KnownSender("SonarQube", _recognizes, _read, hmac_of_body("X-Sonar-Webhook-HMAC-SHA256"))
