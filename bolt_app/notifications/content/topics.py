"""Names of topics, and what a subscription may name: one topic, or all below a name."""

from __future__ import annotations

from bolt_app.recipients import normal_topic
from bolt_app.text_forms import lowered, typed

PATTERN_LENGTH = 80
EVERYTHING = "*"
_BELOW = "/*"


def normal_pattern(value: str) -> str:
    """Return what a subscription names in the one form it is stored in.

    Returns: a topic, `name/*` for all that begin with `name/`, or `*` for all.

    Raises:
        ValueError: it is neither.
    """
    text = lowered(typed(value)).removeprefix("topic:").strip()
    if text == EVERYTHING:
        return text
    if len(text) > PATTERN_LENGTH:
        raise ValueError(f"A topic has up to {PATTERN_LENGTH} characters.")
    if text.endswith(_BELOW):
        return normal_topic(text.removesuffix(_BELOW)) + _BELOW
    if "*" in text:
        raise ValueError(f"{text[:80]!r}: a star stands alone, or last after a slash, as deploys/*")
    return normal_topic(text)


def patterns_for(topic: str) -> list[str]:
    """Return everything a subscription may name to get what is sent to `topic`."""
    parts = topic.split("/")
    below = ["/".join(parts[:length]) + _BELOW for length in range(1, len(parts))]
    return [topic, *below, EVERYTHING]
