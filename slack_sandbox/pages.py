"""The OAuth consent page and the pictures of people, workspaces and the app."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from slack_sandbox import oauth
from slack_sandbox.avatars import avatar
from slack_sandbox.errors import AuthorizeError
from slack_sandbox.sandbox import Sandbox
from slack_sandbox.scopes import BOT_SCOPES, USER_SCOPES
from slack_sandbox.tokens import InstallKey

_LARGEST_PICTURE = 1_024


def create_pages(sandbox: Sandbox) -> Blueprint:
    """The blueprint of these pages."""
    pages = Blueprint("sandbox_pages", __name__)

    @pages.route(oauth.AUTHORIZE_PATH, methods=["GET", "POST"])
    def authorize() -> BaseResponse | str:
        asked = oauth.read_request(sandbox.config, request.values.to_dict())
        if request.method == "POST":
            return redirect(_decided(sandbox, asked))
        return _consent_page(sandbox, asked)

    @pages.errorhandler(AuthorizeError)
    def refused(error: AuthorizeError) -> tuple[str, int]:
        return render_template("sandbox/refused.html", error=error), 400

    @pages.get("/avatars/<who>/<int:size>.svg")
    def picture(who: str, size: int) -> Response:
        image = avatar(sandbox, who, max(16, min(size, _LARGEST_PICTURE)))
        answer = Response(image, mimetype="image/svg+xml")
        answer.headers["Cache-Control"] = "max-age=300"
        return answer

    return pages


def _decided(sandbox: Sandbox, asked: oauth.AuthorizeRequest) -> str:
    if request.form.get("decision") != "allow":
        return oauth.cancel(asked)
    place, _, user_id = request.form.get("who", "").partition(":")
    keys = {_word(one.key): one.key for one in oauth.places(sandbox, asked)}
    if place not in keys:
        raise AuthorizeError("invalid_team", "Choose who you are first")
    return oauth.allow(sandbox, asked, keys[place], user_id)


def _consent_page(sandbox: Sandbox, asked: oauth.AuthorizeRequest) -> str:
    choices = [
        {
            "name": place.name,
            "whole": place.key.is_org,
            "people": [
                {
                    "value": f"{_word(place.key)}:{one.id}",
                    "name": one.real_name,
                    "detail": one.title or one.email or one.name,
                    "picture": one.images("")["image_48"],
                }
                for one in place.people
            ],
        }
        for place in oauth.places(sandbox, asked)
        if place.people
    ]
    return render_template(
        "sandbox/authorize.html",
        app_name=sandbox.config.name,
        asked=asked,
        bot_scopes=[(one, BOT_SCOPES[one]) for one in asked.bot_scopes],
        user_scopes=[(one, USER_SCOPES[one]) for one in asked.user_scopes],
        choices=choices,
        fields=request.args.to_dict(),
    )


def _word(key: InstallKey) -> str:
    return key.team_id or key.enterprise_id or ""
