"""Bolt's `respond()` over Bellhop's HTTP client."""

from __future__ import annotations

from typing import Any

from slack_bolt import Respond
from slack_sdk.webhook import WebhookResponse

from bolt_app.slack_api import ResponseUrls


class SlackRespond(Respond):
    """Bolt's `respond()`, limited to Slack and without redirects."""

    def __init__(self, response_urls: ResponseUrls, response_url: str) -> None:
        super().__init__(response_url=response_url)
        self._response_urls = response_urls

    def __call__(self, *args: Any, **message: Any) -> WebhookResponse:
        """Post a message, given as keyword arguments with blocks as dictionaries.

        Raises:
            SlackCallError: see `ResponseUrls.post`.
        """
        if args:
            raise TypeError("respond() takes only keyword arguments")
        parts = {name: value for name, value in message.items() if value is not None}
        status = self._response_urls.post(self.response_url, {"text": ""} | parts)
        return WebhookResponse(url="", status_code=status, body="", headers={})
