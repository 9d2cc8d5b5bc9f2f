"""The HTTP API, `/api/v1`: notifications, their delivery state, webhooks, and its description."""

from __future__ import annotations

from flask import Blueprint, Response

from bolt_app.services import Services
from bolt_app.web.api import docs, notifications, webhooks
from bolt_app.web.api.problems import ApiError, error_response
from bolt_app.workspaces.client import NotInstalledError

API_PATH = "/api/v1"


def create_blueprint(services: Services) -> Blueprint:
    """Return the blueprint of the HTTP API."""
    blueprint = Blueprint("api", __name__, url_prefix=API_PATH)
    notifications.add_views(blueprint, services)
    webhooks.add_views(blueprint, services)
    docs.add_views(blueprint, services.settings)

    @blueprint.errorhandler(ApiError)
    def answer_api_error(error: ApiError) -> Response:
        return error_response(error)

    @blueprint.errorhandler(NotInstalledError)
    def answer_not_installed(error: NotInstalledError) -> Response:
        return error_response(ApiError(403, str(error)))

    return blueprint
