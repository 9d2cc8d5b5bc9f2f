"""A notification's content as arguments of `chat.postMessage`.

A message begins with a heading: the emoji of its severity and its title. Below are the text, the
fields and the picture, beside a bar in the colour of the severity. Its wording is repeated in the
message's `text`, which phones show in their notifications and screen readers read out.

https://docs.slack.dev/reference/block-kit/blocks has the limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bolt_app.blockkit.elements import Block
from bolt_app.blockkit.foreign_ids import replace_foreign_ids
from bolt_app.blockkit.markdown import to_mrkdwn
from bolt_app.blockkit.mrkdwn import (
    SECTION_LENGTH,
    escape,
    is_divisible,
    is_markup,
    is_misread_in_bold,
    link,
    mentions,
    shorten,
    split,
)
from bolt_app.blockkit.tables import spoken_rows, table_block
from bolt_app.severity import COLOURS, SIGNS

TEXT_LENGTH = 40_000
# Slack splits a longer text into several messages (slackapi/java-slack-sdk#704), and rejects it in
# `chat.update`, where it was observed to count bytes.
TEXT_SIZE = 4000
FIELD_LENGTH = 2000
FIELDS_A_SECTION = 10
MOST_BLOCKS = 50
# Slack rejects attachments with more (https://github.com/slackapi/bolt-python/issues/914).
MOST_BAR_BLOCKS = 20
# All blocks together, with an allowance for each block on top of its text: Slack documents no
# figure, and rejected 11,341 characters (https://github.com/slackapi/bolt-js/issues/2867).
PAGE_LENGTH = 11_340
BLOCK_ALLOWANCE = 100


_PASSED_ON = (
    "attachments",
    "icon_emoji",
    "icon_url",
    "link_names",
    "mrkdwn",
    "unfurl_links",
    "unfurl_media",
    "username",
)


def render(
    content: Mapping[str, Any], *, with_picture: bool = True, under: Sequence[Block] = ()
) -> dict[str, Any]:
    """Return the message. Ids in the sender's blocks and attachments are replaced by foreign ones.

    Args:
        content: as `Content` has it, without default members.
        under: Bellhop's blocks at the end, which keep their ids.
        with_picture: whether to show the picture or a link to it: Slack rejects a message with a
            picture that it cannot fetch.
    """
    content = replace_foreign_ids(content)
    message = _message(content, with_picture=with_picture)
    if under:
        _put_under(message, content, list(under))
    return message


def without_images(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rendered message with links instead of its images."""
    changed = dict(message)
    if "blocks" in message:
        changed["blocks"] = _each_without_image(message["blocks"])
    if "attachments" in message:
        changed["attachments"] = [
            {**attachment, "blocks": _each_without_image(attachment["blocks"])}
            if "blocks" in attachment
            else attachment
            for attachment in message["attachments"]
        ]
    return changed


def _each_without_image(blocks: object) -> object:
    """Return blocks without images. Malformed ones are left to Slack."""
    if not isinstance(blocks, list):
        return blocks
    return [_without_image(block) if isinstance(block, dict) else block for block in blocks]


def _without_image(block: Block) -> Block:
    if block.get("type") == "image" and isinstance(block.get("image_url"), str):
        return _section(link(block["image_url"], str(block.get("alt_text") or "Picture")))
    if _is_image(block.get("accessory")):
        return {name: value for name, value in block.items() if name != "accessory"}
    elements = block.get("elements")
    if block.get("type") == "context" and isinstance(elements, list):
        others = [element for element in elements if not _is_image(element)]
        return {**block, "elements": others or [_literal("Picture")]}
    return block


def _is_image(element: object) -> bool:
    return isinstance(element, Mapping) and element.get("type") == "image"


def mention(content: Mapping[str, Any], user_ids: Sequence[str]) -> dict[str, Any]:
    """Return a content with people mentioned at the end, in blocks if they have room for it."""
    if not user_ids:
        return dict(content)
    mentioned = " ".join(f"<@{user_id}>" for user_id in user_ids)
    if is_markdown(content):
        return {**content, "mentioned": mentioned}
    text = content.get("text", "")
    extended = {**content, "text": f"{text}\n{mentioned}" if text else mentioned}
    blocks = content.get("blocks", [])
    if blocks and _fit([*blocks, _section(mentioned)]):
        extended["blocks"] = [*blocks, _section(mentioned)]
    return extended


def is_markdown(content: Mapping[str, Any]) -> bool:
    """Whether the text of a content is standard Markdown."""
    return content.get("format") == "markdown"


def mrkdwn_of(content: Mapping[str, Any]) -> str:
    """Return the text of a content as Slack's mrkdwn."""
    text: str = content.get("text", "")
    return to_mrkdwn(text) if is_markdown(content) else text


def _put_under(message: dict[str, Any], content: Mapping[str, Any], under: list[Block]) -> None:
    """Add blocks to Bellhop's last bar, or in a separate bar."""
    bars = message.setdefault("attachments", [])
    is_ours = bool(bars) and "attachments" not in content
    if is_ours and _fit([*bars[-1]["blocks"], *under], MOST_BAR_BLOCKS):
        bars[-1] = {**bars[-1], "blocks": [*bars[-1]["blocks"], *under]}
        return
    bar: dict[str, Any] = {"fallback": spoken(content), "blocks": under}
    if "severity" in content:
        bar["color"] = COLOURS[content["severity"]]
    bars.append(bar)


def _message(content: Mapping[str, Any], *, with_picture: bool) -> dict[str, Any]:
    message = {name: content[name] for name in _PASSED_ON if name in content}
    message["text"] = spoken(content)
    heading = _heading(content)
    if "blocks" in content:
        return message | _with_own_blocks(content, heading)
    details = [
        *_fields(content),
        *_table(content),
        *_picture(content, with_picture=with_picture),
    ]
    if is_markdown(content):
        return message | _with_markdown(content, heading, details)
    texts = _texts(content)
    is_short = message["text"] == content.get("text", "")
    if texts is None or not (heading or details or (texts and not is_short)):
        return message | _with_own_text(content, heading, details)
    if "severity" not in content:
        first, others = _first_page([*heading, *texts, *details])
        return message | {"blocks": first} | _bars(content, _pages(others))
    if _mentions_people(content):
        return message | {"blocks": [*heading, *texts]} | _bars(content, _pages(details))
    return message | {"blocks": heading} | _bars(content, _pages([*texts, *details]))


def _mentions_people(content: Mapping[str, Any]) -> bool:
    """Whether the text has a mention, which notifies people only outside of attachments.

    https://docs.slack.dev/messaging/formatting-message-text and, for attachments,
    https://github.com/sciyoshi/redmine-slack/pull/29
    """
    text = content.get("text", "")
    return mentions(text) or (content.get("link_names", False) and "@" in text)


def _with_own_blocks(content: Mapping[str, Any], heading: list[Block]) -> dict[str, Any]:
    blocks = content["blocks"]
    if "severity" in content:
        return {"blocks": heading} | _bars(content, _pages(blocks))
    first, others = _first_page([*heading, *blocks])
    return {"blocks": first} | _bars(content, _pages(others))


def _with_markdown(
    content: Mapping[str, Any], heading: list[Block], details: list[Block]
) -> dict[str, Any]:
    """Return a message with its Markdown outside of attachments, where Slack documents it.

    https://docs.slack.dev/reference/block-kit/blocks/markdown-block
    """
    text, mentioned = content.get("text", ""), content.get("mentioned", "")
    texts = [{"type": "markdown", "text": text}] if text.strip() else []
    blocks = [*heading, *texts, *([_section(mentioned)] if mentioned else [])]
    return ({"blocks": blocks} if blocks else {}) | _bars(content, _pages(details))


def _with_own_text(
    content: Mapping[str, Any], heading: list[Block], details: list[Block]
) -> dict[str, Any]:
    """Return a message that shows its `text`: one too long for blocks, or with nothing else."""
    text = content.get("text", "")
    shown = "\n".join(filter(None, [_heading_text(content), text]))
    if len(shown) <= TEXT_LENGTH:
        text, heading = shown, []
    return {"text": text} | _bars(content, _pages([*heading, *details]))


def _bars(content: Mapping[str, Any], pages: Iterable[list[Block]]) -> dict[str, Any]:
    """Return the message's attachments: one for each page, then the sender's own.

    Only an attachment has a colour, and Slack shows none without content.
    """
    bar: dict[str, Any] = {"fallback": spoken(content)}
    attachments = content.get("attachments", [])
    pages = list(pages)
    if "severity" in content:
        bar["color"] = COLOURS[content["severity"]]
        pages = pages or ([] if attachments else [[_small(content["severity"].capitalize())]])
    bars = [{**bar, "blocks": page} for page in pages]
    return {"attachments": [*bars, *attachments]} if bars else {}


def _first_page(blocks: list[Block]) -> tuple[list[Block], list[Block]]:
    """Return as many blocks as Slack accepts in the message itself, and the others."""
    first = next(_pages(blocks, MOST_BLOCKS), [])
    return first, blocks[len(first) :]


def _pages(blocks: Iterable[Block], most: int = MOST_BAR_BLOCKS) -> Iterator[list[Block]]:
    """Yield blocks in groups that Slack accepts together, each with at most `most`."""
    page: list[Block] = []
    length = 0
    for block in blocks:
        added = _length([block])
        if page and (len(page) == most or length + added > PAGE_LENGTH):
            yield page
            page, length = [], 0
        page.append(block)
        length += added
    if page:
        yield page


def _fit(blocks: list[Block], most: int = MOST_BLOCKS) -> bool:
    return len(blocks) <= most and _length(blocks) <= PAGE_LENGTH


def _length(blocks: list[Block]) -> int:
    return _characters(blocks) + BLOCK_ALLOWANCE * len(blocks)


def _characters(value: object) -> int:
    return sum(len(text) for text, _ in strings(value))


def strings(value: object) -> Iterator[tuple[str, bool]]:
    """Yield the texts of blocks, each with whether it is mrkdwn."""
    # The next one is last. Texts are in it as tuples, which JSON does not have.
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, tuple):
            yield value
        elif isinstance(value, list):
            pending += reversed(value)
        elif isinstance(value, dict):
            is_mrkdwn = value.get("type") == "mrkdwn"
            pending += [
                (item, is_mrkdwn) if name == "text" and isinstance(item, str) else item
                for name, item in reversed(value.items())
            ]


def spoken(content: Mapping[str, Any]) -> str:
    """Return the wording of the message, in up to `TEXT_SIZE` bytes of mrkdwn."""
    severity = content.get("severity")
    head = escape(_title(content))
    if severity is not None:
        word = severity.capitalize()
        head = f"{SIGNS[severity]} {word}: {head}" if head else f"{SIGNS[severity]} {word}"
    text = "\n".join(filter(None, [mrkdwn_of(content), content.get("mentioned")]))
    if not text.strip() and "blocks" in content:
        texts = strings(content["blocks"])
        text = "\n".join(part if is_mrkdwn else escape(part) for part, is_mrkdwn in texts)
    fields = [escape(f"{field['name']}: {field['value']}") for field in content.get("fields", ())]
    rows = spoken_rows(content.get("rows", ()))
    wording = "\n".join(part for part in (head, text, *fields, *rows) if part.strip())
    # A default text would be shown above the sender's attachments.
    wording = wording or ("" if "attachments" in content else "A notification")
    return shorten(wording, TEXT_SIZE)


def _title(content: Mapping[str, Any]) -> str:
    return " ".join(content.get("title", "").split())


def _heading(content: Mapping[str, Any]) -> list[Block]:
    """Return the title with its emoji, as a link if it has one."""
    text, title = _heading_text(content), _title(content)
    if not text:
        return []
    # In the label of a link only code is markup.
    is_misread = is_misread_in_bold(title) and ("`" in title or "link" not in content)
    if not is_misread and len(text) <= SECTION_LENGTH:
        return [_section(text)]
    words = _literal(f"{_sign(content)} {title}".strip())
    heading = [{"type": "section", "text": words}]
    return [*heading, _section(link(content["link"]))] if "link" in content else heading


def _heading_text(content: Mapping[str, Any]) -> str:
    title = _title(content) or content.get("severity", "").capitalize()
    words = link(content["link"], title) if "link" in content else escape(title)
    if words and content.get("mrkdwn", True) and not is_misread_in_bold(title):
        words = f"*{words}*"
    return f"{_sign(content)} {words}".strip()


def _sign(content: Mapping[str, Any]) -> str:
    return SIGNS.get(content.get("severity", ""), "")


def _texts(content: Mapping[str, Any]) -> list[Block] | None:
    """Return the text in sections, or None if it must remain the message's `text`."""
    text = content.get("text", "")
    if not content.get("mrkdwn", True) or not is_divisible(text):
        return None
    texts = [_section(piece) for piece in split(text) if piece.strip()]
    return texts if _fit([*_heading(content), *texts]) else None


def _fields(content: Mapping[str, Any]) -> Iterator[Block]:
    """Yield the fields in sections, two beside one another."""
    group: list[Block] = []
    for field in content.get("fields", ()):
        text = _field(" ".join(field["name"].split()), field["value"])
        if len(group) == FIELDS_A_SECTION or _characters([*group, text]) > PAGE_LENGTH // 2:
            yield {"type": "section", "fields": group}
            group = []
        group.append(text)
    if group:
        yield {"type": "section", "fields": group}


def _field(name: str, value: str) -> Block:
    text = f"*{escape(name)}*\n{escape(value)}".strip()
    if not name or is_misread_in_bold(name) or is_markup(value) or len(text) > FIELD_LENGTH:
        return _literal(f"{name}\n{value}".strip() or "-")
    return {"type": "mrkdwn", "text": text}


def _table(content: Mapping[str, Any]) -> Iterator[Block]:
    if "rows" in content:
        yield table_block(content["rows"])


def _picture(content: Mapping[str, Any], *, with_picture: bool) -> Iterator[Block]:
    if "image_url" not in content:
        return
    url, words = content["image_url"], _title(content) or "Picture"
    yield (
        {"type": "image", "image_url": url, "alt_text": words}
        if with_picture
        else _section(link(url, words))
    )


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _small(text: str) -> Block:
    return {"type": "context", "elements": [_literal(text)]}


def _literal(text: str) -> Block:
    """Return a text object without markup."""
    return {"type": "plain_text", "text": text, "emoji": False}
