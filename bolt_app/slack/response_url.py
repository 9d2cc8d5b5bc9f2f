"""Answers over a `response_url`: to Slack's own origin alone, without redirects.

https://docs.slack.dev/interactivity/handling-user-interaction#message_responses
"""

from __future__ import annotations

import http.client
import json
import logging
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from slack_bolt import Respond
from slack_sdk.webhook import WebhookResponse

from bolt_app.slack_api import SlackCallError

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10
MAX_ANSWER_BYTES = 64 * 1024
# GovSlack: https://docs.slack.dev/govslack
_ORIGINS = {
    "https://slack.com": "https://hooks.slack.com",
    "https://slack-gov.com": "https://hooks.slack-gov.com",
}


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        """Leave a redirect unfollowed: it then is an answer like any other error."""


_OPENER = build_opener(_NoRedirects)


def response_origin(slack_base_url: str) -> str:
    """Return the origin of every `response_url`; the stand-in for Slack uses its own."""
    return _ORIGINS.get(slack_base_url, slack_base_url)


def is_response_url(url: object, slack_base_url: str) -> bool:
    """Return whether a `response_url` is on Slack's own origin for it.

    The text is compared rather than parsed: two parsers may disagree about where a host ends.
    """
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        return False
    return url.startswith(f"{response_origin(slack_base_url)}/")


def post_response(slack_base_url: str, url: object, message: Mapping[str, Any]) -> int:
    """Post a message to a `response_url` and return the HTTP status.

    Raises:
        SlackCallError: the address is not Slack's (`invalid_response_url`, nothing was called), or
            no answer came.
    """
    if not is_response_url(url, slack_base_url):
        logger.warning("a response_url is not on Slack's origin: nothing was sent there")
        raise SlackCallError("response_url", "invalid_response_url")
    request = Request(  # noqa: S310
        str(url),
        data=json.dumps(message).encode(),
        headers={"Content-Type": "application/json; charset=utf-8"},
    )
    try:
        with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as answer:
            answer.read(MAX_ANSWER_BYTES)
            return int(answer.status)
    except HTTPError as error:
        with error:
            logger.warning("Slack refused a response", extra={"status": error.code})
            return error.code
    except (OSError, http.client.HTTPException):
        raise SlackCallError("response_url", "unavailable", ambiguous=True) from None


class SlackRespond(Respond):
    """Bolt's `respond()`, through `post_response`."""

    def __init__(self, slack_base_url: str, response_url: str) -> None:
        super().__init__(response_url=response_url)
        self._slack_base_url = slack_base_url

    def __call__(self, *args: Any, **message: Any) -> WebhookResponse:
        """Post a message; its parts are named, and their blocks are dictionaries.

        Raises:
            SlackCallError: as `post_response`.
        """
        if args:
            raise TypeError("name the parts of the message")
        parts = {name: value for name, value in message.items() if value is not None}
        status = post_response(self._slack_base_url, self.response_url, {"text": ""} | parts)
        return WebhookResponse(url="", status_code=status, body="", headers={})
