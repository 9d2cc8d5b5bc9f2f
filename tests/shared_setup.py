"""Work that every app repeats at its start, done once per test process instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
from sqlalchemy import Dialect, Engine
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

from bolt_app.db import Cipher
from bolt_app.db import engine as engine_module
from bolt_app.db.encryption import use_cipher

# More than the tests have.
STATEMENTS = 10_000

_Builder = Callable[..., tuple[str, str]]


def share_setup(patch: pytest.MonkeyPatch) -> None:
    """Let all apps of this process share compiled SQL and compiled routes."""
    patch.setattr(engine_module, "Cipher", lambda keys: _cipher(tuple(keys)))
    patch.setattr(engine_module, "use_cipher", _SharedStatements().use_cipher)
    patch.setattr(Rule, "_compile_builder", _builder(Rule._compile_builder))


@cache
def _cipher(keys: Sequence[str]) -> Cipher:
    return Cipher(keys)


class _SharedStatements:
    """Compiled statements, which SQLAlchemy keeps by engine and dialect.

    Engines share them if they have the same database (on SQLite: any file) and keys: the dialect
    stands for the keys of encrypted columns.
    """

    def __init__(self) -> None:
        self._shared: dict[tuple[str, Cipher], tuple[Dialect, LRUCache[Any, Any]]] = {}

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


def _builder(compile_builder: Callable[..., _Builder]) -> Callable[..., _Builder]:
    """Return `Rule._compile_builder`, which takes most of an app's start, with a memory.

    The functions that it returns take the rule as their argument.
    """
    known: dict[object, _Builder] = {}

    def compile_once(rule: Rule, append_unknown: bool = True) -> _Builder:
        key = (str(rule._trace), str(rule.defaults), append_unknown)
        if key not in known:
            known[key] = compile_builder(rule, append_unknown)
        return known[key]

    return compile_once
