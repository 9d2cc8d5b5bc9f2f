"""Commands for incoming webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

import click
from flask import Flask
from flask.cli import AppGroup

from bolt_app.cli.credentials import (
    broadcast_option,
    cancel_option,
    details_of,
    finish_revocation,
    last_at,
    listed,
    source_option,
)
from bolt_app.cli.destinations import warn_of_unknown
from bolt_app.cli.errors import MISUSED, fail, one_line_errors
from bolt_app.cli.output import print_line
from bolt_app.cli.webhook_templates import (
    add_template_commands,
    read_checked_template,
    template_option,
)
from bolt_app.cli.workspaces import require_workspace, team_option
from bolt_app.credentials.sources import Credential, SourceKind
from bolt_app.credentials.webhooks import AUTO, AWS_SNS, CUSTOM, WebhookRecord
from bolt_app.senders.aws_sns.messages import is_topic
from bolt_app.senders.registry import (
    known_senders,
    secret_for,
    senders_with_secrets,
    shows_its_own_secret,
    signing_of,
)
from bolt_app.services import FindServices


def register(app: Flask, find_services: FindServices) -> None:
    """Register the commands."""
    group = AppGroup("webhook", help="Incoming webhooks: URLs that tools post to.")
    app.cli.add_command(group)

    @group.command("create")
    @team_option
    @click.option(
        "--to",
        multiple=True,
        required=True,
        help="Recipient: #name, channel or user id, @email or topic:name. Repeatable.",
    )
    @click.option("--name", default="", help="Purpose of the webhook, shown in lists.")
    @click.option(
        "--from",
        "sender",
        type=click.Choice([AUTO, *known_senders(), CUSTOM]),
        default=AUTO,
        show_default=True,
        help="The tool that posts to it. Only with its name is its signature checked.",
    )
    @click.option(
        "--key-field",
        metavar="NAME",
        help="Field of a message, such as alertname, whose value is its key. Default: the key of "
        "the sender's own format.",
    )
    @click.option(
        "--topic",
        "topic_arn",
        metavar="ARN",
        help="Only with --from aws-sns: the topic whose messages are accepted. Default: the first "
        "that subscribes the webhook.",
    )
    @template_option
    @source_option
    @broadcast_option
    @one_line_errors
    def create(
        team_id: str,
        to: Sequence[str],
        name: str,
        sender: str,
        key_field: str | None,
        topic_arn: str | None,
        template: TextIO | None,
        source: str | None,
        *,
        allow_broadcast: bool,
    ) -> None:
        """Create a webhook and print its URL once, on the last line."""
        services = find_services()
        workspace = require_workspace(services, team_id)
        secret = secret_for(sender)
        if template is not None and sender != CUSTOM:
            fail("--template requires --from custom.", status=MISUSED)
        if topic_arn is not None:
            _require_topic(sender, topic_arn)
        try:
            url = services.webhooks.create(
                team_id,
                name,
                to,
                key_field=key_field,
                sender=sender,
                signing_secret=secret,
                topic_arn=topic_arn,
                template=None if template is None else read_checked_template(services, template),
                source=source,
                allow_broadcast=allow_broadcast,
            )
        except ValueError as error:
            fail(str(error), status=MISUSED)
        warn_of_unknown(services, workspace, to)
        found = services.webhooks.find(url.rpartition("/")[2])
        number = "ID" if found is None else found.id
        if sender == CUSTOM and template is None:
            print_line(f"Its format is unknown until `webhook template {number} FILE` is run.")
        if shows_its_own_secret(sender):
            print_line(
                f"Unsigned messages are accepted until `webhook secret {number}` is run with the "
                f"secret that {known_senders()[sender].title} shows."
            )
        if secret is not None:
            print_line(f"Secret, to paste into {known_senders()[sender].title} with the URL:")
            print_line(secret)
        print_line("The URL is shown only once. Anyone with it can send. Store it like a password.")
        print_line(url)

    @group.command("list")
    @team_option
    @one_line_errors
    def show(team_id: str) -> None:
        """List the webhooks of a workspace, without their URLs."""
        services = find_services()
        found = services.webhooks.of_team(team_id)
        for webhook in listed(services, team_id, found):
            name = f"{webhook.name}, " if webhook.name else ""
            state = "active" if webhook.revoked_at is None else "revoked"
            sender = f"{_sender(webhook)}{_key(webhook)}"
            details = f"{state}{sender}{details_of(webhook)}{_unrecognized(webhook)}"
            print_line(f"{webhook.id}  {name}to {', '.join(webhook.to)}; {details}")

    @group.command("secret")
    @click.argument("webhook_id", type=int)
    @one_line_errors
    def set_secret(webhook_id: int) -> None:
        """Read the secret that the sender signs with, from the terminal or standard input.

        For senders that show their own secret, such as Sentry's client secret.
        """
        secret = click.prompt("Secret", hide_input=True, err=True).strip()
        webhooks = find_services().webhooks
        signing = senders_with_secrets()
        if not secret or not webhooks.set_signing_secret(webhook_id, secret, signing):
            fail(
                f"Webhook {webhook_id} does not exist, is revoked, or its sender does not sign. "
                "Create another with --from."
            )
        print_line(f"Webhook {webhook_id} accepts only requests signed with this secret.")

    @group.command("revoke")
    @click.argument("webhook_id", type=int)
    @cancel_option
    @one_line_errors
    def revoke(webhook_id: int, *, cancel: bool) -> None:
        """Revoke a webhook."""
        services = find_services()
        is_revoked = services.webhooks.revoke(webhook_id) is not None
        credential = Credential(SourceKind.WEBHOOK, webhook_id)
        finish_revocation(services, credential, f"Webhook {webhook_id}", is_revoked, cancel=cancel)

    add_template_commands(group, find_services)


def _require_topic(sender: str, topic_arn: str) -> None:
    """Require that a topic can be a webhook's; exit with an error if not."""
    if sender != AWS_SNS:
        fail(f"--topic requires --from {AWS_SNS}.", status=MISUSED)
    if not is_topic(topic_arn):
        fail("--topic must be an ARN such as arn:aws:sns:REGION:ACCOUNT:NAME.", status=MISUSED)


def _sender(webhook: WebhookRecord) -> str:
    if webhook.sender == AUTO:
        return ""
    topic = f", topic {webhook.topic_arn}" if webhook.topic_arn else ""
    signing = signing_of(webhook)
    return f"; from {webhook.sender}{f', {signing}' if signing else ''}{topic}"


def _key(webhook: WebhookRecord) -> str:
    return f"; key from {webhook.key_field}" if webhook.key_field else ""


def _unrecognized(webhook: WebhookRecord) -> str:
    if not webhook.unrecognized:
        return ""
    reason = "with a failed template" if webhook.sender == CUSTOM else "in an unknown format"
    return f"; {webhook.unrecognized} {reason}{last_at(webhook.unrecognized_at)}"
