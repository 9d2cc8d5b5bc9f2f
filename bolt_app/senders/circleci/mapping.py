"""CircleCI: outbound webhooks.

https://circleci.com/docs/outbound-webhooks-reference/ describes the bodies, and
https://circleci.com/docs/outbound-webhooks/ the signature. A workflow, or a job, of a branch has
one message, which turns green when a later run passes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bolt_app.senders.builder import key_of, notification, plain
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.signatures import versioned_hmac
from bolt_app.senders.states import in_words, severity_of_state
from bolt_app.senders.values import first, get, mapping, text
from bolt_app.severity import Severity


def _recognizes(headers: Headers, body: Any) -> bool:
    return bool(headers.get("circleci-event-type")) and isinstance(body, dict)


def _read(_headers: Headers, body: Any) -> list[Notification]:
    project, commit = text(body, "project", "slug"), _commit(body)
    workflow, job = text(body, "workflow", "name"), text(body, "job", "name")
    state = first(text(body, "job", "status") if job else "", text(body, "workflow", "status"))
    severity = severity_of_state(state)
    name = f"{workflow}/{job}" if job else workflow
    return [
        notification(
            f"{text(body, 'project', 'name')}: {name} {in_words(state)}",
            plain(commit.subject, 300),
            severity=severity,
            link=text(body, "workflow", "url"),
            fields=[
                ("Branch", commit.branch),
                ("Commit", commit.revision[:7]),
                ("Author", commit.author),
                ("Pipeline", text(body, "pipeline", "number")),
            ],
            # A pipeline of a tag may name neither branch nor tag.
            key=key_of(project, name, first(commit.branch, commit.revision)),
            asks=severity == Severity.ERROR,
        )
    ]


@dataclass(frozen=True)
class _Commit:
    """The commit that a pipeline builds, and its branch or tag."""

    branch: str
    revision: str
    subject: str = field(repr=False)
    author: str = field(repr=False)


def _commit(body: Any) -> _Commit:
    """Return the commit of a pipeline: `vcs` has it, or `trigger_parameters` if that is missing.

    Pipelines of GitLab and of the GitHub App have only the latter.
    """
    vcs, given = get(body, "pipeline", "vcs"), get(body, "pipeline", "trigger_parameters")
    git, host = get(given, "git"), mapping(given, "gitlab") or mapping(given, "github_app")
    return _Commit(
        branch=first(text(vcs, "branch"), text(vcs, "tag"), text(git, "branch"), text(git, "tag")),
        revision=first(text(vcs, "revision"), text(git, "checkout_sha")),
        subject=first(text(vcs, "commit", "subject"), text(host, "commit_title")),
        author=first(text(vcs, "commit", "author", "name"), text(host, "commit_author_name")),
    )


SENDER = KnownSender("CircleCI", _recognizes, _read, versioned_hmac("Circleci-Signature"))
