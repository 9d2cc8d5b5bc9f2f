"""The settings of an application, as the services use them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from enum import StrEnum

from bolt_app.client_address import TrustedProxies
from bolt_app.config.addresses import Network
from bolt_app.delays import Delays

SLACK_ORIGIN = "https://slack.com"
# Slack's origins; any other is a stand-in.
SLACK_ORIGINS = (SLACK_ORIGIN, "https://slack-gov.com")
# From the folder of a checkout.
COMMAND = ".venv/bin/bellhop"


class Subscribers(StrEnum):
    """The people who may change the subscriptions of channels; members exclude guests."""

    ANYONE = "anyone"
    MEMBERS = "members"
    ADMINS = "admins"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings. Secrets do not appear in the repr."""

    slack_client_id: str
    slack_client_secret: str = field(repr=False)
    slack_signing_secret: str = field(repr=False)
    slack_base_url: str = SLACK_ORIGIN
    database_url: str = field(repr=False)
    database_session_url: str = field(default="", repr=False)
    public_url: str
    host: str = "127.0.0.1"
    port: int = 3000
    encryption_keys: tuple[str, ...] = field(repr=False)
    session_secret: str = field(repr=False)
    web_workers: int = 1
    web_threads: int = 16
    worker_threads: int = 8
    workspace_requests: int = 8
    health_port: int = 0
    channel_per_minute: int = 60
    channel_burst: int = 1
    workspace_per_minute: int = 300
    sender_requests_per_minute: int = 60_000
    sender_deliveries_per_minute: int = 60_000
    sender_open_deliveries: int = 100_000
    sender_new_destinations_per_hour: int = 1000
    subscriptions_per_destination: int = 100
    subscriptions_per_workspace: int = 10_000
    wrong_keys_per_minute: int = 30
    retry_hours: int = 24
    keep_days: int = 30
    file_megabytes: int = 10
    workspace_files_megabytes: int = 1024
    audit_days: int = 90
    trusted_proxies: TrustedProxies = 0
    subscriptions_by: Subscribers = Subscribers.MEMBERS
    callback_networks: tuple[Network, ...] = ()
    log_level: str = "INFO"
    log_format: str = "text"
    env_file: str = ""
    delays: Delays = field(default_factory=Delays)

    @property
    def command(self) -> str:
        """The start of a command line on this machine, such as for `send`."""
        env_file = f"--env-file {shlex.quote(self.env_file)} " if self.env_file else ""
        return f"{COMMAND} {env_file}".rstrip()

    @property
    def uses_https(self) -> bool:
        """Whether browsers use https, so that cookies can be `Secure`."""
        return self.public_url.startswith("https://")

    @property
    def is_slack(self) -> bool:
        """Whether Bellhop is connected to Slack, rather than to a stand-in."""
        return self.slack_base_url in SLACK_ORIGINS

    @property
    def session_url(self) -> str:
        """The database URL for connections that need a session that lasts."""
        return self.database_session_url or self.database_url

    @property
    def redirect_uri(self) -> str:
        """The OAuth redirect URL, which the Slack app must list."""
        return f"{self.public_url}/slack/oauth_redirect"

    @property
    def slack_api_url(self) -> str:
        """The base URL of the Web API, in the form that `slack_sdk.WebClient` takes."""
        return f"{self.slack_base_url}/api/"
