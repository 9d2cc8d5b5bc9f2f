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
        authorization = oauth.read_request(sandbox.config, request.values.to_dict())
        if request.method == "POST":
            return redirect(_redirect_target(sandbox, authorization))
        return _consent_page(sandbox, authorization)

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


def _redirect_target(sandbox: Sandbox, authorization: oauth.AuthorizeRequest) -> str:
    if request.form.get("decision") != "allow":
        return oauth.cancel(authorization)
    target, _, user_id = request.form.get("who", "").partition(":")
    keys = {
        _target_id(target.key): target.key
        for target in oauth.install_targets(sandbox, authorization)
    }
    if target not in keys:
        raise AuthorizeError("invalid_team", "Choose who you are first")
    optional = request.form.getlist("optional")
    return oauth.allow(sandbox, authorization, keys[target], user_id, optional)


def _consent_page(sandbox: Sandbox, authorization: oauth.AuthorizeRequest) -> str:
    choices = [
        {
            "name": target.name,
            "whole": target.key.is_org,
            "people": [
                {
                    "value": f"{_target_id(target.key)}:{user.id}",
                    "name": user.real_name,
                    "detail": user.title or user.email or user.name,
                    "picture": user.images("")["image_48"],
                }
                for user in target.people
            ],
        }
        for target in oauth.install_targets(sandbox, authorization)
        if target.people
    ]
    return render_template(
        "sandbox/authorize.html",
        app_name=sandbox.config.name,
        authorization=authorization,
        bot_scopes=[(scope, BOT_SCOPES[scope]) for scope in authorization.bot_scopes],
        optional=sandbox.config.optional_bot_scopes,
        user_scopes=[(scope, USER_SCOPES[scope]) for scope in authorization.user_scopes],
        choices=choices,
        fields=request.args.to_dict(),
    )


def _target_id(key: InstallKey) -> str:
    return key.team_id or key.enterprise_id or ""
