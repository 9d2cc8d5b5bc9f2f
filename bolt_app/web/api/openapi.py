"""The description of the HTTP API in OpenAPI 3.1, generated from the validating schemas.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema

from bolt_app.notifications.content.schema import BATCH, NotificationRequest
from bolt_app.notifications.history.reports import NotificationReport
from bolt_app.notifications.incidents.reports import IncidentCallback
from bolt_app.web.api.examples import CREATING_WEBHOOKS, SENDING, Examples
from bolt_app.web.api.schemas import (
    AcceptedBatch,
    AcceptedNotification,
    Batch,
    CancelledNotification,
    CreatedWebhook,
    ListQuery,
    NotificationList,
    Problem,
    WebhookRequest,
)

Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/{model}"
_INPUTS = (NotificationRequest, Batch, ListQuery, WebhookRequest)
_OUTPUTS = (
    AcceptedNotification,
    AcceptedBatch,
    NotificationReport,
    NotificationList,
    CancelledNotification,
    IncidentCallback,
    CreatedWebhook,
    Problem,
)
_PROBLEMS = {
    400: "The request is malformed: not JSON, or an invalid Idempotency-Key.",
    401: "The API key is missing, unknown, expired or revoked.",
    403: "The API key lacks the scope or may not send to a recipient, or Bellhop is not installed "
    "in its workspace; see detail.",
    404: "The notification does not exist, or the key cannot see it.",
    409: "The Idempotency-Key was used with another body.",
    413: "The body is larger than 1 MiB, or a batch has more than 2,000 deliveries.",
    415: "The body is not declared as JSON.",
    422: "Fields are invalid; errors lists them, up to 20.",
    429: "The API key is over one of its limits, or this address sent too many wrong keys; "
    "retry after Retry-After seconds.",
    503: "The database is not answering; retry after Retry-After seconds.",
}
_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "Notification id.",
    "schema": {"type": "string"},
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Your id of the request. A repeated request with the same key and body within a "
    "day gets the first response again, with the header `Idempotent-Replay: true`, and sends "
    "nothing.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}


@cache
def build_document(public_url: str) -> dict[str, Any]:
    """Return the description of the API at `public_url`."""
    schemas = _schemas()
    query = schemas.pop("ListQuery")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bellhop",
            "version": "1",
            "summary": "Delivers a company's notifications to Slack.",
            "description": "A notification answered with 202 is durably stored. It is delivered in "
            "order per channel, within Slack's rate limits, across restarts and outages.",
        },
        "servers": [{"url": public_url}],
        "security": [{"apiKey": []}],
        "paths": _paths(query),
        "webhooks": {"incident": {"post": _callback()}},
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key created with `bellhop api-key create`. Its "
                    "scopes are `send`, `read` and `admin`, which includes the others.",
                }
            },
        },
    }


def _schemas() -> Schema:
    inputs = models_json_schema(
        [(model, "validation") for model in _INPUTS], ref_template=_REFERENCE
    )[1]
    outputs = models_json_schema(
        [(model, "serialization") for model in _OUTPUTS], ref_template=_REFERENCE
    )[1]
    return {**inputs["$defs"], **outputs["$defs"]}


def _paths(query: Schema) -> Schema:
    return {
        "/api/v1/notifications": {"post": _accept(), "get": _search(query)},
        "/api/v1/notifications/{id}": {"get": _find(), "delete": _cancel()},
        "/api/v1/notifications/{id}/retry": {"post": _retry()},
        "/api/v1/webhooks": {"post": _create_webhook()},
    }


def _callback() -> Schema:
    signature = {"in": "header", "required": True, "schema": {"type": "string"}}
    return {
        "operationId": "tellAnswer",
        "summary": "Someone answered a notification",
        "description": "Sent to the URL set with `api-key callback` until it responds with a "
        "status from 200 to 299. Signed as in https://www.standardwebhooks.com.",
        "security": [],
        "parameters": [
            {**signature, "name": "webhook-id", "description": "The same for each attempt."},
            {**signature, "name": "webhook-timestamp", "description": "Unix time in seconds."},
            {**signature, "name": "webhook-signature", "description": "`v1,` and an HMAC."},
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ref("IncidentCallback")}},
        },
        "responses": {"204": {"description": "The callback was accepted."}},
    }


def _accept() -> Schema:
    single = _ref("NotificationRequest")
    batch = {"type": "array", "minItems": 1, "maxItems": BATCH, "items": single}
    return {
        "operationId": "sendNotifications",
        "summary": "Send a notification",
        "description": f"One, or a batch of up to {BATCH} as a list or under `notifications`. A "
        "batch is accepted completely or not at all. Needs the scope `send`.",
        "parameters": [_IDEMPOTENCY_KEY],
        "requestBody": _body({"anyOf": [single, batch, _ref("Batch")]}, SENDING),
        "responses": {
            "202": {
                "description": "Stored for delivery; a batch is answered in its order.",
                "headers": {
                    "Location": {
                        "description": "URL of its current state; not for a batch.",
                        "schema": {"type": "string"},
                    },
                    "Idempotent-Replay": {
                        "description": "`true` for a repeated response.",
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
        "description": "Notifications of the key's workspace, newest first. A key that is limited "
        "to channels sees those of its own source and those sent only to its channels. A key "
        "created in the App Home sees its own and those sent only to public channels. Both see "
        "deliveries to subscribers of topics, in their own notifications too, only in those "
        "channels. "
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
        "summary": "Get a notification",
        "description": "Each delivery with its state, attempts, last error and message. Needs the "
        "scope `read`.",
        "parameters": [_ID],
        "responses": {
            "200": {
                "description": "The notification.",
                "content": _json(_ref("NotificationReport")),
            },
            **_problems(401, 403, 404, 429, 503),
        },
    }


def _cancel() -> Schema:
    return {
        "operationId": "cancelNotification",
        "summary": "Cancel a notification",
        "description": "Cancels deliveries that have not started; the others are listed as `kept`. "
        "Needs the scope `send`, and `admin` for notifications of another source.",
        "parameters": [_ID],
        "responses": {
            "200": {
                "description": "The cancelled and the kept deliveries.",
                "content": _json(_ref("CancelledNotification")),
            },
            **_problems(401, 403, 404, 429, 503),
        },
    }


def _retry() -> Schema:
    return {
        "operationId": "retryNotification",
        "summary": "Retry failed deliveries",
        "description": "Deliveries in state `dead` or `unknown` are delivered as if just accepted. "
        "Retrying `unknown` may post a message twice. Needs the scope `send`, and `admin` for "
        "notifications of another source.",
        "parameters": [_ID],
        "responses": {
            "202": {
                "description": "Deliveries are retried; fields the key may not read are omitted.",
                "content": _json(
                    {"anyOf": [_ref("NotificationReport"), _ref("AcceptedNotification")]}
                ),
            },
            **_problems(401, 403, 404),
            "409": {
                "description": "No delivery is dead or unknown.",
                "content": _json(_ref("Problem"), "application/problem+json"),
            },
            **_problems(429, 503),
        },
    }


def _create_webhook() -> Schema:
    return {
        "operationId": "createWebhook",
        "summary": "Create a webhook",
        "description": "Its address accepts what a tool posts. Needs a key with the scope `admin` "
        "and without a channel limit. The webhook remains when the key is revoked.",
        "parameters": [],
        "requestBody": _body(_ref("WebhookRequest"), CREATING_WEBHOOKS),
        "responses": {
            "201": {
                "description": "The webhook; the address and the secret are shown only once.",
                "content": _json(_ref("CreatedWebhook")),
            },
            **_problems(400, 401, 403),
            "409": {
                "description": "The workspace has as many webhooks as keys may create.",
                "content": _json(_ref("Problem"), "application/problem+json"),
            },
            **_problems(413, 415, 422, 429, 503),
        },
    }


def _body(schema: Schema, examples: Examples) -> Schema:
    shown = {
        name: {"summary": summary, "value": value} for name, (summary, value) in examples.items()
    }
    return {
        "required": True,
        "content": {"application/json": {"schema": schema, "examples": shown}},
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
    """Return the schema of a query parameter, which is omitted rather than null."""
    [option] = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
    omitted = ("anyOf", "default", "description", "title")
    kept = {name: value for name, value in schema.items() if name not in omitted}
    if schema.get("default") is not None:
        kept["default"] = schema["default"]
    return {**option, **kept} if "anyOf" in schema else kept
