"""Links of the app's own domains in what people write, and what the app shows under them.

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
    """Tell the app of its links in a message of a person; those of its own it is not told of."""
    if message.user_id is None or message.bot_id is not None:
        return
    channel = core.get_channel(message.channel_id)
    installation = core.installation_for(message.team_id)
    is_member = installation is not None and installation.bot_user_id in channel.members
    where: JsonDict = {
        "channel": channel.id,
        "message_ts": message.ts,
        "is_bot_user_member": is_member,
        "source": "conversations_history",
    }
    if message.thread_ts is not None:
        where["thread_ts"] = message.thread_ts
    _tell(core, message.team_id, message.user_id, message.text, where, message)


def compose(core: Core, user_id: str, team_id: str, text: str) -> str | None:
    """Write something without posting it; the id of its links, where they are the app's."""
    where: JsonDict = {
        "channel": COMPOSER,
        "is_bot_user_member": True,
        "source": "composer",
    }
    return _tell(core, team_id, user_id, text, where, None)


def _tell(
    core: Core, team_id: str, user_id: str, text: str, where: JsonDict, message: Message | None
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
        event |= {"message_ts": unfurl_id} | where
        core.publish(team_id, event)
    return unfurl_id


def _domain_of(core: Core, url: str) -> str | None:
    """The registered domain that the host of ``url`` is, or lies under."""
    host = urlsplit(url).hostname or ""
    for domain in core.config.unfurl_domains:
        if host == domain or host.endswith(f".{domain}"):
            return domain
    return None
