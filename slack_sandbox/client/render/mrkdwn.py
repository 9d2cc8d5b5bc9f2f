"""Slack's mrkdwn as HTML.

See https://docs.slack.dev/messaging/formatting-message-text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from markupsafe import Markup, escape

from slack_sandbox.client.render.dates import date_tag
from slack_sandbox.client.render.emoji import NAME, emoji_tag
from slack_sandbox.client.render.reader import Reader
from slack_sandbox.client.render.tags import join, link, safe_url, tag
from slack_sandbox.client.render.values import whole_number

# Finished pieces are replaced by a number between two otherwise unused characters.
_OPEN, _CLOSE = "\ue000", "\ue001"
_STORED = re.compile(f"{_OPEN}(\\d+){_CLOSE}")
_FENCE = re.compile(r"\n?```\n?(.+?)\n?```\n?", re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_TOKEN = re.compile(r"<([^<>\n]+)>")
_BARE_URL = re.compile(
    rf"https?://[^\s<>\"'`\\|{_OPEN}{_CLOSE}]*[^\s<>\"'`\\|{_OPEN}{_CLOSE}.,;:!?)\]*_~]"
)
# From a mark to the next one of its kind; each character is scanned a bounded number of times.
_EMPHASIS = re.compile(
    r"(?<![\w*])\*(?!\s)([^*\n]*[^*\s])\*(?![\w*])"
    r"|(?<![\w_])_(?!\s)([^_\n]*[^_\s])_(?![\w_])"
    r"|(?<![\w~])~(?!\s)([^~\n]*[^~\s])~(?![\w~])"
)
_MARKS = {1: "strong", 2: "em", 3: "del"}
_QUOTE = re.compile(r"(?:&gt;|>) ?")
_REST_QUOTED = re.compile(r"(?:&gt;|>){3} ?")


def mrkdwn(text: str, reader: Reader) -> Markup:
    """Text with links, mentions, dates, emoji, emphasis, code and quotes."""
    return _Writer(reader).formatted(text)


def unformatted(text: str, reader: Reader) -> Markup:
    """Text with links, mentions, dates and emoji only, as without mrkdwn."""
    return _Writer(reader).plain(text)


def plain_text(text: str) -> Markup:
    """A ``plain_text`` object; only emoji are rendered."""
    fragments: list[str] = []
    end = 0
    for match in NAME.finditer(text):
        picture = emoji_tag(match[1])
        if picture is not None:
            fragments += [text[end : match.start()], picture]
            end = match.end()
    return join([*fragments, text[end:]])


class _Writer:
    """Renders one text, with a store of finished fragments."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._pieces: list[Markup] = []
        self._blocks: set[int] = set()

    def formatted(self, text: str) -> Markup:
        text = self._clean(text)
        text = _FENCE.sub(lambda match: f"\n{self._fence(match[1])}\n", text)
        text = _CODE.sub(lambda match: self._keep(tag("code", {}, self._literal(match[1]))), text)
        text = self._with_pieces(text)
        return self._lines(text.strip("\n").split("\n"))

    def plain(self, text: str) -> Markup:
        lines = self._with_pieces(self._clean(text)).split("\n")
        return join((self._leaf(line) for line in lines), Markup("<br>"))

    def _clean(self, text: str) -> str:
        return text.replace(_OPEN, "").replace(_CLOSE, "").replace("\r\n", "\n")

    def _keep(self, fragment: Markup) -> str:
        self._pieces.append(fragment)
        return f"{_OPEN}{len(self._pieces) - 1}{_CLOSE}"

    def _fence(self, code: str) -> str:
        self._blocks.add(len(self._pieces))
        return self._keep(tag("pre", {}, tag("code", {}, self._literal(code))))

    def _literal(self, code: str) -> Markup:
        """The text of a code span; URLs in it still become links."""
        fragments: list[str] = []
        end = 0
        for match in _TOKEN.finditer(code):
            fragments += [_decoded(code[end : match.start()]), self._token(match)]
            end = match.end()
        return join([*fragments, _decoded(code[end:])])

    def _with_pieces(self, text: str) -> str:
        text = _TOKEN.sub(lambda match: self._keep(self._token(match)), text)
        text = _BARE_URL.sub(self._bare_url, text)
        return NAME.sub(self._emoji, text)

    def _bare_url(self, match: re.Match[str]) -> str:
        url = _decoded(match[0])
        return self._keep(link(url, url))

    def _emoji(self, match: re.Match[str]) -> str:
        picture = emoji_tag(match[1])
        return match[0] if picture is None else self._keep(picture)

    def _token(self, match: re.Match[str]) -> Markup:
        target, _, label = match[1].partition("|")
        kind, name = target[:1], target[1:]
        if kind == "@":
            return person_tag(name, self._reader, label)
        if kind == "#":
            return channel_tag(name, self._reader, label)
        if kind == "!":
            return self._special(name, label)
        url = safe_url(_decoded(target))
        if url is None:
            return self._leaf(match[0])
        shown = self._leaf(label) if label else escape(url.removeprefix("mailto:"))
        return link(url, shown)

    def _special(self, name: str, label: str) -> Markup:
        kind, *rest = name.split("^")
        if kind == "date" and len(rest) >= 2:
            url = _decoded(rest[2]) if len(rest) > 2 else None
            template = _decoded(rest[1])
            return date_tag(whole_number(rest[0]), template, url, _decoded(label), self._reader)
        if kind in ("here", "channel", "everyone"):
            return tag("span", {"class": "mention"}, f"@{kind}")
        shown = _decoded(label) or (f"@{rest[0]}" if kind == "subteam" and rest else f"<{kind}>")
        return tag("span", {"class": "mention"}, shown)

    def _lines(self, lines: list[str]) -> Markup:
        return join(self._paragraphs(lines))

    def _paragraphs(self, lines: list[str]) -> Iterator[Markup]:
        """Lines with breaks between them; quotes and code are elements of their own."""
        after_line = False
        index = 0
        while index < len(lines):
            quoted = self._quoted(lines, index)
            if quoted:
                index += len(quoted)
                after_line = False
                yield tag("blockquote", {}, join(map(self._emphasized, quoted), Markup("<br>")))
                continue
            line = lines[index]
            index += 1
            stored = _STORED.fullmatch(line)
            if stored is not None and int(stored[1]) in self._blocks:
                after_line = False
                yield self._pieces[int(stored[1])]
                continue
            if after_line:
                yield Markup("<br>")
            after_line = True
            yield self._emphasized(line)

    def _quoted(self, lines: list[str], index: int) -> list[str]:
        rest = _REST_QUOTED.match(lines[index])
        if rest is not None:
            return [lines[index][rest.end() :], *lines[index + 1 :]]
        quoted: list[str] = []
        for number in range(index, len(lines)):
            match = _QUOTE.match(lines[number])
            if match is None:
                break
            quoted.append(lines[number][match.end() :])
        return quoted

    def _emphasized(self, text: str) -> Markup:
        fragments: list[str] = []
        end = 0
        for match in _EMPHASIS.finditer(text):
            mark = match.lastindex or 1
            inner = self._emphasized(match[mark])
            fragments += [self._leaf(text[end : match.start()]), tag(_MARKS[mark], {}, inner)]
            end = match.end()
        return join([*fragments, self._leaf(text[end:])])

    def _leaf(self, text: str) -> Markup:
        """Escaped text, with the finished fragments inserted."""
        if _OPEN not in text:
            return escape(_decoded(text))
        fragments: list[str] = []
        end = 0
        for match in _STORED.finditer(text):
            fragments += [_decoded(text[end : match.start()]), self._pieces[int(match[1])]]
            end = match.end()
        return join([*fragments, _decoded(text[end:])])


def person_tag(user_id: str, reader: Reader, label: str = "") -> Markup:
    """A mention of a person."""
    shown = f"@{reader.people.get(user_id) or _decoded(label) or user_id}"
    kind = "mention me" if user_id == reader.user_id else "mention"
    if user_id not in reader.people:
        return tag("span", {"class": kind}, shown)
    return tag("a", {"class": kind, "href": reader.conversation_url(user_id)}, shown)


def channel_tag(channel_id: str, reader: Reader, label: str = "") -> Markup:
    """A mention of a channel, without its name if the person cannot see it."""
    if channel_id in reader.channels:
        href = reader.conversation_url(channel_id)
        shown = f"#{reader.channels[channel_id]}"
        return tag("a", {"class": "mention", "href": href}, shown)
    return tag("span", {"class": "mention"}, f"#{_decoded(label) or 'private-channel'}")


def _decoded(text: str) -> str:
    """Text with ``&amp;``, ``&lt;`` and ``&gt;`` decoded."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
