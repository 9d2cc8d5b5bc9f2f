"""Notifications over HTTP: send, get, list, cancel, retry."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from flask import Blueprint, Response, request
from pydantic import ValidationError

from bolt_app.credentials.api_keys import ApiKeyRecord, Scope
from bolt_app.notifications.content.errors import (
    MOST_PROBLEMS,
    FieldProblem,
    problems_of,
)
from bolt_app.notifications.content.page_urls import is_notification_id, page_url
from bolt_app.notifications.content.schema import NotificationRequest, read_batch, read_one
from bolt_app.notifications.history.errors import NothingToRetryError
from bolt_app.notifications.history.reports import DeliveryReport, NotificationReport
from bolt_app.notifications.history.search import HistoryQuery, Visible
from bolt_app.notifications.intake.errors import IdempotencyConflictError
from bolt_app.notifications.intake.results import NewNotification, SubmitResult
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.subscriptions.errors import TooManyDeliveriesError
from bolt_app.services import Services
from bolt_app.web.api.auth import charged_by_transaction, require_caller, require_sender
from bolt_app.web.api.bodies import read_body
from bolt_app.web.api.cursors import Cursors
from bolt_app.web.api.delivery_numbers import DeliveryNumbers
from bolt_app.web.api.problems import ApiError, invalid
from bolt_app.web.api.schemas import (
    IDEMPOTENCY_KEY,
    AcceptedDelivery,
    AcceptedNotification,
    CancelledNotification,
    ListQuery,
    NotificationList,
    query_of,
)

NOTIFICATIONS_PATH = "/api/v1/notifications"


def add_views(blueprint: Blueprint, services: Services) -> None:
    """Register the views of notifications."""
    public_url = services.settings.public_url
    numbers = DeliveryNumbers(services.settings.session_secret)

    @blueprint.post("/notifications")
    def accept() -> Response:
        caller = require_sender(services)
        with charged_by_transaction(services, caller):
            key = _idempotency_key()
            requests, is_batch = _requests(services)
            _require_allowed(services, caller, requests)
            try:
                answer = services.intake.submit(Sender.of(caller), requests, idempotency_key=key)
            except IdempotencyConflictError as error:
                raise ApiError(409, str(error)) from None
            except TooManyDeliveriesError as error:
                raise ApiError(413, str(error)) from None
        number = numbers.shown_to(caller)
        bodies = [
            _accepted_body(accepted, caller, public_url, number)
            for accepted in answer.notifications
        ]
        return _accepted(answer, bodies, is_batch=is_batch)

    @blueprint.get("/notifications")
    def search() -> Response:
        caller = require_caller(services, Scope.READ)
        cursors = Cursors(services.settings.session_secret, caller.credential)
        try:
            query = ListQuery.model_validate(query_of(request.args), context={"cursors": cursors})
        except ValidationError as error:
            raise invalid(problems_of(error)) from None
        wanted = HistoryQuery(
            state=query.state,
            key=query.key,
            to=query.to,
            source=query.source,
            since=query.since,
            until=query.until,
            ids=query.id,
            visible=_visible(services, caller),
        )
        page = services.history.search(
            caller.team_id, wanted, limit=query.limit, cursor=query.cursor
        )
        cursor = None if page.next_cursor is None else cursors.write(page.next_cursor)
        shown = NotificationList(notifications=page.notifications, next_cursor=cursor)
        return _json(shown, numbers.shown_to(caller))

    @blueprint.get("/notifications/<notification_id>")
    def find(notification_id: str) -> Response:
        caller = require_caller(services, Scope.READ)
        report = _find(services, caller, notification_id)
        shown = services.permalinks.add(caller.team_id, report)
        return _json(shown, numbers.shown_to(caller))

    @blueprint.delete("/notifications/<notification_id>")
    def cancel(notification_id: str) -> Response:
        caller, _ = _require_owner(services, notification_id)
        visible = _visible(services, caller)
        with charged_by_transaction(services, caller):
            result = services.history.cancel(
                caller.team_id, notification_id, visible, by=caller.credential
            )
        shown = CancelledNotification(
            id=notification_id,
            cancelled=_visible_deliveries(caller, result.cancelled),
            kept=_visible_deliveries(caller, result.kept),
        )
        return _json(shown, numbers.shown_to(caller))

    @blueprint.post("/notifications/<notification_id>/retry")
    def retry(notification_id: str) -> Response:
        caller, before = _require_owner(services, notification_id)
        # A failure, and its retry, would show that a hidden subscriber exists.
        only = None if caller.reads_all else [delivery.id for delivery in before.deliveries]
        try:
            with charged_by_transaction(services, caller):
                services.history.retry(caller.team_id, notification_id, only, by=caller.credential)
        except NothingToRetryError as error:
            raise ApiError(409, str(error)) from None
        report = _find(services, caller, notification_id)
        if caller.may(Scope.READ):
            return _json(report, numbers.shown_to(caller), status=202)
        brief = AcceptedNotification(
            id=report.id,
            url=f"{public_url}{NOTIFICATIONS_PATH}/{report.id}",
            page_url=page_url(public_url, report.id),
            unrouted=report.unrouted,
            deliveries=_in_brief(report.deliveries),
        )
        return _json(brief, numbers.shown_to(caller), status=202)


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not IDEMPOTENCY_KEY.fullmatch(key):
        raise ApiError(400, "Idempotency-Key must have 1 to 255 printable ASCII characters.")
    return key


def _requests(services: Services) -> tuple[Sequence[NotificationRequest], bool]:
    """Return the notifications in the body, and whether it is a batch."""
    document, now = read_body(), services.clock()
    is_wrapped = isinstance(document, dict) and "notifications" in document
    try:
        if is_wrapped:
            _reject_other_fields(document)
            return read_batch(document["notifications"], now), True
        if isinstance(document, list):
            return read_batch(document, now), True
        return [read_one(document, now)], False
    except ValidationError as error:
        within = "notifications" if is_wrapped else ""
        raise invalid(problems_of(error, within=within)) from None


def _reject_other_fields(document: dict[str, Any]) -> None:
    others = (name for name in document if name != "notifications")
    detail = "is not allowed beside notifications"
    problems = [FieldProblem(name, detail) for name in islice(others, MOST_PROBLEMS + 1)]
    if problems:
        raise invalid(problems)


def _require_allowed(
    services: Services, caller: ApiKeyRecord, requests: Sequence[NotificationRequest]
) -> None:
    _require_destinations(
        services, caller, [to for notification in requests for to in notification.recipients]
    )
    others = {notification.source for notification in requests} - {None, caller.source}
    if others and not caller.sends_for_all:
        raise ApiError(
            403,
            f"This API key may not use the source {', '.join(sorted(filter(None, others)))}. Use "
            "one from the command line with the scope admin and no channel limit, or omit source.",
        )


def _require_destinations(
    services: Services, caller: ApiKeyRecord, addresses: Iterable[str]
) -> None:
    forbidden = caller.forbidden(dict.fromkeys(addresses))
    if forbidden:
        # A channel may have a new id since the key was read.
        caller = services.api_keys.read_again(caller)
        forbidden = caller.forbidden(forbidden)
    if forbidden:
        raise ApiError(
            403,
            f"This API key may not send to {', '.join(forbidden)}, only to "
            f"{', '.join(caller.channels)}.",
        )


def _require_current(services: Services, caller: ApiKeyRecord, renamed: Mapping[str, str]) -> None:
    """Require that a limited key may use channels that had a name when they were sent to.

    A name means the channel that has it now.
    """
    forbidden = caller.forbidden(renamed)
    if forbidden:
        forbidden = services.api_keys.read_again(caller).forbidden(forbidden)
    if forbidden:
        names = ", ".join(dict.fromkeys(renamed[id_] for id_ in forbidden))
        raise ApiError(
            403, f"The notification is for a channel that was {names} and has another name now."
        )


def _find(services: Services, caller: ApiKeyRecord, notification_id: str) -> NotificationReport:
    report = None
    if is_notification_id(notification_id):
        report = services.history.find(caller.team_id, notification_id, _visible(services, caller))
    if report is None:
        raise ApiError(404, "This notification does not exist, or this API key cannot see it.")
    return report


def _require_owner(
    services: Services, notification_id: str
) -> tuple[ApiKeyRecord, NotificationReport]:
    """Return the caller, who may change the notification as its owner or as admin."""
    caller = require_caller(services, Scope.SEND)
    report = _find(services, caller, notification_id)
    if caller.channels:
        recipients = services.history.recipients_of(caller.team_id, notification_id)
        if report.source != caller.credential.name:
            # Sent with another key, which may have had other channels.
            _require_destinations(services, caller, recipients.named)
        _require_current(services, caller, recipients.renamed)
    if caller.may(Scope.ADMIN):
        return caller, report
    if report.source not in services.history.credentials_of(caller.team_id, caller.source):
        raise ApiError(
            403,
            "This API key may change only notifications of its own source. Use one with the scope "
            "admin.",
        )
    return caller, report


def _visible(services: Services, caller: ApiKeyRecord) -> Visible | None:
    """Return the notifications and deliveries that a key may see; None for all of its workspace.

    A personal key reads nothing that its owner could not read in Slack.

    Raises:
        SlackCallError: the list of public channels was outdated, and the call to Slack failed.
    """
    if caller.reads_all:
        return None
    if caller.is_personal:
        # Refreshes an outdated list of public channels.
        services.channels.names_of_public(caller.team_id, ())
    is_unlimited = caller.may(Scope.READ) and not caller.channels
    people = services.users.linked_among(caller.team_id, caller.channels)
    return services.history.visible_to(
        caller.team_id,
        caller.source,
        None if is_unlimited else [*caller.channels, *people],
        only_public=caller.is_personal,
    )


def _visible_deliveries(
    caller: ApiKeyRecord, deliveries: list[DeliveryReport]
) -> list[DeliveryReport] | list[AcceptedDelivery]:
    """Return the parts of deliveries that the scopes of a key allow."""
    return deliveries if caller.may(Scope.READ) else _in_brief(deliveries)


def _in_brief(deliveries: Iterable[DeliveryReport]) -> list[AcceptedDelivery]:
    return [
        AcceptedDelivery(id=delivery.id, to=delivery.to, state=delivery.state)
        for delivery in deliveries
    ]


def _accepted(
    answer: SubmitResult, bodies: Sequence[dict[str, Any]], *, is_batch: bool
) -> Response:
    body = {"notifications": bodies} if is_batch else bodies[0]
    response = Response(json.dumps(body), status=202, mimetype="application/json")
    if not is_batch:
        response.headers["Location"] = bodies[0]["url"]
    if answer.is_replay:
        response.headers["Idempotent-Replay"] = "true"
    return response


def _accepted_body(
    accepted: NewNotification,
    caller: ApiKeyRecord,
    public_url: str,
    number: Callable[[int], int],
) -> dict[str, Any]:
    shows_subscribers = caller.reads_all
    # Plain dictionaries, because this response must be fast.
    return {
        "id": accepted.id,
        "url": f"{public_url}{NOTIFICATIONS_PATH}/{accepted.id}",
        "page_url": page_url(public_url, accepted.id),
        "unrouted": accepted.is_unrouted,
        "deliveries": [
            {"id": number(delivery.id), "to": delivery.to, "state": delivery.state}
            for delivery in accepted.deliveries
            # Only a later answer compares a subscriber with the list of public channels.
            if shows_subscribers or not delivery.is_subscribed
        ],
    }


def _json(
    model: NotificationReport | AcceptedNotification | NotificationList | CancelledNotification,
    number: Callable[[int], int],
    *,
    status: int = 200,
) -> Response:
    written = model.model_dump_json(context={"number": number})
    return Response(written, status=status, mimetype="application/json")
