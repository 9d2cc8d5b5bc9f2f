"""Callbacks: signed POSTs that report people's answers to the systems that sent notifications.

They are signed and retried as https://www.standardwebhooks.com specifies. A callback is stored in
the transaction of the answer, and kept until the system has accepted it.
"""

from __future__ import annotations

import logging
import secrets
from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import HttpUrl, TypeAdapter, UrlConstraints, ValidationError
from sqlalchemy import BigInteger, Connection, Text, delete, insert, or_, select, update
from sqlalchemy.orm import Session

from bolt_app.clock import Clock, utc_now
from bolt_app.credentials.sources import SourceKind, plain_key, sources_of
from bolt_app.db import Database
from bolt_app.db.bulk import BulkUpdate, is_any_of
from bolt_app.db.encryption import DecryptionError
from bolt_app.db.models import ApiKey, Callback, CallbackEndpoint, Incident, Notification
from bolt_app.notifications.content.ids import new_id
from bolt_app.notifications.incidents.callback_addresses import Network, allowed_addresses, resolve
from bolt_app.notifications.incidents.errors import RefusedAddressError
from bolt_app.notifications.incidents.reports import (
    Answered,
    Answerer,
    IncidentCallback,
    incident_report,
)
from bolt_app.notifications.incidents.view import find_responders
from bolt_app.slack_ids import DELETED_PERSON

logger = logging.getLogger(__name__)

SECRET_PREFIX = "whsec_"  # noqa: S105
_URL: TypeAdapter[HttpUrl] = TypeAdapter(Annotated[HttpUrl, UrlConstraints(max_length=2000)])
_SOURCE = f"{SourceKind.API_KEY}:"
_UNREADABLE = "(cannot be read: set it again)"
_REPLACE_BODIES = BulkUpdate(
    {"callback_id": BigInteger(), "new_body": Text()},
    lambda given: (
        update(Callback.__table__)  # type: ignore[arg-type]
        .where(Callback.id == given["callback_id"])
        .values(body=given["new_body"])
    ),
)


class CallbackEndpoints:
    """The addresses that callbacks are sent to, one for each API key."""

    def __init__(
        self, database: Database, *, networks: Sequence[Network] = (), clock: Clock = utc_now
    ) -> None:
        """Create the service.

        Args:
            networks: private and loopback networks that may be called.
        """
        self._database = database
        self._networks = networks
        self._clock = clock

    def set(self, key_id: int, url: str) -> str:
        """Set or replace the callback address of an API key.

        Returns: the signing secret, which is shown only once.

        Raises:
            ValueError: the key does not exist, or the address may not be called.
        """
        address = _checked(url)
        with self._database.reading() as session:
            _require_key(session, key_id)
        problem = self._problem(address)
        if problem is not None:
            raise ValueError(problem)
        secret = SECRET_PREFIX + b64encode(secrets.token_bytes(32)).decode()
        with self._database.writing() as session:
            _require_key(session, key_id, is_locked=True)
            row = CallbackEndpoint(
                api_key_id=key_id,
                url=address,
                secret=secret,
                created_at=self._clock(),
                # A callback in progress concerns the former address.
                claimed_until=None,
            )
            session.merge(row)
        return secret

    def remove(self, key_id: int) -> bool:
        """Remove the callback address of an API key; return whether there was one."""
        is_of_key = CallbackEndpoint.api_key_id == key_id
        statement = delete(CallbackEndpoint).where(is_of_key).returning(CallbackEndpoint.api_key_id)
        with self._database.writing() as session:
            return session.execute(statement).first() is not None

    def hosts(self, team_id: str) -> Mapping[int, str]:
        """Return the hosts of a workspace's endpoints, by the ids of their API keys."""
        return {
            key_id: _UNREADABLE if url is None else HttpUrl(url).host or ""
            for key_id, url in self._urls(team_id).items()
        }

    def problems(self, team_id: str) -> Mapping[int, str]:
        """Return why endpoints of a workspace cannot be called, by the ids of their API keys.

        The allowed networks, or the addresses of a host name, may have changed since it was set.
        """
        readable = {key_id: url for key_id, url in self._urls(team_id).items() if url is not None}
        problems = {key_id: self._problem(url) for key_id, url in readable.items()}
        return {key_id: problem for key_id, problem in problems.items() if problem is not None}

    def _urls(self, team_id: str) -> Mapping[int, str | None]:
        """Return the addresses of a workspace's endpoints; None for one that cannot be read."""
        of_team = select(CallbackEndpoint.api_key_id).join(
            ApiKey, ApiKey.id == CallbackEndpoint.api_key_id
        )
        with self._database.reading() as session:
            ids = session.scalars(of_team.where(ApiKey.team_id == team_id)).all()
            return {id_: _url_of(session, id_) for id_ in ids}

    def _problem(self, url: str) -> str | None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        try:
            allowed_addresses(host, resolve(host, parts.port or 443), self._networks)
        except RefusedAddressError as error:
            return str(error)
        except (OSError, UnicodeError):
            return f"{host} cannot be resolved: correct the host, or try again later."
        return None


def _url_of(session: Session, key_id: int) -> str | None:
    try:
        return str(HttpUrl(session.get_one(CallbackEndpoint, key_id).url))
    except (DecryptionError, ValidationError):
        logger.warning("a callback endpoint cannot be read", extra={"api_key": key_id})
        return None


def _require_key(session: Session, key_id: int, *, is_locked: bool = False) -> None:
    active = select(ApiKey.id).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
    if is_locked:
        # A revocation waits, and deletes what the transaction stores.
        active = active.with_for_update(key_share=True)
    if session.scalar(active) is None:
        raise ValueError(f"Key {key_id} does not exist or is revoked.")


def _checked(url: str) -> str:
    try:
        address = _URL.validate_python(url)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise ValueError(f"The URL is invalid: {problem}.") from None
    if address.username or address.password:
        raise ValueError("The URL is invalid: leave out the user name and password.")
    return str(address)


def queue_callbacks(
    connection: Connection,
    team_id: str,
    key: str,
    notification_ids: Iterable[str],
    *,
    event: str,
    user_id: str,
    now: datetime,
) -> None:
    """Store callbacks about an answer, for the senders of an incident's notifications.

    Args:
        notification_ids: those shown in Slack, the oldest first.
        event: such as `acknowledged`.
        user_id: of the person who answered.
    """
    latest = _latest_by_key(connection, team_id, notification_ids)
    endpoints = (
        select(CallbackEndpoint.api_key_id)
        .join(ApiKey, ApiKey.id == CallbackEndpoint.api_key_id)
        .where(
            is_any_of(CallbackEndpoint.api_key_id, values=latest),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now),
        )
    )
    key_ids = connection.scalars(endpoints).all() if latest else ()
    if not key_ids:
        return
    is_incident = Incident.team_id == team_id, Incident.key == key
    incident = connection.execute(select(Incident.__table__).where(*is_incident)).one()
    report = incident_report(incident)
    by = Answerer(user_id=user_id, name=None)
    rows = [
        {
            "api_key_id": api_key_id,
            "message_id": f"msg_{new_id(now)}",
            "body": _body(
                event,
                Answered(
                    team_id=team_id,
                    key=plain_key(key),
                    notification_id=latest[api_key_id],
                    by=by,
                    incident=report,
                ),
                now,
            ),
            "attempts": 0,
            "next_at": now,
            "created_at": now,
        }
        for api_key_id in key_ids
    ]
    connection.execute(insert(Callback), rows)


def with_name(connection: Connection, body: str) -> str:
    """Return a callback's body with the current name of the person who answered.

    The name is not stored with the callback, so that unlinking a profile deletes it at once.
    """
    callback = IncidentCallback.model_validate_json(body)
    by = callback.data.by
    by.name = find_responders(connection, callback.data.team_id, [by.user_id])[by.user_id].name
    return callback.model_dump_json()


def erase_from_callbacks(
    connection: Connection, team_ids: Collection[str], user_ids: Collection[str] | None
) -> None:
    """Remove people from pending callbacks; with None, everyone.

    A callback that cannot be read is deleted: it may name a person, and could not be sent.
    """
    pending = (
        select(Callback.id, Callback.body)
        .join(ApiKey, ApiKey.id == Callback.api_key_id)
        .where(is_any_of(ApiKey.team_id, values=team_ids))
    )
    erased, unreadable = [], []
    for row in connection.execute(pending):
        try:
            body = _without_people(row.body, user_ids)
        except ValidationError:
            logger.warning("a callback cannot be read, and is deleted", extra={"callback": row.id})
            unreadable.append(row.id)
            continue
        if body != row.body:
            erased.append({"callback_id": row.id, "new_body": body})
    connection.execute(delete(Callback).where(is_any_of(Callback.id, values=unreadable)))
    _REPLACE_BODIES.execute(connection, erased)


def _without_people(body: str, user_ids: Collection[str] | None) -> str:
    callback = IncidentCallback.model_validate_json(body)
    incident = callback.data.incident

    def kept(user_id: str | None) -> str | None:
        is_theirs = user_id is not None and (user_ids is None or user_id in user_ids)
        return DELETED_PERSON if is_theirs else user_id

    callback.data.by.user_id = kept(callback.data.by.user_id) or DELETED_PERSON
    incident.state_by = kept(incident.state_by)
    incident.assigned_to = kept(incident.assigned_to)
    incident.muted_by = kept(incident.muted_by)
    return callback.model_dump_json()


def _latest_by_key(
    connection: Connection, team_id: str, notification_ids: Iterable[str]
) -> dict[int, str]:
    """Return the latest of the notifications from the source of each API key, by the key's id."""
    statement = (
        select(Notification.source, Notification.id)
        .where(is_any_of(Notification.id, values=set(notification_ids)))
        .order_by(Notification.id)
    )
    sources = sources_of(connection, team_id)
    latest = {sources.get(name): id_ for name, id_ in connection.execute(statement)}
    return {
        int(name.removeprefix(_SOURCE)): latest[source]
        for name, source in sources.items()
        if name.removeprefix(_SOURCE).isdecimal() and source in latest
    }


def _body(event: str, answered: Answered, now: datetime) -> str:
    callback = {"type": f"incident.{event}", "timestamp": now, "data": answered}
    return IncidentCallback.model_validate(callback).model_dump_json()
