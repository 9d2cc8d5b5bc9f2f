"""The kind of grant that an install ended with, passed from the flow to its callback."""

from __future__ import annotations

from enum import Enum

# Its name in the context of Bolt's request.
GRANT = "bellhop_install_grant"


class InstallGrant(Enum):
    """A person's own profile alone, a bot that is new in its workspace, or the bot once more."""

    PROFILE = "profile"
    NEW_BOT = "new_bot"
    BOT = "bot"
