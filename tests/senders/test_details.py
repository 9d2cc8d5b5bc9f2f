"""Bodies that differ from an example body in one respect, and what a reader must see then."""

from __future__ import annotations

import copy
import time
from base64 import b64encode
from typing import Any

import pytest

from bolt_app.senders.registry import known_senders
from tests.senders.fixtures import fixture

NOTHING = "0" * 40


def read(sender: str, name: str, *changes: tuple[str, Any], event: str = "") -> dict[str, Any]:
    """Return the notification of an example body with members replaced; None removes one.

    Args:
        changes: paths, separated by dots, and values.
        event: GitHub's name of the event, if it is another one.
    """
    one = fixture(sender, name)
    body = copy.deepcopy(one.body)
    for path, value in changes:
        parent = body
        *steps, last = path.split(".")
        for step in steps:
            parent = parent[int(step) if step.isdecimal() else step]
        if value is None:
            del parent[last]
        else:
            parent[last] = value
    headers = {**one.lower_headers, "x-github-event": event} if event else one.lower_headers
    [found] = known_senders()[sender].read(headers, body)
    return found


def field(found: dict[str, Any], name: str) -> str | None:
    return next((one["value"] for one in found.get("fields", ()) if one["name"] == name), None)


class TestGitHub:
    def test_a_run_without_a_name_has_the_workflows(self) -> None:
        found = read("github", "workflow_run_failed", ("workflow_run.name", ""))

        assert found["title"] == "CI #562: failure"

    def test_a_commit_status_shows_its_state_and_links_the_build(self) -> None:
        build = "https://ci.acme.example/builds/777"

        found = read(
            "github",
            "tag_created",
            ("state", "failure"),
            ("description", "2 tests failed"),
            ("target_url", build),
            event="status",
        )

        assert found["title"] == "Codertocat/Hello-World: status failure by Codertocat"
        assert (found["text"], found["link"]) == ("2 tests failed", build)

    def test_a_job_shows_its_name_and_conclusion(self) -> None:
        job = {"name": "unit <tests>", "conclusion": "failure", "html_url": "https://x.example/1"}

        found = read(
            "github",
            "tag_created",
            ("action", "completed"),
            ("workflow_job", job),
            event="workflow_job",
        )

        assert found["title"] == "Codertocat/Hello-World: workflow job failure by Codertocat"
        assert (found["text"], found["link"]) == ("unit &lt;tests&gt;", "https://x.example/1")

    def test_a_review_shows_its_verdict_and_words(self) -> None:
        review = {"state": "changes_requested", "body": "Why?", "html_url": "https://x.example/1"}

        found = read(
            "github",
            "issue_comment",
            ("action", "submitted"),
            ("comment", None),
            ("review", review),
            event="pull_request_review",
        )

        assert (
            found["title"]
            == "Codertocat/Hello-World: pull request review changes requested by Codertocat"
        )
        assert found["text"] == "Spelling error in the README file\nWhy?"

    def test_a_new_tag_is_no_push_of_commits(self) -> None:
        found = read("github", "push", ("ref", "refs/tags/v1.4.0"))

        assert found["title"] == "Codertocat/Hello-World: Codertocat created tag v1.4.0"
        assert "text" not in found


class TestGitLab:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ([("after", NOTHING)], "deleted branch main"),
            ([("before", NOTHING)], "created branch main"),
            ([], "updated branch main"),
        ],
        ids=["deleted", "created", "reset"],
    )
    def test_a_push_without_commits_says_what_happened(
        self, changes: list[tuple[str, Any]], said: str
    ) -> None:
        found = read("gitlab", "push", ("commits", []), ("total_commits_count", 0), *changes)

        assert found["title"] == f"acme/orders: Ann Example {said}"
        assert found["link"] == "https://gitlab.acme.example/acme/orders"

    def test_a_new_branch_links_the_project_as_there_is_nothing_to_compare(self) -> None:
        found = read("gitlab", "push", ("before", NOTHING))

        assert found["title"] == "acme/orders: Ann Example pushed 2 commits to main"
        assert found["link"] == "https://gitlab.acme.example/acme/orders"

    def test_a_job_shows_its_name_and_state_and_is_linked(self) -> None:
        found = read(
            "gitlab",
            "deployment",
            ("object_kind", "build"),
            ("build_id", 381),
            ("build_name", "unit"),
            ("build_status", "failed"),
            ("status", None),
            ("environment", None),
            ("deployable_url", None),
        )

        assert found["title"] == "acme/orders: build unit failed by Ann Example"
        assert found["link"] == "https://gitlab.acme.example/acme/orders/-/jobs/381"

    def test_a_new_member_is_not_named_as_the_author(self) -> None:
        found = read(
            "gitlab",
            "push",
            ("object_kind", None),
            ("project", None),
            ("repository", None),
            ("event_name", "user_add_to_group"),
            ("group_path", "acme/shop"),
            ("user_name", "Gus Guest"),
        )

        assert found["title"] == "acme/shop: user add to group: Gus Guest"

    def test_an_event_without_an_author_names_none(self) -> None:
        found = read(
            "gitlab",
            "note",
            ("object_kind", "access_token"),
            ("event_name", "expiring_access_token"),
            ("user", None),
            ("merge_request", None),
            ("object_attributes", {"name": "deploy", "expires_at": "2026-03-09"}),
        )

        assert found["title"] == "acme/orders: expiring access token"
        assert found["text"] == "deploy"

    def test_a_push_of_a_system_hook_is_a_push(self) -> None:
        found = read("gitlab", "push", ("object_kind", None))

        assert found["title"] == "acme/orders: Ann Example pushed 2 commits to main"


class TestSentry:
    @pytest.mark.parametrize("path", ["issues", "organizations/acme/issues"])
    def test_the_issue_of_an_alert_without_its_id_is_in_a_url(self, path: str) -> None:
        found = read(
            "sentry",
            "issue_alert",
            ("data.event.issue_id", None),
            ("data.event.issue_url", f"https://sentry.io/api/0/{path}/1170820242/"),
        )

        assert found["key"] == "issue:1170820242"

    @pytest.mark.parametrize("url", ["", "projects", "https://sentry.io/api/0/projects/acme"])
    def test_a_url_without_a_project_names_none(self, url: str) -> None:
        found = read("sentry", "issue_alert", ("data.event.url", url))

        assert field(found, "Project") is None


class TestCloudEvents:
    def test_bytes_that_are_a_text_are_the_text(self) -> None:
        found = read(
            "cloudevents", "base64", ("data_base64", b64encode(b"<Paid> after all").decode())
        )

        assert found["text"] == "&lt;Paid&gt; after all"

    @pytest.mark.parametrize("data", ["UEsDBAD/", "not base64", "x"])
    def test_other_bytes_are_not_shown(self, data: str) -> None:
        found = read("cloudevents", "base64", ("data_base64", data))

        assert "text" not in found
        assert field(found, "Source") == "https://acme.example/orders"


class TestJenkins:
    @pytest.mark.parametrize(
        ("url", "title", "key"),
        [
            ("job/main/", "main", "job:main"),
            ("job/shop/job/main/", "shop/main", "job:shop/main"),
            ("job/a%20b/job/main/", "a b/main", "job:a b/main"),
            ("view/all/main/", "main", "job:main"),
        ],
    )
    def test_a_job_is_named_with_its_folders(self, url: str, title: str, key: str) -> None:
        found = read("jenkins", "failed", ("url", url))

        assert found["title"] == f"{title} #18: failure"
        assert found["key"] == key


class TestDatadog:
    @pytest.mark.parametrize(
        ("title", "shown", "key"),
        [
            ("[Triggered] Disk", "Disk", "Disk"),
            ("[Triggered on {host:db1}] Disk", "Disk", "Disk {host:db1}"),
            (
                "[P2] [Re-Triggered on {host:db1}] [prod] Disk",
                "[prod] Disk",
                "[prod] Disk {host:db1}",
            ),
            ("[Triggered] [P2] Disk", "Disk", "Disk"),
            ("[Triggered]", "[Triggered]", "[Triggered]"),
        ],
    )
    def test_a_monitor_has_a_message_for_each_group(self, title: str, shown: str, key: str) -> None:
        found = read("datadog", "default_triggered", ("title", title))

        assert (found["title"], found["key"]) == (shown, f"alert:{key}")

    def test_a_message_has_no_markdown_of_pictures_and_mentions(self) -> None:
        text = read("datadog", "default_triggered")["text"]

        assert "see the runbook (https://wiki.acme.example/disk-full)" in text
        for removed in ("%%%", "snapshot", "@webhook", "**", "Monitor Status"):
            assert removed not in text

    @pytest.mark.parametrize(
        "piece", ["[![", "[a](http://", "[a](", "@a.", "@" * 60 + "!\n", "\n "]
    )
    def test_a_long_hostile_message_is_read_quickly(self, piece: str) -> None:
        start = time.process_time()

        found = read("datadog", "default_triggered", ("body", piece * 30_000 + "!"))

        assert found["title"] == "[prod] Disk is full"
        assert time.process_time() - start < 1


def test_a_test_of_a_channel_of_google_cloud_closes_in_capitals() -> None:
    found = read("google-cloud-monitoring", "closed", ("incident.state", "CLOSED"))

    assert found["severity"] == "success"


def test_a_forced_push_to_bitbucket_is_called_so() -> None:
    found = read("bitbucket", "push", ("push.changes.0.forced", True))

    assert found["title"] == "acme/orders: Ann Example force-pushed to main"


def test_a_group_links_no_rule_that_only_one_of_its_alerts_has() -> None:
    found = read(
        "grafana", "firing_two", ("alerts.1.generatorURL", "https://grafana.acme.example/2")
    )

    assert "|Rule>" not in found["text"]
    assert "|Dashboard>" in found["text"]


def test_a_group_links_no_query_that_only_one_of_its_alerts_has() -> None:
    found = read("alertmanager", "firing_two", ("alerts.1.generatorURL", "https://x.example/2"))

    assert "|Query>" not in found["text"]
    assert "|Runbook>" in found["text"]


def test_a_degraded_application_does_not_say_that_it_was_synced() -> None:
    assert "text" not in read("argo-cd", "degraded")
