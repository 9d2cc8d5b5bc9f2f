"""The dependencies of an engine: packages, and megabytes on disk."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

# What Bellhop has anyway.
PRESENT = (
    "alembic",
    "cryptography",
    "flask",
    "gunicorn",
    "psycopg",
    "psycopg-binary",
    "pydantic",
    "python-dotenv",
    "pyyaml",
    "slack-bolt",
    "slack-sdk",
    "sqlalchemy",
)


def weight(packages: Iterable[str]) -> dict[str, float]:
    """Return the number of packages that an engine adds to Bellhop's, and their size."""
    added = _closure(packages) - _closure(PRESENT)
    return {"packages": len(added), "megabytes": sum(map(_size, added)) / 1e6}


def _closure(packages: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = [_normal(package) for package in packages]
    while waiting:
        package = waiting.pop()
        if package not in found and (needs := _needs(package)) is not None:
            found.add(package)
            waiting += needs
    return found


def _needs(package: str) -> list[str] | None:
    try:
        requirements = distribution(package).requires or []
    except PackageNotFoundError:
        return None
    return [
        _normal(re.split(r"[^A-Za-z0-9._-]", requirement)[0])
        for requirement in requirements
        if "extra ==" not in requirement
    ]


def _normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def _size(package: str) -> int:
    files = distribution(package).files or []
    paths = (file.locate() for file in files if file.suffix != ".pyc")
    return sum(path.stat().st_size for path in map(_as_path, paths) if path.is_file())


def _as_path(path: object) -> Path:
    return Path(str(path))
