"""Bolt with slack_sdk's SQLAlchemy stores, set up as documented, as a baseline.

https://docs.slack.dev/tools/bolt-python/concepts/authenticating-oauth. Its listeners do less than
Bellhop's: the command and the App Home show a fixed sentence, without a lookup.
"""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, Response, request
from slack_bolt import Ack, App
from slack_bolt.adapter.flask import SlackRequestHandler
from slack_bolt.oauth.oauth_settings import OAuthSettings
from slack_sdk import WebClient
from slack_sdk.oauth.installation_store.sqlalchemy import SQLAlchemyInstallationStore
from slack_sdk.oauth.state_store.sqlalchemy import SQLAlchemyOAuthStateStore
from sqlalchemy import create_engine


def create_baseline() -> Flask:
    """Build the WSGI application from the same environment as Bellhop."""
    client_id, slack = os.environ["SLACK_CLIENT_ID"], os.environ["SLACK_BASE_URL"]
    engine = create_engine(os.environ["BASELINE_DATABASE_URL"])
    installations = SQLAlchemyInstallationStore(client_id=client_id, engine=engine)
    states = SQLAlchemyOAuthStateStore(expiration_seconds=600, engine=engine)
    installations.metadata.create_all(engine)
    states.metadata.create_all(engine)
    bolt = App(
        client=WebClient(base_url=f"{slack}/api/"),
        signing_secret=os.environ["SLACK_SIGNING_SECRET"],
        installation_store=installations,
        oauth_settings=OAuthSettings(
            client_id=client_id,
            client_secret=os.environ["SLACK_CLIENT_SECRET"],
            scopes=["commands", "users:read"],
            user_scopes=["users:read", "users:read.email"],
            redirect_uri=f"{os.environ['PUBLIC_URL']}/slack/oauth_redirect",
            install_page_rendering_enabled=False,
            authorization_url=f"{slack}/oauth/v2/authorize",
            installation_store=installations,
            state_store=states,
        ),
    )

    @bolt.command("/profile")
    def profile(ack: Ack, command: dict[str, str]) -> None:
        ack(f"Hello <@{command['user_id']}>")

    @bolt.action("link")
    def press(ack: Ack) -> None:
        ack()

    @bolt.event("app_home_opened")
    def open_home(event: dict[str, Any], client: WebClient) -> None:
        hello = {"type": "section", "text": {"type": "mrkdwn", "text": "Hello"}}
        client.views_publish(user_id=event["user"], view={"type": "home", "blocks": [hello]})

    handler = SlackRequestHandler(bolt)
    app = Flask(__name__)

    def handle() -> Response:
        return handler.handle(request)

    app.add_url_rule("/slack/install", "install", handle)
    app.add_url_rule("/slack/oauth_redirect", "redirect", handle)
    app.add_url_rule("/slack/events", "events", handle, methods=["POST"])
    app.add_url_rule("/healthz", "healthz", lambda: "ok")
    return app
