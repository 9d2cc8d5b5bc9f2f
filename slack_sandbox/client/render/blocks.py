"""Block Kit blocks as HTML (https://docs.slack.dev/reference/block-kit/blocks)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from markupsafe import Markup

from slack_sandbox.client.render.elements import element_tag
from slack_sandbox.client.render.markdown import markdown
from slack_sandbox.client.render.reader import Reader
from slack_sandbox.client.render.rich_text import rich_text
from slack_sandbox.client.render.tags import join, tag
from slack_sandbox.client.render.texts import label_text, picture, text_object
from slack_sandbox.client.render.values import JsonDict, record, records, string

_GROUPED = frozenset(
    {
        "checkboxes",
        "radio_buttons",
        "multi_static_select",
        "multi_users_select",
        "multi_channels_select",
        "multi_conversations_select",
    }
)
_LEVELS = frozenset({"default", "info", "warning", "error", "success"})


def blocks_tag(
    blocks: Iterable[JsonDict], reader: Reader, errors: Mapping[str, str] | None = None
) -> Markup:
    """Blocks in order; ``errors`` are a modal's errors by block id."""
    return join(_block(block, reader, errors or {}) for block in blocks)


def _block(block: JsonDict, reader: Reader, errors: Mapping[str, str]) -> Markup:
    kind = string(block.get("type"))
    if kind == "input":
        return _input(block, reader, errors.get(string(block.get("block_id"))))
    render = _BLOCKS.get(kind)
    if render is None:
        return tag("p", {"class": "elsewhere"}, f"A block of type {kind or 'unknown'}")
    return render(block, reader)


def _section(block: JsonDict, reader: Reader) -> Markup:
    fragments: list[Markup] = []
    if block.get("text"):
        fragments.append(tag("div", {"class": "text"}, text_object(block.get("text"), reader)))
    fields = [
        tag("div", {"class": "text"}, text_object(field, reader))
        for field in records(block.get("fields"))
    ]
    if fields:
        fragments.append(tag("div", {"class": "fields"}, *fields))
    shown = tag("div", {"class": "grow"}, *fragments)
    accessory = record(block.get("accessory"))
    if not accessory:
        return tag("div", {"class": "block section"}, shown)
    beside = element_tag(accessory, string(block.get("block_id")), reader)
    return tag("div", {"class": "block section"}, shown, beside)


def _header(block: JsonDict, reader: Reader) -> Markup:
    return tag("h3", {"class": "block header"}, text_object(block.get("text"), reader))


def _divider(block: JsonDict, reader: Reader) -> Markup:
    return tag("hr", {})


def _context(block: JsonDict, reader: Reader) -> Markup:
    shown = [
        picture(element.get("image_url"), string(element.get("alt_text")), reader, "tiny-image")
        if element.get("type") == "image"
        else tag("span", {"class": "text"}, text_object(element, reader))
        for element in records(block.get("elements"))
    ]
    return tag("div", {"class": "block context"}, *shown)


def _actions(block: JsonDict, reader: Reader) -> Markup:
    block_id = string(block.get("block_id"))
    shown = [element_tag(element, block_id, reader) for element in records(block.get("elements"))]
    return tag("div", {"class": "block actions"}, *shown)


def _image(block: JsonDict, reader: Reader) -> Markup:
    alt = string(block.get("alt_text"))
    shown = picture(block.get("image_url"), alt, reader, "large-image")
    if not block.get("title"):
        return tag("figure", {"class": "block"}, shown)
    title = tag("figcaption", {}, text_object(block.get("title"), reader))
    return tag("figure", {"class": "block"}, title, shown)


def _input(block: JsonDict, reader: Reader, error: str | None) -> Markup:
    element = record(block.get("element"))
    sends = "change" if block.get("dispatch_action") is True else ""
    label = label_text(block.get("label"))
    shown: list[str] = [text_object(block.get("label"), reader)]
    if block.get("optional") is True:
        shown.append(tag("span", {"class": "quiet"}, " (optional)"))
    control = element_tag(element, string(block.get("block_id")), reader, label=label, sends=sends)
    below: list[Markup] = []
    if error is not None:
        below.append(tag("p", {"class": "error", "role": "alert"}, error))
    if block.get("hint"):
        below.append(tag("p", {"class": "quiet"}, text_object(block.get("hint"), reader)))
    outer = "div" if element.get("type") in _GROUPED else "label"
    field = tag(outer, {"class": "field"}, tag("span", {"class": "label"}, *shown), control)
    return tag("div", {"class": "block input"}, field, *below)


def _rich_text(block: JsonDict, reader: Reader) -> Markup:
    return tag("div", {"class": "block text"}, rich_text(block, reader))


def _markdown(block: JsonDict, reader: Reader) -> Markup:
    return tag("div", {"class": "block text"}, markdown(string(block.get("text"))))


def _alert(block: JsonDict, reader: Reader) -> Markup:
    level = string(block.get("level"))
    kind = level if level in _LEVELS else "default"
    text = text_object(block.get("text"), reader)
    return tag("p", {"class": f"block alert {kind}", "role": "note"}, text)


def _table(block: JsonDict, reader: Reader) -> Markup:
    given = block.get("rows")
    rows = [records(row) for row in given] if isinstance(given, list) else []
    columns = records(block.get("column_settings"))
    shown = [
        tag(
            "tr",
            {},
            *(
                tag("th" if number == 0 else "td", {"class": _align(columns, index)}, cell)
                for index, cell in enumerate(_cell(cell, reader) for cell in row)
            ),
        )
        for number, row in enumerate(rows)
    ]
    return tag("div", {"class": "block scroll"}, tag("table", {}, *shown))


def _cell(cell: JsonDict, reader: Reader) -> Markup:
    if cell.get("type") == "rich_text":
        return rich_text(cell, reader)
    return join([string(cell.get("text"))])


def _align(columns: list[JsonDict], index: int) -> str | None:
    align = columns[index].get("align") if index < len(columns) else None
    return align if align in ("center", "right") else None


def _card(block: JsonDict, reader: Reader) -> Markup:
    fragments: list[Markup] = []
    for name, kind in (("hero_image", "large-image"), ("icon", "tiny-image")):
        image = record(block.get(name))
        if image:
            alt = string(image.get("alt_text"))
            fragments.append(picture(image.get("image_url"), alt, reader, kind))
    for name, element in (("title", "strong"), ("subtitle", "div"), ("body", "div")):
        if block.get(name):
            fragments.append(tag(element, {}, text_object(block.get(name), reader)))
    if block.get("subtext"):
        fragments.append(tag("div", {"class": "quiet"}, text_object(block.get("subtext"), reader)))
    block_id = string(block.get("block_id"))
    buttons = [element_tag(action, block_id, reader) for action in records(block.get("actions"))]
    if buttons:
        fragments.append(tag("div", {"class": "actions"}, *buttons))
    return tag("div", {"class": "block card"}, *fragments)


def _carousel(block: JsonDict, reader: Reader) -> Markup:
    cards = [_card(element, reader) for element in records(block.get("elements"))]
    return tag("div", {"class": "block carousel scroll"}, *cards)


_BLOCKS: dict[str, Callable[[JsonDict, Reader], Markup]] = {
    "section": _section,
    "header": _header,
    "divider": _divider,
    "context": _context,
    "actions": _actions,
    "image": _image,
    "rich_text": _rich_text,
    "markdown": _markdown,
    "alert": _alert,
    "table": _table,
    "card": _card,
    "carousel": _carousel,
}
