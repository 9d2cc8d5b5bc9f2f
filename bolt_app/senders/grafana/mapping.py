"""Grafana unified alerting: the webhook contact point.

https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
describes the body and the signature: an HMAC-SHA-256 of the body, or, if a timestamp header is
configured, of the timestamp, a colon and the body. The key is `groupKey`.
"""

from __future__ import annotations

from typing import Any

from bolt_app.senders.alerts import group
from bolt_app.senders.known import Headers, KnownSender, Notification, Signature
from bolt_app.senders.signatures import is_hmac
from bolt_app.senders.values import first, items, text

SIGNATURE_HEADER = "X-Grafana-Alerting-Signature"
TIMESTAMP_HEADER = "X-Grafana-Alerting-Timestamp"


def _recognizes(_headers: Headers, body: Any) -> bool:
    return (
        isinstance(body, dict)
        and isinstance(body.get("alerts"), list)
        and isinstance(body.get("groupKey"), str)
        and "orgId" in body
    )


def _read(_headers: Headers, body: Any) -> list[Notification]:
    alerts = items(body, "alerts")
    alert = alerts[0] if alerts else {}
    link = first(
        text(alert, "panelURL"),
        text(alert, "dashboardURL"),
        text(alert, "generatorURL"),
        text(body, "externalURL"),
    )
    links = [
        ("Runbook", text(alert, "annotations", "runbook_url")),
        ("Dashboard", text(alert, "dashboardURL")),
        ("Rule", text(alert, "generatorURL")),
        ("Silence", text(alert, "silenceURL")),
    ]
    return [group(body, link, links)]


def _verify(secret: str, headers: Headers, body: bytes) -> bool:
    timestamp = headers.get(TIMESTAMP_HEADER.lower())
    signed = body if timestamp is None else f"{timestamp}:".encode() + body
    return is_hmac(secret, signed, headers.get(SIGNATURE_HEADER.lower(), ""))


SENDER = KnownSender("Grafana", _recognizes, _read, Signature(SIGNATURE_HEADER, _verify))
