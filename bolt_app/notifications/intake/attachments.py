"""Files of submitted notifications."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from bolt_app.credentials.sources import credentials_of
from bolt_app.notifications.files.errors import FileUnavailableError
from bolt_app.notifications.files.store import link_files, share_files
from bolt_app.notifications.intake.planning import Submission


def attach_files(connection: Connection, submissions: Sequence[Submission], now: datetime) -> None:
    """Add files to stored notifications. Each file is shared by one submission only.

    Raises:
        FileUnavailableError: a file is not of the sender's source, not uploaded, or already shared.
    """
    for submission in submissions:
        drafts = [draft for draft in submission.drafts if draft.file_ids]
        if not drafts:
            continue
        sender = submission.sender
        ids = {id_ for draft in drafts for id_ in draft.file_ids}
        sources = credentials_of(connection, sender.team_id, sender.source or sender.name)
        if not share_files(connection, sender.team_id, sources, ids, now):
            raise FileUnavailableError
        for draft in drafts:
            link_files(connection, draft.id, draft.file_ids)
