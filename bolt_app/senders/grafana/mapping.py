"""Grafana unified alerting: the webhook contact point.

https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
describes the body and the signature: an HMAC-SHA-256 of the body, or, if a timestamp header is
configured, of the timestamp, a colon and the body.
https://github.com/grafana/alerting (`receivers/webhook`, `templates`) writes the body. The key is
`groupKey`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bolt_app.senders.alerts import Alert, group, shared
from bolt_app.senders.known import Headers, KnownSender, Notification, Signature
from bolt_app.senders.signatures import is_hmac, is_recent
from bolt_app.senders.values import first, items, text

SIGNATURE_HEADER = "X-Grafana-Alerting-Signature"
TIMESTAMP_HEADER = "X-Grafana-Alerting-Timestamp"
_STAMPED = re.compile(rb"[0-9]+:")
_TIMES = re.compile("(?<=[?&])(from|to)=[0-9]+&?")


def _recognizes(_headers: Headers, body: Any) -> bool:
    return (
        isinstance(body, dict)
        and isinstance(body.get("alerts"), list)
        and isinstance(body.get("groupKey"), str)
        and "orgId" in body
    )


def _read(_headers: Headers, body: Any) -> list[Notification]:
    alerts = items(body, "alerts")
    rule = shared(alerts, "generatorURL")
    dashboard, panel = _page(alerts, "dashboardURL"), _page(alerts, "panelURL")
    is_firing = text(body, "status") != "resolved"
    links = [
        ("Runbook", shared(alerts, "annotations", "runbook_url")),
        ("Dashboard", dashboard),
        ("Rule", rule),
        ("Silence", shared(alerts, "silenceURL") if is_firing else ""),
    ]
    return [group(body, first(panel, dashboard, rule, text(body, "externalURL")), links)]


def _page(alerts: Sequence[Alert], name: str) -> str:
    """Return the URL of a page that all alerts share, but for the times from and to."""
    urls = [text(one, name) for one in alerts]
    pages = {_TIMES.sub("", url) for url in urls}
    return urls[0] if len(pages) == 1 else ""


def _verify(secret: str, headers: Headers, body: bytes, now: datetime) -> bool:
    timestamp = headers.get(TIMESTAMP_HEADER.lower())
    if timestamp is None:
        # Not a body that was signed with its time, and is repeated with that as its beginning.
        signed, is_current = body, not _STAMPED.match(body)
    else:
        signed, is_current = f"{timestamp}:".encode() + body, is_recent(timestamp, now)
    return is_current and is_hmac(secret, signed, headers.get(SIGNATURE_HEADER.lower(), ""))


SENDER = KnownSender("Grafana", _recognizes, _read, Signature(SIGNATURE_HEADER, _verify))
