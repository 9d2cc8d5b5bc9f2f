"""Slack's mrkdwn as HTML for pages.

https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from markupsafe import Markup, escape

# The longest text of a block (https://docs.slack.dev/reference/block-kit/blocks/section-block).
MOST_LINK = 3000
_FENCE = re.compile(r"```\n?(.+?)\n?```\n?", re.DOTALL)
_QUOTED = re.compile(r"(?:&gt;|>) ?(.*)")
# Text inside emphasis: whole links and code, and any character but the mark itself.
_INNER = r"(?:<[^<>\n]*>|`[^`\n]*`|[^{mark}<`\n])+"
_EMPHASIS = {"strong": "*", "em": "_", "del": "~"}
_INLINE = re.compile(
    "|".join(
        [
            r"<(?P<token>[^<>\n]+)>",
            r"`(?P<code>[^`\n]+)`",
            r"(?P<url>https?://[^\s<>|]*[^\s<>|.,;:!?)\]*_~'\"])",
            *(
                rf"(?<![\w{mark}])\{mark}(?!\s)(?P<{name}>{_INNER.format(mark=mark)})(?<!\s)"
                rf"\{mark}(?![\w{mark}])"
                for name, mark in _EMPHASIS.items()
            ),
        ]
    )
)
_LINKS = frozenset({"http", "https", "mailto", "tel"})
_DATE_PART = re.compile(r"\{(\w+)\}")
_DATE_FORMS = {
    "date_num": "%Y-%m-%d",
    "date": "%-d %B %Y",
    "date_short": "%-d %b %Y",
    "date_long": "%A, %-d %B %Y",
    "date_slash": "%d/%m/%Y",
    "time": "%H:%M",
    "time_secs": "%H:%M:%S",
}


@dataclass(frozen=True)
class Reader:
    """The names that a reader may see, and their time zone.

    Attributes:
        people: names by id.
        channels: names by id, of channels that the reader may know.
        local: converts a moment to the reader's time zone.
    """

    people: Mapping[str, str]
    channels: Mapping[str, str]
    local: Callable[[datetime], datetime]


def mrkdwn_html(text: str, reader: Reader) -> Markup:
    """Return mrkdwn as paragraphs, quotes and code."""
    # Joined at the end, because appending to a growing text copies it each time.
    html: list[Markup] = []
    for index, piece in enumerate(_FENCE.split(text)):
        if index % 2:
            html.append(Markup("<pre><code>{}</code></pre>").format(decode(piece)))
        else:
            html.extend(_paragraphs(piece.strip("\n"), reader))
    return Markup().join(html)


def plain_html(text: str) -> Markup:
    """Return plain text, without any markup."""
    if not text.strip():
        return Markup()
    return tag_html("p", Markup("<br>").join(text.split("\n")))


def link_html(url: str, label: str | Markup) -> Markup:
    """Return a link, or only its label if the URL is not safe to follow."""
    if not _is_link(url):
        return Markup("{}").format(label)
    return Markup('<a href="{}">{}</a>').format(url, label)


def _is_link(url: str) -> bool:
    # Parsing the host takes quadratic time.
    if len(url) > MOST_LINK:
        return False
    try:
        return urlsplit(url).scheme.lower() in _LINKS
    except ValueError:
        return False


def tag_html(name: str, child: str) -> Markup:
    """Return an element around `child`; `name` must be trusted."""
    # `Markup.format` takes four times as long.
    return Markup(f"<{name}>{escape(child)}</{name}>")  # noqa: S704


def decode(text: str) -> str:
    """Return text with the three characters that apps escape for Slack restored."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def inline_html(text: str, reader: Reader) -> Markup:
    """Return one line of mrkdwn."""
    pieces: list[str] = []
    end = 0
    for found in _INLINE.finditer(text):
        pieces += [decode(text[end : found.start()]), _styled(found, reader)]
        end = found.end()
    return Markup().join([*pieces, decode(text[end:])])


def _paragraphs(text: str, reader: Reader) -> Iterator[Markup]:
    lines: list[str] = []
    is_quote = False
    for line in [*text.split("\n"), None]:
        quoted = None if line is None else _QUOTED.fullmatch(line)
        if lines and (line is None or bool(quoted) != is_quote):
            yield _paragraph(lines, reader, is_quote=is_quote)
            lines = []
        if line is not None:
            is_quote = quoted is not None
            lines.append(quoted[1] if quoted else line)


def _paragraph(lines: list[str], reader: Reader, *, is_quote: bool) -> Markup:
    if not any(line.strip() for line in lines):
        return Markup()
    html = Markup("<br>").join(inline_html(line, reader) for line in lines)
    return tag_html("blockquote" if is_quote else "p", html)


def _styled(found: re.Match[str], reader: Reader) -> Markup:
    kind = found.lastgroup or ""
    text = found[kind]
    if kind == "token":
        return _token(text, reader)
    if kind == "code":
        return tag_html("code", decode(text))
    if kind == "url":
        return link_html(decode(text), decode(text))
    return tag_html(kind, inline_html(text, reader))


def _token(token: str, reader: Reader) -> Markup:
    """Return the element between angle brackets: a link, a mention or a date."""
    target, _, label = token.partition("|")
    kind, name = target[:1], target[1:]
    if kind == "@":
        return _mention(f"@{reader.people.get(name) or decode(label) or 'someone'}")
    if kind == "#":
        return _mention(f"#{reader.channels.get(name, 'private-channel')}")
    if kind == "!":
        return _special(name, decode(label), reader)
    url = decode(target)
    if not _is_link(url):
        return Markup("{}").format(f"<{decode(token)}>")
    return link_html(url, decode(label) or url.removeprefix("mailto:"))


def _mention(words: str) -> Markup:
    return Markup('<span class="mention">{}</span>').format(words)


def _special(name: str, label: str, reader: Reader) -> Markup:
    kind, *rest = name.split("^")
    if kind == "date" and len(rest) >= 2:
        words = date_words(rest[0], decode(rest[1]), label, reader)
        return link_html(decode(rest[2]) if len(rest) > 2 else "", words)
    return _mention(label or f"@{kind if kind != 'subteam' else 'a group'}")


def date_words(timestamp: str, form: str, fallback: str, reader: Reader) -> str:
    """Return a moment in the given form and the reader's time zone."""
    try:
        at = reader.local(datetime.fromtimestamp(int(timestamp), UTC))
    except (ValueError, OverflowError, OSError):
        return fallback
    parts = set(_DATE_PART.findall(form))
    forms = {part: _DATE_FORMS.get(part.removesuffix("_pretty")) for part in parts}
    if not all(forms.values()):
        return fallback or f"{at:%-d %B %Y, %H:%M}"
    return _DATE_PART.sub(lambda part: at.strftime(forms[part[1]] or ""), form)
