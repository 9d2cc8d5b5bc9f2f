"""Bitbucket Cloud: webhooks of repositories and workspaces.

https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/ describes the events, and
https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/ the signature. A pull request,
an issue and the status of a build each have one message.
"""

from __future__ import annotations

from typing import Any

from bolt_app.senders.builder import key_of, lines, link_to, notification, plain
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.signatures import hmac_of_body
from bolt_app.senders.states import in_words
from bolt_app.senders.values import first, get, items, text
from bolt_app.severity import Severity

_STATUSES = {"SUCCESSFUL": Severity.SUCCESS, "FAILED": Severity.ERROR, "STOPPED": Severity.WARNING}


def _recognizes(headers: Headers, body: Any) -> bool:
    return bool(headers.get("x-event-key")) and isinstance(body, dict)


def _read(headers: Headers, body: Any) -> list[Notification]:
    event = headers.get("x-event-key", "")
    if event == "repo:push":
        return [_push(body)]
    if "commit_status" in body:
        return [_status(body)]
    for kind, title in (("pullrequest", "Pull request"), ("issue", "Issue")):
        if kind in body and "comment" not in body:
            return [_subject(body, event, kind, title)]
    return [
        notification(
            f"{first(_repository(body), 'Bitbucket')}: {in_words(event.replace(':', ' '))} by "
            f"{first(_actor(body), 'Bitbucket')}",
            plain(text(body, "comment", "content", "raw"), 600),
            severity=Severity.INFO,
            link=first(_link(get(body, "comment")), _link(get(body, "repository"))),
        )
    ]


def _push(body: Any) -> Notification:
    changes = items(body, "push", "changes")
    return notification(
        f"{_repository(body)}: {_actor(body)} {', '.join(map(_change, changes)) or 'pushed'}",
        lines(_commit(commit) for one in changes for commit in items(one, "commits")),
        severity=Severity.INFO,
        link=first(
            *map(_link, changes),
            *(_link(get(one, "new")) for one in changes),
            _link(get(body, "repository")),
        ),
    )


def _change(change: Any) -> str:
    """Return what happened to a branch or tag."""
    ref = get(change, "new") or get(change, "old")
    name = text(ref, "name")
    if text(change, "closed") == "true":
        return f"deleted {text(ref, 'type')} {name}"
    if text(change, "created") == "true":
        return f"created {text(ref, 'type')} {name}"
    return f"{'force-pushed' if text(change, 'forced') == 'true' else 'pushed'} to {name}"


def _commit(commit: Any) -> str:
    summary = text(commit, "message").partition("\n")[0]
    return f"{link_to(_link(commit), text(commit, 'hash')[:7])} {plain(summary, 200)}"


def _status(body: Any) -> Notification:
    status = get(body, "commit_status")
    state = text(status, "state")
    severity = _STATUSES.get(state, Severity.INFO)
    name = first(text(status, "name"), text(status, "key"), "Build")
    branch, address = text(status, "refname"), text(status, "links", "commit", "href")
    commit = first(text(status, "commit", "hash"), address.rpartition("/")[2])
    return notification(
        f"{name}: {in_words(state)}",
        plain(text(status, "description"), 300),
        severity=severity,
        link=text(status, "url"),
        fields=[
            ("Repository", _repository(body)),
            ("Branch", branch),
            ("Commit", commit[:7]),
        ],
        # A build of a commit may have no branch.
        key=key_of(_repository(body), text(status, "key"), first(branch, commit)),
        asks=severity == Severity.ERROR,
    )


def _subject(body: Any, event: str, kind: str, title: str) -> Notification:
    subject = get(body, kind)
    state = in_words(text(subject, "state"))
    branches = [text(subject, side, "branch", "name") for side in ("source", "destination")]
    action = in_words(event.partition(":")[2])
    return notification(
        f"{title} #{text(subject, 'id')}: {text(subject, 'title')}",
        lines(
            [
                plain(f"{_actor(body)}: {action}"),
                plain(
                    first(text(subject, "description"), text(subject, "content", "raw")),
                    600,
                ),
            ]
        ),
        severity=Severity.SUCCESS if state in ("merged", "resolved", "closed") else Severity.INFO,
        link=_link(subject),
        fields=[
            ("Repository", _repository(body)),
            ("State", state),
            ("Author", text(subject, "author", "display_name")),
            ("Branches", " → ".join(branches) if all(branches) else ""),
        ],
        key=key_of(_repository(body), kind, text(subject, "id")),
    )


def _repository(body: Any) -> str:
    return text(body, "repository", "full_name")


def _actor(body: Any) -> str:
    return text(body, "actor", "display_name")


def _link(subject: Any) -> str:
    return text(subject, "links", "html", "href")


SENDER = KnownSender(
    "Bitbucket", _recognizes, _read, hmac_of_body("X-Hub-Signature", prefix="sha256=")
)
