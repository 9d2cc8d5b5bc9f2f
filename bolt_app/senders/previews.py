"""Checks of a template, and previews: the notifications that a webhook would accept for a body."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from bolt_app.credentials.webhooks import CUSTOM, WebhookRecord
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.senders.bodies import Incoming, read_by_template
from bolt_app.template_runner.runner import TemplateError, TemplateRunner


def preview(
    runner: TemplateRunner, webhook: WebhookRecord, template: str, body: Any, now: datetime
) -> Sequence[NotificationRequest]:
    """Return the notifications that a template describes, without accepting them.

    Raises:
        TemplateError: there are none.
    """
    # Its own turn: a preview that takes too long does not pause the webhook.
    render = partial(runner.render, f"preview:{webhook.id}", template)
    return read_by_template(
        Incoming(CUSTOM, {}, body, webhook.to, now, key_field=webhook.key_field, render=render)
    )


def require_syntax(runner: TemplateRunner, owner: str, template: str) -> None:
    """Check the syntax of a template before it is stored.

    Args:
        owner: the webhook or workspace, which has one turn at a time.

    Raises:
        ValueError: it is wrong, or cannot be checked now.
    """
    try:
        # Its own turn: a webhook that pauses because of its old template can get another.
        runner.check(f"check:{owner}", template)
    except TemplateError as error:
        raise ValueError(f"The template is not saved: {error}") from None
