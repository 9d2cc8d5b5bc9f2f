"""Flux: the notification controller's providers `generic` and `generic-hmac`.

https://fluxcd.io/flux/components/notification/providers/ describes the body and the signature. The
key is the object: a reconciliation that succeeds ends one that failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bolt_app.senders.builder import key_of, notification, plain
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.signatures import hmac_of_body
from bolt_app.senders.values import get, pairs, text
from bolt_app.severity import Severity

# Metadata for Flux itself.
_INTERNAL = ("checksum", "commit_status", "digest", "token")


def _recognizes(_headers: Headers, body: Any) -> bool:
    return bool(text(body, "involvedObject", "kind") and text(body, "reportingController"))


def _read(_headers: Headers, body: Any) -> list[Notification]:
    subject = get(body, "involvedObject")
    kind, namespace, name = (text(subject, one) for one in ("kind", "namespace", "name"))
    reason = text(body, "reason")
    is_bad = text(body, "severity") == "error"
    # A source that works again reports only what it stored.
    is_good = reason.endswith("Succeeded") or reason == "NewArtifact"
    good = Severity.SUCCESS if is_good else Severity.INFO
    return [
        notification(
            f"{kind}/{name}: {reason}",
            plain(text(body, "message")),
            severity=Severity.ERROR if is_bad else good,
            fields=[
                ("Namespace", namespace),
                *_metadata(body),
                ("Controller", text(body, "reportingController")),
            ],
            key=key_of(kind, namespace, name, by="/"),
            asks=is_bad,
        )
    ]


def _metadata(body: Any) -> Iterator[tuple[str, str]]:
    for name, value in pairs(body, "metadata"):
        short = name.rpartition("/")[2]
        if short not in _INTERNAL:
            yield short, value


SENDER = KnownSender("Flux", _recognizes, _read, hmac_of_body("X-Signature", prefix="sha256="))
