"""The description of the API: OpenAPI for programs, a page for people."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify, render_template

from bolt_app.config import COMMAND, Settings
from bolt_app.web.api.openapi import Schema, build_document

NOTIFICATION = "NotificationRequest"
_LIMITS = {
    "maxLength": "up to {:,} characters",
    "maxItems": "up to {:,}",
    "minimum": "at least {:,}",
    "maximum": "at most {:,}",
}


@dataclass(frozen=True)
class FieldDescription:
    """A field or parameter."""

    name: str
    kind: str
    description: str
    is_required: bool = False


@dataclass(frozen=True)
class Example:
    """A request as a shell command."""

    summary: str
    command: str


@dataclass(frozen=True)
class Operation:
    """An operation of the API.

    Attributes:
        fields: those of its body.
        sends: whether its body has notifications.
    """

    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[FieldDescription]
    fields: list[FieldDescription]
    sends: bool
    examples: list[Example]
    responses: list[tuple[str, str]]


def add_views(blueprint: Blueprint, settings: Settings) -> None:
    """Register the document and the page."""

    @blueprint.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(build_document(settings.public_url))

    @blueprint.get("/docs")
    def docs() -> str:
        document = build_document(settings.public_url)
        schemas = document["components"]["schemas"]
        return render_template(
            "api_docs.html",
            info=document["info"],
            slack_api_url=f"{settings.public_url}/api/",
            operations=list(_operations(document, settings.public_url)),
            delivery=_fields(schemas["DeliveryReport"], schemas),
            message_field=_fields(schemas["MessageField"], schemas),
            escalation=_fields(schemas["Escalation"], schemas),
            callback=_fields(schemas["IncidentCallback"], schemas),
            # Anyone reads this page: not the path of the settings, except in a demo.
            command=COMMAND if settings.is_slack else settings.command,
        )


def _operations(document: dict[str, Any], public_url: str) -> Iterator[Operation]:
    schemas = document["components"]["schemas"]
    for path, item in document["paths"].items():
        for method, described in item.items():
            yield _operation(method, path, described, schemas, public_url)


def _operation(
    method: str, path: str, described: Schema, schemas: Schema, public_url: str
) -> Operation:
    body = _body_of(described)
    return Operation(
        id=described["operationId"],
        method=method.upper(),
        path=path,
        summary=described["summary"],
        description=described["description"],
        parameters=[
            FieldDescription(
                parameter["name"],
                _kind(parameter["schema"], schemas),
                parameter["description"],
                is_required=parameter["required"],
            )
            for parameter in described["parameters"]
        ],
        fields=_fields(schemas[body], schemas) if body else [],
        sends=body == NOTIFICATION,
        examples=list(_examples(method, public_url + path, described)),
        responses=[
            (status, response["description"]) for status, response in described["responses"].items()
        ],
    )


def _body_of(described: Schema) -> str:
    """Return the name of the schema of a body, the first if there are several; empty for none."""
    if "requestBody" not in described:
        return ""
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    reference: str = schema.get("anyOf", [schema])[0]["$ref"]
    return reference.rpartition("/")[2]


def _fields(schema: Schema, schemas: Schema) -> list[FieldDescription]:
    required = schema.get("required", ())
    fields = [
        FieldDescription(
            name,
            _kind(field, schemas),
            field.get("description", ""),
            is_required=name in required,
        )
        for name, field in schema["properties"].items()
    ]
    # Required fields first.
    return sorted(fields, key=lambda field: not field.is_required)


def _examples(method: str, url: str, described: Schema) -> Iterator[Example]:
    address = url.replace("{id}", "$ID")
    curl = ["curl"] if method == "get" else ["curl", "-X", method.upper()]
    command = f'{" ".join(curl)} "{address}"' if "$" in address else f"{' '.join(curl)} {address}"
    command += ' \\\n  -H "Authorization: Bearer $BELLHOP_KEY"'
    if "requestBody" not in described:
        yield Example("", command)
        return
    for example in described["requestBody"]["content"]["application/json"]["examples"].values():
        body = shlex.quote(json.dumps(example["value"], ensure_ascii=False, indent=2))
        yield Example(
            example["summary"],
            f"{command} \\\n  -H 'Content-Type: application/json' \\\n  -d {body}",
        )


def _kind(schema: Schema, schemas: Schema) -> str:
    """Return the description of a schema's type."""
    if "$ref" in schema:
        return _kind(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        options = [option for option in schema["anyOf"] if option.get("type") != "null"]
        # The simplest first.
        options.sort(key=lambda option: option.get("type") == "array")
        return " or ".join(dict.fromkeys(_kind(option, schemas) for option in options))
    if "enum" in schema:
        return ", ".join(f"“{value}”" for value in schema["enum"])
    return ", ".join([_type(schema, schemas), *_limits(schema)])


def _type(schema: Schema, schemas: Schema) -> str:
    kind: str = schema.get("type", "anything")
    if kind == "array":
        kind = _kind(schema["items"], schemas)
        return f"list of {'objects' if kind == 'object' else kind}"
    if schema.get("format") == "date-time":
        return "date and time in ISO 8601"
    if schema.get("format") == "uri":
        return "URL"
    names = {
        "string": "text",
        "integer": "integer",
        "boolean": "true or false",
        "object": "object",
    }
    return names.get(kind, kind)


def _limits(schema: Schema) -> Iterator[str]:
    for name, words in _LIMITS.items():
        if name in schema:
            yield words.format(int(schema[name]))
