"""Commands for the latest bodies of webhooks, and for templates that map them."""

from __future__ import annotations

import json
from typing import Any, TextIO

import click
from flask.cli import AppGroup

from bolt_app.cli.errors import MISUSED, fail, one_line_errors
from bolt_app.cli.output import print_line, print_lines
from bolt_app.credentials.webhook_bodies import RecordedBody
from bolt_app.credentials.webhooks import WebhookRecord
from bolt_app.senders.bodies import NO_TEMPLATE, body_of
from bolt_app.senders.custom import normal_template
from bolt_app.senders.previews import preview, require_syntax
from bolt_app.services import FindServices, Services
from bolt_app.template_runner.runner import TemplateError

_FILE = click.File("r", encoding="utf-8")
template_option = click.option(
    "--template", type=_FILE, help="File with the template, or - for standard input."
)


def add_template_commands(group: AppGroup, find_services: FindServices) -> None:
    """Add the commands to the group `webhook`."""

    @group.command("bodies")
    @click.argument("webhook_id", type=int)
    @one_line_errors
    def bodies(webhook_id: int) -> None:
        """Show the latest bodies that a webhook accepted, latest first."""
        services = find_services()
        _find(services, webhook_id)
        found = services.webhook_bodies.of_webhook(webhook_id)
        if not found:
            print_line("No bodies in the last 24 hours.", err=True)
        for one in found:
            print_line(_heading(one))
            print_lines(_shown(one))

    @group.command("template")
    @click.argument("webhook_id", type=int)
    @click.argument("template", type=_FILE, required=False)
    @click.option("--off", is_flag=True, help="Recognize the sender of each body again.")
    @one_line_errors
    def set_template(webhook_id: int, template: TextIO | None, *, off: bool) -> None:
        """Map the bodies of a webhook by the template in a file."""
        if off is (template is not None):
            fail("Give either a file with the template or --off.", status=MISUSED)
        services = find_services()
        try:
            source = None if template is None else read_checked_template(services, template)
        except ValueError as error:
            fail(str(error), status=MISUSED)
        is_set = services.webhooks.set_template(webhook_id, source)
        if not is_set:
            fail(
                f"Webhook {webhook_id} does not exist, is revoked, or checks a signature. "
                "Create another with --from custom."
            )
        does = "recognizes the sender of each body" if off else "maps its bodies by this template"
        print_line(f"Webhook {webhook_id} {does}.")

    @group.command("preview")
    @click.argument("webhook_id", type=int)
    @template_option
    @click.option(
        "--body", type=click.File("rb"), help="File with a body. Default: the latest bodies."
    )
    @one_line_errors
    def show_preview(webhook_id: int, template: TextIO | None, body: Any) -> None:
        """Show the notifications that a template makes of bodies, without sending them."""
        services = find_services()
        webhook = _find(services, webhook_id)
        try:
            source = webhook.template if template is None else read_template(template)
        except ValueError as error:
            fail(str(error), status=MISUSED)
        if source is None:
            fail(f"Give --template: {NO_TEMPLATE}.")
        if body is not None:
            _show(services, webhook, source, [body_of(body.read(), "utf-8")])
            return
        recorded = services.webhook_bodies.of_webhook(webhook_id)
        values = [one.value for one in recorded if not one.is_cut]
        if not values:
            fail("No bodies in the last 24 hours. Give one with --body.")
        _show(services, webhook, source, values)


def read_template(file: TextIO) -> str:
    """Return the template in a file.

    Raises:
        ValueError: it is empty, too long, or not UTF-8.
    """
    return normal_template(file.read())


def read_checked_template(services: Services, file: TextIO) -> str:
    """Return the template in a file after a check of its syntax.

    Raises:
        ValueError: it is empty, too long, not UTF-8 or wrong.
    """
    template = read_template(file)
    try:
        require_syntax(services.templates, "command", template)
    except ValueError as error:
        raise ValueError(_ascii(str(error))) from None
    finally:
        services.templates.close()
    return template


def _show(services: Services, webhook: WebhookRecord, template: str, values: list[Any]) -> None:
    """Print the notifications of each body, one JSON object per line; fail if one has none."""
    problems = []
    for value in values:
        try:
            found = preview(services.templates, webhook, template, value, services.clock())
        except TemplateError as error:
            problems.append(str(error))
            continue
        for one in found:
            print_lines(json.dumps(one.model_dump(mode="json", exclude_defaults=True), indent=2))
    services.templates.close()
    if problems:
        number = f"{len(problems)} of {len(values)} bodies" if len(values) > 1 else "the body"
        fail(f"The template failed for {number}: {_ascii(problems[0])}")


def _find(services: Services, webhook_id: int) -> WebhookRecord:
    found = services.webhooks.find_by_id(webhook_id)
    if found is None:
        fail(f"Webhook {webhook_id} does not exist.")
    return found


def _heading(body: RecordedBody) -> str:
    problem = "" if body.problem is None else f"  {_ascii(body.problem)}"
    cut = "  (only its beginning)" if body.is_cut else ""
    return f"#{body.number}  {body.received_at:%Y-%m-%d %H:%M:%S} UTC{problem}{cut}"


def _shown(body: RecordedBody) -> str:
    # Line breaks are shown as such only where they are JSON's.
    return _ascii(body.written) if body.is_cut else json.dumps(body.value, indent=2)


def _ascii(text: str) -> str:
    return text.encode("unicode_escape").decode()
