"""Messages of resolved incidents are green, whatever the layout of the notification."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bolt_app.notifications.content.message import render
from bolt_app.notifications.incidents.resolved_content import content_in_state
from bolt_app.notifications.incidents.view import IncidentView
from bolt_app.severity import COLOURS, SIGNS

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
RED = [*(COLOURS[one] for one in ("critical", "error", "warning")), "danger", "#ff0000"]
SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "99 %"}}
CONTENTS: list[dict[str, Any]] = [
    {"title": "Disk full", "text": "99 %", "severity": "critical"},
    {"title": "Disk full", "severity": "error", "fields": [{"name": "Host", "value": "db1"}]},
    {"severity": "warning", "blocks": [SECTION]},
    {"text": "99 %", "attachments": [{"color": "danger", "text": "Disk full"}]},
    {"severity": "critical", "attachments": [{"color": "#ff0000", "blocks": [SECTION]}, {}]},
]


def incident(state: str) -> IncidentView:
    return IncidentView(state, NOW, None, None, None, None, None, changed_at=NOW)


@pytest.mark.parametrize("content", CONTENTS)
def test_a_resolved_message_is_green(content: dict[str, Any]) -> None:
    before = json.dumps(render(content_in_state(content, incident("open"))), ensure_ascii=False)
    resolved = content_in_state(content, incident("resolved"))
    after = json.dumps(render(resolved), ensure_ascii=False)

    assert before == json.dumps(render(content), ensure_ascii=False)
    assert any(colour in before for colour in RED)
    assert not any(colour in after for colour in RED)
    assert COLOURS["success"] in after
    assert not any(SIGNS[one] in after for one in ("critical", "error", "warning"))


def test_without_a_colour_it_gets_none() -> None:
    content = {"text": "99 %", "attachments": [{"text": "Disk full"}, "malformed"]}

    assert content_in_state(content, incident("resolved")) == content
    assert content_in_state({"text": "x"}, None) == {"text": "x"}
