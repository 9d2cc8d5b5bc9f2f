"""The page of a webhook, for admins: its latest bodies, and the template that maps them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response

from bolt_app.access.authorization import (
    AccessDeniedError,
    Action,
    Person,
    RoleCheckLimitError,
)
from bolt_app.blockkit.text import cut
from bolt_app.credentials.webhook_bodies import LENGTH, RecordedBody
from bolt_app.credentials.webhooks import AUTO, CUSTOM, WEBHOOK_PAGES_PATH, WebhookRecord
from bolt_app.installations.records import StoredInstallation
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.senders.custom import normal_template
from bolt_app.senders.previews import preview, require_syntax
from bolt_app.senders.registry import known_senders, signing_of
from bolt_app.services import Services
from bolt_app.slack_api import SlackCallError
from bolt_app.template_runner.runner import TemplateError
from bolt_app.web.html.content_html import content_html
from bolt_app.web.html.mrkdwn_html import Reader
from bolt_app.web.pages.profile import active_installation
from bolt_app.web.sessions import remember_wanted_page
from bolt_app.workspaces.client import NotInstalledError

# Of the id of a webhook, which is an integer of 32 bits.
_MOST_DIGITS = 9


@dataclass(frozen=True)
class _Previewed:
    """A notification of a preview: its JSON, and its content as HTML."""

    written: str = field(repr=False)
    title: str = field(repr=False)
    severity: str | None
    html: Markup = field(repr=False)


def create_blueprint(services: Services) -> Blueprint:
    """Return the blueprint of the pages of webhooks."""
    blueprint = Blueprint("webhook_pages", __name__)

    @blueprint.get(f"{WEBHOOK_PAGES_PATH}/<webhook_id>")
    def webhook(webhook_id: str) -> str | tuple[str, int]:
        installation = active_installation(services)
        if installation is None:
            if _is_id(webhook_id):
                remember_wanted_page()
            return render_template("sign_in.html", subject="webhook"), 403
        found, _ = find(installation, webhook_id)
        return show(found, found.template or "")

    @blueprint.post(f"{WEBHOOK_PAGES_PATH}/<webhook_id>")
    def change(webhook_id: str) -> str | Response | tuple[str, int]:
        installation = active_installation(services)
        if installation is None:
            return redirect(url_for("pages.home"), 303)
        found, admin = find(installation, webhook_id)
        if request.form.get("do") == "remove":
            return save(found, admin, None)
        written = request.form.get("template", "")
        try:
            template = normal_template(written)
        except ValueError as error:
            return show(found, written, problem=str(error))
        if request.form.get("do") == "save":
            return save_checked(found, admin, template)
        return show_preview(found, template, request.form.get("body", ""))

    def find(installation: StoredInstallation, webhook_id: str) -> tuple[WebhookRecord, Person]:
        """Return the webhook, for an admin of its workspace; for others it does not exist.

        Raises:
            NotInstalledError: it was not found, and one of the workspaces has no bot.
            RoleCheckLimitError: the admin's role was checked too often within a minute.
            SlackCallError: Slack did not report a role.
        """
        unknown: SlackCallError | NotInstalledError | None = None
        admins: list[Person] = []
        for account in services.profiles.accounts_of(installation):
            # The roles come first, so that an error does not reveal whether the webhook exists.
            try:
                person = services.access.person(account.team_id, account.user_id)
            except (SlackCallError, NotInstalledError) as error:
                unknown = error
                continue
            if person.may(Action.ADMINISTER):
                admins.append(person)
        record = services.webhooks.find_by_id(int(webhook_id)) if _is_id(webhook_id) else None
        for person in admins:
            if record is not None and person.team_id == record.team_id:
                return record, admin_now(person)
        if unknown is not None:
            raise unknown
        abort(404)

    def admin_now(person: Person) -> Person:
        try:
            return services.access.require_now(person.team_id, person.user_id, Action.ADMINISTER)
        except RoleCheckLimitError:
            raise
        except AccessDeniedError:
            abort(404)

    def save_checked(found: WebhookRecord, admin: Person, template: str) -> str | Response:
        try:
            require_syntax(services.templates, str(found.id), template)
        except ValueError as error:
            return show(found, template, problem=str(error))
        return save(found, admin, template)

    def save(found: WebhookRecord, admin: Person, template: str | None) -> str | Response:
        is_set = services.webhooks.set_template(
            found.id, template, team_id=admin.team_id, changed_by=admin.user_id
        )
        if not is_set:
            problem = "The webhook is revoked, or checks a signature. Create another."
            return show(found, template or "", problem=problem)
        done = "is saved and maps the next messages." if template else "is removed."
        flash(f"The template {done}", "done")
        return redirect(url_for("webhook_pages.webhook", webhook_id=found.id), 303)

    def show_preview(found: WebhookRecord, template: str, number: str) -> str:
        bodies = services.webhook_bodies.of_webhook(found.id)
        chosen = next((one for one in bodies if str(one.number) == number), None)
        if chosen is None or chosen.is_cut:
            return show(found, template, problem="Choose a message for the preview.")
        try:
            requests = preview(services.templates, found, template, chosen.value, services.clock())
        except TemplateError as error:
            return show(found, template, problem=f"The template failed: {error}", number=number)
        return show(found, template, previewed=[*map(_previewed, requests)], number=number)

    def show(
        found: WebhookRecord,
        template: str,
        *,
        problem: str = "",
        previewed: Sequence[_Previewed] = (),
        number: str = "",
    ) -> str:
        return render_template(
            "webhook.html",
            webhook=found,
            format=_format_of(found),
            signing=signing_of(found),
            recipients=recipients(found),
            template=template,
            bodies=services.webhook_bodies.of_webhook(found.id),
            written=_written,
            problem=problem,
            previewed=previewed,
            number=number,
        )

    def recipients(found: WebhookRecord) -> list[str]:
        """Return the recipients, with the names of public channels."""
        names: Mapping[str, str] = {}
        with suppress(SlackCallError, NotInstalledError):
            names = services.channels.names_of_public(found.team_id, found.to)
        return [f"#{names[one]}" if one in names else one for one in found.to]

    return blueprint


def _format_of(webhook: WebhookRecord) -> str:
    if webhook.sender == AUTO:
        return "recognized by each message"
    if webhook.sender == CUSTOM:
        return "its own template"
    known = known_senders().get(webhook.sender)
    return known.title if known else webhook.sender


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def _written(body: RecordedBody) -> str:
    return body.written if body.is_cut else cut(_json(body.value), LENGTH)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _previewed(found: NotificationRequest) -> _Previewed:
    content = found.content()
    nobody = Reader({}, {}, lambda at: at)
    return _Previewed(
        _json(found.model_dump(mode="json", exclude_defaults=True)),
        found.title,
        found.severity,
        content_html(content, nobody),
    )
