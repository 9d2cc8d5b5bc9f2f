"""``chat.unfurl``: previews of the app's links."""

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
    """Set the previews of links in a person's message.

    See https://docs.slack.dev/reference/methods/chat.unfurl. A new preview replaces an older one;
    an empty one removes it. Only links announced by ``link_shared`` can be unfurled.
    """
    links = _links(call)
    unfurls = call.structure("unfurls", "invalid_unfurls_format")
    if not unfurls:
        raise ApiError("missing_unfurls")
    if not isinstance(unfurls, dict) or not all(
        isinstance(unfurl, dict) for unfurl in unfurls.values()
    ):
        raise ApiError("invalid_unfurls_format")
    if not set(unfurls) <= set(links.urls):
        raise ApiError("cannot_unfurl_url")
    shown = {url: _attachment(call, url, unfurl) for url, unfurl in unfurls.items()}
    with call.core.edit():
        links.shown |= shown
        if links.message is not None:
            before = [
                attachment
                for attachment in links.message.attachments
                if attachment.get("from_url") not in shown
            ]
            added = [attachment for attachment in shown.values() if attachment]
            links.message.attachments = [*before, *added]
            for number, attachment in enumerate(links.message.attachments, start=1):
                attachment["id"] = number
    return {"ok": True}


def _links(call: Call) -> SharedLinks:
    """The links of the call, by ``unfurl_id`` or by channel and message."""
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
    shared_links = next((shared for shared in known.values() if shared.message is message), None)
    if shared_links is None:
        raise ApiError("cannot_unfurl_url")
    return shared_links


def _attachment(call: Call, url: str, unfurl: JsonDict) -> JsonDict:
    if not unfurl:
        return {}
    unreachable = call.core.unreachable_hosts
    [attachment] = checked_content(None, None, [unfurl], unreachable=unreachable).attachments
    viewer = call.viewer
    return attachment | {
        "from_url": url,
        "app_unfurl_url": url,
        "is_app_unfurl": True,
        "app_id": call.core.config.app_id,
        "bot_id": viewer.bot_id,
    }
