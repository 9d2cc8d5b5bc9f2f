"""HCP Terraform and Terraform Enterprise: notification configurations of workspaces.

https://developer.hashicorp.com/terraform/cloud-docs/api-docs/notification-configurations describes
the bodies and the signature, an HMAC-SHA-512. The key is the workspace, whose message shows the
latest run.
"""

from __future__ import annotations

from typing import Any

from bolt_app.senders.builder import key_of, notification, plain
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.signatures import hmac_of_body
from bolt_app.senders.states import in_words
from bolt_app.senders.values import first, items, text
from bolt_app.severity import Severity

_SEVERITIES = {
    "run:errored": Severity.ERROR,
    "run:needs_attention": Severity.WARNING,
    "run:completed": Severity.SUCCESS,
    "assessment:drifted": Severity.WARNING,
    "assessment:check_failure": Severity.ERROR,
    "assessment:failed": Severity.ERROR,
}


def _recognizes(_headers: Headers, body: Any) -> bool:
    return bool(text(body, "payload_version") and text(body, "notification_configuration_id"))


def _read(_headers: Headers, body: Any) -> list[Notification]:
    notices = items(body, "notifications")
    latest = notices[0] if notices else {}
    trigger = first(text(latest, "trigger"), text(body, "trigger"))
    severity = _SEVERITIES.get(trigger, Severity.INFO)
    workspace = text(body, "workspace_name")
    run_status = "" if trigger == "run:needs_attention" else text(latest, "run_status")
    state = first(run_status, trigger.partition(":")[2], trigger)
    return [
        notification(
            f"{first(workspace, 'HCP Terraform')}: {in_words(state)}",
            plain(first(text(body, "run_message"), text(latest, "message"), text(body, "message"))),
            severity=severity,
            link=text(body, "run_url"),
            fields=[
                ("Organization", text(body, "organization_name")),
                ("Run", text(body, "run_id")),
                ("By", first(text(latest, "run_updated_by"), text(body, "run_created_by"))),
            ],
            key=key_of("workspace", text(body, "workspace_id")),
            asks=severity == Severity.ERROR,
        )
    ]


SENDER = KnownSender(
    "HCP Terraform",
    _recognizes,
    _read,
    hmac_of_body("X-TFE-Notification-Signature", algorithm="sha512"),
)
