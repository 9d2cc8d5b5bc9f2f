"""Health checks: liveness and readiness."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from bolt_app.readiness import Readiness


def create_blueprint(readiness: Readiness) -> Blueprint:
    """Return the blueprint of `/healthz` and `/readyz`."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @blueprint.get("/readyz")
    def readyz() -> tuple[Response, int]:
        body, status = readiness.check()
        return jsonify(body), status

    return blueprint
