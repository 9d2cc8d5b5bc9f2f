"""Commands that prepare the settings, and therefore run without them."""

from __future__ import annotations

import secrets

import click
from cryptography.fernet import Fernet
from flask import Flask

from bolt_app.cli.errors import MISUSED, fail
from bolt_app.cli.output import print_line, print_lines
from bolt_app.config import ConfigError, read_environment, read_public_url
from bolt_app.manifest import manifest_text, manifest_with_step


def register(app: Flask) -> None:
    """Register the commands."""

    @app.cli.command("manifest")
    @click.option(
        "--workflow-step", is_flag=True, help="Include the step for Workflow Builder (paid plans)."
    )
    def manifest(*, workflow_step: bool) -> None:
        """Print the Slack app manifest for PUBLIC_URL."""
        text = manifest_with_step if workflow_step else manifest_text
        try:
            print_lines(text(read_public_url(read_environment())).removesuffix("\n"))
        except ConfigError as error:
            fail(*error.problems, status=MISUSED)

    @app.cli.command("new-key")
    def new_key() -> None:
        """Print a new ENCRYPTION_KEYS and a new SESSION_SECRET."""
        print_line(f"ENCRYPTION_KEYS={Fernet.generate_key().decode()}")
        print_line(f"SESSION_SECRET={secrets.token_urlsafe(48)}")
