"""Links to the files of messages: permalinks of uploaded copies in Slack, or Bellhop's pages.

A file is uploaded without a channel; the message with its permalink shares it. So the message has a
mark like any other, by which it is found after a crash. A crash before the permalink is stored
leaves a second copy in Slack that is in no channel.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any
from weakref import WeakValueDictionary

from bolt_app.notifications.content.files import FILES, file_label, file_url
from bolt_app.notifications.delivery.attempts import Attempt
from bolt_app.notifications.delivery.upload_turns import UploadTurns
from bolt_app.notifications.files.service import Files
from bolt_app.notifications.files.store import StoredFile
from bolt_app.slack_api import BeforeRequest, SlackCallError
from bolt_app.slack_api.client import UPLOAD
from bolt_app.slack_api.uploads import UploadUrls
from bolt_app.workspaces.client import BotWorkspace, WorkspaceClient

logger = logging.getLogger(__name__)

SCOPE = "files:write"
# Attempts at a delivery in which files are uploaded; later ones link to the pages.
UPLOAD_ATTEMPTS = 3
# For all files of an attempt, however many they are and however slowly Slack takes them.
UPLOADS_SECONDS = 60.0
# How long a message waits for others that upload their files.
PATIENCE_SECONDS = 300.0


class FileLinks:
    """Finds links to files, and uploads files to Slack for that.

    A message is in flight while its files are uploaded. Only some messages of a workspace may be
    that at the same time, so that the others have room, and their sources take turns.
    """

    def __init__(
        self,
        client: WorkspaceClient,
        uploads: UploadUrls,
        files: Files,
        public_url: str,
        turns: UploadTurns,
    ) -> None:
        self._turns = turns
        self._client = client
        self._uploads = uploads
        self._files = files
        self._public_url = public_url
        # Held during the upload of a file, so that deliveries to several channels share one copy.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def find(
        self, workspace: BotWorkspace, attempt: Attempt, check: BeforeRequest
    ) -> Mapping[str, str]:
        """Return the URLs of the files of an attempt's content, by id.

        That is the URL of its page without the scope, if Slack rejects a file, and if the message
        has waited for too long.

        Args:
            check: awaited before each request that changes something.

        Raises:
            NotInstalledError: the workspace has no bot.
            SlackCallError: the token is invalid, or Slack did not answer in time.
            NotSentError: `check` raised it.
            UploadsBusyError: a file must be uploaded, and other messages upload theirs.
        """
        files = attempt.content[FILES]
        links = await asyncio.to_thread(self._permalinks, files)
        # A file that was deleted lacks none.
        lacking = [file for file in files if links.get(file["id"], "") is None]
        if lacking and await self._may_upload(workspace, attempt):
            place = self._turns.enter(workspace.team_id, attempt.source, attempt.delivery_id)
            with place as has_place:
                if has_place:
                    links |= await self._upload_all(workspace, lacking, check)
                else:
                    logger.warning("a message has waited for too long to upload its files")
        ids = [file["id"] for file in files]
        return {id_: links.get(id_) or file_url(self._public_url, id_) for id_ in ids}

    def _permalinks(self, files: Collection[Mapping[str, Any]]) -> dict[str, str | None]:
        """Return the permalinks of the copies of stored files, by id; None without a copy."""
        found = {file["id"]: self._files.find(file["id"]) for file in files}
        return {id_: file.permalink for id_, file in found.items() if file is not None}

    async def _may_upload(self, workspace: BotWorkspace, attempt: Attempt) -> bool:
        may_try = attempt.number <= UPLOAD_ATTEMPTS
        return may_try and await self._client.has_scope_soon(workspace, SCOPE)

    async def _upload_all(
        self, workspace: BotWorkspace, files: Collection[Mapping[str, Any]], check: BeforeRequest
    ) -> dict[str, str | None]:
        """Upload files; return their permalinks by id, None for those that Slack rejects."""
        try:
            async with asyncio.timeout(UPLOADS_SECONDS):
                return {
                    file["id"]: await self._upload_once(workspace, file, check) for file in files
                }
        except TimeoutError:
            logger.warning("Slack took the files of a message too slowly")
            raise SlackCallError(UPLOAD, "unavailable") from None

    async def _upload_once(
        self, workspace: BotWorkspace, file: Mapping[str, Any], check: BeforeRequest
    ) -> str | None:
        """Upload a file, unless another delivery has done so meanwhile."""
        async with self._locks.setdefault(file["id"], asyncio.Lock()):
            stored = await asyncio.to_thread(self._files.find, file["id"])
            if stored is None or stored.permalink is not None:
                return None if stored is None else stored.permalink
            return await self._upload(workspace, stored, file_label(file), check)

    async def _upload(
        self, workspace: BotWorkspace, file: StoredFile, title: str, check: BeforeRequest
    ) -> str | None:
        """Upload a file; return its permalink, or None if Slack rejects it."""
        try:
            permalink = await self._upload_to_slack(workspace, file, title, check)
        except SlackCallError as error:
            if error.is_dead_token or not error.is_permanent:
                raise
            extra = {"file": file.id, "error": error.code}
            logger.warning("Slack rejects a file: the message links to its page", extra=extra)
            return None
        if permalink is not None:
            await asyncio.to_thread(self._files.record_permalink, file.id, permalink)
        return permalink

    async def _upload_to_slack(
        self, workspace: BotWorkspace, file: StoredFile, title: str, check: BeforeRequest
    ) -> str | None:
        """Upload a file in three steps, without a channel.

        https://docs.slack.dev/reference/methods/files.getUploadURLExternal and
        https://docs.slack.dev/reference/methods/files.completeUploadExternal
        """
        # An organization's token does not say which workspace gets the file.
        team = {"team_id": workspace.team_id} if workspace.is_enterprise_install else {}
        opened = await self._client.call_as_bot(
            workspace,
            "files.getUploadURLExternal",
            before_request=check,
            filename=file.name,
            length=file.length,
            alt_txt=file.alt_text,
            **team,
        )
        await self._uploads.send(opened.get("upload_url"), self._chunks(file), file.length)
        answer = await self._client.call_as_bot(
            workspace,
            "files.completeUploadExternal",
            before_request=check,
            files=[{"id": opened.get("file_id"), "title": title}],
            **team,
        )
        permalinks = [file.get("permalink") for file in answer.get("files", ())]
        return next((one for one in permalinks if isinstance(one, str)), None)

    async def _chunks(self, file: StoredFile) -> AsyncIterator[bytes]:
        number = 0
        while (data := await asyncio.to_thread(self._files.chunk, file.id, number)) is not None:
            yield data
            number += 1
