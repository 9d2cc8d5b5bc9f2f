"""Verification of clicks and submitted modals: only signed values reach a listener.

Interactive elements that senders put into messages are acknowledged and ignored. So are elements
that Bellhop never shows, such as dialogs and buttons of legacy attachments. A click on one of
Bellhop's elements is valid if its value was signed for this element, workspace and address.

https://docs.slack.dev/reference/interaction-payloads
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from slack_bolt import App, BoltContext, BoltRequest, BoltResponse
from slack_bolt.middleware import Middleware

from bolt_app.blockkit.elements import Block
from bolt_app.blockkit.signed_values import (
    OutdatedError,
    OutdatedFormError,
    home_of,
    shown_to,
)
from bolt_app.notifications.incidents.blocks import ACTION_IDS as INCIDENT_ACTIONS
from bolt_app.notifications.incidents.blocks import PREFIX as INCIDENT_PREFIX
from bolt_app.services import Services
from bolt_app.slack import ids
from bolt_app.slack.rejected_values import RejectedValues
from bolt_app.slack.respond import respond

OWN_ACTIONS = ids.ACTIONS | INCIDENT_ACTIONS
_OTHER_TYPES = ("event_callback", "message_action", "url_verification", "view_submission")
_RENEWED = (
    "This button is outdated, so nothing was changed. The message gets new buttons: use those."
)


def register_signature_checks(app: App, services: Services, rejected: RejectedValues) -> None:
    """Verify clicks and forms before any listener runs.

    Register it after the check that a person may use Bellhop, because it may renew buttons.
    """
    app.use(_SignatureChecks(services, rejected))


def may_be_own(body: Mapping[str, Any]) -> bool:
    """Whether a request may be for Bellhop; all others are ignored."""
    kind = body.get("type")
    if kind == "block_actions":
        return str(body["actions"][0].get("action_id")) in OWN_ACTIONS
    return kind in _OTHER_TYPES or (kind is None and "command" in body)


class _SignatureChecks(Middleware):
    """Middleware that passes clicks and forms with a valid signed value.

    It is a class because Bolt builds every possible argument for a function, on each request.
    """

    def __init__(self, services: Services, rejected: RejectedValues) -> None:
        self._services = services
        self._rejected = rejected

    def process(
        self, *, req: BoltRequest, resp: BoltResponse, next: Callable[[], BoltResponse]
    ) -> BoltResponse:
        """Pass the request on, or reply that it is outdated."""
        match req.body.get("type"):
            case "block_actions":
                return self._check_click(req.body, req.context, next)
            case "view_submission":
                return self._check_form(req.body, req.context, next)
        return next()

    def _check_click(
        self, body: dict[str, Any], context: BoltContext, next: Callable[[], BoltResponse]
    ) -> BoltResponse:
        action = body["actions"][0]
        carried = carried_value(action)
        team_id, addresses = context.team_id or "", addresses_of(body)
        try:
            fields = self._services.signer.read(carried, action["action_id"], team_id, addresses)
            _require_offered(body)
        except OutdatedError as error:
            self._rejected.log(context)
            text = _RENEWED if self._renew(body, context) else str(error)
            return respond(self._services, context, body, text)
        context["signed_fields"] = fields
        return next()

    def _renew(self, body: dict[str, Any], context: BoltContext) -> bool:
        """Renew the buttons of an incident that was posted before buttons were signed."""
        block_id = body["actions"][0].get("block_id")
        ts = (body.get("container") or {}).get("message_ts")
        if not str(block_id).startswith(INCIDENT_PREFIX) or not isinstance(ts, str):
            return False
        team_id, channel_id = context.team_id or "", context.channel_id or ""
        return self._services.incidents.refresh_messages(team_id, channel_id, ts)

    def _check_form(
        self, body: dict[str, Any], context: BoltContext, next: Callable[[], BoltResponse]
    ) -> BoltResponse:
        view, person = body["view"], context.user_id or ""
        action = form_action(view.get("callback_id"))
        try:
            self._services.signer.read(
                view.get("private_metadata"), action, context.team_id or "", [person]
            )
        except OutdatedError:
            self._rejected.log(context)
            return respond(self._services, context, body, str(OutdatedFormError()))
        return next()


def _require_offered(body: Mapping[str, Any]) -> None:
    """Require that a message in a channel contains the clicked button.

    The reply replaces the message, so a button of another message must not count. Slack includes
    the message in the request. Answers to incidents are checked against the posted message instead.

    Raises:
        OutdatedError: the message does not contain the button.
    """
    action = body["actions"][0]
    is_incidents = action["action_id"] in INCIDENT_ACTIONS
    if is_incidents or is_home_click(body) or is_ephemeral(body):
        return
    carried = action["action_id"], carried_value(action)
    if carried not in _offered(body.get("message") or {}):
        raise OutdatedError


def _offered(message: Mapping[str, Any]) -> Iterator[tuple[object, object]]:
    """Yield the action and the value of each button and menu of a message."""
    for block in message.get("blocks") or ():
        for element in (*block.get("elements", ()), block.get("accessory") or {}):
            # The value of a menu is the id of its block.
            yield (
                element.get("action_id"),
                carried_value({**element, "block_id": block.get("block_id")}),
            )


def carried_value(action: Mapping[str, Any]) -> object:
    """Return the signed value of a button, or of a menu, whose block id carries it."""
    return action.get("value" if action.get("type") == "button" else "block_id")


def signed_fields(context: BoltContext) -> Mapping[str, Any]:
    """Return the fields of the clicked button or menu."""
    fields: Mapping[str, Any] = context["signed_fields"]
    return fields


def signed_text(context: BoltContext, name: str) -> str:
    """Return a text field of the clicked button or menu.

    Raises:
        OutdatedError: the field is missing or not text.
    """
    text = signed_fields(context).get(name)
    if not isinstance(text, str):
        raise OutdatedError
    return text


def addresses_of(body: Mapping[str, Any]) -> Sequence[str]:
    """Return the addresses that the clicked element may be signed for, the usual one last.

    A direct message is addressed by the person's id or its channel id. A message that only one
    person sees is signed for that person, and its values are valid only there.
    """
    user_id = body["user"]["id"]
    if is_home_click(body):
        return [home_of(user_id)]
    channel_id = (body.get("channel") or {}).get("id")
    if not channel_id or "view" in body:
        return []
    addresses = [channel_id, user_id] if channel_id.startswith("D") else [channel_id]
    if is_ephemeral(body):
        return [shown_to(user_id, address) for address in addresses]
    return addresses


def address_of_command(context: BoltContext) -> str:
    """Return the address where a person typed a command or pressed a button.

    In a direct message it is the person.
    """
    channel_id, user_id = context.channel_id or "", context.user_id or ""
    return user_id if channel_id.startswith("D") else channel_id


def is_home_click(body: Mapping[str, Any]) -> bool:
    """Whether a click was made in the App Home, and not in a message or modal."""
    view, container = body.get("view") or {}, body.get("container") or {}
    return bool(view.get("type") == "home" and container.get("type") == "view")


def is_ephemeral(body: Mapping[str, Any]) -> bool:
    """Whether a click was made in a message that only one person sees."""
    return bool((body.get("container") or {}).get("is_ephemeral"))


def signed_blocks(
    services: Services,
    context: BoltContext,
    body: Mapping[str, Any],
    blocks: Sequence[Block],
    *,
    is_beside: bool = False,
) -> list[Block]:
    """Return the signed blocks of a reply that replaces the clicked message.

    Args:
        is_beside: the reply is a separate message that only the person sees.
    """
    address = addresses_of(body)[-1]
    if is_beside and not is_ephemeral(body):
        address = shown_to(body["user"]["id"], address)
    return services.signer.sign_blocks(blocks, context.team_id or "", address)


def form_action(callback_id: object) -> str:
    """Return the action that a modal's `private_metadata` is signed for."""
    return f"view:{callback_id}"
