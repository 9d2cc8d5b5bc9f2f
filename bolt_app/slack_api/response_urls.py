"""Messages to a `response_url`: only to Slack's origin, without redirects.

https://docs.slack.dev/interactivity/handling-user-interaction#message_responses
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from bolt_app.slack_api.client import RESPONSE_URL, SlackApi
from bolt_app.slack_api.errors import SlackCallError
from bolt_app.slack_api.origins import RESPONSES, is_on_origin, origin_of

logger = logging.getLogger(__name__)


class ResponseUrls:
    """Posts to the response URLs of requests from Slack."""

    def __init__(self, slack_base_url: str, api: SlackApi) -> None:
        self._origin = origin_of(slack_base_url, RESPONSES)
        self._api = api

    def accepts(self, url: object) -> bool:
        """Whether a `response_url` is on Slack's origin."""
        return is_on_origin(url, self._origin)

    def post(self, url: object, message: Mapping[str, Any]) -> int:
        """Post a message to a `response_url` and return the HTTP status.

        Raises:
            SlackCallError: the URL is not Slack's (`invalid_response_url`, nothing is sent), or
                Slack did not answer.
        """
        if not self.accepts(url):
            logger.warning("a response_url is not on Slack's origin; nothing was sent")
            raise SlackCallError(RESPONSE_URL, "invalid_response_url")
        status = self._api.post_to(str(url), message)
        if status >= 300:
            logger.warning("Slack rejected a response", extra={"status": status})
        return status
