"""The sandbox: a local stand-in for Slack, for development, tests, demonstrations and measurements.

It implements a subset of Slack's Web API, OAuth, events and interactions, keeps everything in
memory, and is never more lenient than Slack. :class:`SandboxServer` serves it over HTTP;
:class:`Sandbox` holds its state and the actions of its people. The package depends on no app.
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
