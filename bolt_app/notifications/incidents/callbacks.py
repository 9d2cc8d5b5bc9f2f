"""Callbacks: the systems that send notifications are told what people answered.

They are signed and repeated as https://www.standardwebhooks.com says. What is to be told is written
down with the answer, in its transaction, and is there until the system has taken it.
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
from sqlalchemy import Connection, delete, insert, or_, select, update
from sqlalchemy.orm import Session

from bolt_app.clock import Clock, utc_now
from bolt_app.credentials.sources import plain_key, sources_of
from bolt_app.db import Database
from bolt_app.db.encryption import DecryptionError
from bolt_app.db.models import ApiKey, Callback, CallbackEndpoint, Incident, Notification
from bolt_app.notifications.content.ids import new_id
from bolt_app.notifications.incidents.callback_addresses import (
    Network,
    RefusedAddressError,
    allowed_addresses,
    resolve,
)
from bolt_app.notifications.incidents.reports import (
    Answered,
    Answerer,
    IncidentCallback,
    incident_report,
)
from bolt_app.notifications.incidents.view import find_people
from bolt_app.slack_ids import DELETED_PERSON

logger = logging.getLogger(__name__)

SECRET_PREFIX = "whsec_"  # noqa: S105
_URL: TypeAdapter[HttpUrl] = TypeAdapter(Annotated[HttpUrl, UrlConstraints(max_length=2000)])
_SOURCE = "api_key:"
_UNREADABLE = "(cannot be read: set it again)"


class CallbackEndpoints:
    """Where systems want to be told, one address for each API key."""

    def __init__(
        self, database: Database, *, networks: Sequence[Network] = (), clock: Clock = utc_now
    ) -> None:
        """Take what it works with.

        Args:
            networks: private and loopback networks that may be called.
        """
        self._database = database
        self._networks = networks
        self._clock = clock

    def set(self, key_id: int, url: str) -> str:
        """Tell the system that has this key from now on, there and nowhere else.

        Returns: the secret by which it knows that it is told by us; it is shown only now.

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
            _require_key(session, key_id)
            row = CallbackEndpoint(
                api_key_id=key_id, url=address, secret=secret, created_at=self._clock()
            )
            session.merge(row)
        return secret

    def remove(self, key_id: int) -> bool:
        """Tell the system that has this key no more; return whether it was told until now."""
        mine = CallbackEndpoint.api_key_id == key_id
        statement = delete(CallbackEndpoint).where(mine).returning(CallbackEndpoint.api_key_id)
        with self._database.writing() as session:
            return session.execute(statement).first() is not None

    def hosts(self, team_id: str) -> Mapping[int, str]:
        """Return the hosts of a workspace's endpoints, by the ids of their API keys."""
        return {
            key_id: _UNREADABLE if url is None else HttpUrl(url).host or ""
            for key_id, url in self._urls(team_id).items()
        }

    def problems(self, team_id: str) -> Mapping[int, str]:
        """Return why endpoints of a workspace cannot be called now, by the ids of their API keys.

        An endpoint may have been allowed when it was set, or its name may lead elsewhere since.
        """
        readable = {key_id: url for key_id, url in self._urls(team_id).items() if url is not None}
        problems = {key_id: self._problem(url) for key_id, url in readable.items()}
        return {key_id: problem for key_id, problem in problems.items() if problem is not None}

    def _urls(self, team_id: str) -> Mapping[int, str | None]:
        """Return the addresses of a workspace's endpoints; None for one that cannot be read."""
        mine = select(CallbackEndpoint.api_key_id).join(
            ApiKey, ApiKey.id == CallbackEndpoint.api_key_id
        )
        with self._database.reading() as session:
            ids = session.scalars(mine.where(ApiKey.team_id == team_id)).all()
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


def _require_key(session: Session, key_id: int) -> None:
    good = select(ApiKey.id).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
    if session.scalar(good) is None:
        raise ValueError(f"There is no key {key_id}, or it is revoked.")


def _checked(url: str) -> str:
    try:
        address = _URL.validate_python(url)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise ValueError(f"The URL is not one to be called: {problem}.") from None
    if address.username or address.password:
        raise ValueError("The URL is not one to be called: leave out the user name and password.")
    return str(address)


def notify_senders(
    connection: Connection,
    team_id: str,
    key: str,
    notification_ids: Iterable[str],
    *,
    event: str,
    user_id: str,
    now: datetime,
) -> None:
    """Write down what the senders of notifications are to be told of their incident.

    Args:
        notification_ids: those that people see, the oldest first.
        event: what somebody did, such as `acknowledged`.
        user_id: who did it.
    """
    latest = _latest_by_key(connection, team_id, notification_ids)
    endpoints = (
        select(CallbackEndpoint.api_key_id)
        .join(ApiKey, ApiKey.id == CallbackEndpoint.api_key_id)
        .where(
            CallbackEndpoint.api_key_id.in_(latest),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now),
        )
    )
    told = connection.scalars(endpoints).all() if latest else ()
    if not told:
        return
    mine = Incident.team_id == team_id, Incident.key == key
    incident = connection.execute(select(Incident.__table__).where(*mine)).one()
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
        for api_key_id in told
    ]
    connection.execute(insert(Callback), rows)


def with_name(connection: Connection, body: str) -> str:
    """Return what a system is told, with the name of who answered as it is known now.

    It is not written down: who unlinks their profile is forgotten at once.
    """
    callback = IncidentCallback.model_validate_json(body)
    by = callback.data.by
    by.name = find_people(connection, callback.data.team_id, [by.user_id])[by.user_id].name
    return callback.model_dump_json()


def erase_from_callbacks(
    connection: Connection, team_id: str, user_ids: Collection[str] | None
) -> None:
    """Let the callbacks that still wait name none of these people, or with None nobody.

    One that cannot be read is deleted: it may name anybody, and no system could be told of it.
    """
    mine = (
        select(Callback.id, Callback.body)
        .join(ApiKey, ApiKey.id == Callback.api_key_id)
        .where(ApiKey.team_id == team_id)
    )
    for row in connection.execute(mine).all():
        this = Callback.id == row.id
        try:
            body = _without_people(row.body, user_ids)
        except ValidationError:
            logger.warning("a callback cannot be read, and is deleted", extra={"callback": row.id})
            connection.execute(delete(Callback).where(this))
            continue
        if body != row.body:
            connection.execute(update(Callback).where(this).values(body=body))


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
    """Return the latest of the notifications that the source of each API key has sent."""
    statement = (
        select(Notification.source, Notification.id)
        .where(Notification.id.in_(set(notification_ids)))
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
