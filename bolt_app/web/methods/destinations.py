"""Destinations of calls: the channel or person of an argument, if the key may use it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from bolt_app.credentials.api_keys import ApiKeyRecord, Scope
from bolt_app.recipients import normal_address, topic_of
from bolt_app.slack_api import SlackCallError
from bolt_app.slack_ids import is_conversation, is_person
from bolt_app.web.methods.call import Call
from bolt_app.web.methods.errors import MethodError, OverloadError
from bolt_app.web.methods.slack_calls import waiting_for_slack

logger = logging.getLogger(__name__)

NOT_FOUND = "channel_not_found"


@dataclass(frozen=True)
class Destination:
    """A channel or person.

    Attributes:
        address: where its deliveries go.
        channel_id: as the answer names it; a name while its channel is unknown.
    """

    address: str
    channel_id: str

    @property
    def addresses(self) -> frozenset[str]:
        """The id and the name by which messages there are found."""
        return frozenset((self.address, self.channel_id))


def find_destination(call: Call, name: str = "channel") -> Destination:
    """Return the destination that an argument names.

    Raises:
        MethodError: it is missing or unknown, or the key may not use it.
    """
    return named_destination(call, call.arguments.require_text(name))


def named_destination(call: Call, text: str) -> Destination:
    """Return the destination that a text names: an id, `#name`, `name` or an e-mail address.

    Raises:
        MethodError: it is unknown, or the key may not use it.
    """
    address = _address(text)
    channel_id = _channel_id(call, address) if address[0] == "#" else address
    if not call.key.channels:
        if channel_id is None:
            raise MethodError(NOT_FOUND)
        return Destination(address, channel_id)
    same = {address, channel_id or address, *_person(call, address)}
    # A channel may have a new id since the key was read.
    allowed = _allowed(call, call.key) & same or _allowed(call, _current_key(call)) & same
    if not allowed:
        raise MethodError("restricted_action", f"This API key may use only {_listed(call)}.")
    to = address if address in allowed else min(allowed)
    return Destination(to, channel_id or address)


def allowed_channels(call: Call) -> frozenset[str] | None:
    """Return the addresses that a limited key may use; None for any other key."""
    return _allowed(call, _current_key(call)) if call.key.channels else None


def names_person(call: Call, user_id: str, given: Collection[str]) -> bool:
    """Whether an answer may name a person by their id, which is personal data.

    A key without the scope `users` would otherwise turn e-mail addresses into ids: a message to an
    address shows the direct message, and that its person.

    Args:
        given: the addresses by which the sender named the person.
    """
    return call.key.may(Scope.USERS) or user_id in given or user_id in call.key.channels


def _address(text: str) -> str:
    """Return the address that a text means; a name needs no `#`, as at Slack."""
    for given in (text, *([] if "@" in text else [f"#{text}"])):
        with suppress(ValueError):
            address = normal_address(given)
            if topic_of(address) is None:
                return address
    raise MethodError(NOT_FOUND)


def _channel_id(call: Call, address: str) -> str | None:
    """Find the id of a channel name.

    The channels are listed again if the last listing is a minute old, but not for a name that a
    limited key may not use. A listing that Slack did not answer counts too.

    Returns: None for an unknown name; the address itself if Slack does not answer, because the
        delivery resolves it.
    """
    services, name = call.services, address.removeprefix("#")
    found = services.channels.find_listed(call.team_id, name)
    if found is not None or (call.key.channels and address not in call.key.channels):
        return found
    listed_at = services.channels.listed_at(call.team_id)
    interval = timedelta(seconds=services.settings.delays.listing)
    if listed_at is not None and services.clock() - listed_at < interval:
        return None
    failed_at = services.channels.failed_at(call.team_id)
    if failed_at is not None and services.clock() - failed_at < interval:
        return address
    try:
        with waiting_for_slack(call):
            services.channels.refresh_listing(services.client.find_workspace(call.team_id))
    except OverloadError:
        return address
    except SlackCallError as error:
        if error.is_permanent:
            raise
        logger.info("the channels could not be listed", extra={"error": error.code})
        return address
    return services.channels.find_listed(call.team_id, name)


def _person(call: Call, address: str) -> Iterable[str]:
    """Yield the person whose direct message an id is, if the key may write to any person.

    Otherwise ids that a limited key invents would cost calls to Slack.
    """
    if is_conversation(address) and any(map(is_person, call.key.channels)):
        services = call.services
        workspace = services.client.find_workspace(call.team_id)
        try:
            with waiting_for_slack(call):
                user_id = services.users.find_by_conversation(workspace, address)
            yield user_id
        except SlackCallError as error:
            if error.is_dead_token or not error.is_permanent:
                raise


def _current_key(call: Call) -> ApiKeyRecord:
    return call.services.api_keys.read_again(call.key)


def _allowed(call: Call, key: ApiKeyRecord) -> frozenset[str]:
    """Return the addresses of a limited key, and the ids of the channels that its names mean."""
    found = (_channel_id(call, address) for address in key.channels if address[0] == "#")
    return frozenset({*key.channels, *filter(None, found)})


def _listed(call: Call) -> str:
    return ", ".join(call.key.channels)
