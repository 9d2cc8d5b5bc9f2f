"""Options and words that the commands for API keys and for hooks share."""

from __future__ import annotations

import click

from bolt_app.credentials.api_keys import ApiKeyRecord
from bolt_app.credentials.webhooks import WebhookRecord

source_option = click.option(
    "--source",
    help="Shares what it sends, and the keys of its notifications, with all keys and hooks of the "
    "same source. Default: a source of its own.",
)
broadcast_option = click.option(
    "--allow-broadcast",
    is_flag=True,
    help="Allow @channel, @here, @everyone and mentions of user groups.",
)
cancel_option = click.option(
    "--cancel", is_flag=True, help="Also cancel its deliveries that are still open."
)


def more(record: ApiKeyRecord | WebhookRecord) -> str:
    """Return what a list says of a credential at its end."""
    words = []
    if record.own_source is not None:
        words.append(f"source {record.own_source}")
    if record.allow_broadcast:
        words.append("may broadcast")
    use = record.use
    if use.rejected:
        at = "" if use.at is None else f", last {use.at:%Y-%m-%d %H:%M} UTC"
        words.append(f"{use.rejected} rejected{at} ({use.reason})")
    return "".join(f"; {one}" for one in words)


def cancelled(number: int) -> str:
    """Return how many deliveries were cancelled, in words."""
    return f"{number} {'delivery is' if number == 1 else 'deliveries are'} cancelled."
