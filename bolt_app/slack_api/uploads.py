"""Uploads of bytes to the URLs of `files.getUploadURLExternal`: only to Slack, without redirects.

https://docs.slack.dev/messaging/working-with-files#uploading_files
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable

from bolt_app.slack_api.client import UPLOAD, SlackApi
from bolt_app.slack_api.errors import SlackCallError
from bolt_app.slack_api.origins import FILES, is_on_origin, origin_of

logger = logging.getLogger(__name__)


class UploadUrls:
    """Sends the bytes of files to Slack."""

    def __init__(self, slack_base_url: str, api: SlackApi) -> None:
        self._origin = origin_of(slack_base_url, FILES)
        self._api = api

    async def send(self, url: object, data: AsyncIterable[bytes], length: int) -> None:
        """Send the bytes of a file, from a coroutine on the HTTP loop.

        Args:
            length: of the data, in bytes.

        Raises:
            SlackCallError: the URL is not Slack's (`invalid_upload_url`, nothing is sent), or Slack
                rejected the bytes or did not answer.
        """
        if not is_on_origin(url, self._origin):
            logger.warning("an upload URL is not on Slack's origin; nothing was sent")
            raise SlackCallError(UPLOAD, "invalid_upload_url")
        status = await self._api.upload_to(str(url), data, length)
        if status != 200:
            logger.warning("Slack rejected the bytes of a file", extra={"status": status})
            raise SlackCallError(UPLOAD, "unavailable")
