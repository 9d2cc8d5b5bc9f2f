"""Settings from the environment and `.env`, with a clear error for each."""

from bolt_app.config.errors import ConfigError
from bolt_app.config.loading import ROOT, load_settings, read_environment, read_public_url
from bolt_app.config.settings import COMMAND, SLACK_ORIGIN, Settings, Subscribers

__all__ = [
    "COMMAND",
    "ROOT",
    "SLACK_ORIGIN",
    "ConfigError",
    "Settings",
    "Subscribers",
    "load_settings",
    "read_environment",
    "read_public_url",
]
