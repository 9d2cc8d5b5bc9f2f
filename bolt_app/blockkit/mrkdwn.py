"""Slack's mrkdwn: escaping, links, dates and splitting of long text.

https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from bolt_app.slack_ids import DELETED_PERSON

SECTION_LENGTH = 3000

DELETED_WORDS = "someone (profile deleted)"
_FENCE = "```"
# A code block that continues in the next part is closed, and opened again there.
_FENCE_ROOM = len(f"{_FENCE}\n") + len(f"\n{_FENCE}")
# Indivisible: links, mentions, escaped characters and code fences.
_WHOLE = re.compile(r"<[^<>\n]*>|&(?:amp|lt|gt);|```")
# Text that Slack renders differently: quotes, emphasis, code, emoji and mentions.
_MARKUP = re.compile(
    r"^[^\S\n]*>|(?<![^\W_])([*_~])(?=\S)[^\n]*\1|`[^\n]*`"
    r"|:(?=[\w+'-]*[^\W\d_])[\w+'-]+:|:(?:100|1234|[+-]1):|@(?:here|channel|everyone)",
    re.MULTILINE,
)
_MENTION = re.compile(r"<(?:@|!(?:here|channel|everyone|subteam))")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:", re.ASCII)
_INSIDE, _FIRST = "\x01", "\x02"


def escape(text: str) -> str:
    """Return plain text as mrkdwn.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def is_markup(text: str) -> bool:
    """Whether mrkdwn could render plain text differently even if escaped.

    `*`, `_`, `~`, backticks and `:emoji:` cannot be escaped.
    """
    return _MARKUP.search(text) is not None


def is_misread_in_bold(text: str) -> bool:
    """Whether plain text, even escaped, would render differently between asterisks."""
    return "*" in text or is_markup(text)


def mentions(text: str) -> bool:
    """Whether mrkdwn mentions a person, a group or a whole channel."""
    return _MENTION.search(text) is not None


def person_mention(user_id: str) -> str:
    """Return the mention of a person; words if their data was deleted."""
    return DELETED_WORDS if user_id == DELETED_PERSON else f"<@{user_id}>"


def link(url: str, label: str = "") -> str:
    """Return a link to `url`, shown as the plain text `label`.

    A URL without a scheme is escaped as text, because `<!channel>` or `<@U…>` would be a mention.
    """
    if not _SCHEME.match(url):
        return escape(label or url)
    target = re.sub(r"[|`\\<>]", lambda found: f"%{ord(found[0]):02X}", url)
    target = re.sub("&(?=(?:amp|lt|gt);)", "&amp;", target)
    return f"<{target}|{escape(label)}>" if label else f"<{target}>"


def moment(at: datetime) -> str:
    """Return a date and time that Slack formats in the reader's language and time zone.

    https://docs.slack.dev/messaging/formatting-message-text#date-formatting
    """
    form = "{date_short_pretty} {time}"
    return f"<!date^{int(at.timestamp())}^{form}|{at:%d %B %Y %H:%M} UTC>"


def is_divisible(text: str, length: int = SECTION_LENGTH) -> bool:
    """Whether every indivisible element of `text` fits into one part."""
    room = length - _FENCE_ROOM
    return all(len(whole[0]) <= room for whole in _WHOLE.finditer(text))


def split(text: str, length: int = SECTION_LENGTH) -> list[str]:
    """Split `text` into parts of at most `length` characters.

    Parts end between lines if possible, else between words, and never within a link, a mention or
    an escaped character. A divided code block is a code block in both parts.
    """
    if _FENCE not in text:
        return list(_parts(text, length))
    return list(_with_fences(_parts(text, length - _FENCE_ROOM), text.count(_FENCE)))


def shorten(text: str, size: int) -> str:
    """Truncate `text` to `size` bytes of UTF-8, with `…` at the end."""
    data = text.encode()
    if len(data) <= size:
        return text
    limit = len(data[: size - len("…".encode())].decode(errors="ignore"))
    return f"{text[: _end_of_part(_shape(text, limit), 0, limit)].rstrip()}…"


def _parts(text: str, length: int) -> Iterator[str]:
    shape = _shape(text, len(text))
    start = 0
    while len(text) - start > length:
        end = _end_of_part(shape, start, start + length)
        yield text[start:end]
        start = end
    yield text[start:]


def _shape(text: str, limit: int) -> str:
    """Return `text` with indivisible elements replaced by markers, if they begin before `limit`."""
    plain = text.replace(_INSIDE, " ").replace(_FIRST, " ")
    pieces, end = [], 0
    for whole in _WHOLE.finditer(plain):
        if whole.start() >= limit:
            break
        pieces += [plain[end : whole.start()], _FIRST, _INSIDE * (len(whole[0]) - 1)]
        end = whole.end()
    return "".join([*pieces, plain[end:]])


def _end_of_part(shape: str, start: int, limit: int) -> int:
    for separator in ("\n", " "):
        position = shape.rfind(separator, (start + limit) // 2, limit)
        if position >= 0:
            return position + 1
    if shape[limit] != _INSIDE:
        return limit
    position = shape.rfind(_FIRST, start, limit)
    # An element longer than a part must be divided.
    return position if position > start else limit


def _with_fences(parts: Iterable[str], fences: int) -> Iterator[str]:
    seen = 0
    is_open = False
    for part in parts:
        opening = f"{_FENCE}\n" if is_open else ""
        seen += part.count(_FENCE)
        # An unpaired last fence does not open a block.
        is_open = seen % 2 == 1 and seen < fences
        closing = _FENCE if part.endswith("\n") else f"\n{_FENCE}"
        yield f"{opening}{part}{closing if is_open else ''}"
