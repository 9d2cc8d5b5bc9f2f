"""The description of the HTTP API in OpenAPI 3.1, made from the schemas it is checked with.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema

from bolt_app.notifications.content.schema import BATCH, NotificationRequest
from bolt_app.notifications.history.reports import NotificationReport
from bolt_app.notifications.incidents.reports import IncidentCallback
from bolt_app.web.api.examples import SENDING
from bolt_app.web.api.schemas import (
    AcceptedBatch,
    AcceptedNotification,
    Batch,
    CancelledNotification,
    ListQuery,
    NotificationList,
    Problem,
)

Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/{model}"
_TAKEN = (NotificationRequest, Batch, ListQuery)
_GIVEN = (
    AcceptedNotification,
    AcceptedBatch,
    NotificationReport,
    NotificationList,
    CancelledNotification,
    IncidentCallback,
    Problem,
)
_PROBLEMS = {
    400: "The request cannot be understood: no JSON, or a malformed Idempotency-Key.",
    401: "There is no API key, or it is unknown, expired or revoked.",
    403: "The API key may not do this, or not send there, or Bellhop is not installed in its "
    "workspace; the detail names what and where.",
    404: "No notification with this id that the key may see.",
    409: "The Idempotency-Key came with another body before.",
    413: "The body is larger than 1 MiB.",
    415: "The body is not declared as JSON.",
    422: "Fields are not right; errors names them, up to 20.",
    429: "The API key is over one of its limits, or too many wrong keys came from this address; "
    "Retry-After says when to try again.",
    503: "The database is not answering; Retry-After says when to try again.",
}
_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The notification's id.",
    "schema": {"type": "string"},
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Of your choice, one for each request: the same key with the same body within "
    "a day is given the first answer again, with the header `Idempotent-Replay: true`, and "
    "nothing is sent twice.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}


@cache
def build_document(public_url: str) -> dict[str, Any]:
    """Return the description of the API that is served at `public_url`."""
    schemas = _schemas()
    query = schemas.pop("ListQuery")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bellhop",
            "version": "1",
            "summary": "A company's notifications, on their way to Slack.",
            "description": "What is answered with 202 is stored, and goes out in its channel's "
            "order and at Slack's pace, through restarts, outages and rate limits.",
        },
        "servers": [{"url": public_url}],
        "security": [{"apiKey": []}],
        "paths": _paths(query),
        "webhooks": {"incident": {"post": _tell()}},
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key made with `bellhop api-key create`. Its scopes "
                    "are `send`, `read` and `admin`, which includes the others.",
                }
            },
        },
    }


def _schemas() -> Schema:
    taken = models_json_schema(
        [(model, "validation") for model in _TAKEN], ref_template=_REFERENCE
    )[1]
    given = models_json_schema(
        [(model, "serialization") for model in _GIVEN], ref_template=_REFERENCE
    )[1]
    return {**taken["$defs"], **given["$defs"]}


def _paths(query: Schema) -> Schema:
    return {
        "/api/v1/notifications": {"post": _accept(), "get": _search(query)},
        "/api/v1/notifications/{id}": {"get": _find(), "delete": _cancel()},
        "/api/v1/notifications/{id}/retry": {"post": _retry()},
    }


def _tell() -> Schema:
    signature = {"in": "header", "required": True, "schema": {"type": "string"}}
    return {
        "operationId": "tellAnswer",
        "summary": "Somebody answered a notification",
        "description": "Told to the address that `api-key callback` set, until it answers with a "
        "status from 200 to 299, signed as https://www.standardwebhooks.com says.",
        "security": [],
        "parameters": [
            {**signature, "name": "webhook-id", "description": "The same each time it is told."},
            {**signature, "name": "webhook-timestamp", "description": "In Unix seconds."},
            {**signature, "name": "webhook-signature", "description": "`v1,` and an HMAC."},
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ref("IncidentCallback")}},
        },
        "responses": {"204": {"description": "It was taken."}},
    }


def _accept() -> Schema:
    one = _ref("NotificationRequest")
    several = {"type": "array", "minItems": 1, "maxItems": BATCH, "items": one}
    return {
        "operationId": "sendNotifications",
        "summary": "Send a notification",
        "description": f"Or up to {BATCH}, as a list or under `notifications`: all of them are "
        "accepted, or none. Needs the scope `send`.",
        "parameters": [_IDEMPOTENCY_KEY],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"anyOf": [one, several, _ref("Batch")]},
                    "examples": {
                        name: {"summary": summary, "value": value}
                        for name, (summary, value) in SENDING.items()
                    },
                }
            },
        },
        "responses": {
            "202": {
                "description": "It is stored and on its way; a batch is answered in its order.",
                "headers": {
                    "Location": {
                        "description": "Where to ask what became of it; not with a batch.",
                        "schema": {"type": "string"},
                    },
                    "Idempotent-Replay": {
                        "description": "`true` where this answer was given before.",
                        "schema": {"type": "string"},
                    },
                },
                "content": _json({"anyOf": [_ref("AcceptedNotification"), _ref("AcceptedBatch")]}),
            },
            **_problems(400, 401, 403, 409, 413, 415, 422, 429, 503),
        },
    }


def _search(query: Schema) -> Schema:
    return {
        "operationId": "listNotifications",
        "summary": "List notifications",
        "description": "Those of the key's workspace, the newest first; a key that is limited to "
        "channels sees what its own source has sent and what has gone to those channels alone; one "
        "that was made in App Home its own, and what has gone to public channels alone. "
        "Needs the scope `read`.",
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": schema.get("description", ""),
                "schema": _without_null(schema),
            }
            for name, schema in query["properties"].items()
        ],
        "responses": {
            "200": {"description": "A page.", "content": _json(_ref("NotificationList"))},
            **_problems(401, 403, 422, 429, 503),
        },
    }


def _find() -> Schema:
    return {
        "operationId": "getNotification",
        "summary": "See what became of a notification",
        "description": "Each delivery with its state, its attempts, what Slack said last, and "
        "where it stands. Needs the scope `read`.",
        "parameters": [_ID],
        "responses": {
            "200": {"description": "It.", "content": _json(_ref("NotificationReport"))},
            **_problems(401, 403, 404, 429, 503),
        },
    }


def _cancel() -> Schema:
    return {
        "operationId": "cancelNotification",
        "summary": "Cancel what has not gone out",
        "description": "What is being sent, or was, stays as it is and is named as `kept`. Needs "
        "the scope `send`, and `admin` for what another source has sent.",
        "parameters": [_ID],
        "responses": {
            "200": {
                "description": "What was cancelled, and what could not be.",
                "content": _json(_ref("CancelledNotification")),
            },
            **_problems(401, 403, 404, 429, 503),
        },
    }


def _retry() -> Schema:
    return {
        "operationId": "retryNotification",
        "summary": "Send again what failed",
        "description": "What is `dead` or `unknown` goes out as if it had just been accepted; "
        "`unknown` may then stand in Slack twice. Needs the scope `send`, and `admin` for what "
        "another source has sent.",
        "parameters": [_ID],
        "responses": {
            "202": {
                "description": "It is on its way again; what the key may not read is left out.",
                "content": _json(
                    {"anyOf": [_ref("NotificationReport"), _ref("AcceptedNotification")]}
                ),
            },
            **_problems(401, 403, 404),
            "409": {
                "description": "Nothing of it is dead or unknown.",
                "content": _json(_ref("Problem"), "application/problem+json"),
            },
            **_problems(429, 503),
        },
    }


def _problems(*statuses: int) -> Schema:
    content = _json(_ref("Problem"), "application/problem+json")
    return {
        str(status): {"description": _PROBLEMS[status], "content": content} for status in statuses
    }


def _json(schema: Schema, content_type: str = "application/json") -> Schema:
    return {content_type: {"schema": schema}}


def _ref(name: str) -> Schema:
    return {"$ref": _REFERENCE.format(model=name)}


def _without_null(schema: Schema) -> Schema:
    """Return the schema of a query parameter, which is left out rather than null."""
    [given] = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    left_out = ("anyOf", "default", "description", "title")
    kept = {name: value for name, value in schema.items() if name not in left_out}
    if schema.get("default") is not None:
        kept["default"] = schema["default"]
    return {**given, **kept} if "anyOf" in schema else kept
