"""Files in the content of a notification, and their links in its message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from bolt_app.blockkit.elements import Block
from bolt_app.blockkit.mrkdwn import link, split
from bolt_app.notifications.content.schema import NotificationRequest

FILES = "files"
FILES_PATH = "/files/"


class AttachedFile(BaseModel):
    """A file as the content of its notification names it.

    Attributes:
        size: in bytes.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    title: str
    size: int

    def __repr_args__(self) -> Iterator[tuple[str, object]]:
        yield "id", self.id


class NotificationWithFiles(NotificationRequest):
    """A notification with files, which only Bellhop itself creates: it checks who owns them."""

    files: list[AttachedFile]

    @property
    def file_ids(self) -> Sequence[str]:
        return [file.id for file in self.files]

    @property
    def has_content(self) -> bool:
        return bool(self.files) or super().has_content

    def content(self) -> dict[str, Any]:
        return {**super().content(), FILES: [file.model_dump() for file in self.files]}


def with_file_links(content: Mapping[str, Any], urls: Mapping[str, str]) -> dict[str, Any]:
    """Return a content with links to its files at the end of its text, and of its blocks.

    Args:
        urls: of the files, by id.
    """
    links = "\n".join(link(urls[file["id"]], file_label(file)) for file in content[FILES])
    text = content.get("text", "")
    extended = {**content, "text": f"{text}\n{links}" if text else links}
    if "blocks" in content:
        extended["blocks"] = [*content["blocks"], *map(_section, split(links))]
    return extended


def file_label(file: Mapping[str, Any]) -> str:
    """Return the words for a file of a content: its title, or its name."""
    return str(file.get("title") or file.get("name") or file["id"])


def file_url(public_url: str, file_id: str) -> str:
    """Return the URL of a file's page."""
    return f"{public_url}{FILES_PATH}{file_id}"


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}
