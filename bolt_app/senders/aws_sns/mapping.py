"""Amazon SNS: HTTP(S) subscriptions, and the CloudWatch alarms that arrive through them.

https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html describes the bodies,
and https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
the alarms. Other messages show their most important members. The key is the alarm.
"""

from __future__ import annotations

from typing import Any

from bolt_app.notifications.content.webhook_format import PayloadError, read_json
from bolt_app.senders.aws_sns.messages import SUBSCRIPTION, is_sns_address
from bolt_app.senders.builder import key_of, notification, plain
from bolt_app.senders.fallback import UNKNOWN_TITLE, readable
from bolt_app.senders.known import Headers, KnownSender, Notification, Signature
from bolt_app.senders.values import first, get, items, text
from bolt_app.severity import Severity

_STATES = {"ALARM": Severity.ERROR, "OK": Severity.SUCCESS, "INSUFFICIENT_DATA": Severity.WARNING}


def _recognizes(_headers: Headers, body: Any) -> bool:
    return bool(text(body, "TopicArn") and text(body, "MessageId")) or _is_alarm(body)


def _read(_headers: Headers, body: Any) -> list[Notification]:
    if _is_alarm(body):
        # Raw message delivery omits the envelope.
        return [_alarm(body)]
    topic = text(body, "TopicArn").rpartition(":")[2]
    kind = text(body, "Type")
    if kind not in ("", "Notification"):
        return [_subscription(body, kind, topic)]
    message = _message(body)
    if _is_alarm(message):
        return [_alarm(message)]
    found = readable(message) or {}
    title = found.get("title", UNKNOWN_TITLE)
    return [
        notification(
            first(text(body, "Subject"), "" if title == UNKNOWN_TITLE else title, topic),
            found.get("text", ""),
            severity=found.get("severity", Severity.INFO),
            link=found.get("link", ""),
            fields=[
                *((one["name"], one["value"]) for one in found.get("fields", [])),
                ("Topic", topic),
            ],
        )
    ]


def _is_alarm(message: Any) -> bool:
    return bool(text(message, "AlarmName") and text(message, "NewStateValue"))


def _message(body: Any) -> Any:
    written = text(body, "Message")
    try:
        return read_json(written)
    except PayloadError:
        return written


def _subscription(body: Any, kind: str, topic: str) -> Notification:
    address, arn = text(body, "SubscribeURL"), text(body, "TopicArn")
    is_new = kind == SUBSCRIPTION
    return notification(
        f"Amazon SNS: the topic {topic} {'subscribes' if is_new else 'unsubscribed'} this webhook",
        plain("Open the link to confirm, unless the webhook was made for Amazon SNS.")
        if is_new
        else "",
        severity=Severity.INFO,
        link=address if is_new and is_sns_address(address, arn) else "",
        fields=[("Topic", arn)],
    )


def _alarm(alarm: Any) -> Notification:
    state = text(alarm, "NewStateValue")
    severity = _STATES.get(state, Severity.WARNING)
    arn = text(alarm, "AlarmArn")
    trigger = get(alarm, "Trigger")
    account, name = text(alarm, "AWSAccountId"), text(alarm, "AlarmName")
    region = arn.split(":")[3] if arn.count(":") >= 3 else ""
    return notification(
        f"{name}: {state}",
        plain(first(text(alarm, "AlarmDescription"), text(alarm, "NewStateReason")), 600),
        severity=severity,
        link=f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
        f"#alarmsV2:alarm/{name}"
        if region.replace("-", "").isalnum()
        else "",
        fields=[
            ("Metric", text(trigger, "MetricName")),
            ("Namespace", text(trigger, "Namespace")),
            ("Dimensions", ", ".join(map(_dimension, items(trigger, "Dimensions")))),
            ("Threshold", text(trigger, "Threshold")),
            ("Before", text(alarm, "OldStateValue")),
            ("Region", text(alarm, "Region")),
            ("Account", account),
        ],
        key=key_of("alarm", first(arn, key_of(account, text(alarm, "Region"), name))),
        asks=severity == Severity.ERROR,
    )


def _dimension(dimension: Any) -> str:
    return f"{text(dimension, 'name')}={text(dimension, 'value')}"


# `checks.py` verifies it, because its certificate must be fetched.
SENDER = KnownSender("Amazon SNS", _recognizes, _read, Signature("Signature", None))
