"""Interactive elements as the browser's own controls.

The page's script reads ``data-`` attributes: ``action-id``, ``block-id``, ``reads`` (how to read
the value) and ``sends`` (the DOM event that sends an action).

See https://docs.slack.dev/reference/block-kit/block-elements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from markupsafe import Markup

from slack_sandbox.client.render.reader import Reader
from slack_sandbox.client.render.tags import Attributes, join, link, safe_url, tag
from slack_sandbox.client.render.texts import label_text, picture, text_object
from slack_sandbox.client.render.values import (
    JsonDict,
    record,
    records,
    string,
    strings,
    whole_number,
)

_STYLES = {"primary": "button primary", "danger": "button danger"}


def element_tag(
    element: JsonDict, block_id: str, reader: Reader, *, label: str = "", sends: str = "change"
) -> Markup:
    """An element. ``sends`` is empty inside an input block without ``dispatch_action``."""
    kind = string(element.get("type"))
    if kind == "image":
        alt = string(element.get("alt_text"))
        return picture(element.get("image_url"), alt, reader, "accessory-image")
    render = _ELEMENTS.get(kind)
    if render is None:
        return tag("span", {"class": "elsewhere"}, f"No picture of {kind or 'this element'} here")
    about = _About(
        element, block_id, reader, label or label_text(element.get("placeholder")), sends
    )
    return render(about)


class _About:
    """An element with its context."""

    def __init__(
        self, element: JsonDict, block_id: str, reader: Reader, label: str, sends: str
    ) -> None:
        self.element = element
        self.block_id = block_id
        self.reader = reader
        self.label = label
        self.sends = sends
        self.action_id = string(element.get("action_id"))
        self.kind = string(element.get("type"))

    def marks(self, reads: str, sends: str | None = None) -> dict[str, str | bool | None]:
        """The ``data-`` attributes."""
        return {
            "data-action-id": self.action_id,
            "data-block-id": self.block_id,
            "data-reads": reads,
            "data-sends": (self.sends if sends is None else sends) or None,
            "data-focus": self.element.get("focus_on_load") is True,
        }

    def group_name(self) -> str:
        """A name for radio buttons, unique on the page."""
        return f"{self.reader.scope}/{self.block_id}/{self.action_id}"

    def initial(self, name: str) -> str:
        """The initial value as a string."""
        return string(self.element.get(name))


def _button(about: _About) -> Markup:
    element = about.element
    attributes: dict[str, str | bool | None] = {
        "class": _STYLES.get(string(element.get("style")), "button"),
        "value": string(element.get("value")) or None,
        "aria-label": string(element.get("accessibility_label")) or None,
        **about.marks("", "click"),
    }
    text = text_object(element.get("text"), about.reader)
    url = safe_url(element.get("url"))
    if url is None:
        return tag("button", {"type": "button", **attributes}, text)
    value = attributes.pop("value")
    asks = bool(record(element.get("confirm")))
    return link(
        url,
        text,
        **{name: str(value) for name, value in attributes.items() if value},
        **({"data-value": str(value)} if value else {}),
        **({"data-asks": "true"} if asks else {}),
    )


def _overflow(about: _About) -> Markup:
    rows: list[Markup] = []
    for option in records(about.element.get("options")):
        marks: dict[str, str | bool | None] = {
            "class": "row",
            "data-value": string(option.get("value")),
            **about.marks("", "choose"),
        }
        text = text_object(option.get("text"), about.reader)
        if safe_url(option.get("url")) is None:
            rows.append(tag("button", {"type": "button", **marks}, text))
        else:
            attributes = {name: str(value) for name, value in marks.items() if value}
            rows.append(link(option.get("url"), text, **attributes))
    summary = tag("summary", {"class": "button", "aria-label": "More actions"}, "⋯")
    return tag(
        "details", {"class": "menu overflow"}, summary, tag("div", {"class": "sheet"}, *rows)
    )


def _options(element: JsonDict) -> list[JsonDict]:
    groups = records(element.get("option_groups"))
    return [
        *records(element.get("options")),
        *(option for group in groups for option in records(group.get("options"))),
    ]


def _option_tags(options: Iterable[JsonDict], chosen: str) -> Markup:
    return join(
        tag(
            "option",
            {
                "value": string(option.get("value")),
                "selected": string(option.get("value")) == chosen,
            },
            label_text(option.get("text")),
        )
        for option in options
    )


def _select(about: _About, options: Markup, has_choice: bool) -> Markup:
    placeholder = label_text(about.element.get("placeholder")) or "Choose…"
    first = tag("option", {"value": "", "selected": not has_choice}, placeholder)
    attributes = {"aria-label": about.label or placeholder, **about.marks("value")}
    return tag("select", attributes, first, options)


def _static_select(about: _About) -> Markup:
    chosen = string(record(about.element.get("initial_option")).get("value"))
    groups = records(about.element.get("option_groups"))
    plain = _option_tags(records(about.element.get("options")), chosen)
    grouped = join(
        tag(
            "optgroup",
            {"label": label_text(group.get("label"))},
            _option_tags(records(group.get("options")), chosen),
        )
        for group in groups
    )
    return _select(about, join([plain, grouped]), bool(chosen))


def _pickable(about: _About) -> list[tuple[str, str]]:
    """The options of a menu of people, channels or conversations."""
    reader = about.reader
    if "users" in about.kind:
        return [(person, reader.people.get(person, person)) for person in reader.pickable_people]
    return [(channel_id, f"#{name}") for channel_id, name in reader.channels.items()]


def _initial_ids(about: _About) -> list[str]:
    stem = about.kind.removeprefix("multi_").removesuffix("s_select")
    initial = about.element.get(f"initial_{stem}s") or [about.element.get(f"initial_{stem}")]
    return strings(initial)


def _pick_one(about: _About) -> Markup:
    chosen = _initial_ids(about)
    options = join(
        tag("option", {"value": value, "selected": value in chosen}, name)
        for value, name in _pickable(about)
    )
    return _select(about, options, bool(chosen))


def _pick_many(about: _About) -> Markup:
    chosen = _initial_ids(about)
    boxes = [
        _box(about, "checkbox", value, join([name]), value in chosen)
        for value, name in _pickable(about)
    ]
    return _many(about, boxes)


def _multi_static(about: _About) -> Markup:
    chosen = {
        string(option.get("value")) for option in records(about.element.get("initial_options"))
    }
    return _many(about, _boxes(about, "checkbox", _options(about.element), chosen))


def _many(about: _About, boxes: list[Markup]) -> Markup:
    label = about.label or "Choose…"
    sheet = tag("div", {"class": "sheet"}, *boxes)
    menu = tag("details", {"class": "menu"}, tag("summary", {"class": "button"}, label), sheet)
    return tag("fieldset", {"class": "bare", "aria-label": label, **about.marks("many")}, menu)


def _boxes(about: _About, kind: str, options: list[JsonDict], chosen: set[str]) -> list[Markup]:
    boxes: list[Markup] = []
    for option in options:
        value = string(option.get("value"))
        text = text_object(option.get("text"), about.reader)
        detail = option.get("description")
        if detail:
            text = join([text, tag("small", {}, text_object(detail, about.reader))])
        boxes.append(_box(about, kind, value, text, value in chosen))
    return boxes


def _box(about: _About, kind: str, value: str, text: Markup, checked: bool) -> Markup:
    attributes: Attributes = {
        "type": kind,
        "name": about.group_name(),
        "value": value,
        "checked": checked,
    }
    return tag("label", {"class": "choice"}, tag("input", attributes), tag("span", {}, text))


def _checkboxes(about: _About) -> Markup:
    chosen = {
        string(option.get("value")) for option in records(about.element.get("initial_options"))
    }
    boxes = _boxes(about, "checkbox", _options(about.element), chosen)
    attributes = {"class": "bare", "aria-label": about.label or None, **about.marks("many")}
    return tag("fieldset", attributes, *boxes)


def _radio_buttons(about: _About) -> Markup:
    chosen = {string(record(about.element.get("initial_option")).get("value"))}
    boxes = _boxes(about, "radio", _options(about.element), chosen)
    attributes = {"class": "bare", "aria-label": about.label or None, **about.marks("one")}
    return tag("fieldset", attributes, *boxes)


def _dated(input_type: str, initial: str) -> Callable[[_About], Markup]:
    def render(about: _About) -> Markup:
        attributes = {
            "type": input_type,
            "value": about.initial(initial),
            "aria-label": about.label or input_type,
            **about.marks("value"),
        }
        return tag("input", attributes)

    return render


def _datetime(about: _About) -> Markup:
    timestamp = whole_number(about.element.get("initial_date_time"))
    moment = None if timestamp is None else about.reader.local(timestamp)
    attributes = {
        "type": "datetime-local",
        "value": f"{moment:%Y-%m-%dT%H:%M}" if moment else "",
        "aria-label": about.label or "Date and time",
        **about.marks("value"),
    }
    return tag("input", attributes)


def _typed(input_type: str) -> Callable[[_About], Markup]:
    def render(about: _About) -> Markup:
        element = about.element
        initial = about.initial("initial_value")
        shared: dict[str, str | bool | None] = {
            "aria-label": about.label or None,
            "placeholder": label_text(element.get("placeholder")) or None,
            "maxlength": _figure(element.get("max_length")),
            "minlength": _figure(element.get("min_length")),
            **about.marks("value", _sends_typed(about)),
        }
        if element.get("multiline") is True:
            return tag("textarea", {"rows": "4", **shared}, initial)
        if input_type == "number":
            shared |= {"min": about.initial("min_value") or None}
            shared |= {"max": about.initial("max_value") or None}
            shared |= {"step": "any" if element.get("is_decimal_allowed") is True else None}
        return tag("input", {"type": input_type, "value": initial, **shared})

    return render


def _figure(value: object) -> str | None:
    number = whole_number(value)
    return None if number is None or number < 0 else str(number)


def _sends_typed(about: _About) -> str:
    """The trigger of a text input: ``enter`` or ``input`` (each character)."""
    if not about.sends:
        return ""
    triggers = record(about.element.get("dispatch_action_config")).get("trigger_actions_on")
    return "input" if strings(triggers) == ["on_character_entered"] else "enter"


_ELEMENTS: dict[str, Callable[[_About], Markup]] = {
    "button": _button,
    "overflow": _overflow,
    "static_select": _static_select,
    "multi_static_select": _multi_static,
    "users_select": _pick_one,
    "channels_select": _pick_one,
    "conversations_select": _pick_one,
    "multi_users_select": _pick_many,
    "multi_channels_select": _pick_many,
    "multi_conversations_select": _pick_many,
    "checkboxes": _checkboxes,
    "radio_buttons": _radio_buttons,
    "datepicker": _dated("date", "initial_date"),
    "timepicker": _dated("time", "initial_time"),
    "datetimepicker": _datetime,
    "plain_text_input": _typed("text"),
    "email_text_input": _typed("email"),
    "url_text_input": _typed("url"),
    "number_input": _typed("number"),
}


def timestamp_of(typed: str, reader: Reader) -> str:
    """The value of a date-and-time picker as the timestamp Slack sends."""
    try:
        moment = datetime.fromisoformat(typed)
    except ValueError:
        return ""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=reader.zone)
    return str(int(moment.astimezone(UTC).timestamp()))
