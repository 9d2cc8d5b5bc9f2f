"""Examples of requests: shown to people, and sent by the tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Each as it stands in the description of the API: the summary, and the body.
Examples = Mapping[str, tuple[str, Any]]

SENDING: Examples = {
    "short": (
        "A line in a channel",
        {"to": "#general", "text": "The build is *green* again."},
    ),
    "alert": (
        "An alert, which turns green when the same key comes again with another severity",
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
    "question": (
        "One that asks for an answer, and is told to others when there is none in ten minutes",
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
        "A message to a person, in an hour",
        {
            "to": "@ann@example.com",
            "text": "Your report is ready.",
            "delay": 3600,
        },
    ),
    "blocks": (
        "Block Kit of your own",
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
        "Several at once, accepted all or none",
        [
            {"to": "#general", "text": "First"},
            {"to": "#general", "text": "Second"},
        ],
    ),
}
