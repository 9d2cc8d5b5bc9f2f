"""Options and output that the commands for API keys and webhooks share."""

from __future__ import annotations

import click

from bolt_app.credentials.api_keys import ApiKeyRecord
from bolt_app.credentials.webhooks import WebhookRecord

source_option = click.option(
    "--source",
    help="Source whose notifications and their keys it shares with other API keys and webhooks. "
    "Default: a separate source.",
)
broadcast_option = click.option(
    "--allow-broadcast",
    is_flag=True,
    help="Allow @channel, @here, @everyone and mentions of user groups.",
)
cancel_option = click.option("--cancel", is_flag=True, help="Also cancel its open deliveries.")


def details_of(record: ApiKeyRecord | WebhookRecord) -> str:
    """Return the details of a credential at the end of its line in a list."""
    details = []
    if record.own_source is not None:
        details.append(f"source {record.own_source}")
    if record.allow_broadcast:
        details.append("may broadcast")
    use = record.use
    if use.rejected:
        at = "" if use.at is None else f", last {use.at:%Y-%m-%d %H:%M} UTC"
        details.append(f"{use.rejected} rejected{at} ({use.reason})")
    return "".join(f"; {detail}" for detail in details)


def cancelled(number: int) -> str:
    """Return a sentence with the number of cancelled deliveries."""
    return f"{number} {'delivery was' if number == 1 else 'deliveries were'} cancelled."
