"""The Web API: one module a family of methods, and the door they share (``door.py``)."""

from slack_sandbox.web_api import (
    auth,
    chat,
    conversations,
    functions,
    oauth,
    unfurl,
    users,
    views,
)
from slack_sandbox.web_api.registry import METHODS

__all__ = [
    "METHODS",
    "auth",
    "chat",
    "conversations",
    "functions",
    "oauth",
    "unfurl",
    "users",
    "views",
]
