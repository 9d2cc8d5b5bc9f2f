"""GitLab: webhooks of projects and groups.

https://docs.gitlab.com/user/project/integrations/webhook_events/ describes the events, and
https://docs.gitlab.com/user/project/integrations/webhooks/ the token in `X-Gitlab-Token`.

A merge request, an issue and a pipeline each have one message, which follows their state. Other
events are shown in one line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bolt_app.senders.builder import key_of, lines, link_to, more, notification, plain
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.signatures import secret_in_header
from bolt_app.senders.states import in_words, severity_of_state
from bolt_app.senders.values import first, items, mapping, text
from bolt_app.severity import Severity

_SHOWN_COMMITS = 8
_BODY_LENGTH = 600
_NOTHING = "0" * 40
# What other events are about: the first with a title or name is shown.
_SUBJECTS = ("merge_request", "issue", "snippet", "object_attributes")
_DONE = {
    "approval": "approved",
    "close": "closed",
    "create": "created",
    "delete": "deleted",
    "merge": "merged",
    "open": "opened",
    "reopen": "reopened",
    "unapproval": "withdrew an approval",
    "unapproved": "withdrew an approval",
    "update": "updated",
}


def _recognizes(headers: Headers, body: Any) -> bool:
    return bool(headers.get("x-gitlab-event")) and isinstance(body, dict)


def _read(_headers: Headers, body: Any) -> list[Notification]:
    # System hooks name a push only in `event_name`.
    kind = first(text(body, "object_kind"), text(body, "event_name"))
    return [_READERS.get(kind, _other)(body)]


def _push(body: Any) -> Notification:
    kind, _, name = text(body, "ref").removeprefix("refs/").partition("/")
    where = f"{'tag' if kind == 'tags' else 'branch'} {name}"
    commits = items(body, "commits")[-_SHOWN_COMMITS:]
    total = text(body, "total_commits_count")
    count = int(total) if total.isdecimal() else len(commits)
    what = f"pushed {count} {'commit' if count == 1 else 'commits'} to {name}"
    before, after = text(body, "before"), text(body, "after")
    if after == _NOTHING:
        what = f"deleted {where}"
    elif before == _NOTHING and (kind == "tags" or not commits):
        # A new tag comes with its commit, which is not new.
        what, commits, count = f"created {where}", [], 0
    elif not count:
        what = f"updated {where}"
    web_url = _web_url(body)
    is_comparable = bool(commits and before) and before != _NOTHING
    return notification(
        f"{_project(body)}: {text(body, 'user_name')} {what}",
        lines([*map(_commit, commits), more(len(commits), count, "commits")]),
        severity=Severity.INFO,
        link=f"{web_url}/-/compare/{before}...{after}" if is_comparable else web_url,
    )


def _commit(commit: Any) -> str:
    summary = first(text(commit, "title"), text(commit, "message").partition("\n")[0])
    name = link_to(text(commit, "url"), text(commit, "id")[:8])
    return f"{name} {plain(summary, 200)} ({plain(text(commit, 'author', 'name'), 80)})"


def _merge_request(body: Any) -> Notification:
    merge = body.get("object_attributes")
    state = text(merge, "state")
    iid = text(merge, "iid")
    return notification(
        f"Merge request !{iid}: {text(merge, 'title')}",
        _by(body, merge),
        severity=Severity.SUCCESS if state == "merged" else Severity.INFO,
        link=text(merge, "url"),
        fields=[
            ("Project", _project(body)),
            ("State", "draft" if text(merge, "draft") == "true" and state == "opened" else state),
            ("Branches", f"{text(merge, 'source_branch')} → {text(merge, 'target_branch')}"),
            ("Labels", _names(body, "labels", "title")),
            ("Reviewers", _names(body, "reviewers", "name")),
        ],
        key=key_of(_project(body), iid, by="!"),
    )


def _issue(body: Any) -> Notification:
    issue = body.get("object_attributes")
    iid = text(issue, "iid")
    return notification(
        f"{first(text(issue, 'type'), 'Issue')} #{iid}: {text(issue, 'title')}",
        _by(body, issue),
        severity=Severity.SUCCESS if text(issue, "state") == "closed" else Severity.INFO,
        link=text(issue, "url"),
        fields=[
            ("Project", _project(body)),
            ("State", text(issue, "state")),
            ("Assignees", _names(body, "assignees", "name")),
            ("Labels", _names(body, "labels", "title")),
        ],
        # The epic of a group has no project.
        key=first(key_of(_project(body), iid, by="#"), text(issue, "url")),
    )


def _pipeline(body: Any) -> Notification:
    pipeline = body.get("object_attributes")
    state = text(pipeline, "status")
    severity = severity_of_state(state)
    failed = [
        f"{text(one, 'stage')}: {text(one, 'name')}"
        for one in items(body, "builds")
        if text(one, "status") == "failed" and text(one, "allow_failure") != "true"
    ]
    duration, merge = text(pipeline, "duration"), mapping(body, "merge_request")
    return notification(
        f"Pipeline #{text(pipeline, 'id')}: {in_words(state)}",
        lines(
            [
                plain(first(text(body, "commit", "title"), text(body, "commit", "message")), 300),
                plain(f"Failed: {', '.join(failed)}") if failed else "",
            ]
        ),
        severity=severity,
        link=first(
            text(pipeline, "url"),
            f"{text(body, 'project', 'web_url')}/-/pipelines/{text(pipeline, 'id')}",
        ),
        fields=[
            ("Project", _project(body)),
            ("Name", text(pipeline, "name")),
            ("Ref", text(pipeline, "ref")),
            ("Merge request", f"!{text(merge, 'iid')} {text(merge, 'title')}" if merge else ""),
            ("Commit", text(pipeline, "sha")[:8]),
            ("Trigger", in_words(text(pipeline, "source"))),
            ("User", text(body, "user", "name")),
            ("Duration", f"{duration} s" if duration else ""),
        ],
        key=key_of("pipeline", _project(body), text(pipeline, "id")),
        asks=severity == Severity.ERROR,
    )


def _other(body: Any) -> Notification:
    subject = body.get("object_attributes")
    return notification(
        f"{first(_project(body), text(body, 'group_path'), 'GitLab')}: {_what(body)}",
        lines([plain(_about(body), 300), plain(text(subject, "note"), _BODY_LENGTH)]),
        severity=Severity.INFO,
        link=first(
            text(subject, "url"),
            text(body, "url"),
            text(body, "deployable_url"),
            _job(body),
            _web_url(body),
        ),
    )


def _what(body: Any) -> str:
    """Return an event in words, with its author if the body names one."""
    kind, event = text(body, "object_kind"), text(body, "event_name")
    # An event such as `expiring_access_token` says more than its kind.
    name = in_words(event if not kind or kind in event else kind) or "event"
    place = first(text(body, "build_name"), text(body, "environment"))
    action = _done(first(text(body, "object_attributes", "action"), text(body, "action")))
    state = in_words(first(text(body, "build_status"), text(body, "status")))
    what = " ".join(filter(None, (name, place, action or state)))
    who = first(text(body, "user", "name"), text(body, "user_name"))
    if not who:
        return what
    # `user_name` of a changed membership is the member, not the author of the change.
    return f"{what}: {who}" if name.startswith("user ") else f"{what} by {who}"


def _about(body: Any) -> str:
    subjects = [body.get(name) for name in _SUBJECTS]
    titles = (first(text(one, "title"), text(one, "name")) for one in subjects)
    return first(*titles, text(body, "commit_title"), text(body, "name"))


def _job(body: Any) -> str:
    web_url, job = _web_url(body), text(body, "build_id")
    return f"{web_url}/-/jobs/{job}" if web_url and job else ""


def _web_url(body: Any) -> str:
    return first(text(body, "project", "web_url"), text(body, "repository", "homepage"))


def _by(body: Any, subject: Any) -> str:
    action = _done(text(subject, "action"))
    return lines(
        [
            plain(f"{text(body, 'user', 'name')}: {action}") if action else "",
            plain(text(subject, "description"), _BODY_LENGTH),
        ]
    )


def _done(action: str) -> str:
    return _DONE.get(action, in_words(action))


def _project(body: Any) -> str:
    return first(
        text(body, "project", "path_with_namespace"),
        text(body, "path_with_namespace"),
        text(body, "project_name"),
        text(body, "repository", "name"),
    )


def _names(body: Any, name: str, member: str) -> str:
    return ", ".join(filter(None, (text(one, member) for one in items(body, name))))


_READERS: Mapping[str, Callable[[Any], Notification]] = {
    "issue": _issue,
    "merge_request": _merge_request,
    "pipeline": _pipeline,
    "push": _push,
    "tag_push": _push,
    "work_item": _issue,
}
SENDER = KnownSender("GitLab", _recognizes, _read, secret_in_header("X-Gitlab-Token"))
