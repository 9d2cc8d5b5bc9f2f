"""The format of Slack's incoming webhooks, read as leniently as Slack reads it.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks describes the format and
its errors, https://docs.slack.dev/legacy/legacy-custom-integrations/legacy-custom-integrations-incoming-webhooks
the legacy form. Long values are cut, and unknown ones left out: an alert with less layout is better
than none.
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
# The most fields of a form: tools send one or two.
FORM_FIELDS = 100
# Half of a UTF-16 surrogate pair.
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class PayloadError(Exception):
    """A payload cannot be posted; `code` is Slack's error for it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def payload_of(body: bytes, charset: str | None = None) -> object:
    """Return the payload of a body: JSON with any content type, or a form's `payload`.

    Args:
        charset: declared by the request, as `charsets.decode` takes it.

    Raises:
        PayloadError: it is neither, or the charset is not accepted.
    """
    try:
        text = decode(body, charset, errors="replace").strip()
    except CharsetError:
        # Slack's code: https://docs.slack.dev/reference/methods/chat.postMessage#errors.
        raise PayloadError("invalid_charset") from None
    if not text.startswith("{"):
        given = _form(text, codec_of(charset) or UTF_8).get("payload")
        if not given:
            raise PayloadError("invalid_payload")
        text = given[0]
    return read_json(text)


def read_json(text: str) -> object:
    """Return the value of a JSON text, without parts that cannot be stored.

    Raises:
        PayloadError: it is not JSON, or is nested too deep.
    """
    try:
        # Tools paste text into JSON with unescaped line breaks.
        document = json.loads(text, strict=False, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        raise PayloadError("invalid_payload") from None
    return storable(document)


def storable(value: object) -> Any:
    """Return a JSON value without parts that the databases or JSON cannot store.

    Raises:
        PayloadError: it is nested too deep.
    """
    return _storable(value, 0)


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
        to: the recipients; the payload's `channel` is ignored, as for a Slack app.
        key: of the notification; one that is too long is ignored.
        key_field: the field or member with the key, if `key` is not given; empty: none; None: the
            `callback_id` of an attachment.

    Raises:
        PayloadError: it has no content.
    """
    content = members_of(payload, key=key, key_field=key_field)
    try:
        return read_one({**content, "to": list(to)}, now)
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
    said = readable_members(payload)
    if not (said.get("text", "").strip() or "blocks" in said or "attachments" in said):
        raise PayloadError("no_text")
    key = key or (_callback_id(said) if key_field is None else _key(payload, said, key_field))
    if key is not None and 0 < len(key) <= KEY_LENGTH:
        said["key"] = key
    return said


def readable_members(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a notification that a payload has, whether they say anything or not."""
    return {
        name: value
        for name, read in _READERS.items()
        if (value := read(payload.get(name))) is not None
    }


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
        return parse_qs(text, encoding=encoding, errors="replace", max_num_fields=FORM_FIELDS)
    except ValueError:  # too many fields
        return {}


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _storable(value: Any, depth: int) -> Any:
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
        items = value if isinstance(value, list) else []
        return [item for item in items if isinstance(item, dict) and item][:most] or None

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
    "reply_broadcast": _switch,
    "unfurl_links": _switch,
    "unfurl_media": _switch,
}
