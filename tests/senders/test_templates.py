"""Webhooks with a custom template over HTTP: mapping, failures, previews and concurrency."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bolt_app.credentials.webhooks import CUSTOM, REMEMBERED_FOR, Webhooks
from bolt_app.senders.custom import TEMPLATE_LENGTH, normal_template
from tests.commands import assert_failed, run
from tests.conftest import FakeClock
from tests.delivering import delivering, install_without_limits, quick_bellhop, wait_until
from tests.people import ACME, GENERAL
from tests.running import Bellhop
from tests.senders.fixtures import fixture
from tests.senders.test_bodies import post, recorded
from tests.senders.test_pages import DOCS
from tests.senders.test_webhooks import accepted
from tests.template_runner.test_runner import BOMBS, ESCAPES, SLOW
from tests.web.calling import put_bot

pytestmark = pytest.mark.sqlite_only

TEMPLATE = """{{ {
  "title": body.check.name,
  "text": body.check.output | plain,
  "severity": "error",
  "link": body.check.url,
  "fields": [{"name": "Host", "value": body.host}, {"name": "Count", "value": body.count}],
  "key": body.check.id,
  "actions": ["acknowledge", "resolve"],
  "ends": body.check.state == "ok"
} | tojson }}"""
BODY = {
    "host": "db1",
    "count": 3,
    "check": {
        "id": "disk/db1",
        "name": "Disk full",
        "output": "1 % is <free>",
        "url": "https://checks.example/1",
        "state": "failed",
    },
}
READABLE = {"title": "Disk full", "fields": [{"name": "host", "value": "db1"}]}


def create(bellhop: Bellhop, template: str | None, **given: Any) -> str:
    put_bot(bellhop)
    create_webhook = bellhop.services.webhooks.create
    return create_webhook(ACME, "", ["#ops"], sender=CUSTOM, template=template, **given)


class TestMapping:
    def test_the_template_describes_the_notification(self, bellhop: Bellhop) -> None:
        answer = post(create(bellhop, TEMPLATE), BODY)

        assert (answer.status, answer.text) == (200, "ok")
        [(content, key)] = accepted(bellhop)
        assert key == "hook:1|disk/db1"
        assert content == {
            "title": "Disk full",
            "text": "1 % is &lt;free&gt;",
            "severity": "error",
            "link": "https://checks.example/1",
            "fields": [{"name": "Host", "value": "db1"}, {"name": "Count", "value": "3"}],
            "actions": ["acknowledge", "resolve"],
        }
        assert recorded(bellhop)[0].problem is None

    def test_it_may_say_that_an_incident_ends(self, bellhop: Bellhop) -> None:
        url = create(bellhop, TEMPLATE)
        post(url, BODY)
        post(url, {**BODY, "check": {**BODY["check"], "state": "ok"}})  # type: ignore[dict-item]

        [_, (content, key)] = accepted(bellhop)
        assert key == "hook:1|disk/db1"
        assert "actions" not in content
        assert content["severity"] == "success"

    def test_missing_members_are_left_out(self, bellhop: Bellhop) -> None:
        post(create(bellhop, TEMPLATE), {"check": {"name": "Disk full"}})

        [(content, key)] = accepted(bellhop)
        assert not str(key).startswith("hook:1|")
        assert {name: content[name] for name in ("title", "severity")} == {
            "title": "Disk full",
            "severity": "error",
        }
        assert "fields" not in content
        assert "link" not in content

    def test_it_may_describe_several(self, bellhop: Bellhop) -> None:
        template = (
            "[{% for one in body %}{{ {'text': one, 'key': one} | tojson }}"
            "{{ ',' if not loop.last }}{% endfor %}]"
        )

        assert post(create(bellhop, template), ["a", "b"]).status == 200

        assert [(one["text"], key) for one, key in accepted(bellhop)] == [
            ("a", "hook:1|a"),
            ("b", "hook:1|b"),
        ]

    def test_long_texts_are_cut(self, bellhop: Bellhop) -> None:
        template = (
            "{{ {'title': body, 'text': body, 'key': body, "
            "'fields': [{'name': body, 'value': body}] * 60} | tojson }}"
        )

        post(create(bellhop, template), "x" * 2000)

        [(content, key)] = accepted(bellhop)
        assert (len(content["title"]), len(content["text"])) == (250, 2000)
        assert len(content["fields"]) == 50
        assert str(key).startswith("hook:1|sha256:")
        assert recorded(bellhop)[0].problem is None

    def test_the_keys_of_the_address_and_the_field_go_before(self, bellhop: Bellhop) -> None:
        url = create(bellhop, TEMPLATE, key_field="host")
        post(url, BODY)
        post(f"{url}?key=mine", BODY)

        assert [key for _, key in accepted(bellhop)] == ["hook:1|db1", "hook:1|mine"]

    @pytest.mark.parametrize(
        "name", ['x", "to": "#general', 'x", "escalate": {"after": 60, "to": "#x"}, "text": "x']
    )
    def test_no_body_chooses_recipients(self, bellhop: Bellhop, name: str) -> None:
        """Not even by a template that forgets `tojson`."""
        url = create(bellhop, '{"title": "{{ body.name }}"}')

        assert post(url, {"name": name}).status == 200

        assert "leave it out" in str(recorded(bellhop)[0].problem)

    def test_a_body_is_no_template(self, bellhop: Bellhop) -> None:
        post(create(bellhop, "{{ {'text': body} | tojson }}"), "{{ 7 * 7 }} {% raw %}")

        assert accepted(bellhop)[0][0]["text"] == "{{ 7 * 7 }} {% raw %}"

    def test_the_body_mentions_nobody_by_the_template(self, bellhop: Bellhop) -> None:
        post(create(bellhop, "{{ {'text': body} | tojson }}"), "<!channel> @here")

        [(content, _)] = accepted(bellhop)
        assert "<!" not in content["text"]
        assert "@here" not in content["text"]


FAILING = {
    "syntax": ("{{ body.", "line 1"),
    "an error": ("{{ 1 / 0 }}", "ZeroDivisionError"),
    "no JSON": ("Hello {{ body.host }}", "not JSON"),
    "a text": ('"x"', "not an object"),
    "an empty list": ("[]", "not an object"),
    "nothing": ("{}", "text is empty"),
    "an unknown member": ('{"titel": "x"}', "titel"),
    "a wrong value": ('{"text": "x", "severity": "purple"}', "severity must be"),
    "a wrong address": ('{"text": "x", "link": "javascript:x"}', "link is not a URL"),
    "a list as key": ('{"text": "x", "key": ["k"]}', "key"),
    "an object as key": ('{"text": "x", "key": {"k": 1}}', "key"),
    "other recipients": ('{"text": "x", "to": "#general"}', "to: leave it out"),
    "another escalation": (
        '{"text": "x", "actions": ["resolve"], "escalate": {"after": 60, "to": "#general"}}',
        "escalate.to: leave it out",
    ),
    "another source": ('{"text": "x", "key": "k", "source": "api_key:1"}', "source: leave it out"),
    "deep": ("[" * 100 + "]" * 100, "not JSON"),
    "a large number": ('{"text": "x", "priority": 99}', "priority is too large"),
    "no template": (None, "no template"),
    "slow": (SLOW, "too long"),
    "large": ("{{ 'a' * 10 ** 9 }}", "memory"),
}


class TestFailure:
    @pytest.mark.parametrize("kind", FAILING)
    def test_the_body_is_delivered_readably_and_flagged(self, bellhop: Bellhop, kind: str) -> None:
        template, problem = FAILING[kind]
        url = create(bellhop, template)

        answer = post(url, {"title": "Disk full", "host": "db1"})

        assert (answer.status, answer.text) == (200, "ok")
        assert accepted(bellhop) == [(READABLE, None)]
        [webhook] = bellhop.services.webhooks.of_team(ACME)
        assert webhook.unrecognized == 1
        assert problem in str(recorded(bellhop)[0].problem)
        assert "with a failed template" in run(bellhop, "webhook", "list", "--team", ACME).stdout

    @pytest.mark.parametrize("fields", ["1", '"x"', '["x"]', '[{"value": 1}]', '[{"name": []}]'])
    def test_a_key_is_sought_in_any_fields(self, bellhop: Bellhop, fields: str) -> None:
        put_bot(bellhop)
        url = bellhop.services.webhooks.create(
            ACME,
            "",
            ["#ops"],
            sender=CUSTOM,
            template=f'{{"text": "x", "fields": {fields}}}',
            key_field="host",
        )

        answer = post(url, {"title": "Disk full", "host": "db1"})

        assert (answer.status, answer.text) == (200, "ok")
        assert [key for _, key in accepted(bellhop)] == ["hook:1|db1"]

    @pytest.mark.parametrize("body", [{}, [], None, "", b"", b"\xff", {"a": {}}, {"text": ""}])
    def test_a_body_that_shows_nothing_is_not_lost(self, bellhop: Bellhop, body: Any) -> None:
        url = create(bellhop, "{{ 1 / 0 }}")

        assert post(url, body).status == 200

        assert len(accepted(bellhop)) == 1

    def test_hostile_templates_lose_nothing(self, bellhop: Bellhop) -> None:
        put_bot(bellhop)
        templates = [*ESCAPES, *BOMBS[:6]]
        create_webhook = bellhop.services.webhooks.create
        urls = [
            create_webhook(ACME, "", ["#ops"], sender=CUSTOM, template=one) for one in templates
        ]

        answers = [post(url, {"title": "Disk full", "host": "db1"}) for url in urls]

        assert {answer.status for answer in answers} == {200}
        assert accepted(bellhop) == [(READABLE, None)] * len(urls)

    def test_the_problem_is_not_logged(
        self, bellhop: Bellhop, caplog: pytest.LogCaptureFixture
    ) -> None:
        post(create(bellhop, "{{ body.secret + 1 }}"), {"secret": "hunter2"})

        assert "hunter2" not in caplog.text

    @pytest.mark.slow
    def test_slow_templates_do_not_slow_other_webhooks_down(self, bellhop: Bellhop) -> None:
        put_bot(bellhop)
        make = bellhop.services.webhooks.create
        slow = [make(ACME, "", ["#ops"], sender=CUSTOM, template=SLOW) for _ in range(6)]
        plain = make(ACME, "", ["#ops"])

        with ThreadPoolExecutor(12) as threads:
            posted = [threads.submit(post, url, {"title": "slow"}) for url in slow for _ in "12"]
            began = time.monotonic()
            assert post(plain, {"text": "fast"}).status == 200
            waited = time.monotonic() - began
            assert {one.result().status for one in posted} == {200}

        assert waited < 2
        assert len(accepted(bellhop)) == 13


class TestChange:
    def test_a_webhook_gets_a_template_while_it_is_used(self, bellhop: Bellhop) -> None:
        put_bot(bellhop)
        url = bellhop.services.webhooks.create(ACME, "", ["#ops"])
        post(url, BODY)

        assert bellhop.services.webhooks.set_template(1, TEMPLATE)
        post(url, BODY)

        assert [content["title"] for content, _ in accepted(bellhop)] == ["Disk full"] * 2
        assert [one.problem for one in recorded(bellhop)] == [None, "unknown format"]

    def test_without_it_the_sender_is_recognized_again(self, bellhop: Bellhop) -> None:
        url = create(bellhop, TEMPLATE)

        assert run(bellhop, "webhook", "template", "1", "--off").exit_code == 0
        post(url, fixture("alertmanager", "firing").body)

        assert accepted(bellhop)[0][0]["title"] == "DiskFull"
        assert recorded(bellhop)[0].problem is None

    def test_another_process_uses_it_within_seconds(
        self, bellhop: Bellhop, clock: FakeClock
    ) -> None:
        put_bot(bellhop)
        url = bellhop.services.webhooks.create(ACME, "", ["#ops"])
        post(url, BODY)
        elsewhere = Webhooks(bellhop.services.database, bellhop.url, clock=clock)
        elsewhere.set_template(1, TEMPLATE)

        post(url, BODY)
        clock.advance(REMEMBERED_FOR.total_seconds() + 1)
        post(url, BODY)

        assert [one.problem for one in recorded(bellhop)] == [None, *["unknown format"] * 2]

    def test_a_webhook_that_checks_signatures_gets_none(self, bellhop: Bellhop) -> None:
        put_bot(bellhop)
        webhooks = bellhop.services.webhooks
        webhooks.create(ACME, "", ["#ops"], sender="github", signing_secret="s")
        webhooks.create(ACME, "", ["#ops"])
        webhooks.revoke(2)

        assert not webhooks.set_template(1, TEMPLATE)
        assert not webhooks.set_template(2, TEMPLATE)
        assert not webhooks.set_template(3, TEMPLATE)

    @pytest.mark.parametrize("written", ["", " \n", "x" * (TEMPLATE_LENGTH + 1), "a\0b"])
    def test_an_unusable_template_is_refused(self, written: str) -> None:
        with pytest.raises(ValueError, match="template"):
            normal_template(written)


class TestCommands:
    def file(self, tmp_path: Path, content: str) -> str:
        path = tmp_path / "file"
        path.write_text(content, encoding="utf-8")
        return str(path)

    def test_a_webhook_is_created_with_a_template(self, bellhop: Bellhop, tmp_path: Path) -> None:
        put_bot(bellhop)
        template = self.file(tmp_path, TEMPLATE)

        made = run(
            bellhop,
            *("webhook", "create", "--team", ACME, "--to", "#ops"),
            *("--from", "custom", "--template", template),
        )

        assert made.exit_code == 0, made.output
        assert post(made.stdout.splitlines()[-1], BODY).status == 200
        assert accepted(bellhop)[0][1] == "hook:1|disk/db1"

    def test_it_may_get_its_template_later(self, bellhop: Bellhop, tmp_path: Path) -> None:
        put_bot(bellhop)
        made = run(bellhop, "webhook", "create", "--team", ACME, "--to", "#ops", "--from", "custom")
        url = made.stdout.splitlines()[-1]
        post(url, BODY)

        is_set = run(bellhop, "webhook", "template", "1", self.file(tmp_path, TEMPLATE))
        post(url, BODY)

        assert "webhook template 1 FILE" in made.stdout
        assert is_set.exit_code == 0
        assert [one.problem is None for one in recorded(bellhop)] == [True, False]

    def test_errors_are_one_line(self, bellhop: Bellhop, tmp_path: Path) -> None:
        put_bot(bellhop)
        template, empty = self.file(tmp_path, TEMPLATE), tmp_path / "empty"
        empty.touch()
        new = ("webhook", "create", "--team", ACME, "--to", "#ops")

        assert_failed(run(bellhop, *new, "--template", template), "--from custom", status=2)
        empty_one = run(bellhop, *new, "--from", "custom", "--template", str(empty))
        assert_failed(empty_one, "The template is empty.", status=2)
        assert_failed(run(bellhop, "webhook", "template", "7", template), "does not exist")
        assert_failed(run(bellhop, "webhook", "template", "1"), "--off", status=2)
        wrong = self.file(tmp_path, "{{ body.x")
        not_saved = "not saved: line 1: "
        assert_failed(run(bellhop, "webhook", "template", "1", wrong), not_saved, status=2)
        new_one = run(bellhop, *new, "--from", "custom", "--template", wrong)
        assert_failed(new_one, not_saved, status=2)
        assert bellhop.services.webhooks.of_team(ACME) == []
        assert_failed(run(bellhop, "webhook", "preview", "7"), "does not exist")

    def test_a_preview_shows_the_latest_bodies_by_another_template(
        self, bellhop: Bellhop, tmp_path: Path
    ) -> None:
        put_bot(bellhop)
        post(bellhop.services.webhooks.create(ACME, "", ["#ops"]), BODY)

        shown = run(bellhop, "webhook", "preview", "1", "--template", self.file(tmp_path, TEMPLATE))

        assert shown.exit_code == 0, shown.output
        assert json.loads(shown.stdout)["key"] == "disk/db1"
        assert len(accepted(bellhop)) == 1

    def test_a_preview_takes_a_body(self, bellhop: Bellhop, tmp_path: Path) -> None:
        create(bellhop, TEMPLATE)

        missing = run(bellhop, "webhook", "preview", "1")
        shown = run(
            bellhop, "webhook", "preview", "1", "--body", self.file(tmp_path, json.dumps(BODY))
        )

        assert_failed(missing, "--body")
        assert json.loads(shown.stdout)["title"] == "Disk full"
        assert accepted(bellhop) == []

    def test_a_preview_reports_the_problem(self, bellhop: Bellhop, tmp_path: Path) -> None:
        create(bellhop, None)

        without = run(bellhop, "webhook", "preview", "1")
        template = self.file(tmp_path, "\n{{ 1 / 0 }}")
        body = tmp_path / "body"
        body.write_bytes(b"{}")
        broken = run(
            bellhop,
            *("webhook", "preview", "1", "--template", template, "--body", str(body)),
        )

        assert_failed(without, "no template")
        assert_failed(broken, "line 2: ZeroDivisionError")


def test_the_template_of_the_page_works(bellhop: Bellhop) -> None:
    page = (DOCS / "custom.md").read_text(encoding="utf-8")
    [template] = re.findall(r"^```jinja\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    body = {"host": "db1", "check": {"id": "1", "name": "Disk", "level": "CRIT", "state": "ok"}}

    post(create(bellhop, template), body)

    [(content, key)] = accepted(bellhop)
    assert (content["title"], content["severity"], key) == ("Disk", "success", "hook:1|1")


def test_firing_and_resolved_are_one_message_that_turns_green(
    database_url: str, encryption_key: str
) -> None:
    with quick_bellhop(database_url, encryption_key) as bellhop:
        install_without_limits(bellhop)
        make = bellhop.services.webhooks.create
        url = make(ACME, "", [GENERAL], sender=CUSTOM, template=TEMPLATE)
        ended = {**BODY, "check": {**BODY["check"], "state": "ok"}}  # type: ignore[dict-item]
        with delivering(bellhop):
            post(url, BODY)
            wait_until(bellhop, lambda: len(bellhop.slack.messages(GENERAL)) == 1)
            post(url, ended)
            wait_until(
                bellhop,
                lambda: "#2e9e5b" in json.dumps(bellhop.slack.messages(GENERAL)[0].attachments),
            )

        assert len(bellhop.slack.messages(GENERAL)) == 1
