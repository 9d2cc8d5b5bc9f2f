"""One call of a method: its key, its arguments, and the table of methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bolt_app.credentials.api_keys import ApiKeyRecord, Scope
from bolt_app.services import Services
from bolt_app.web.methods.arguments import Arguments
from bolt_app.workspaces.lookup_budgets import LookupShare

Answer = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """An authorized call."""

    services: Services
    key: ApiKeyRecord
    arguments: Arguments = field(repr=False)

    @property
    def team_id(self) -> str:
        """The workspace of the key."""
        return self.key.team_id

    @property
    def share(self) -> LookupShare:
        """The key's share of the calls to Slack that API calls may cause."""
        return LookupShare.of_call(self.key.credential.name)


@dataclass(frozen=True)
class Method:
    """A method of the Slack-compatible Web API.

    Attributes:
        run: returns the members of the answer beside `ok`.
        scope: that the API key must have; None: any key may call.
        charges: whether its own transaction charges the key, as that of every change in the
            database must; otherwise the key is charged before the method runs.
    """

    run: Callable[[Call], Answer]
    scope: Scope | None
    charges: bool = False
