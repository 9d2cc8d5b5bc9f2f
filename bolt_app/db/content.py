"""Stored notification content: tolerant reading, and summaries computed by the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Dialect, String, Text, cast, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from bolt_app.db.types import JsonObject
from bolt_app.severity import known_severity

# Limits of a summary, in characters: for the text, and for each other member.
BEGINNING, SHORT = 4000, 10_000
UNREADABLE = "This notification, or a part of it, cannot be read from the database."


class ContentJson(JsonObject):
    """Content in which every member has the expected type.

    Members of another type are omitted, and the text mentions it.
    """

    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else readable_content(value)

    def unreadable(self) -> dict[str, Any]:
        """Return the replacement for unreadable content."""
        return {"text": UNREADABLE}


def readable_content(value: Any) -> dict[str, Any]:
    """Return stored content without its unreadable members."""
    if isinstance(value, dict) and value and all(_is_readable(*member) for member in value.items()):
        return value
    members = value if isinstance(value, dict) else {}
    kept = {name: member for name, member in members.items() if _is_readable(name, member)}
    text = kept.get("text", "")
    return {**kept, "text": f"{text}\n{UNREADABLE}" if text else UNREADABLE}


def _is_readable(name: str, value: Any) -> bool:
    check = _CHECKS.get(name)
    return check is None or check(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _are_rows(value: Any) -> bool:
    return isinstance(value, list) and all(map(_are_texts, value))


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _are_fields(value: Any) -> bool:
    return _are_objects(value) and all(
        isinstance(item.get("name"), str) and isinstance(item.get("value"), str) for item in value
    )


def _are_files(value: Any) -> bool:
    return _are_objects(value) and all(isinstance(item.get("id"), str) for item in value)


def _is_derived(value: Any) -> bool:
    return isinstance(value, dict) and all(
        name in ("title", "link", "fields", "severity") and _is_readable(name, member)
        for name, member in value.items()
    )


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(
        ("text", "title", "link", "image_url", "thread_ts", "username", "icon_emoji", "icon_url"),
        _is_text,
    ),
    **dict.fromkeys(
        ("reply_broadcast", "unfurl_links", "unfurl_media", "link_names", "mrkdwn"), _is_flag
    ),
    **dict.fromkeys(("mentions", "actions"), _are_texts),
    **dict.fromkeys(("blocks", "attachments"), _are_objects),
    "fields": _are_fields,
    "rows": _are_rows,
    "format": lambda value: value in ("mrkdwn", "markdown"),
    "files": _are_files,
    "derived": _is_derived,
    "severity": lambda value: known_severity(value) is not None,
}


_SUMMARIZED = ("severity", "title", "link", "fields", "format", "mrkdwn")
# The members of a long `derived` that a summary keeps.
_KEPT_OF_DERIVED = ("severity", "title", "link")
_SEVERITY_PATHS = ("$.severity", "$.derived.severity")


class stored_severity(GenericFunction[str]):
    """The explicit or derived severity of content, read by the database.

    NULL without either, or if the content is not JSON.
    """

    type = String()
    inherit_cache = True


@compiles(stored_severity)
def _postgresql(element: Any, compiler: SQLCompiler, **more: Any) -> str:
    content = compiler.process(element.clauses, **more)
    return f"coalesce({content} ->> 'severity', {content} #>> '{{derived,severity}}')"


@compiles(stored_severity, "sqlite")
def _sqlite(element: Any, compiler: SQLCompiler, **more: Any) -> str:
    content = compiler.process(element.clauses, **more)
    explicit, derived = (f"json_extract({content}, '{path}')" for path in _SEVERITY_PATHS)
    return f"CASE WHEN json_valid({content}) THEN coalesce({explicit}, {derived}) END"


def stored_length(content: Any) -> ColumnElement[int]:
    """Return the stored length of content, in characters, to bound reads of many rows."""
    return func.length(cast(content, Text))


class content_summary(GenericFunction[dict[str, Any]]):
    """The part of content that filters and headlines need.

    It has the beginning of the text, and omits images, mentions, layouts and everything that is
    longer than `SHORT`. It keeps a short layout of content without text. The database omits the
    rest, which may be a thousand times as large: code that reads many rows reads summaries.
    """

    type = ContentJson()
    inherit_cache = True


@compiles(content_summary)
def _postgresql_summary(element: Any, compiler: SQLCompiler, **more: Any) -> str:
    content = compiler.process(element.clauses, **more)
    summary = f"json_strip_nulls(json_build_object({_summary(content)}))"
    return f"CASE WHEN json_typeof({content}) = 'object' THEN {summary} ELSE '0' END"


@compiles(content_summary, "sqlite")
def _sqlite_summary(element: Any, compiler: SQLCompiler, **more: Any) -> str:
    content = compiler.process(element.clauses, **more)
    # `json_patch` removes nulls.
    summary = f"json_patch('{{}}', json_object({_summary(content, is_sqlite=True)}))"
    is_object = f"json_valid({content}) AND json_type({content}) = 'object'"
    return f"CASE WHEN {is_object} THEN {summary} ELSE '0' END"


def _summary(content: str, *, is_sqlite: bool = False) -> str:
    """Return the names and values of a summary's members, in SQL for both databases."""
    # SQLite would store the JSON of an expression as text.
    as_json, build = ("json", "json_object") if is_sqlite else ("", "json_build_object")
    words = " || ".join(f"coalesce({content} ->> '{name}', '')" for name in ("title", "text"))
    derived = f"{content} -> 'derived'"
    kept = ", ".join(f"'{name}', {as_json}({derived} -> '{name}')" for name in _KEPT_OF_DERIVED)
    values = {
        **{name: _case(_is_short(content, name), f"{content} -> '{name}'") for name in _SUMMARIZED},
        "derived": f"CASE WHEN {_is_short(content, 'derived')} THEN {derived} "
        f"WHEN {derived} IS NOT NULL THEN {build}({kept}) END",
        **{
            name: _case(
                f"trim({words}) = '' AND {_is_short(content, name)}", f"{content} -> '{name}'"
            )
            for name in ("blocks", "attachments", "files")
        },
    }
    members = [f"'{name}', {as_json}({value})" for name, value in values.items()]
    return ", ".join([*members, f"'text', substr({content} ->> 'text', 1, {BEGINNING})"])


def _is_short(content: str, name: str) -> str:
    return f"length(CAST({content} -> '{name}' AS TEXT)) <= {SHORT}"


def _case(condition: str, value: str) -> str:
    return f"CASE WHEN {condition} THEN {value} END"
