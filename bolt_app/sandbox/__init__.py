"""A local stand-in for Slack, for tests, demonstrations and measurements.

It is not Slack: it plays the part of it that this app speaks to, never more leniently, with
everything in memory. :class:`SandboxServer` runs it; :class:`Sandbox` is what it holds and what
people do in it. Nothing here imports anything else of the app.
"""

from bolt_app.sandbox.calls import ApiCall
from bolt_app.sandbox.config import AppConfig, SlashCommand
from bolt_app.sandbox.deliveries import Attempt, Delivery
from bolt_app.sandbox.errors import (
    AuthorizeError,
    ConfirmationNeededError,
    ManifestError,
    NotFoundError,
    SandboxError,
)
from bolt_app.sandbox.faults import Fault
from bolt_app.sandbox.interactions import InteractionResult
from bolt_app.sandbox.people import CommandResult
from bolt_app.sandbox.sandbox import Sandbox
from bolt_app.sandbox.server import SandboxServer

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
