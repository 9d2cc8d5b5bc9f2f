"""`reactions.add`: an emoji under a message, where the bot was granted the scope for it."""

from __future__ import annotations

import re

from bolt_app.credentials.api_keys import Scope
from bolt_app.notifications.intake.sender import Sender
from bolt_app.web.methods.call import Answer, Call, Method
from bolt_app.web.methods.charged import charged_by_transaction
from bolt_app.web.methods.destinations import find_destination
from bolt_app.web.methods.errors import MethodError

SCOPE = "reactions:write"
# With a skin tone, as `thumbsup::skin-tone-6`.
_NAME = re.compile(r"[\w'+-]{1,80}(::skin-tone-[2-6])?")


def add(call: Call) -> Answer:
    """Add an emoji to a message (https://docs.slack.dev/reference/methods/reactions.add)."""
    services = call.services
    destination, ts = find_destination(call), call.arguments.require_ts("timestamp")
    name = call.arguments.require_text("name").strip(":")
    if not _NAME.fullmatch(name):
        raise MethodError("invalid_name")
    workspace = services.client.find_workspace(call.team_id)
    if not services.client.has_scope(workspace, SCOPE):
        raise MethodError(
            "missing_scope",
            f"Add the scope {SCOPE} to manifest.yml and to the Slack app, and install it again.",
            needed=SCOPE,
        )
    with charged_by_transaction(call):
        sender = Sender.of(call.key)
        delivery_id = services.messages.react(sender, destination.addresses, ts, name)
    result = services.message_results.wait(delivery_id)
    if result is not None and result.error is not None:
        raise MethodError(result.error, is_charged=True)
    return {}


METHODS = {"reactions.add": Method(add, Scope.SEND, charges=True)}
