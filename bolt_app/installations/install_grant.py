"""The kind of grant of an install, passed from the flow to its callback."""

from __future__ import annotations

from enum import Enum

# The key in the context of Bolt's request.
GRANT = "bellhop_install_grant"


class InstallGrant(Enum):
    """Only a profile, a bot new in its workspace, or a bot that was already installed."""

    PROFILE = "profile"
    NEW_BOT = "new_bot"
    BOT = "bot"
