"""The client's pages, and the same screens as JSON for the page's script."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, Response, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from slack_sandbox.client.conversations import (
    APP,
    Conversation,
    conversation_url,
    find_conversation,
    first_conversation,
    latest_installer,
)
from slack_sandbox.client.screen import Screen, conversation_screen, start_screen
from slack_sandbox.errors import NotFoundError
from slack_sandbox.faults import FAULT_KINDS
from slack_sandbox.sandbox import Sandbox
from slack_sandbox.web_api import METHODS

_WAIT = 20.0
"""Seconds a page waits for a change before it requests again."""


def register_pages(client: Blueprint, sandbox: Sandbox) -> None:
    """Add the pages to the client's blueprint."""

    def requested_conversation(team_id: str, conversation_id: str) -> Conversation:
        return find_conversation(sandbox, team_id, conversation_id, request.args.get("as", ""))

    def requested_screen(team_id: str, conversation_id: str) -> Screen:
        return conversation_screen(
            sandbox,
            requested_conversation(team_id, conversation_id),
            thread_ts=request.args.get("thread") or None,
            tab=request.args.get("tab", ""),
        )

    @client.get("/")
    def start() -> str:
        return render_template("client/start_page.html", screen=start_screen(sandbox))

    @client.get("/client/<team_id>/<conversation_id>")
    def conversation(team_id: str, conversation_id: str) -> str:
        return render_template(
            "client/conversation_page.html",
            screen=requested_screen(team_id, conversation_id),
            fault_kinds=FAULT_KINDS,
            methods=["*", *sorted(METHODS), "response_url"],
            config=sandbox.config,
        )

    @client.get("/live/start")
    def live_start() -> Response:
        return jsonify(start_screen(sandbox).as_json())

    @client.get("/live/client/<team_id>/<conversation_id>")
    def live_conversation(team_id: str, conversation_id: str) -> Response:
        return jsonify(requested_screen(team_id, conversation_id).as_json())

    @client.get("/live/changes")
    def changes() -> Response:
        since = request.args.get("since", -1, type=int)
        return jsonify(version=sandbox.wait_for_change(since, _WAIT))

    @client.get("/live/traffic")
    def traffic() -> str:
        return render_template(
            "client/traffic.html",
            faults=sandbox.faults.all(),
            calls=[call.summary() for call in reversed(sandbox.call_log.last(40))],
            total=len(sandbox.call_log),
            deliveries=[delivery.summary() for delivery in reversed(sandbox.deliveries[-40:])],
        )

    @client.get("/app_redirect")
    def open_app() -> BaseResponse:
        """Slack's link to an app or channel (https://docs.slack.dev/interactivity/deep-linking)."""
        team_id = request.args.get("team", "")
        return _as_latest(sandbox, team_id, request.args.get("channel") or APP)

    @client.get("/archives/<channel_id>/p<int:micros>")
    @client.get("/archives/<channel_id>")
    def permalink(channel_id: str, micros: int = 0) -> BaseResponse:
        return _as_latest(sandbox, sandbox.get_channel(channel_id).team_id, channel_id)

    @client.errorhandler(NotFoundError)
    def missing(error: NotFoundError) -> tuple[str | Response, int]:
        if request.path.startswith("/live/"):
            return jsonify(error=error.sentence), 404
        return render_template("client/missing.html", error=error), 404

    @client.after_request
    def add_headers(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _content_security_policy(sandbox)
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Cache-Control"] = "no-store"
        return response


def _as_latest(sandbox: Sandbox, team_id: str, conversation_id: str) -> BaseResponse:
    """Redirect to a conversation as the latest installer, or to the start page if no one has."""
    user = latest_installer(sandbox, team_id) if team_id in sandbox.workspaces else None
    if user is None:
        return redirect("/")
    try:
        find_conversation(sandbox, team_id, conversation_id, user.id)
    except NotFoundError:
        conversation_id = first_conversation(sandbox, team_id, user.id)
    return redirect(conversation_url(team_id, conversation_id, user.id))


def _content_security_policy(sandbox: Sandbox) -> str:
    near = {"http://127.0.0.1:*", "http://localhost:*"}
    for url in (sandbox.base_url, sandbox.config.app_url):
        parts = urlsplit(url)
        near.add(f"{parts.scheme}://{parts.netloc}")
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' {' '.join(sorted(near))}",
            "connect-src 'self'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        )
    )
