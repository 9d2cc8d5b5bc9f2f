"""The schema of notifications, for all entry points."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Self

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

from bolt_app.blockkit import tables
from bolt_app.blockkit.markdown import MARKDOWN_LENGTH
from bolt_app.clock import utc_now
from bolt_app.credentials.sources import SOURCE_PATTERN
from bolt_app.notifications.content.modes import Mode, OnUnknown
from bolt_app.recipients import normal_address, normal_person
from bolt_app.severity import Severity
from bolt_app.text_forms import comparable, visible

# Slack's limits (https://docs.slack.dev/reference/methods/chat.postMessage,
# https://docs.slack.dev/reference/block-kit/blocks), and its limit on scheduled messages, kept here
# too (https://docs.slack.dev/reference/methods/chat.scheduleMessage).
TEXT_LENGTH = 40_000
BLOCKS = 50
ATTACHMENTS = 100
FARTHEST = timedelta(days=120)
# Bellhop's own limits.
FIELDS = 50
RECIPIENTS = 100
MENTIONS = 20
ACTIONS = 20
UNKNOWN_MEMBERS = 5
BATCH = 100
# The most lists, objects and other values in blocks and attachments. In memory a value takes up to
# fifty times its size in JSON. The largest table that Slack accepts has some 16,000.
VALUES = 20_000
DEEPEST = 60
LATEST_END = timedelta(days=366)
SOONEST_ESCALATION, LATEST_ESCALATION = 60, 7 * 24 * 3600
URL_LENGTH = 1500
TS_PATTERN = r"^[0-9]{1,20}\.[0-9]{1,10}$"
KEY_LENGTH = 255
# Longer than any word of a list and any source. Longer texts are rejected as they are, because
# normalizing them takes long.
WORD_LENGTH, NAME_LENGTH = 40, 400


class Format(StrEnum):
    """The format of a text: Slack's mrkdwn, or standard Markdown."""

    MRKDWN = "mrkdwn"
    MARKDOWN = "markdown"


class IncidentAction(StrEnum):
    """A kind of answer that a notification asks people for."""

    ACKNOWLEDGE = "acknowledge"
    ASSIGN = "assign"
    RESOLVE = "resolve"
    SNOOZE = "snooze"
    MUTE = "mute"


def _storable(value: Any, depth: int = 0) -> Any:
    """Reject values that the databases or JSON cannot store, and deep nesting."""
    if depth > DEEPEST:
        raise PydanticCustomError("deep", f"is nested more than {DEEPEST} deep: simplify it")
    if isinstance(value, str):
        if "\0" in value:
            raise PydanticCustomError("nul", "contains a NUL character: remove it")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise PydanticCustomError("infinite", "contains a number that is too large")
    elif isinstance(value, dict):
        for name, item in value.items():
            _storable(name)
            _storable(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _storable(item, depth + 1)
    return value


def _count_values(value: Any) -> int:
    """Return the number of values in a value, or the first number above `VALUES`."""
    number, left = 0, [value]
    while left and number <= VALUES:
        one = left.pop()
        number += 1
        if isinstance(one, dict):
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
    return number


def _has_few_values(value: object) -> object:
    """Reject very many values before they are examined one by one."""
    if _count_values(value) > VALUES:
        raise PydanticCustomError("values", _TOO_MANY_VALUES)
    return value


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _word(value: object) -> object:
    if not isinstance(value, str) or len(value) > WORD_LENGTH:
        return value
    return comparable(value)


def _visible(value: object) -> object:
    if not isinstance(value, str) or len(value) > NAME_LENGTH:
        return value
    return visible(value)


def _cell(value: object) -> object:
    """Return the text of a cell, for which a number is accepted too."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:,}" if is_number else value


def _each_once(values: list[IncidentAction]) -> list[IncidentAction]:
    return list(dict.fromkeys(values))


_TOO_MANY_VALUES: Final = f"blocks and attachments have more than {VALUES:,} values: send less"
_Storable = AfterValidator(_storable)
Text = Annotated[str, _Storable]
Url = Annotated[HttpUrl, UrlConstraints(max_length=URL_LENGTH), PlainSerializer(str)]
PersonAddress = Annotated[str, BeforeValidator(normal_person, json_schema_input_type=str)]
SlackObject = Annotated[dict[str, Any], _Storable]
SlackObjects = Annotated[list[SlackObject], BeforeValidator(_has_few_values)]
Address = Annotated[str, BeforeValidator(normal_address, json_schema_input_type=str)]
Cell = Annotated[str, BeforeValidator(_cell, json_schema_input_type=str | int | float), _Storable]
TableRow = Annotated[list[Cell], Field(min_length=1, max_length=tables.COLUMNS)]
Recipients = Annotated[
    list[Address],
    Field(min_length=1, max_length=RECIPIENTS),
    BeforeValidator(_as_list, json_schema_input_type=list[str] | str),
]


class _Object(BaseModel):
    """A JSON object without unknown members, whose representation contains no message text."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _has_few_members(cls, data: Any) -> Any:
        # Every unknown member would be a problem, and 1 MiB has room for 100,000.
        if isinstance(data, dict) and len(data) > len(cls.model_fields) + UNKNOWN_MEMBERS:
            raise PydanticCustomError("members", "has too many unknown fields: remove them")
        return data

    def __repr_args__(self) -> Iterator[tuple[str, object]]:
        yield "given", sorted(self.model_fields_set)


class MessageField(_Object):
    """A short fact under the text: its name in bold above its value, both in plain text."""

    model_config = ConfigDict(str_strip_whitespace=True)

    name: Text = Field(min_length=1, max_length=200)
    value: Text = Field(max_length=1500)


class Content(_Object):
    """The content of a notification."""

    text: Text = Field(
        "", max_length=TEXT_LENGTH, description="In Slack's mrkdwn, unless `format` differs."
    )
    format: Annotated[Format, BeforeValidator(_word)] = Field(
        Format.MRKDWN,
        description=f"The markup of the text: `markdown` for up to {MARKDOWN_LENGTH:,} characters "
        "of standard Markdown.",
    )
    title: Text = Field("", max_length=250, description="Plain text, shown in bold above the text.")
    severity: Annotated[Severity | None, BeforeValidator(_word)] = Field(
        None, description="Sets the message's color bar, emoji and rank."
    )
    fields: list[MessageField] = Field(
        default_factory=list, max_length=FIELDS, description="Short facts under the text."
    )
    rows: list[TableRow] = Field(
        default_factory=list,
        max_length=tables.ROWS,
        description=f"A table under the fields, in plain text: a list of rows with up to "
        f"{tables.COLUMNS} cells, the first with the names of the columns; up to "
        f"{tables.CHARACTERS:,} characters.",
        examples=[[["Host", "Free"], ["db1", "1 %"]]],
    )
    link: Url | None = Field(None, description="Link of the title.")
    image_url: Url | None = Field(None, description="An image that Slack can fetch.")
    blocks: SlackObjects = Field(
        default_factory=list,
        max_length=BLOCKS,
        description=f"Your own Block Kit, instead of fields and image: together with attachments "
        f"up to {VALUES:,} values, nested up to {DEEPEST} deep.",
    )
    attachments: SlackObjects = Field(
        default_factory=list, max_length=ATTACHMENTS, description="Slack's legacy attachments."
    )
    thread_ts: str | None = Field(None, pattern=TS_PATTERN, description="Reply to this message.")
    reply_broadcast: bool | None = Field(
        None, description="Whether a reply also appears in the channel."
    )
    unfurl_links: bool | None = Field(None, description="Whether Slack previews links.")
    unfurl_media: bool | None = Field(None, description="Whether Slack previews media.")
    link_names: bool | None = Field(None, description="Whether `#name` and `@name` become links.")
    mrkdwn: bool = Field(True, description="Whether the text is mrkdwn, or plain.")
    username: Text | None = Field(
        None,
        max_length=80,
        description="The bot's name, if it has the scope `chat:write.customize`.",
    )
    icon_emoji: Text | None = Field(
        None, max_length=100, description="The bot's icon, such as `:bell:`, likewise."
    )
    icon_url: Url | None = Field(None, description="The bot's icon, likewise.")
    mentions: list[PersonAddress] = Field(
        default_factory=list,
        max_length=MENTIONS,
        description="People to mention at the end: `@e-mail` or a user id. Unknown people are left "
        "out.",
    )
    actions: Annotated[
        list[Annotated[IncidentAction, BeforeValidator(_word)]],
        Field(max_length=ACTIONS),
        AfterValidator(_each_once),
    ] = Field(
        default_factory=list,
        description="Buttons for people's answers, which apply to all notifications with the key.",
    )


class Escalation(_Object):
    """Escalation if nobody answers in time."""

    after: int = Field(
        ge=SOONEST_ESCALATION, le=LATEST_ESCALATION, description="Seconds without an answer."
    )
    to: Recipients | None = Field(
        None, description="Recipients of the escalation; by default those in `to` again."
    )


class NotificationRequest(Content):
    """A notification as its sender submits it."""

    to: Recipients = Field(
        description="`#name`, a channel id, `@e-mail`, a user id or `topic:name`.",
        examples=["#general", ["C0123456789", "@ann@example.com", "topic:deploys"]],
    )
    key: Text | None = Field(
        None,
        min_length=1,
        max_length=KEY_LENGTH,
        description="Identifies the subject, such as an alert id.",
    )
    source: Annotated[str | None, BeforeValidator(_visible)] = Field(
        None,
        pattern=SOURCE_PATTERN,
        description="The source that `key` belongs to, if it is another sender's: requires the "
        "scope `admin`, and a key from the command line.",
    )
    mode: Annotated[Mode, BeforeValidator(_word)] = Field(
        Mode.UPDATE,
        description="With a key: update the earlier message, reply in its thread, or post a new "
        "message.",
    )
    priority: int = Field(
        0,
        ge=-9,
        le=9,
        description="Higher goes first in the workspace. By default the severity decides: "
        "`critical` counts 5, `error` 2, `warning` 1.",
    )
    send_at: AwareDatetime | None = Field(
        None, description="Delivered at this moment or later; at most 120 days ahead."
    )
    delay: float | None = Field(
        None,
        ge=0,
        le=FARTHEST.total_seconds(),
        allow_inf_nan=False,
        description="Delivered after so many seconds.",
    )
    expires_at: AwareDatetime | None = Field(None, description="Not delivered after this moment.")
    on_unknown: OnUnknown = Field(
        OnUnknown.HOLD,
        description="If Slack's answer is lost: post again, or hold it as `unknown`.",
    )
    escalate: Escalation | None = Field(
        None, description="With `actions`: escalation if nobody answers in time."
    )

    @model_validator(mode="after")
    def _is_consistent(self, info: ValidationInfo) -> Self:
        now = info.context["now"] if info.context else utc_now()
        problems = [*self._contradictions(), *self._impossible_moments(now)]
        if problems:
            raise PydanticCustomError("contradiction", "{problems}", {"problems": problems})
        return self

    def _contradictions(self) -> Iterator[tuple[str, str]]:
        # Lists and phones show no table.
        if not self.has_content:
            yield "text", "is empty: give text, title, blocks or attachments"
        values = {name: _count_values(getattr(self, name)) for name in ("blocks", "attachments")}
        if sum(values.values()) > VALUES:
            largest = max(values, key=values.__getitem__)
            yield largest, _TOO_MANY_VALUES
        if sum(len(cell) for row in self.rows for cell in row) > tables.CHARACTERS:
            yield "rows", f"have more than {tables.CHARACTERS:,} characters: shorten them"
        for name in ("fields", "rows", "image_url"):
            if self.blocks and getattr(self, name):
                yield name, "cannot be combined with blocks: include it there, or leave them out"
        if self.format == Format.MARKDOWN:
            yield from self._contradictions_of_markdown()
        if self.send_at is not None and self.delay is not None:
            yield "delay", "cannot be combined with send_at: give one of them"
        if self.mentions and not self.mrkdwn:
            yield "mentions", "cannot be combined with mrkdwn false: plain text has no mentions"
        if self.source is not None and self.key is None:
            yield "source", "requires key: add the key, or leave source out"
        if self.escalate is not None and not self.actions:
            yield "escalate", "requires actions: add some, or leave escalate out"

    def _contradictions_of_markdown(self) -> Iterator[tuple[str, str]]:
        if len(self.text) > MARKDOWN_LENGTH:
            limit = f"{MARKDOWN_LENGTH:,} characters, the limit of Markdown"
            yield "text", f"is longer than {limit}: shorten it"
        if self.blocks:
            yield "format", "cannot be combined with blocks: use blocks of the type markdown"
        if not self.mrkdwn:
            yield "format", "cannot be combined with mrkdwn false: leave one of them out"

    def _impossible_moments(self, now: datetime) -> Iterator[tuple[str, str]]:
        if self.send_at is not None and self.send_at - now > FARTHEST:
            yield "send_at", "is more than 120 days ahead: give an earlier time"
            return
        if self.expires_at is None:
            return
        if self.expires_at <= self.due_at(now):
            yield "expires_at", "is before the time of delivery: give a later time"
        elif self.expires_at - now > LATEST_END:
            yield "expires_at", "is more than a year ahead: give an earlier time, or leave it out"

    @property
    def has_content(self) -> bool:
        """Whether its message says anything."""
        return bool(self.text.strip() or self.title.strip() or self.blocks or self.attachments)

    @property
    def file_ids(self) -> Sequence[str]:
        """The ids of its files."""
        return ()

    def content(self) -> dict[str, Any]:
        """Return the content as it is stored: without default members."""
        return self.model_dump(mode="json", include=_CONTENT, exclude_defaults=True)

    @property
    def recipients(self) -> list[str]:
        """All recipients, those of the escalation included, without duplicates."""
        escalated = self.escalate.to if self.escalate is not None else None
        return list(dict.fromkeys([*self.to, *(escalated or ())]))

    def due_at(self, now: datetime) -> datetime:
        """Return the moment at which it is due."""
        if self.delay is not None:
            return now + timedelta(seconds=self.delay)
        return now if self.send_at is None or self.send_at <= now else self.send_at.astimezone(UTC)


_CONTENT = set(Content.model_fields)
_Batch = Annotated[list[NotificationRequest], Field(min_length=1, max_length=BATCH)]
_BATCH: TypeAdapter[list[NotificationRequest]] = TypeAdapter(_Batch)
_FIRST_OF_BATCH: TypeAdapter[list[NotificationRequest]] = TypeAdapter(Annotated[_Batch, FailFast()])


def read_one(data: object, now: datetime) -> NotificationRequest:
    """Return the notification described by `data`, which was read from JSON.

    Raises:
        pydantic.ValidationError: it is invalid; `problems_of` describes the problems.
    """
    return NotificationRequest.model_validate(data, context={"now": now})


def read_batch(data: object, now: datetime) -> Sequence[NotificationRequest]:
    """Return the notifications described by a list that was read from JSON.

    Raises:
        pydantic.ValidationError: one or more are invalid; `problems_of` describes the problems. If
            there are very many, only those of the first invalid notification.
    """
    try:
        return _BATCH.validate_python(data, context={"now": now})
    except ValidationError as error:
        if error.error_count() <= BATCH:
            raise
    # Listing very many problems would take a second.
    return _FIRST_OF_BATCH.validate_python(data, context={"now": now})
