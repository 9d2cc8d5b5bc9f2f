"""What tools post to a Slack incoming webhook, read as generously as Slack reads it.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks describes the format and
its errors, https://docs.slack.dev/legacy/legacy-custom-integrations/legacy-custom-integrations-incoming-webhooks
what older tools send. What is too long is cut, and what is not understood is left out: an alert
with less around it is better than none.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn
from urllib.parse import parse_qs

from pydantic import TypeAdapter, ValidationError

from bolt_app.charsets import UTF_8, CharsetError, codec_of, decode
from bolt_app.notifications.content.meaning import written_fields
from bolt_app.notifications.content.schema import (
    ATTACHMENTS,
    BLOCKS,
    DEEPEST,
    KEY_LENGTH,
    TEXT_LENGTH,
    NotificationRequest,
    Url,
    read_one,
)
from bolt_app.text_forms import comparable

_THREAD_TS = re.compile(r"[0-9]{1,20}\.[0-9]{1,10}")
_URL: TypeAdapter[Any] = TypeAdapter(Url)
# A half of a character that takes two in UTF-16, without the other.
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class PayloadError(Exception):
    """There is nothing to post; `code` is what Slack answers then."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def payload_of(body: bytes, charset: str | None = None) -> object:
    """Return what a body says: JSON, whatever its content type, or a form with `payload`.

    Args:
        charset: the one that the request declares, as `charsets.decode` takes it.

    Raises:
        PayloadError: it is neither, or in a charset that is not accepted.
    """
    try:
        text = decode(body, charset, errors="replace").strip()
    except CharsetError:
        # As https://docs.slack.dev/reference/methods/chat.postMessage#errors has it.
        raise PayloadError("invalid_charset") from None
    if not text.startswith("{"):
        given = _form(text, codec_of(charset) or UTF_8).get("payload")
        if not given:
            raise PayloadError("invalid_payload")
        text = given[0]
    return read_json(text)


def read_json(text: str) -> object:
    """Return what a JSON text says, without what cannot be stored.

    Raises:
        PayloadError: it is none, or is nested too deep.
    """
    try:
        # Tools paste what they have to say into JSON, line ends and all.
        document = json.loads(text, strict=False, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise PayloadError("invalid_payload") from None
    return _storable(document, 0)


def read_webhook(
    payload: object,
    to: Sequence[str],
    now: datetime,
    *,
    key: str | None = None,
    key_field: str | None = None,
) -> NotificationRequest:
    """Return the notification that a payload describes.

    Args:
        payload: what `payload_of` or `read_json` returned.
        to: whom it is for; the payload's own `channel` counts no more than for a Slack app's.
        key: what it is about; one that is too long for a key counts for nothing.
        key_field: the field or member that says so where `key` does not; empty: none does;
            None: the `callback_id` of an attachment.

    Raises:
        PayloadError: it says nothing.
    """
    said = members_of(payload, key=key, key_field=key_field)
    try:
        return read_one({**said, "to": list(to)}, now)
    except ValidationError:
        raise PayloadError("invalid_payload") from None


def members_of(
    payload: object, *, key: str | None = None, key_field: str | None = None
) -> dict[str, Any]:
    """Return the members of the notification that a payload describes, as `read_webhook` does.

    Raises:
        PayloadError: it says nothing.
    """
    if not isinstance(payload, dict):
        raise PayloadError("invalid_payload")
    said: dict[str, Any] = {
        name: value
        for name, read in _READERS.items()
        if (value := read(payload.get(name))) is not None
    }
    if not (said.get("text", "").strip() or "blocks" in said or "attachments" in said):
        raise PayloadError("no_text")
    key = key or (_callback_id(said) if key_field is None else _key(payload, said, key_field))
    if key is not None and 0 < len(key) <= KEY_LENGTH:
        said["key"] = key
    return said


def _callback_id(said: Mapping[str, Any]) -> str | None:
    """Return the first `callback_id` of an attachment, by which Alertmanager names a group.

    https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments
    """
    ids = (one.get("callback_id") for one in said.get("attachments", ()))
    return next((one for one in ids if isinstance(one, str) and one.strip()), None)


def _key(payload: Mapping[str, Any], said: Mapping[str, Any], name: str) -> str | None:
    """Return the value of the field of that name, as it is written, or of the member."""
    if not name:
        return None
    wanted = comparable(name)
    for field in written_fields(said):
        if comparable(field.name) == wanted:
            return field.value
    return _text(KEY_LENGTH + 1)(payload.get(name))


def _form(text: str, encoding: str) -> Mapping[str, list[str]]:
    try:
        return parse_qs(text, encoding=encoding, errors="replace")
    except ValueError:  # more fields than anybody has
        return {}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _storable(value: Any, depth: int) -> Any:
    """Return a value without what no database stores or no JSON can say."""
    if depth > DEEPEST:
        raise PayloadError("invalid_payload")
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value.replace("\0", ""))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_storable(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_storable(name, depth): _storable(item, depth + 1) for name, item in value.items()}
    return value


def _text(length: int) -> Callable[[object], str | None]:
    def read(value: object) -> str | None:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        return str(value)[:length]

    return read


def _objects(most: int) -> Callable[[object], list[dict[str, Any]] | None]:
    def read(value: object) -> list[dict[str, Any]] | None:
        given = value if isinstance(value, list) else []
        return [one for one in given if isinstance(one, dict) and one][:most] or None

    return read


def _switch(value: object) -> bool | None:
    if isinstance(value, str):
        return value.strip().lower() in ("1", "true", "yes", "on")
    return bool(value) if isinstance(value, bool | int) else None


def _url(value: object) -> str | None:
    try:
        _URL.validate_python(value)
    except ValidationError:
        return None
    return str(value)


def _thread_ts(value: object) -> str | None:
    return value if isinstance(value, str) and _THREAD_TS.fullmatch(value) else None


_READERS: Mapping[str, Callable[[object], Any]] = {
    "text": _text(TEXT_LENGTH),
    "blocks": _objects(BLOCKS),
    "attachments": _objects(ATTACHMENTS),
    "thread_ts": _thread_ts,
    "username": _text(80),
    "icon_emoji": _text(100),
    "icon_url": _url,
    "link_names": _switch,
    "mrkdwn": _switch,
    "unfurl_links": _switch,
    "unfurl_media": _switch,
}
