"""Topic names, and the patterns of subscriptions: one topic, all below a name, or all."""

from __future__ import annotations

from bolt_app.recipients import normal_topic
from bolt_app.text_forms import lowered, typed

PATTERN_LENGTH = 80
EVERYTHING = "*"
_BELOW = "/*"


def normal_pattern(value: str) -> str:
    """Return a pattern in its normalized form.

    Returns: a topic, `name/*` for all topics that begin with `name/`, or `*` for all.

    Raises:
        ValueError: it is not a pattern.
    """
    text = lowered(typed(value)).removeprefix("topic:").strip()
    if text == EVERYTHING:
        return text
    if len(text) > PATTERN_LENGTH:
        raise ValueError(f"A topic has at most {PATTERN_LENGTH} characters.")
    if text.endswith(_BELOW):
        return normal_topic(text.removesuffix(_BELOW)) + _BELOW
    if "*" in text:
        raise ValueError(f"{text[:80]!r}: use a star alone, or at the end after a slash: deploys/*")
    return normal_topic(text)


def matches(pattern: str, topic: str) -> bool:
    """Whether a pattern matches a topic."""
    if pattern.endswith(_BELOW):
        return topic.startswith(pattern.removesuffix("*"))
    return pattern in (topic, EVERYTHING)


def patterns_for(topic: str) -> list[str]:
    """Return all patterns that match a topic."""
    parts = topic.split("/")
    below = ["/".join(parts[:length]) + _BELOW for length in range(1, len(parts))]
    return [topic, *below, EVERYTHING]
