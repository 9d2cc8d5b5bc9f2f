"""The client's pages, and the same screens as JSON for the page's script."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, Response, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from slack_sandbox.client.places import (
    APP,
    Place,
    find_place,
    first_place,
    latest_person,
    place_url,
)
from slack_sandbox.client.screen import Screen, place_screen, start_screen
from slack_sandbox.errors import NotFoundError
from slack_sandbox.faults import FAULT_KINDS
from slack_sandbox.sandbox import Sandbox
from slack_sandbox.web_api import METHODS

_WAIT = 20.0
"""Seconds a page waits for a change before it asks again."""


def register_pages(client: Blueprint, sandbox: Sandbox) -> None:
    """Add the pages to the client's blueprint."""

    def asked_place(team_id: str, place_id: str) -> Place:
        return find_place(sandbox, team_id, place_id, request.args.get("as", ""))

    def asked_screen(team_id: str, place_id: str) -> Screen:
        return place_screen(
            sandbox,
            asked_place(team_id, place_id),
            thread_ts=request.args.get("thread") or None,
            tab=request.args.get("tab", ""),
        )

    @client.get("/")
    def start() -> str:
        return render_template("client/start_page.html", screen=start_screen(sandbox))

    @client.get("/client/<team_id>/<place_id>")
    def place(team_id: str, place_id: str) -> str:
        return render_template(
            "client/place_page.html",
            screen=asked_screen(team_id, place_id),
            fault_kinds=FAULT_KINDS,
            methods=["*", *sorted(METHODS), "response_url"],
            config=sandbox.config,
        )

    @client.get("/live/start")
    def live_start() -> Response:
        return jsonify(start_screen(sandbox).as_json())

    @client.get("/live/client/<team_id>/<place_id>")
    def live_place(team_id: str, place_id: str) -> Response:
        return jsonify(asked_screen(team_id, place_id).as_json())

    @client.get("/live/changes")
    def changes() -> Response:
        since = request.args.get("since", -1, type=int)
        return jsonify(version=sandbox.wait_for_change(since, _WAIT))

    @client.get("/live/traffic")
    def traffic() -> str:
        return render_template(
            "client/traffic.html",
            faults=sandbox.faults.all(),
            calls=[one.summary() for one in reversed(sandbox.call_log.last(40))],
            total=len(sandbox.call_log),
            deliveries=[one.summary() for one in reversed(sandbox.deliveries[-40:])],
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


def _as_latest(sandbox: Sandbox, team_id: str, place_id: str) -> BaseResponse:
    """Go to a place as whoever authorized the app last; choose who to be where nobody did."""
    user = latest_person(sandbox, team_id) if team_id in sandbox.workspaces else None
    if user is None:
        return redirect("/")
    try:
        find_place(sandbox, team_id, place_id, user.id)
    except NotFoundError:
        place_id = first_place(sandbox, team_id, user.id)
    return redirect(place_url(team_id, place_id, user.id))


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
