"""The ``markdown`` block: the common part of Markdown, line by line.

See https://docs.slack.dev/reference/block-kit/blocks/markdown-block.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from markupsafe import Markup

from slack_sandbox.client.render.mrkdwn import plain_text
from slack_sandbox.client.render.tags import join, link, tag

_HEADING = re.compile(r"(#{1,6})\s+(.+)")
_BULLET = re.compile(r"\s*[-*+]\s+(.*)")
_NUMBER = re.compile(r"\s*\d+[.)]\s+(.*)")
_QUOTE = re.compile(r">\s?(.*)")
_RULE = re.compile(r"\s*(?:-{3,}|\*{3,}|_{3,})\s*")
_INLINE = re.compile(
    r"`(?P<code>[^`]+)`"
    r"|!?\[(?P<label>[^\[\]]*)\]\((?P<url>[^\s()]+)\)"
    r"|\*\*(?P<strong>[^*]+)\*\*"
    r"|~~(?P<del>[^~]+)~~"
    r"|(?<!\w)\*(?P<em>[^*\s][^*]*)\*"
    r"|(?<!\w)_(?P<em2>[^_\s][^_]*)_(?!\w)"
    r"|(?P<bare>https?://[^\s<>\"'`()]+)"
)


def markdown(text: str) -> Markup:
    """Headings, lists, quotes, code, rules and paragraphs."""
    lines = deque(text.replace("\r\n", "\n").split("\n"))
    fragments: list[Markup] = []
    while lines:
        fragments.append(_next(lines))
    return join(fragments)


def _next(lines: deque[str]) -> Markup:
    """Remove the block that starts on the first line from ``lines``."""
    first = lines[0]
    if first.lstrip().startswith("```"):
        return _fence(lines)
    if _RULE.fullmatch(first):
        lines.popleft()
        return tag("hr", {})
    heading = _HEADING.fullmatch(first)
    if heading is not None:
        lines.popleft()
        return tag(f"h{min(len(heading[1]) + 2, 6)}", {}, _inline(heading[2]))
    for pattern, wrap in _GROUPS:
        taken = _taken(lines, pattern)
        if taken:
            return wrap(taken)
    return _paragraph(lines)


def _taken(lines: deque[str], pattern: re.Pattern[str]) -> list[str]:
    taken: list[str] = []
    while lines and (match := pattern.fullmatch(lines[0])) and not _RULE.fullmatch(lines[0]):
        taken.append(match[1])
        lines.popleft()
    return taken


def _fence(lines: deque[str]) -> Markup:
    lines.popleft()
    code: list[str] = []
    while lines and not lines[0].lstrip().startswith("```"):
        code.append(lines.popleft())
    if lines:
        lines.popleft()
    return tag("pre", {}, tag("code", {}, "\n".join(code)))


def _paragraph(lines: deque[str]) -> Markup:
    text: list[str] = [lines.popleft()]
    starts = (_HEADING, _BULLET, _NUMBER, _QUOTE, _RULE)
    while lines and lines[0].strip() and not lines[0].lstrip().startswith("```"):
        if any(pattern.fullmatch(lines[0]) for pattern in starts):
            break
        text.append(lines.popleft())
    if not any(line.strip() for line in text):
        return Markup()
    return tag("p", {}, join(map(_inline, text), Markup("<br>")))


def _items(name: str) -> Callable[[list[str]], Markup]:
    return lambda lines: tag(name, {}, *(tag("li", {}, _inline(line)) for line in lines))


def _quote(lines: list[str]) -> Markup:
    return tag("blockquote", {}, join(map(_inline, lines), Markup("<br>")))


_GROUPS: tuple[tuple[re.Pattern[str], Callable[[list[str]], Markup]], ...] = (
    (_BULLET, _items("ul")),
    (_NUMBER, _items("ol")),
    (_QUOTE, _quote),
)


def _inline(text: str) -> Markup:
    fragments: list[str] = []
    end = 0
    for match in _INLINE.finditer(text):
        fragments += [plain_text(text[end : match.start()]), _styled(match)]
        end = match.end()
    return join([*fragments, plain_text(text[end:])])


def _styled(match: re.Match[str]) -> Markup:
    kind = match.lastgroup or ""
    if kind == "code":
        return tag("code", {}, match["code"])
    if kind == "url":
        return link(match["url"], match["label"] or match["url"])
    if kind == "bare":
        return link(match["bare"], match["bare"])
    return tag(kind.rstrip("2"), {}, _inline(match[kind]))
