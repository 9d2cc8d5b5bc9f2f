"""Example bodies of the known senders, where they come from, and the requests that carry them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bolt_app.senders
from bolt_app.senders.registry import known_senders

FOLDER = Path(bolt_app.senders.__file__).parent
# Where a body comes from, the best evidence first.
ORIGINS = ("recorded", "published", "adapted", "documented")


@dataclass(frozen=True)
class Origin:
    """Where a body comes from.

    Attributes:
        kind: one of `ORIGINS`, which `docs/senders/README.md` explains.
        source: the tool and its version, or the package or page.
        note: which part of the source, and what is omitted or changed.
    """

    kind: str
    source: str
    note: str


@dataclass(frozen=True)
class Fixture:
    """An example body, and the notifications that it becomes."""

    sender: str
    name: str
    origin: Origin
    headers: Mapping[str, str]
    body: Any
    notifications: list[dict[str, Any]]

    @property
    def lower_headers(self) -> dict[str, str]:
        """The headers as mappings take them."""
        return {name.lower(): value for name, value in self.headers.items()}

    @property
    def raw(self) -> bytes:
        """The body as it is sent."""
        return json.dumps(self.body).encode()


def fixtures(sender: str | None = None) -> Iterator[Fixture]:
    """Yield the example bodies of one sender, or of all."""
    for name in [sender] if sender else known_senders():
        for path in sorted((FOLDER / name.replace("-", "_") / "fixtures").glob("*.json")):
            recorded = json.loads(path.read_text(encoding="utf-8"))
            origin = recorded["origin"]
            yield Fixture(
                name,
                path.stem,
                Origin(origin["kind"], origin["from"], origin.get("note", "")),
                recorded["headers"],
                recorded["body"],
                recorded["notifications"],
            )


def fixture(sender: str, name: str) -> Fixture:
    """Return one example body."""
    return next(one for one in fixtures(sender) if one.name == name)
