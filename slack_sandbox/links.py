"""Links of the app's domains in people's messages, and their unfurls.

See https://docs.slack.dev/messaging/unfurling-links-in-messages.
"""

from __future__ import annotations

import re
import secrets
from urllib.parse import urlsplit

from slack_sandbox.core import Core, SharedLinks
from slack_sandbox.world import JsonDict, Message

COMPOSER = "COMPOSER"
_URL = re.compile(r"<(https?://[^<>|\s]+)(?:\|[^<>]*)?>|(https?://[^\s<>|]*[^\s<>|.,;:!?)\]])")


def share_links(core: Core, message: Message) -> None:
    """Publish ``link_shared`` for a person's message; the app's own messages are skipped."""
    if message.user_id is None or message.bot_id is not None:
        return
    channel = core.get_channel(message.channel_id)
    installation = core.installation_for(message.team_id)
    is_member = installation is not None and installation.bot_user_id in channel.members
    context: JsonDict = {
        "channel": channel.id,
        "message_ts": message.ts,
        "is_bot_user_member": is_member,
        "source": "conversations_history",
    }
    if message.thread_ts is not None:
        context["thread_ts"] = message.thread_ts
    _share(core, message.team_id, message.user_id, message.text, context, message)


def compose(core: Core, user_id: str, team_id: str, text: str) -> str | None:
    """Type a message without posting it. Returns the id of the app's links in it, or None."""
    context: JsonDict = {
        "channel": COMPOSER,
        "is_bot_user_member": True,
        "source": "composer",
    }
    return _share(core, team_id, user_id, text, context, None)


def _share(
    core: Core, team_id: str, user_id: str, text: str, context: JsonDict, message: Message | None
) -> str | None:
    found = [found[1] or found[2] for found in _URL.finditer(text)]
    links = [{"domain": domain, "url": url} for url in found if (domain := _domain_of(core, url))]
    if not links:
        return None
    with core.lock:
        unfurl_id = f"{user_id}-{secrets.token_hex(24)}"
        urls = tuple(link["url"] for link in links)
        core.shared_links[unfurl_id] = SharedLinks(team_id, urls, message)
        event = {"type": "link_shared", "user": user_id, "unfurl_id": unfurl_id, "links": links}
        event |= {"message_ts": unfurl_id} | context
        core.publish(team_id, event)
    return unfurl_id


def _domain_of(core: Core, url: str) -> str | None:
    """The registered domain of a URL's host: the host itself or a parent domain."""
    host = urlsplit(url).hostname or ""
    for domain in core.config.unfurl_domains:
        if host == domain or host.endswith(f".{domain}"):
            return domain
    return None
