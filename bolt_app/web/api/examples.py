"""Example requests, shown in the documentation and sent by the tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Each with its summary and body.
Examples = Mapping[str, tuple[str, Any]]

CREATING_WEBHOOKS: Examples = {
    "tool": (
        "A webhook for a tool that signs what it sends",
        {"to": "#ops", "name": "Repositories", "from": "github"},
    ),
    "template": (
        "A webhook with a template for any other tool",
        {
            "to": "topic:backups",
            "name": "Backups",
            "from": "custom",
            "template": '{{ {"title": body.job, "severity": body.level} | tojson }}',
        },
    ),
}
SENDING: Examples = {
    "short": (
        "A message to a channel",
        {"to": "#general", "text": "The build is *green* again."},
    ),
    "alert": (
        "An alert, updated when the same key is sent again with another severity",
        {
            "to": ["#general", "topic:alerts"],
            "severity": "critical",
            "title": "Checkout is down",
            "text": "Every payment has failed since 09:30.",
            "fields": [
                {"name": "Service", "value": "checkout"},
                {"name": "Region", "value": "eu-central-1"},
            ],
            "link": "https://status.example.com/incidents/4711",
            "key": "incident-4711",
            "priority": 5,
        },
    ),
    "report": (
        "A report in Markdown with a table",
        {
            "to": "#general",
            "title": "Backups of last night",
            "format": "markdown",
            "text": "**2 of 3** are complete, see [the log](https://backups.example.com/1).",
            "rows": [["Host", "Size", "Minutes"], ["db1", "4 GB", 12], ["db2", "7 GB", 31]],
        },
    ),
    "question": (
        "An alert with buttons, escalated if nobody answers within ten minutes",
        {
            "to": "topic:alerts",
            "severity": "critical",
            "title": "Disk full on db1",
            "text": "1 % is free.",
            "key": "disk/db1",
            "actions": ["acknowledge", "assign", "resolve", "snooze", "mute"],
            "escalate": {"after": 600, "to": "topic:oncall"},
        },
    ),
    "later": (
        "A message to a person, delivered in an hour",
        {
            "to": "@ann@example.com",
            "text": "Your report is ready.",
            "delay": 3600,
        },
    ),
    "blocks": (
        "Custom Block Kit blocks",
        {
            "to": "#general",
            "text": "Lunch is served",
            "blocks": [
                {
                    "type": "section",
                    "text": {"type": "mrkdwn", "text": "*Lunch* is served :bento:"},
                }
            ],
        },
    ),
    "batch": (
        "A batch, accepted completely or not at all",
        [
            {"to": "#general", "text": "First"},
            {"to": "#general", "text": "Second"},
        ],
    ),
}
