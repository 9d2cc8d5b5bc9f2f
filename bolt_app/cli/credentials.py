"""Options and output that the commands for API keys and webhooks share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

import click

from bolt_app.cli.errors import fail
from bolt_app.cli.output import print_line
from bolt_app.cli.workspaces import require_workspace
from bolt_app.credentials.api_keys import ApiKeyRecord
from bolt_app.credentials.sources import Credential
from bolt_app.credentials.webhooks import WebhookRecord
from bolt_app.services import Services

R = TypeVar("R", ApiKeyRecord, WebhookRecord)

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
        details.append(f"{use.rejected} rejected{last_at(use.at)} ({use.reason})")
    return "".join(f"; {detail}" for detail in details)


def last_at(moment: datetime | None) -> str:
    """Return the time of the latest of some events, after their number in a list."""
    return "" if moment is None else f", last {moment:%Y-%m-%d %H:%M} UTC"


def listed(services: Services, team_id: str, found: Sequence[R]) -> Sequence[R]:
    """Return the credentials of a workspace; exit with an error if it is unknown and has none."""
    if not found:
        require_workspace(services, team_id)
    return found


def finish_revocation(
    services: Services, credential: Credential, name: str, is_revoked: bool, *, cancel: bool
) -> None:
    """Cancel the open deliveries of a credential, if `cancel`, and print the result.

    Args:
        name: of the credential in the output.
        is_revoked: whether this command revoked it. Deliveries of one that was revoked earlier can
            still be cancelled.
    """
    number = services.history.cancel_all(credential) if cancel else 0
    if not is_revoked and not number:
        fail(f"{name} does not exist or is already revoked.")
    print_line(f"{name} is revoked.")
    if cancel:
        print_line(f"{number} {'delivery was' if number == 1 else 'deliveries were'} cancelled.")
