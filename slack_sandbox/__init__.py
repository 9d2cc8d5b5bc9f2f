"""A local stand-in for Slack, for tests, demonstrations and measurements.

It is not Slack: it plays the part of it that this app speaks to, never more leniently, with
everything in memory. :class:`SandboxServer` runs it; :class:`Sandbox` is what it holds and what
people do in it. Nothing here imports anything else of the app.
"""

from slack_sandbox.calls import ApiCall
from slack_sandbox.config import AppConfig, SlashCommand
from slack_sandbox.deliveries import Attempt, Delivery
from slack_sandbox.errors import (
    AuthorizeError,
    ConfirmationNeededError,
    ManifestError,
    NotFoundError,
    SandboxError,
)
from slack_sandbox.faults import Fault
from slack_sandbox.interactions import InteractionResult
from slack_sandbox.people import CommandResult
from slack_sandbox.sandbox import Sandbox
from slack_sandbox.server import SandboxServer

__all__ = [
    "ApiCall",
    "AppConfig",
    "Attempt",
    "AuthorizeError",
    "CommandResult",
    "ConfirmationNeededError",
    "Delivery",
    "Fault",
    "InteractionResult",
    "ManifestError",
    "NotFoundError",
    "Sandbox",
    "SandboxError",
    "SandboxServer",
    "SlashCommand",
]
