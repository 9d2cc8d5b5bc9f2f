"""Destinations of calls: the channel or person of an argument, if the key may use it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

from bolt_app.credentials.api_keys import ApiKeyRecord, Scope
from bolt_app.recipients import normal_address, topic_of
from bolt_app.slack_api import SlackCallError
from bolt_app.slack_ids import is_conversation, is_person
from bolt_app.web.methods.call import Call
from bolt_app.web.methods.errors import MethodError, OverloadError
from bolt_app.web.methods.slack_calls import waiting_for_slack
from bolt_app.workspaces.client import NotInstalledError

logger = logging.getLogger(__name__)

NOT_FOUND = "channel_not_found"


@dataclass(frozen=True)
class Destination:
    """A channel or person.

    Attributes:
        address: where its deliveries go.
        channel_id: as the answer names it; a name while its channel is unknown, or hidden.
        current_id: of the channel that a name means now, also if it is hidden.
    """

    address: str = field(repr=False)
    channel_id: str
    current_id: str | None = field(default=None, repr=False)

    @property
    def addresses(self) -> frozenset[str]:
        """The ids and the name by which messages there are found."""
        return frozenset(filter(None, (self.address, self.channel_id, self.current_id)))


def find_destination(call: Call, name: str = "channel") -> Destination:
    """Return the destination that an argument names.

    Raises:
        MethodError: it is missing or unknown, or the key may not use it.
    """
    [destination] = find_destinations(call, [call.arguments.require_text(name)])
    return destination


def find_verified_destination(call: Call) -> Destination:
    """Return the destination of the argument `channel`, for a message that no delivery checks.

    Raises:
        MethodError, NotInstalledError, OverloadError, SlackCallError: as `find_destination` and
            `_require_in_workspace`.
    """
    [destination] = _permitted_destinations(call, [call.arguments.require_text("channel")])
    _require_in_workspace(call, destination)
    return destination


def find_destinations(call: Call, texts: Sequence[str]) -> list[Destination]:
    """Return the destinations that texts name: ids, `#name`, `name` or e-mail addresses.

    The names of a limited key are resolved once for all of them: it may have hundreds.
    For a personal key the name of a private channel is like one of no channel, so that its owner
    does not learn of channels that a member would not see; its id can be used.

    Raises:
        MethodError: one of them is unknown, or the key may not use it.
        SlackCallError: one is a channel of another workspace of the organization.
    """
    found = _permitted_destinations(call, texts)
    for destination in found:
        # If Slack does not answer now, the delivery decides.
        with suppress(OverloadError, NotInstalledError):
            try:
                _require_in_workspace(call, destination)
            except SlackCallError as error:
                if error.is_permanent and not error.is_dead_token:
                    raise
    return found


def _require_in_workspace(call: Call, destination: Destination) -> None:
    """Require that a channel is not one of another workspace of the organization.

    Raises:
        NotInstalledError: the workspace has no bot.
        OverloadError: too many threads wait for Slack.
        SlackCallError: it is (`channel_not_found`), or Slack does not answer.
    """
    channel_id = destination.channel_id
    if channel_id[0] not in "CG":
        return
    workspace = call.services.client.find_workspace(call.team_id)
    if workspace.is_enterprise_install:
        with waiting_for_slack(call):
            call.services.organization_channels.require(workspace, channel_id, call.share)


def _permitted_destinations(call: Call, texts: Sequence[str]) -> list[Destination]:
    addresses = [_address(text) for text in texts]
    ids = _channel_ids(call, {*addresses, *call.key.channels})
    if not call.key.channels:
        return [_known(address, ids) for address in addresses]
    # A key may be limited to private channels, and still not learn their ids from names.
    shown = _without_hidden(call, ids)
    same = [
        {address, shown.get(address, address), *_person(call, address)} for address in addresses
    ]
    allowed = _allowed(call.key, ids)
    if not all(allowed & names for names in same):
        # A channel may have a new id since the key was read.
        allowed |= _currently_allowed(call)
    return [
        replace(
            _permitted(call, address, shown.get(address, address), allowed & names),
            current_id=ids.get(address),
        )
        for address, names in zip(addresses, same, strict=True)
    ]


def allowed_channels(call: Call) -> frozenset[str] | None:
    """Return the addresses that a limited key may use; None for any other key."""
    return _currently_allowed(call) if call.key.channels else None


def _known(address: str, ids: Mapping[str, str]) -> Destination:
    if address[0] == "#" and address not in ids:
        raise MethodError(NOT_FOUND)
    return Destination(address, ids.get(address, address))


def _permitted(call: Call, address: str, channel_id: str, allowed: Collection[str]) -> Destination:
    """Return a destination of a limited key.

    Args:
        allowed: the names by which the key may use it.
    """
    if not allowed:
        listed = ", ".join(call.key.channels)
        raise MethodError("restricted_action", f"This API key may use only {listed}.")
    return Destination(address if address in allowed else min(allowed), channel_id)


def hidden_channels(call: Call, channel_ids: Collection[str]) -> frozenset[str]:
    """Return the channels, among some, whose names do not tell a key their ids: private ones to a
    personal key, because not every member sees them.
    """
    if not call.key.is_personal:
        return frozenset()
    return call.services.channels.private_among(call.team_id, channel_ids)


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


def _channel_ids(call: Call, addresses: Iterable[str]) -> dict[str, str]:
    """Return the ids of the channels that names among the addresses mean, by name.

    The channels are listed again for names that are not in the last listing, but not for names that
    a limited key may not use.

    Returns: nothing for an unknown name, nor to an unlimited personal key for that of a private
        channel; the name itself if Slack does not answer, because the delivery resolves it.
    """
    names = {address for address in addresses if address[0] == "#"}
    ids = _listed_ids(call, names)
    missing = names - ids.keys()
    if call.key.channels:
        missing.intersection_update(call.key.channels)
    if not missing:
        return ids
    found = _listed_ids(call, missing) if _list_again(call) else {name: name for name in missing}
    return ids | found


def _listed_ids(call: Call, names: Collection[str]) -> dict[str, str]:
    found = call.services.channels.find_all_listed(call.team_id, [name[1:] for name in names])
    ids = {f"#{name}": channel_id for name, channel_id in found.items()}
    return ids if call.key.channels else _without_hidden(call, ids)


def _without_hidden(call: Call, ids: dict[str, str]) -> dict[str, str]:
    hidden = hidden_channels(call, ids.values())
    return {name: channel_id for name, channel_id in ids.items() if channel_id not in hidden}


def _list_again(call: Call) -> bool:
    """List the channels if the last listing is a minute old; return whether Slack answered it.

    Raises:
        SlackCallError: Slack refused the call.
    """
    services = call.services
    interval = timedelta(seconds=services.settings.delays.listing)
    age = services.channels.listing_age(call.team_id)
    if age is not None and age < interval:
        return True
    try:
        with waiting_for_slack(call):
            workspace = services.client.find_workspace(call.team_id)
            services.channels.list_if_older(workspace, interval, waits=True)
    except OverloadError:
        return False
    except SlackCallError as error:
        if error.is_permanent:
            raise
        logger.info("the channels could not be listed", extra={"error": error.code})
        return False
    return True


def _person(call: Call, address: str) -> Iterable[str]:
    """Yield the person of a limited key whose direct message an id is.

    Slack is asked about the key's people, not about the id: one that the key invents costs nothing.
    """
    if not is_conversation(address):
        return
    services = call.services
    for user_id in filter(is_person, call.key.channels):
        workspace = services.client.find_workspace(call.team_id)
        try:
            with waiting_for_slack(call):
                known = services.users.open_conversation(workspace, user_id, call.share)
        except SlackCallError as error:
            if error.is_dead_token or not error.is_permanent:
                raise
            continue
        if known == address:
            yield user_id
            return


def _currently_allowed(call: Call) -> frozenset[str]:
    """Return the addresses that the limited key may use as it is stored now."""
    key = call.services.api_keys.read_again(call.key)
    return _allowed(key, _channel_ids(call, key.channels))


def _allowed(key: ApiKeyRecord, ids: Mapping[str, str]) -> frozenset[str]:
    """Return the addresses of a limited key, and the ids of the channels that its names mean."""
    return frozenset({*key.channels, *(ids[name] for name in key.channels if name in ids)})
