"""``chat.unfurl``: what the app shows under a link of its own."""

from __future__ import annotations

from slack_sandbox.core import SharedLinks
from slack_sandbox.errors import ApiError
from slack_sandbox.limits import Tier
from slack_sandbox.messages import checked_content, find_message
from slack_sandbox.web_api.call import Call
from slack_sandbox.web_api.registry import method
from slack_sandbox.world import JsonDict

_SOURCES = ("composer", "conversations_history")


@method("chat.unfurl", Tier.THREE, scopes=("links:write",), takes_json=True)
def unfurl(call: Call) -> JsonDict:
    """Show something under links that a person wrote
    (https://docs.slack.dev/reference/methods/chat.unfurl).

    What is given for a link replaces what was given before; something empty takes it away.
    Only links of which the app was told by ``link_shared`` can be given something.
    """
    links = _links(call)
    unfurls = call.structure("unfurls", "invalid_unfurls_format")
    if not unfurls:
        raise ApiError("missing_unfurls")
    if not isinstance(unfurls, dict) or not all(isinstance(one, dict) for one in unfurls.values()):
        raise ApiError("invalid_unfurls_format")
    if not set(unfurls) <= set(links.urls):
        raise ApiError("cannot_unfurl_url")
    shown = {url: _shown(call, url, one) for url, one in unfurls.items()}
    with call.core.edit():
        links.shown |= shown
        if links.message is not None:
            before = [one for one in links.message.attachments if one.get("from_url") not in shown]
            added = [one for one in shown.values() if one]
            links.message.attachments = [*before, *added]
            for number, one in enumerate(links.message.attachments, start=1):
                one["id"] = number
    return {"ok": True}


def _links(call: Call) -> SharedLinks:
    """The links that are meant: by their id, or by the message they stand in."""
    known = call.core.shared_links
    if call.text("unfurl_id") or call.text("source"):
        if not call.text("unfurl_id"):
            raise ApiError("missing_unfurl_id")
        if not call.text("source"):
            raise ApiError("missing_source")
        if call.text("source") not in _SOURCES:
            raise ApiError("invalid_source")
        found = known.get(call.text("unfurl_id"))
        if found is None or found.team_id not in call.installation.team_ids:
            raise ApiError("invalid_unfurl_id")
        is_written = call.text("source") == "composer"
        if is_written != (found.message is None):
            raise ApiError("invalid_source")
        if found.message is not None and found.message.deleted:
            raise ApiError("cannot_find_message")
        return found
    for name in ("channel", "ts"):
        if not call.text(name):
            raise ApiError(f"missing_{name}")
    channel = call.core.world.channels.get(call.text("channel"))
    if channel is None or channel.team_id not in call.installation.team_ids:
        raise ApiError("cannot_find_channel")
    message = find_message(call.core, channel.id, call.text("ts"))
    if message is None:
        raise ApiError("cannot_find_message")
    told = next((one for one in known.values() if one.message is message), None)
    if told is None:
        raise ApiError("cannot_unfurl_url")
    return told


def _shown(call: Call, url: str, given: JsonDict) -> JsonDict:
    if not given:
        return {}
    unreachable = call.core.unreachable_hosts
    [attachment] = checked_content(None, None, [given], unreachable=unreachable).attachments
    viewer = call.viewer
    return attachment | {
        "from_url": url,
        "app_unfurl_url": url,
        "is_app_unfurl": True,
        "app_id": call.core.config.app_id,
        "bot_id": viewer.bot_id,
    }
