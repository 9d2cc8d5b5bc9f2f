"""Work that every app repeats at its start, done once per test process instead."""

from __future__ import annotations

import gc
import importlib.metadata
import inspect
from collections.abc import Callable, Sequence
from copy import copy
from functools import cache
from types import CodeType, FunctionType
from typing import Any

import pytest
from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import Dialect, Engine
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

from bolt_app.db import Cipher, PreparedSelect
from bolt_app.db import engine as engine_module
from bolt_app.db.encryption import use_cipher
from bolt_app.db.prepared import CompiledSelect

# More than the tests have.
STATEMENTS = 10_000
# Two are shared; a schema of its own on PostgreSQL is used by one test only.
DATABASES = 2

# The attributes that `Rule.compile` sets.
_COMPILED = "_parts", "_trace", "_converters", "arguments"
_BUILDERS = "_build", "_build_unknown"


def share_setup(patch: pytest.MonkeyPatch) -> None:
    """Let all apps of this process share compiled SQL, routes, templates and frozen objects."""
    patch.setattr(engine_module, "Cipher", lambda keys: _cipher(tuple(keys)))
    patch.setattr(engine_module, "use_cipher", _SharedStatements().use_cipher)
    patch.setattr(engine_module, "CompiledSelect", _SharedSelects().compile)
    patch.setitem(Flask.jinja_options, "bytecode_cache", _SharedTemplates())
    # Each of werkzeug's servers looks up werkzeug's version.
    patch.setattr(importlib.metadata, "version", cache(importlib.metadata.version))
    patch.setattr(Rule, "compile", _compiler(Rule.compile))
    # Bolt asks for the arguments of each listener, middleware and matcher.
    patch.setattr(inspect, "getfullargspec", _specification(inspect.getfullargspec))
    # The owner of a workspace would end the exemption of all tests from garbage collection.
    patch.setattr(gc, "unfreeze", lambda: None)


def _specification(
    ask: Callable[[Any], inspect.FullArgSpec],
) -> Callable[[Any], inspect.FullArgSpec]:
    """Return `inspect.getfullargspec` with a memory for functions, by their code."""
    known: dict[tuple[CodeType, int], inspect.FullArgSpec] = {}

    def ask_once(function: Any) -> inspect.FullArgSpec:
        if not isinstance(function, FunctionType):
            return ask(function)
        key = function.__code__, len(function.__defaults__ or ())
        if key not in known:
            known[key] = ask(function)
        return known[key]

    return ask_once


@cache
def _cipher(keys: Sequence[str]) -> Cipher:
    return Cipher(keys)


class _SharedStatements:
    """Compiled statements, which SQLAlchemy keeps by engine and dialect.

    Engines share them if they have the same database (on SQLite: any file) and keys: the dialect
    stands for the keys of encrypted columns.
    """

    def __init__(self) -> None:
        self._shared: LRUCache[tuple[str, Cipher], tuple[Dialect, LRUCache[Any, Any]]]
        self._shared = LRUCache(DATABASES)

    def use_cipher(self, engine: Engine, cipher: Cipher) -> None:
        url = engine.url
        database = "sqlite" if engine.dialect.name == "sqlite" else str(url)
        shared = self._shared.get((database, cipher))
        # The first connection completes the dialect.
        if shared is not None and shared[0].server_version_info is not None:
            engine.dialect, engine._compiled_cache = shared
            return
        use_cipher(engine, cipher)
        engine._compiled_cache = LRUCache(STATEMENTS)
        self._shared[database, cipher] = engine.dialect, engine._compiled_cache


class _SharedSelects:
    """Prepared statements, compiled once by dialect.

    The dialect keeps them: they refer to it, so that no weak reference would ever end.
    """

    def compile(self, prepared: PreparedSelect, engine: Engine) -> CompiledSelect:
        compiled: dict[PreparedSelect, CompiledSelect]
        compiled = vars(engine.dialect).setdefault("_shared_selects", {})
        if prepared not in compiled:
            compiled[prepared] = CompiledSelect(prepared, engine)
        shared = copy(compiled[prepared])
        shared._engine = engine
        return shared


class _SharedTemplates(BytecodeCache):
    """Templates, compiled once by their file and content."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key, bucket.checksum] = bucket.code


def _compiler(compile_rule: Callable[[Rule], None]) -> Callable[[Rule], None]:
    """Return `Rule.compile`, which takes most of an app's start, with a memory.

    The functions that build URLs take the rule as their argument, and the converters of werkzeug
    do not use their map.
    """
    known: dict[object, dict[str, Any]] = {}

    def compile_once(rule: Rule) -> None:
        given = rule.rule, rule.host, rule.subdomain, rule.merge_slashes
        key = *given, rule.map.host_matching, repr(rule.defaults)
        compiled = known.get(key)
        if compiled is None:
            compile_rule(rule)
            builders = {name: getattr(rule, name).__func__ for name in _BUILDERS}
            known[key] = builders | {name: copy(getattr(rule, name)) for name in _COMPILED}
            return
        for name in _COMPILED:
            setattr(rule, name, copy(compiled[name]))
        for name in _BUILDERS:
            setattr(rule, name, compiled[name].__get__(rule))

    return compile_once
