"""The registry of Web API methods, with their scopes, tiers and formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from slack_sandbox.limits import Tier
from slack_sandbox.web_api.call import Call
from slack_sandbox.world import JsonDict

Handler = Callable[[Call], JsonDict]


@dataclass(frozen=True)
class Method:
    """One Web API method.

    ``scopes``: the token needs at least one of them. ``takes_json``: whether Slack reads a JSON
    body for the method (https://docs.slack.dev/apis/web-api#post_bodies). ``needs_token`` is false
    for methods authenticated with client id and secret.
    """

    name: str
    handler: Handler
    tier: Tier
    scopes: tuple[str, ...] = ()
    takes_json: bool = False
    needs_token: bool = True


METHODS: dict[str, Method] = {}


def method(
    name: str,
    tier: Tier,
    *,
    scopes: tuple[str, ...] = (),
    takes_json: bool = False,
    needs_token: bool = True,
) -> Callable[[Handler], Handler]:
    """Register the decorated function as the method ``name``."""

    def register(handler: Handler) -> Handler:
        METHODS[name] = Method(name, handler, tier, scopes, takes_json, needs_token)
        return handler

    return register
