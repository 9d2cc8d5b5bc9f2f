"""GitHub: webhooks of repositories and organizations.

https://docs.github.com/en/webhooks/webhook-events-and-payloads describes the events, and
https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries the signature.

A pull request, an issue, a workflow run, a deployment and a release each have one message, which
follows their state. Other events are shown in one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bolt_app.blockkit.text import cut
from bolt_app.senders.builder import key_of, lines, link_to, more, notification, plain
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.signatures import hmac_of_body
from bolt_app.senders.states import in_words, severity_of_state
from bolt_app.senders.values import every_item, first, get, items, text
from bolt_app.severity import Severity

EVENT_HEADER = "x-github-event"
_SHOWN_COMMITS = 8
_BODY_LENGTH = 600
# What other events are about: the first with a link and the first with a title are shown.
_SUBJECTS = ("comment", "review", "alert", "forkee", "issue", "pull_request", "discussion")


def _recognizes(headers: Headers, body: Any) -> bool:
    return bool(headers.get(EVENT_HEADER)) and isinstance(body, dict)


def _read(headers: Headers, body: Any) -> list[Notification]:
    event = headers.get(EVENT_HEADER, "")
    return [_READERS.get(event, _other(event))(body)]


def _push(body: Any) -> Notification:
    kind, _, name = text(body, "ref").removeprefix("refs/").partition("/")
    where = f"{'tag' if kind == 'tags' else 'branch'} {name}"
    commits = items(body, "commits")
    count = len(every_item(body, "commits"))
    if text(body, "deleted") == "true":
        what = f"deleted {where}"
    elif text(body, "created") == "true" and (kind == "tags" or not count):
        # The commits of a new tag are not new.
        what, commits, count = f"created {where}", [], 0
    elif not count:
        what = f"updated {where}"
    else:
        verb = "force-pushed" if text(body, "forced") == "true" else "pushed"
        what = f"{verb} {count} {'commit' if count == 1 else 'commits'} to {name}"
    shown = commits[:_SHOWN_COMMITS]
    return notification(
        f"{_repository(body)}: {first(text(body, 'pusher', 'name'), _actor(body))} {what}",
        lines([*map(_commit, shown), more(len(shown), count, "commits")]),
        severity=Severity.INFO,
        link=first(text(body, "compare"), text(body, "repository", "html_url")),
    )


def _commit(commit: Any) -> str:
    author = first(text(commit, "author", "username"), text(commit, "author", "name"))
    summary = text(commit, "message").partition("\n")[0]
    name = link_to(text(commit, "url"), text(commit, "id")[:7])
    return f"{name} {plain(summary, 200)} ({plain(author, 80)})"


def _pull_request(body: Any) -> Notification:
    pull = body.get("pull_request")
    is_merged = text(pull, "merged") == "true"
    state = "merged" if is_merged else text(pull, "state")
    if state == "open" and text(pull, "draft") == "true":
        state = "draft"
    return notification(
        f"Pull request #{_number(body, pull)}: {text(pull, 'title')}",
        _by(body, pull),
        severity=Severity.SUCCESS if is_merged else Severity.INFO,
        link=text(pull, "html_url"),
        fields=[
            ("Repository", _repository(body)),
            ("State", state),
            ("Author", text(pull, "user", "login")),
            ("Branches", f"{text(pull, 'head', 'ref')} → {text(pull, 'base', 'ref')}"),
            ("Labels", _names(pull, "labels", "name")),
            ("Reviewers", _names(pull, "requested_reviewers", "login")),
        ],
        key=key_of(_repository(body), _number(body, pull), by="#"),
    )


def _issue(body: Any) -> Notification:
    issue = body.get("issue")
    reason = in_words(text(issue, "state_reason"))
    is_closed = text(issue, "state") == "closed" or text(body, "action") == "deleted"
    # GitHub reports milestones and labels of pull requests by this event too.
    kind = "Pull request" if get(issue, "pull_request") else "Issue"
    return notification(
        f"{kind} #{_number(body, issue)}: {text(issue, 'title')}",
        _by(body, issue),
        severity=Severity.SUCCESS if is_closed and reason != "not planned" else Severity.INFO,
        link=text(issue, "html_url"),
        fields=[
            ("Repository", _repository(body)),
            ("State", " as ".join(filter(None, (text(issue, "state"), reason)))),
            ("Author", text(issue, "user", "login")),
            ("Assignees", _names(issue, "assignees", "login")),
            ("Labels", _names(issue, "labels", "name")),
        ],
        key=key_of(_repository(body), _number(body, issue), by="#"),
    )


def _workflow_run(body: Any) -> Notification:
    run = body.get("workflow_run")
    state = first(text(run, "conclusion"), text(run, "status"), text(body, "action"))
    severity = severity_of_state(state)
    attempt = text(run, "run_attempt")
    name = first(text(run, "name"), text(body, "workflow", "name"), "Workflow")
    return notification(
        f"{name} #{text(run, 'run_number')}: {in_words(state)}",
        plain(first(text(run, "display_title"), text(run, "head_commit", "message")), 300),
        severity=severity,
        link=text(run, "html_url"),
        fields=[
            ("Repository", _repository(body)),
            ("Branch", text(run, "head_branch")),
            ("Commit", text(run, "head_sha")[:7]),
            ("Trigger", in_words(text(run, "event"))),
            ("Actor", text(run, "actor", "login")),
            ("Attempt", "" if attempt == "1" else attempt),
        ],
        key=key_of("workflow_run", text(run, "id")),
        asks=severity == Severity.ERROR,
    )


def _deployment_status(body: Any) -> Notification:
    status, deployment = body.get("deployment_status"), body.get("deployment")
    state = text(status, "state")
    severity = severity_of_state(state)
    environment = first(text(status, "environment"), text(deployment, "environment"))
    return notification(
        f"{_repository(body)}: deployment to {environment}: {in_words(state)}",
        plain(first(text(status, "description"), text(deployment, "description")), 300),
        severity=severity,
        link=first(
            text(status, "environment_url"),
            text(status, "log_url"),
            text(status, "target_url"),
            text(body, "repository", "html_url"),
        ),
        fields=[
            ("Environment", environment),
            ("Ref", text(deployment, "ref")),
            ("Commit", text(deployment, "sha")[:7]),
            ("Creator", text(deployment, "creator", "login")),
        ],
        key=key_of("deployment", text(deployment, "id")),
        asks=severity == Severity.ERROR,
    )


def _release(body: Any) -> Notification:
    release = body.get("release")
    tag = text(release, "tag_name")
    is_early = text(release, "prerelease") == "true"
    action = text(body, "action")
    done = "published" if action in ("prereleased", "released") else in_words(action)
    return notification(
        f"{_repository(body)}: {'pre-release' if is_early else 'release'} "
        f"{first(text(release, 'name'), tag)} {done}",
        plain(text(release, "body"), _BODY_LENGTH),
        severity=Severity.INFO,
        link=text(release, "html_url"),
        fields=[("Tag", tag), ("Author", text(release, "author", "login"))],
        key=key_of("release", _repository(body), tag),
    )


def _ping(body: Any) -> Notification:
    where = first(_repository(body), text(body, "organization", "login"), "GitHub")
    return notification(
        f"GitHub is connected: {where}",
        plain(text(body, "zen")),
        severity=Severity.INFO,
        link=text(body, "repository", "html_url"),
    )


def _other(event: str) -> Callable[[Any], Notification]:
    def read(body: Any) -> Notification:
        own, action = get(body, event), text(body, "action")
        verdict = text(body, "review", "state") if action == "submitted" else ""
        done = in_words(first(verdict, text(own, "conclusion"), action, text(body, "state")))
        subjects = [own, *(get(body, name) for name in _SUBJECTS)]
        titles = (
            first(text(one, "title"), text(one, "full_name"), text(one, "name")) for one in subjects
        )
        said = first(text(body, "comment", "body"), text(body, "review", "body"))
        by = f"by {_actor(body)}" if _actor(body) else ""
        return notification(
            f"{first(_repository(body), 'GitHub')}: "
            f"{' '.join(filter(None, (_event(event, body), done, by)))}",
            lines(
                [plain(first(*titles, text(body, "description")), 300), plain(said, _BODY_LENGTH)]
            ),
            severity=Severity.INFO,
            link=first(
                *(text(one, "html_url") for one in subjects),
                text(body, "target_url"),
                text(body, "repository", "html_url"),
            ),
        )

    return read


def _event(event: str, body: Any) -> str:
    """Return an event in words, with the branch or tag that it creates or deletes."""
    if event not in ("create", "delete"):
        return in_words(event)
    return f"{event}d {text(body, 'ref_type')} {text(body, 'ref')}"


def _by(body: Any, subject: Any) -> str:
    action = in_words(text(body, "action"))
    action = "pushed new commits" if action == "synchronize" else action
    return lines(
        [
            plain(f"{cut(_actor(body), 80)}: {action}") if action else "",
            plain(text(subject, "body"), _BODY_LENGTH),
        ]
    )


def _repository(body: Any) -> str:
    return text(body, "repository", "full_name")


def _actor(body: Any) -> str:
    return text(body, "sender", "login")


def _number(body: Any, subject: Any) -> str:
    return first(text(subject, "number"), text(body, "number"))


def _names(subject: Any, name: str, member: str) -> str:
    return ", ".join(_each(subject, name, member))


def _each(subject: Any, name: str, member: str) -> Iterator[str]:
    yield from filter(None, (text(one, member) for one in items(subject, name)))


_READERS: Mapping[str, Callable[[Any], Notification]] = {
    "deployment_status": _deployment_status,
    "issues": _issue,
    "ping": _ping,
    "pull_request": _pull_request,
    "push": _push,
    "release": _release,
    "workflow_run": _workflow_run,
}
SENDER = KnownSender(
    "GitHub", _recognizes, _read, hmac_of_body("X-Hub-Signature-256", prefix="sha256=")
)
