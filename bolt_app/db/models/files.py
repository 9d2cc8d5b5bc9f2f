"""Files of notifications."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from bolt_app.db.models.base import Base, SlackId

FileId = String(32)


class File(Base):
    """A file of one workspace. Its bytes are in `file_chunks` once it is uploaded."""

    __tablename__ = "files"

    id: Mapped[str] = mapped_column(FileId, primary_key=True)
    team_id: Mapped[str] = mapped_column(SlackId, index=True)
    # The credential that opened the upload, such as "api_key:3".
    source: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(Text)
    # The description of a picture, for screen readers.
    alt_text: Mapped[str | None] = mapped_column(Text)
    length: Mapped[int]  # in bytes
    # Of the secret in the upload URL; empty once the URL is used.
    upload_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    # How often bytes were sent to the URL, counted when they begin to arrive.
    upload_attempts: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime]
    uploaded_at: Mapped[datetime | None]
    # When the first notification with it was accepted.
    shared_at: Mapped[datetime | None]
    # Of its copy in Slack.
    permalink: Mapped[str | None] = mapped_column(Text)


class FileChunk(Base):
    """A part of the bytes of a file, small enough to be read into memory."""

    __tablename__ = "file_chunks"

    file_id: Mapped[str] = mapped_column(
        ForeignKey("files.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # from 0
    data: Mapped[bytes] = mapped_column(LargeBinary)


class NotificationFile(Base):
    """A file of a notification."""

    __tablename__ = "notification_files"

    notification_id: Mapped[str] = mapped_column(
        ForeignKey("notifications.id", ondelete="CASCADE"), primary_key=True
    )
    file_id: Mapped[str] = mapped_column(
        ForeignKey("files.id", ondelete="CASCADE"), primary_key=True, index=True
    )
