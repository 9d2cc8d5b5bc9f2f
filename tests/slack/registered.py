"""The listeners that Bellhop registers, and the requests that each of them serves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from re import Pattern
from typing import Any, cast

from slack_bolt import App

from bolt_app.services import Services
from bolt_app.slack import register_listeners

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class RegisteredListener:
    """A listener, the kind of its requests, and their id or a pattern of it."""

    kind: str
    constraint: str | Pattern[str]
    function: Callable[..., Any]

    def serves(self, kind: str, id_: str) -> bool:
        """Whether Bolt passes requests of a kind with an id to it."""
        if isinstance(self.constraint, str):
            return (kind, id_) == (self.kind, self.constraint)
        return kind == self.kind and self.constraint.search(id_) is not None


class _Recorder:
    """Records what is registered with an app of Bolt, which has no list of its listeners."""

    def __init__(self) -> None:
        self.listeners: list[RegisteredListener] = []

    def action(self, constraint: str | Pattern[str]) -> Decorator:
        return self._record("action", constraint)

    def command(self, constraint: str) -> Decorator:
        return self._record("command", constraint)

    def event(self, constraint: str) -> Decorator:
        return self._record("event", constraint)

    def function(self, constraint: str) -> Decorator:
        return self._record("function", constraint)

    def message_shortcut(self, constraint: str) -> Decorator:
        return self._record("message_shortcut", constraint)

    def view(self, constraint: str) -> Decorator:
        return self._record("view", constraint)

    def _record(self, kind: str, constraint: str | Pattern[str]) -> Decorator:
        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            self.listeners.append(RegisteredListener(kind, constraint, function))
            return function

        return register


def registered_listeners(services: Services) -> Sequence[RegisteredListener]:
    """Return the listeners that the services' Bolt app has."""
    recorder = _Recorder()
    register_listeners(cast(App, recorder), services)
    return recorder.listeners
