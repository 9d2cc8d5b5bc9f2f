"""Errors of files."""

from __future__ import annotations


class FileLimitError(Exception):
    """An upload would exceed a limit."""


class FileTooLargeError(FileLimitError):
    """The file is larger than any may be."""


class StorageFullError(FileLimitError):
    """The files of the workspace, or of the source, would be larger together than they may be."""


class TooManyUploadsError(FileLimitError):
    """The API key has too many files, or bytes, that are in no notification yet."""


class FileUnavailableError(Exception):
    """No such file is ready for a notification of this source."""


class UnknownUploadError(Exception):
    """The upload URL is unknown, used or expired, has no attempts left, or its key is revoked."""


class WrongLengthError(Exception):
    """The bytes are not as many as announced."""
