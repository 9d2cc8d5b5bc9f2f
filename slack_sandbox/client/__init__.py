"""The sandbox's chat client for a browser. It is not Slack's client."""

from __future__ import annotations

from flask import Blueprint

from slack_sandbox.client.actions import register_actions
from slack_sandbox.client.pages import register_pages
from slack_sandbox.sandbox import Sandbox


def create_client_blueprint(sandbox: Sandbox) -> Blueprint:
    """The blueprint of the client: pages at ``/`` and ``/client/``, JSON below ``/live/``."""
    client = Blueprint(
        "sandbox_client",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/client/static",
    )
    register_pages(client, sandbox)
    register_actions(client, sandbox)
    return client
