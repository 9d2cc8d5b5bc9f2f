"""Origins of Slack beside that of the Web API, and checks of URLs that Slack hands out."""

from __future__ import annotations

from collections.abc import Mapping

# GovSlack: https://docs.slack.dev/govslack
RESPONSES: Mapping[str, str] = {
    "https://slack.com": "https://hooks.slack.com",
    "https://slack-gov.com": "https://hooks.slack-gov.com",
}
FILES: Mapping[str, str] = {
    "https://slack.com": "https://files.slack.com",
    "https://slack-gov.com": "https://files.slack-gov.com",
}


def origin_of(slack_base_url: str, origins: Mapping[str, str]) -> str:
    """Return the origin of a Slack's URLs of one kind; the stand-in for Slack uses its own."""
    return origins.get(slack_base_url, slack_base_url)


def is_on_origin(url: object, origin: str) -> bool:
    """Whether a URL is on an origin.

    The text is compared, not parsed, because two parsers may disagree about the host.
    """
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        return False
    return url.startswith(f"{origin}/")
