"""For whoever watches: is it alive, is it ready."""

from __future__ import annotations

import logging

from flask import Blueprint, Response, jsonify

from bolt_app.db import DATABASE_DOWN, Database
from bolt_app.db.schema import SchemaError, require_current

logger = logging.getLogger(__name__)


def create_blueprint(database: Database) -> Blueprint:
    """Return the blueprint of `/healthz` and `/readyz`."""
    blueprint = Blueprint("ops", __name__)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @blueprint.get("/readyz")
    def readyz() -> tuple[Response, int]:
        try:
            require_current(database)
        except SchemaError as error:
            return jsonify(status="unavailable", reason=str(error)), 503
        except DATABASE_DOWN:
            logger.exception("the database is not answering")
            return jsonify(status="unavailable", reason="The database is not answering."), 503
        return jsonify(status="ok"), 200

    return blueprint
