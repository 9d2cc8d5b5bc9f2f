"""Personal data export: the data stored about one person."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, time
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from bolt_app.credentials.sources import person_source
from bolt_app.db import Database
from bolt_app.db.bulk import is_any_of
from bolt_app.db.content import content_summary, stored_length
from bolt_app.db.models import (
    ApiKey,
    AuditEvent,
    Delivery,
    HomeTab,
    Incident,
    Lane,
    Membership,
    Notification,
    Preference,
    Subscription,
    Team,
    User,
    UserInstallation,
    Webhook,
    WebSession,
)
from bolt_app.installations.records import StoredInstallation
from bolt_app.notifications.history.publication import HAS_ARRIVED
from bolt_app.profiles.store import find_emails, find_teams, search_user

Record = Mapping[str, Any]
Columns = Sequence[ColumnElement[Any] | InstrumentedAttribute[Any]]

_PROFILE: Columns = (
    *(User.user_id, User.name, User.real_name, User.display_name, User.email, User.title),
    *(User.images, User.tz, User.tz_label, User.tz_offset, User.locale),
    *(User.linked_at, User.refreshed_at),
)
_WORKSPACES: Columns = (
    *(Membership.team_id, Team.name, Team.domain, Membership.linked_at),
    *(Membership.is_owner, Membership.is_admin, Membership.is_guest),
)
_GRANTS: Columns = (
    *(UserInstallation.enterprise_id, UserInstallation.team_id, UserInstallation.user_scopes),
    UserInstallation.installed_at,
)
_SESSIONS: Columns = (WebSession.created_at, WebSession.last_seen_at, WebSession.ended_at)
_PREFERENCES: Columns = (
    *(Preference.team_id, Preference.quiet_from, Preference.quiet_until, Preference.direct),
    *(Preference.tz, Preference.changed_at),
)
_SUBSCRIPTIONS: Columns = (
    *(Subscription.team_id, Subscription.address, Subscription.topic, Subscription.filter),
    *(Subscription.mode, Subscription.digest, Subscription.digest_tz, Subscription.muted_until),
    *(Subscription.paused, Subscription.created_by, Subscription.created_at),
)
_INCIDENTS: Columns = (
    *(Incident.team_id, Incident.key, Incident.state, Incident.state_at, Incident.state_by),
    *(Incident.assigned_to, Incident.snoozed_until, Incident.snoozed_by, Incident.muted_by),
)
# Only the newest, because their number is unlimited.
MOST_NOTIFICATIONS = 1000
# The most characters of their contents, for each of what was received and what was sent.
MOST_CHARACTERS = 2 * 1024 * 1024
# Of events and incidents, only the newest too.
MOST_ROWS = 10_000
# Without layouts and long fields; the notification pages show them.
_SUMMARY = content_summary(Notification.content).label("content")
_RECEIVED: Columns = (
    *(Delivery.notification_id, Delivery.target, Delivery.state, Delivery.channel_id),
    *(Delivery.ts, Delivery.permalink, Delivery.finished_at, _SUMMARY),
)
_SENT: Columns = (Notification.id, Notification.created_at, _SUMMARY)
_SECURITY_EVENTS: Columns = (
    *(AuditEvent.at, AuditEvent.action, AuditEvent.team_id, AuditEvent.credential),
    AuditEvent.address,
)


def personal_data(
    database: Database, installation: StoredInstallation
) -> dict[str, Sequence[Record]]:
    """Return the data stored about the person of an installation, by subject.

    It covers the workspace of the installation, or all known workspaces of its organization. Tokens
    and secrets are omitted: they belong to Bellhop, and are of no use to the person.
    """
    with database.reading() as session:
        teams = find_teams(session, installation.enterprise_id, installation.team_id)
        user_ids = [installation.user_id]
        emails = find_emails(session, installation.enterprise_id, teams, user_ids)
        row_id = search_user(session, installation)
        return _read(session.connection(), installation, teams, emails, row_id)


def _read(
    connection: Connection,
    installation: StoredInstallation,
    teams: Sequence[str],
    emails: Collection[str],
    row_id: int | None,
) -> dict[str, Sequence[Record]]:
    user_id = installation.user_id
    addresses = [user_id, *(f"@{email.lower()}" for email in emails)]

    def rows(
        columns: Columns,
        *where: ColumnElement[bool],
        newest: InstrumentedAttribute[Any] | None = None,
        has_contents: bool = False,
        **joined: Any,
    ) -> list[Record]:
        statement = select(*columns).where(*where)
        if newest is not None:
            statement = statement.order_by(newest.desc()).limit(
                MOST_NOTIFICATIONS if has_contents else MOST_ROWS
            )
        for condition in joined.values():
            statement = statement.join(*condition)
        if has_contents and newest is not None:
            statement = _with_short_contents(statement, newest)
        return [_shown(row) for row in connection.execute(statement).mappings()]

    def created(model: type[ApiKey] | type[Webhook]) -> list[Record]:
        columns = (model.team_id, model.id, model.name, model.created_at, model.created_by)
        is_theirs = or_(model.created_by == user_id, model.revoked_by == user_id)
        return rows(
            (*columns, model.revoked_at, model.revoked_by),
            is_any_of(model.team_id, values=teams),
            is_theirs,
        )

    actors = (Incident.state_by, Incident.assigned_to, Incident.snoozed_by, Incident.muted_by)
    is_subscriber = or_(
        is_any_of(Subscription.address, values=addresses), Subscription.created_by == user_id
    )
    return {
        "profile": rows(_PROFILE, User.id == row_id),
        "workspaces": rows(
            _WORKSPACES,
            Membership.user_id == row_id,
            team=(Team, Team.team_id == Membership.team_id),
        ),
        "grants": rows(_GRANTS, UserInstallation.id == installation.id),
        "sessions": rows(_SESSIONS, WebSession.installation_id == installation.id),
        "preferences": rows(
            _PREFERENCES, is_any_of(Preference.team_id, values=teams), Preference.user_id == user_id
        ),
        "subscriptions": rows(
            _SUBSCRIPTIONS, is_any_of(Subscription.team_id, values=teams), is_subscriber
        ),
        "api_keys": created(ApiKey),
        "webhooks": created(Webhook),
        "incidents": rows(
            _INCIDENTS,
            is_any_of(Incident.team_id, values=teams),
            or_(*(column == user_id for column in actors)),
            newest=Incident.state_at,
        ),
        "received": rows(
            _RECEIVED,
            is_any_of(Lane.team_id, values=teams),
            is_any_of(Lane.address, values=addresses),
            Delivery.recipient_id == user_id,
            # Others may still be withdrawn.
            HAS_ARRIVED,
            newest=Delivery.id,
            has_contents=True,
            lane=(Lane, Lane.id == Delivery.lane_id),
            notification=(Notification, Notification.id == Delivery.notification_id),
        ),
        "sent": rows(
            _SENT,
            is_any_of(Notification.team_id, values=teams),
            Notification.source == person_source(user_id),
            newest=Notification.id,
            has_contents=True,
        ),
        "home_tabs": rows(
            (HomeTab.team_id, HomeTab.published_at),
            is_any_of(HomeTab.team_id, values=teams),
            HomeTab.user_id == user_id,
        ),
        "security_events": rows(
            _SECURITY_EVENTS,
            AuditEvent.user_id == user_id,
            or_(
                is_any_of(AuditEvent.team_id, values=teams),
                AuditEvent.enterprise_id == (installation.enterprise_id or ""),
            ),
            newest=AuditEvent.id,
        ),
    }


def _with_short_contents(statement: Select[Any], newest: InstrumentedAttribute[Any]) -> Select[Any]:
    """Return the first rows of a statement whose contents have `MOST_CHARACTERS` together."""
    rows = statement.add_columns(newest.label("position")).subquery()
    characters = func.sum(stored_length(rows.c.content)).over(order_by=rows.c.position.desc())
    counted = select(rows, characters.label("characters")).subquery()
    shown = [column for column in counted.c if column.name not in ("position", "characters")]
    is_shown = counted.c.characters <= MOST_CHARACTERS
    return select(*shown).where(is_shown).order_by(counted.c.position.desc())


def _shown(row: Mapping[Any, Any]) -> Record:
    return {str(name): _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime | time) else value
