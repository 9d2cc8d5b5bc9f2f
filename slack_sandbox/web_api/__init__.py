"""The Web API: one module for each family of methods, and their shared ``dispatch``."""

from slack_sandbox.web_api import (
    auth,
    chat,
    conversations,
    files,
    functions,
    oauth,
    reactions,
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
    "files",
    "functions",
    "oauth",
    "reactions",
    "unfurl",
    "users",
    "views",
]
