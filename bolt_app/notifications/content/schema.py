"""What a notification may say and to whom: the one schema of every way in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    HttpUrl,
    PlainSerializer,
    TypeAdapter,
    UrlConstraints,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from bolt_app.clock import utc_now
from bolt_app.credentials.sources import SOURCE_PATTERN
from bolt_app.recipients import normal_address, normal_person
from bolt_app.text_forms import comparable, visible

# What Slack takes, at https://docs.slack.dev/reference/methods/chat.postMessage,
# https://docs.slack.dev/reference/block-kit/blocks and
# https://docs.slack.dev/reference/methods/chat.scheduleMessage, whose limit is kept here too.
TEXT_LENGTH = 40_000
BLOCKS = 50
ATTACHMENTS = 100
FARTHEST = timedelta(days=120)
# What is ours to say.
FIELDS = 50
RECIPIENTS = 100
MENTIONS = 20
ACTIONS = 20
UNKNOWN_MEMBERS = 5
BATCH = 100
# Of blocks and attachments: lists, objects, and what is in them. In memory a value takes up to
# fifty times its room in JSON. The largest table that Slack takes has some 16,000.
VALUES = 20_000
DEEPEST = 60
LATEST_END = timedelta(days=366)
SOONEST_ESCALATION, LATEST_ESCALATION = 60, 7 * 24 * 3600
URL_LENGTH = 1500
TS_PATTERN = r"^[0-9]{1,20}\.[0-9]{1,10}$"
KEY_LENGTH = 255

Severity = Literal["info", "success", "warning", "error", "critical"]
Mode = Literal["update", "thread", "new"]
OnUnknown = Literal["resend", "hold"]
Action = Literal["acknowledge", "assign", "resolve", "snooze", "mute"]


def _storable(value: Any, depth: int = 0) -> Any:
    """Refuse what no database stores, no JSON can say or is nested too deep."""
    if depth > DEEPEST:
        raise PydanticCustomError("deep", f"is nested more than {DEEPEST} deep: simplify it")
    if isinstance(value, str):
        if "\0" in value:
            raise PydanticCustomError("nul", "holds a NUL character: leave it out")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise PydanticCustomError("infinite", "holds a number that is too large")
    elif isinstance(value, dict):
        for name, item in value.items():
            _storable(name)
            _storable(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _storable(item, depth + 1)
    return value


def _count_values(value: Any) -> int:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_count_values, items))


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _word(value: object) -> object:
    return comparable(value) if isinstance(value, str) else value


def _visible(value: object) -> object:
    return visible(value) if isinstance(value, str) else value


def _each_once(values: list[Action]) -> list[Action]:
    return list(dict.fromkeys(values))


_Storable = AfterValidator(_storable)
Text = Annotated[str, _Storable]
Url = Annotated[HttpUrl, UrlConstraints(max_length=URL_LENGTH), PlainSerializer(str)]
Person = Annotated[str, BeforeValidator(normal_person, json_schema_input_type=str)]
SlackObject = Annotated[dict[str, Any], _Storable]
Address = Annotated[str, BeforeValidator(normal_address, json_schema_input_type=str)]
Recipients = Annotated[
    list[Address],
    Field(min_length=1, max_length=RECIPIENTS),
    BeforeValidator(_as_list, json_schema_input_type=list[str] | str),
]


class _Object(BaseModel):
    """A JSON object that takes no other members, and whose representation has no message in it."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _has_few_members(cls, data: Any) -> Any:
        # Each unknown one would be a problem of its own: 1 MiB has 100,000 of them.
        if isinstance(data, dict) and len(data) > len(cls.model_fields) + UNKNOWN_MEMBERS:
            raise PydanticCustomError("members", "has too many fields: leave out what is none here")
        return data

    def __repr_args__(self) -> Iterator[tuple[str, object]]:
        yield "given", sorted(self.model_fields_set)


class MessageField(_Object):
    """A short fact shown under the text: its name in bold, its value below. Both plain text."""

    model_config = ConfigDict(str_strip_whitespace=True)

    name: Text = Field(min_length=1, max_length=200)
    value: Text = Field(max_length=1500)


class Content(_Object):
    """What is said."""

    text: Text = Field("", max_length=TEXT_LENGTH, description="In Slack's mrkdwn.")
    title: Text = Field("", max_length=250, description="Plain text, shown in bold above.")
    severity: Annotated[Severity | None, BeforeValidator(_word)] = Field(
        None, description="The colour beside the message."
    )
    fields: list[MessageField] = Field(
        default_factory=list, max_length=FIELDS, description="Short facts under the text."
    )
    link: Url | None = Field(None, description="Where the title leads.")
    image_url: Url | None = Field(None, description="A picture that Slack can fetch.")
    blocks: list[SlackObject] = Field(
        default_factory=list,
        max_length=BLOCKS,
        description=f"Block Kit of your own, in place of fields and image: with attachments up to "
        f"{VALUES:,} values, nested up to {DEEPEST} deep.",
    )
    attachments: list[SlackObject] = Field(
        default_factory=list, max_length=ATTACHMENTS, description="Slack's older attachments."
    )
    thread_ts: str | None = Field(None, pattern=TS_PATTERN, description="Reply to this message.")
    unfurl_links: bool | None = Field(None, description="Whether Slack previews links.")
    unfurl_media: bool | None = Field(None, description="Whether Slack previews pictures.")
    link_names: bool | None = Field(None, description="Whether `#name` and `@name` become links.")
    mrkdwn: bool = Field(True, description="Whether the text is mrkdwn, or plain.")
    username: Text | None = Field(
        None, max_length=80, description="The bot's name, where it may choose one."
    )
    icon_emoji: Text | None = Field(
        None, max_length=100, description="The bot's picture, such as `:bell:`, likewise."
    )
    icon_url: Url | None = Field(None, description="The bot's picture, likewise.")
    mentions: list[Person] = Field(
        default_factory=list,
        max_length=MENTIONS,
        description="People to call at its end: `@e-mail` or a person's id. Who is not found is "
        "left out.",
    )
    actions: Annotated[
        list[Annotated[Action, BeforeValidator(_word)]],
        Field(max_length=ACTIONS),
        AfterValidator(_each_once),
    ] = Field(
        default_factory=list,
        description="Buttons by which people answer; what they answer counts for all with its key.",
    )


class Escalation(_Object):
    """What is to happen when nobody answers in time."""

    after: int = Field(
        ge=SOONEST_ESCALATION, le=LATEST_ESCALATION, description="Seconds without an answer."
    )
    to: Recipients | None = Field(
        None, description="Whom it is posted to then; without it, those in `to` once more."
    )


class NotificationRequest(Content):
    """A notification as its sender gives it."""

    to: Recipients = Field(
        description="`#name`, a channel's id, `@e-mail`, a person's id or `topic:name`.",
        examples=["#general", ["C0123456789", "@ann@example.com", "topic:deploys"]],
    )
    key: Text | None = Field(
        None,
        min_length=1,
        max_length=KEY_LENGTH,
        description="The subject, such as an alert's id.",
    )
    source: Annotated[str | None, BeforeValidator(_visible)] = Field(
        None,
        pattern=SOURCE_PATTERN,
        description="The source that `key` belongs to, where it is another sender's: needs the "
        "scope `admin`.",
    )
    mode: Annotated[Mode, BeforeValidator(_word)] = Field(
        "update",
        description="With a key: change the earlier message, reply in its thread, or post anew.",
    )
    priority: int = Field(
        0,
        ge=-9,
        le=9,
        description="Higher goes first in the workspace. Without one the severity decides: "
        "`critical` counts 5, `error` 2, `warning` 1.",
    )
    send_at: AwareDatetime | None = Field(
        None, description="Not before this moment, at most 120 days ahead."
    )
    delay: float | None = Field(
        None,
        ge=0,
        le=FARTHEST.total_seconds(),
        allow_inf_nan=False,
        description="Not before so many seconds.",
    )
    expires_at: AwareDatetime | None = Field(None, description="Not after this moment.")
    on_unknown: OnUnknown = Field(
        "hold",
        description="Where nobody can know whether Slack posted it: post again, or leave it.",
    )
    escalate: Escalation | None = Field(
        None, description="With `actions`: whom to tell when nobody answers in time."
    )

    @model_validator(mode="after")
    def _agrees_with_itself(self, info: ValidationInfo) -> Self:
        now = info.context["now"] if info.context else utc_now()
        problems = [*self._contradictions(), *self._impossible_moments(now)]
        if problems:
            raise PydanticCustomError("contradiction", "{problems}", {"problems": problems})
        return self

    def _contradictions(self) -> Iterator[tuple[str, str]]:
        if not (self.text.strip() or self.title.strip() or self.blocks or self.attachments):
            yield "text", "says nothing: give text, title, blocks or attachments"
        values = {name: _count_values(getattr(self, name)) for name in ("blocks", "attachments")}
        if sum(values.values()) > VALUES:
            largest = max(values, key=values.__getitem__)
            yield largest, f"blocks and attachments have more than {VALUES:,} values: send less"
        for name in ("fields", "image_url"):
            if self.blocks and getattr(self, name):
                yield name, "does not go with blocks: put it into them, or leave them out"
        if self.send_at is not None and self.delay is not None:
            yield "delay", "does not go with send_at: give one of them"
        if self.mentions and not self.mrkdwn:
            yield "mentions", "does not go with mrkdwn false: nobody is called in plain text"
        if self.source is not None and self.key is None:
            yield "source", "does not go without key: name the key it belongs to, or leave it out"
        if self.escalate is not None and not self.actions:
            yield "escalate", "goes with actions: let people answer, or leave it out"

    def _impossible_moments(self, now: datetime) -> Iterator[tuple[str, str]]:
        if self.send_at is not None and self.send_at - now > FARTHEST:
            yield "send_at", "is more than 120 days ahead: give an earlier moment"
            return
        if self.expires_at is None:
            return
        if self.expires_at <= self.due_at(now):
            yield "expires_at", "comes before it would go out: give a later moment"
        elif self.expires_at - now > LATEST_END:
            yield "expires_at", "is more than a year ahead: give an earlier moment, or none"

    def content(self) -> dict[str, Any]:
        """Return what is said, as it is stored: without what was left out."""
        return self.model_dump(mode="json", include=_CONTENT, exclude_defaults=True)

    @property
    def recipients(self) -> list[str]:
        """The addresses it may go to, sooner or later, each once."""
        later = self.escalate.to if self.escalate is not None else None
        return list(dict.fromkeys([*self.to, *(later or ())]))

    def due_at(self, now: datetime) -> datetime:
        """Return the moment before which it does not go out."""
        if self.delay is not None:
            return now + timedelta(seconds=self.delay)
        return now if self.send_at is None or self.send_at <= now else self.send_at.astimezone(UTC)


_CONTENT = set(Content.model_fields)
_Batch = Annotated[list[NotificationRequest], Field(min_length=1, max_length=BATCH)]
_BATCH: TypeAdapter[list[NotificationRequest]] = TypeAdapter(_Batch)
_FIRST_OF_BATCH: TypeAdapter[list[NotificationRequest]] = TypeAdapter(Annotated[_Batch, FailFast()])


def read_one(data: object, now: datetime) -> NotificationRequest:
    """Return the notification that `data`, read from JSON, describes.

    Raises:
        pydantic.ValidationError: it is none; `problems_of` says why.
    """
    return NotificationRequest.model_validate(data, context={"now": now})


def read_batch(data: object, now: datetime) -> Sequence[NotificationRequest]:
    """Return the notifications that a list read from JSON describes.

    Raises:
        pydantic.ValidationError: one or more are none; `problems_of` says which and why. Where the
            problems are very many, they are those of the first that is none.
    """
    try:
        return _BATCH.validate_python(data, context={"now": now})
    except ValidationError as error:
        if error.error_count() <= BATCH:
            raise
    # To name each of very many problems takes a second.
    return _FIRST_OF_BATCH.validate_python(data, context={"now": now})
