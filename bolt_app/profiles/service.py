"""Linked profiles: record, find, refresh, follow and forget users, teams and memberships."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import (
    Row,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, aliased

from bolt_app.clock import Clock, utc_now
from bolt_app.credentials.ending import end_earlier_credentials
from bolt_app.db import Database, PreparedSelect
from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.models import (
    Channel,
    ChannelListing,
    Membership,
    Preference,
    Subscription,
    Team,
    User,
    UserInstallation,
)
from bolt_app.db.receipts import CLOCK_SKEW, is_latest
from bolt_app.db.upsert import upsert
from bolt_app.installations.store import Installations, StoredInstallation
from bolt_app.signals import Signals
from bolt_app.slack_api import SlackCallError
from bolt_app.slack_user import enterprise_of, membership_values, updated_at, user_values
from bolt_app.workspaces.client import BotWorkspace, WorkspaceClient

logger = logging.getLogger(__name__)

# Prepared once: doing so takes longer than the database takes to answer.
_MEMBER = User.id.in_(select(Membership.user_id).where(Membership.team_id == bindparam("team_id")))
_IS_ASKED_FOR = User.user_id == bindparam("user_id")
_FIND_MEMBER = select(User.id).where(_IS_ASKED_FOR, _MEMBER).limit(1)
# A person has one account in all workspaces of an organisation, which is its home.
_FIND_COLLEAGUE = (
    select(User.id)
    .where(_IS_ASKED_FOR, or_(User.home_id == bindparam("enterprise_id"), _MEMBER))
    .limit(1)
)

_ACCOUNT = aliased(User)
# Accounts that were joined are one person's only while their addresses are equal.
_IS_SAME_PERSON = or_(
    _ACCOUNT.id == User.id,
    and_(
        _ACCOUNT.person_id == User.person_id, func.lower(_ACCOUNT.email) == func.lower(User.email)
    ),
)
# A user with each membership of every account that is the same person's.
_PROFILES = (
    select(
        User.user_id,
        User.name,
        User.real_name,
        User.display_name,
        User.email,
        User.title,
        User.images,
        User.tz,
        User.tz_label,
        User.tz_offset,
        User.locale,
        User.is_deleted,
        User.linked_at,
        User.refreshed_at,
        Team.team_id,
        Team.enterprise_id,
        Team.name.label("team_name"),
        Team.domain,
        Membership.is_admin,
        Membership.is_owner,
        Membership.is_guest,
        Membership.linked_at.label("member_since"),
    )
    .join(_ACCOUNT, _IS_SAME_PERSON)
    .join(Membership, Membership.user_id == _ACCOUNT.id)
    .join(Team, Team.team_id == Membership.team_id)
    .order_by(Membership.linked_at, Membership.id)
)
_PROFILE = _PROFILES.where(User.id == bindparam("row_id"))
_PROFILE_OF_MEMBER = PreparedSelect(_PROFILES.where(User.id == _FIND_MEMBER.scalar_subquery()))
_PROFILE_OF_COLLEAGUE = PreparedSelect(
    _PROFILES.where(User.id == _FIND_COLLEAGUE.scalar_subquery())
)

# Each membership of one account.
_ACCOUNTS = (
    select(User, Membership)
    .join(Membership, Membership.user_id == User.id)
    .where(User.id == bindparam("row_id"), User.is_deleted.is_(False))
    .order_by(Membership.linked_at, Membership.id)
)


# What events change of a workspace (`Lifecycle.team_changed`).
_FOLLOWED = ("name", "domain")


@dataclass(frozen=True)
class Workspace:
    """A workspace in which a person is linked, and their role there."""

    team_id: str
    enterprise_id: str | None
    name: str
    domain: str | None
    is_admin: bool
    is_owner: bool
    is_guest: bool
    linked_at: datetime

    @property
    def role(self) -> str:
        """What the person is there, in a word."""
        if self.is_owner:
            return "Owner"
        if self.is_admin:
            return "Admin"
        return "Guest" if self.is_guest else "Member"


@dataclass(frozen=True)
class Profile:
    """A linked person, as Slack describes them."""

    user_id: str
    real_name: str
    display_name: str | None
    email: str | None = field(repr=False)
    title: str | None
    images: Mapping[int, str]
    tz: str | None
    tz_label: str | None
    tz_offset: int | None
    locale: str | None
    is_deleted: bool
    linked_at: datetime
    refreshed_at: datetime
    workspaces: tuple[Workspace, ...]

    def image(self, size: int) -> str | None:
        """Return the address of the smallest picture of at least `size` pixels, or the largest."""
        fitting = [known for known in sorted(self.images) if known >= size]
        if fitting:
            return self.images[fitting[0]]
        return self.images[max(self.images)] if self.images else None

    def local_time(self, now: datetime) -> datetime | None:
        """Return `now` where the person is, or None where Slack does not say."""
        if self.tz is not None:
            try:
                return now.astimezone(ZoneInfo(self.tz))
            except (ZoneInfoNotFoundError, ValueError, OSError):
                logger.info("a time zone this machine does not know", extra={"tz": self.tz})
        if self.tz_offset is None or abs(self.tz_offset) >= 24 * 3600:
            return None
        return now.astimezone(timezone(timedelta(seconds=self.tz_offset)))


@dataclass(frozen=True)
class Account:
    """Who a person is in one workspace."""

    team_id: str
    user_id: str
    email: str | None = field(repr=False)
    is_guest: bool


class Profiles:
    """What Bellhop knows of the people who linked their Slack profile."""

    def __init__(
        self,
        database: Database,
        store: Installations,
        client: WorkspaceClient,
        signals: Signals,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._store = store
        self._client = client
        self._signals = signals
        self._clock = clock

    def record(self, installation: StoredInstallation) -> Profile:
        """Ask Slack who installed and write down the user, the team and the membership.

        Asks with the person's own token, or the bot's where none was granted
        (https://docs.slack.dev/reference/methods/users.info).

        Raises:
            SlackCallError: Slack refused or did not answer; the recording is still owed. Or the
                person has unlinked meanwhile.
        """
        facts = self._user_facts(installation)
        team_id = installation.team_id or str(facts.get("team_id") or "")
        asked_at = self._clock() - CLOCK_SKEW
        team, is_fresh = self._team_facts(installation, team_id)
        said_at = asked_at if is_fresh else installation.installed_at
        now = self._clock()
        with self._database.writing() as session:
            _require_linked(session, installation)
            register_team(
                session, team_id, _without_older(session, team_id, team, said_at, now), now
            )
            home_id = installation.enterprise_id or enterprise_of(facts) or team_id
            row_id = register_user(session, home_id, facts, now)
            register_membership(session, row_id, team_id, facts, now)
            profile = _profile(_profile_rows(session, row_id))
        self._store.mark_recorded(installation.id, now)
        self._signals.person_changed(team_id, installation.user_id)
        return profile

    def record_workspace(self, team_id: str, enterprise_id: str) -> None:
        """Record that an organization's installation serves a workspace, before anyone links there.

        Slack has to have said so, and not only named the workspace in a request. The keys and hooks
        of an earlier installation of the workspace end.
        """
        now = self._clock()
        with self._database.writing() as session:
            register_team(session, team_id, {"enterprise_id": enterprise_id}, now)
        self._signals.admin_data_changed(team_id)

    def record_pending(self) -> tuple[int, list[SlackCallError]]:
        """Make up every recording that is still owed.

        Returns: how many were made up, and the errors of the others.
        """
        errors = []
        pending = self._store.pending_recordings()
        for installation in pending:
            try:
                self.record(installation)
            except SlackCallError as error:
                errors.append(error)
        return len(pending) - len(errors), errors

    def find(self, team_id: str, user_id: str, enterprise_id: str | None = None) -> Profile | None:
        """Return the linked profile of `user_id` in a workspace or its organisation, if any."""
        statement = _PROFILE_OF_MEMBER if enterprise_id is None else _PROFILE_OF_COLLEAGUE
        values = {"team_id": team_id, "user_id": user_id, "enterprise_id": enterprise_id}
        rows = self._database.fetch(statement, values)
        return _profile(rows) if rows else None

    def find_for(self, installation: StoredInstallation) -> Profile | None:
        """Return the linked profile that `installation` belongs to, if it was recorded."""
        with self._database.reading() as session:
            return _find_profile(session, search_user(session, installation))

    def accounts_of(self, installation: StoredInstallation) -> list[Account]:
        """Return what the account of `installation` is in each workspace where it is linked.

        Other accounts of the person are left out, and so is a deactivated one: what a person may
        see is a matter of the account that they are signed in with.
        """
        with self._database.reading() as session:
            row_id = search_user(session, installation)
            if row_id is None:
                return []
            return [
                Account(membership.team_id, user.user_id, user.email, membership.is_guest)
                for user, membership in session.execute(_ACCOUNTS, {"row_id": row_id})
            ]

    def find_joinable(
        self, installation: StoredInstallation, other: StoredInstallation
    ) -> Profile | None:
        """Return the profile of `other` if it may be joined with that of `installation`.

        That is, where both are known under one e-mail address and are not joined yet.
        """
        with self._database.reading() as session:
            row_id, other_id = search_user(session, installation), search_user(session, other)
            if not _may_be_joined(session, row_id, other_id):
                return None
            return _find_profile(session, other_id)

    def join(self, installation: StoredInstallation, other: StoredInstallation) -> bool:
        """Let two accounts be one person's, who said so; return whether they may be.

        Neither account sees or does anything more by it: the profile lists the workspaces of
        both, as long as their addresses are equal.
        """
        now = self._clock()
        with self._database.writing() as session:
            row_id, other_id = search_user(session, installation), search_user(session, other)
            if not _may_be_joined(session, row_id, other_id):
                return False
            ids = [row_id, other_id]
            people = session.scalars(select(User.person_id).where(User.id.in_(ids))).all()
            joined = update(User).where(User.person_id.in_(people))
            session.execute(joined.values(person_id=min(people)))
            for account in (installation, other):
                _audit(session, AuditAction.ACCOUNTS_JOINED, account, now)
        return True

    def _user_facts(self, installation: StoredInstallation) -> Mapping[str, Any]:
        answer = self._client.as_user(
            installation, "users.info", user=installation.user_id, include_locale=True
        )
        facts: Mapping[str, Any] = answer["user"]
        return facts

    def _team_facts(
        self, installation: StoredInstallation, team_id: str
    ) -> tuple[dict[str, Any], bool]:
        """Return name and address of a team, and whether Slack gave them now.

        Without `team:read` the name that Slack gave at the installation must do.
        """
        facts: dict[str, Any] = {
            "enterprise_id": installation.enterprise_id or "",
            "enterprise_name": installation.enterprise_name,
        }
        if installation.team_name:
            facts["name"] = installation.team_name
        if installation.bot_token is None:
            return facts, False
        try:
            team = self._client.as_bot(
                BotWorkspace.of(installation, team_id), "team.info", team=team_id
            )["team"]
        except SlackCallError as error:
            logger.info("team.info failed", extra={"team_id": team_id, "code": error.code})
            return facts, False
        return {**facts, **{name: team[name] for name in _FOLLOWED if team.get(name)}}, True


def _without_older(
    session: Session, team_id: str, facts: Mapping[str, Any], said_at: datetime, now: datetime
) -> dict[str, Any]:
    """Return what of a team's facts no event has changed since."""
    return {
        name: value
        for name, value in facts.items()
        if name not in _FOLLOWED or is_latest(session, team_id, name, said_at, now)
    }


def _require_linked(session: Session, installation: StoredInstallation) -> None:
    """Make sure that an installation was not deleted while Slack was asked about its person.

    Raises:
        SlackCallError: it was, and its token is being revoked.
    """
    mine = select(UserInstallation.id).where(UserInstallation.id == installation.id)
    if session.scalar(mine.with_for_update()) is None:
        raise SlackCallError("users.info", "token_revoked")


def search_user(session: Session, installation: StoredInstallation) -> int | None:
    """Return the row id of the user `installation` belongs to."""
    if installation.team_id:
        return search_member(session, installation.team_id, installation.user_id)
    return session.scalar(
        select(User.id).where(
            User.home_id == installation.enterprise_id, User.user_id == installation.user_id
        )
    )


def search_member(
    session: Session, team_id: str, user_id: str, enterprise_id: str | None = None
) -> int | None:
    """Return the row id of the user `user_id` who is linked in `team_id`.

    With `enterprise_id` a link anywhere in that organisation counts: a person has one account in
    all its workspaces.
    """
    statement = _FIND_MEMBER if enterprise_id is None else _FIND_COLLEAGUE
    values = {"team_id": team_id, "user_id": user_id, "enterprise_id": enterprise_id}
    return session.scalar(statement, values)


def register_user(session: Session, home_id: str, facts: Mapping[str, Any], now: datetime) -> int:
    """Write a user down, new or known, and return the row id.

    What Slack said earlier never overwrites what it said later.
    """
    key = {"home_id": home_id, "user_id": str(facts["id"])}
    upsert(
        session,
        User,
        key=key,
        insert={"person_id": str(uuid.uuid4()), "linked_at": now},
        update={**user_values(facts), "slack_updated": updated_at(facts), "refreshed_at": now},
        unless=User.slack_updated > updated_at(facts),
    )
    row_id = session.scalars(select(User.id).filter_by(**key)).one()
    _part_accounts(session, row_id)
    return row_id


def register_team(session: Session, team_id: str, facts: Mapping[str, Any], now: datetime) -> None:
    """Write a team down, new or known.

    Where it becomes one of an organization's, the credentials of an earlier installation end.
    """
    if facts.get("enterprise_id"):
        end_earlier_credentials(session, team_id, facts["enterprise_id"], now)
    upsert(session, Team, key={"team_id": team_id}, insert={"created_at": now}, update=facts)


def register_membership(
    session: Session, row_id: int, team_id: str, facts: Mapping[str, Any], now: datetime
) -> None:
    """Write down that a user belongs to a team, and their role."""
    upsert(
        session,
        Membership,
        key={"user_id": row_id, "team_id": team_id},
        insert={"linked_at": now},
        update=membership_values(facts),
    )


def follow_user(
    session: Session,
    team_id: str,
    enterprise_id: str | None,
    facts: Mapping[str, Any],
    now: datetime,
) -> None:
    """Take over a changed profile (`user_change`), if the person is linked."""
    row_id = search_member(session, team_id, str(facts["id"]), enterprise_id)
    if row_id is None:
        return
    # No upsert: the person may unlink in this moment, and their row is not to come back.
    changed = update(User).where(User.id == row_id, User.slack_updated <= updated_at(facts))
    values = {**user_values(facts), "slack_updated": updated_at(facts), "refreshed_at": now}
    session.execute(changed.values(**values))
    _part_accounts(session, row_id)
    role = membership_values(facts)
    if role:
        membership = (Membership.user_id == row_id, Membership.team_id == team_id)
        session.execute(update(Membership).where(*membership).values(**role))


def is_older(
    session: Session, team_id: str, enterprise_id: str | None, facts: Mapping[str, Any]
) -> bool:
    """Whether Slack has said something later of a person, as far as they are linked."""
    row_id = search_member(session, team_id, str(facts["id"]), enterprise_id)
    known = session.scalar(select(User.slack_updated).where(User.id == row_id))
    return known is not None and known > updated_at(facts)


def is_linked(
    session: Session, team_id: str, user_id: str, enterprise_id: str | None = None
) -> bool:
    """Whether a person is linked in a workspace, or anywhere in its organization."""
    return search_member(session, team_id, user_id, enterprise_id) is not None


def was_active_after(session: Session, team_id: str, user_id: str, moment: int) -> bool:
    """Whether a person has chosen something in a workspace after a moment (Unix seconds)."""
    after = datetime.fromtimestamp(moment, UTC)
    chosen = select(Preference.user_id).where(
        Preference.team_id == team_id, Preference.user_id == user_id, Preference.changed_at > after
    )
    subscribed = select(Subscription.id).where(
        Subscription.team_id == team_id,
        Subscription.address == user_id,
        Subscription.created_at > after,
    )
    return bool(session.scalar(select(or_(chosen.exists(), subscribed.exists()))))


def follow_team(session: Session, team_id: str, facts: Mapping[str, str]) -> None:
    """Take over a team's new `name` or `domain`, if the team is known."""
    session.execute(update(Team).where(Team.team_id == team_id).values(**facts))


def leave_organization(
    session: Session, enterprise_id: str, kept: Collection[str], *, until: datetime
) -> None:
    """Let the workspaces of an organization be its no more, all but `kept`.

    Args:
        until: workspaces that were recorded later stay.
    """
    known = _teams_of(enterprise_id, None).where(Team.created_at <= until)
    left = [one for one in session.scalars(known) if one not in kept]
    session.execute(update(Team).where(Team.team_id.in_(left)).values(enterprise_id=""))


def forget_users(
    session: Session, enterprise_id: str | None, team_id: str | None, user_ids: Sequence[str]
) -> None:
    """Delete what is known of people in one workspace, or in a whole organisation.

    Who is still linked in another workspace of the organisation stays linked there.
    """
    forget_preferences(session, enterprise_id, team_id, user_ids)
    members = select(User.id).where(User.user_id.in_(user_ids))
    gone = delete(Membership).where(
        Membership.user_id.in_(members), Membership.team_id.in_(_teams_of(enterprise_id, team_id))
    )
    _delete_unlinked(session, session.scalars(gone.returning(Membership.user_id)).all())


def forget_teams(session: Session, enterprise_id: str | None, team_id: str | None) -> None:
    """Delete what is known of one workspace, or of a whole organisation, and of its people."""
    teams = session.scalars(_teams_of(enterprise_id, team_id)).all()
    gone = delete(Membership).where(Membership.team_id.in_(teams))
    _delete_unlinked(session, session.scalars(gone.returning(Membership.user_id)).all())
    forget_preferences(session, enterprise_id, team_id)
    for model in (Channel, ChannelListing, Team):
        session.execute(delete(model).where(model.team_id.in_(teams)))


def forget_preferences(
    session: Session,
    enterprise_id: str | None,
    team_id: str | None,
    user_ids: Sequence[str] | None = None,
) -> None:
    """Delete what people chose in one workspace, or in a whole organisation; None means all."""
    theirs = delete(Preference).where(
        Preference.team_id.in_(find_teams(session, enterprise_id, team_id))
    )
    if user_ids is not None:
        theirs = theirs.where(Preference.user_id.in_(user_ids))
    session.execute(theirs)


def find_teams(session: Session, enterprise_id: str | None, team_id: str | None) -> Sequence[str]:
    """Return one workspace, known or not, or those of a whole organisation."""
    # In a workspace where nobody is linked people leave something behind too.
    return [team_id] if team_id else session.scalars(_teams_of(enterprise_id, team_id)).all()


def find_emails(session: Session, team_id: str, user_ids: Sequence[str]) -> Sequence[str]:
    """Return the e-mail addresses of people who are linked in a workspace."""
    linked = User.id.in_(select(Membership.user_id).where(Membership.team_id == team_id))
    known = select(User.email).where(User.user_id.in_(user_ids), linked, User.email.is_not(None))
    return [email for email in session.scalars(known) if email]


def _teams_of(enterprise_id: str | None, team_id: str | None) -> Select[str]:
    teams = select(Team.team_id)
    if team_id:
        return teams.where(Team.team_id == team_id)
    return teams.where(Team.enterprise_id == enterprise_id, Team.enterprise_id != "")


def _delete_unlinked(session: Session, row_ids: Sequence[int]) -> None:
    linked = exists().where(Membership.user_id == User.id)
    session.execute(delete(User).where(User.id.in_(row_ids), ~linked))


def _may_be_joined(session: Session, row_id: int | None, other_id: int | None) -> bool:
    rows = session.execute(
        select(User.person_id, func.lower(User.email)).where(
            User.id.in_([row_id, other_id]), User.is_deleted.is_(False)
        )
    ).all()
    people = {person_id for person_id, _ in rows}
    addresses = {address for _, address in rows}
    return len(people) == 2 and len(addresses) == 1 and addresses != {None}


def _part_accounts(session: Session, row_id: int) -> None:
    """Let an account be a person's of its own again once its address differs from the others'."""
    other = aliased(User)
    differs = exists().where(
        other.person_id == User.person_id,
        other.id != User.id,
        func.lower(other.email).is_distinct_from(func.lower(User.email)),
    )
    parted = update(User).where(User.id == row_id, differs)
    session.execute(
        parted.values(person_id=str(uuid.uuid4())), execution_options={"synchronize_session": False}
    )


def _audit(
    session: Session, action: AuditAction, installation: StoredInstallation, now: datetime
) -> None:
    write_audit(
        session,
        action,
        at=now,
        enterprise_id=installation.enterprise_id,
        team_id=installation.team_id,
        user_id=installation.user_id,
    )


def _find_profile(session: Session, row_id: int | None) -> Profile | None:
    rows = [] if row_id is None else _profile_rows(session, row_id)
    return _profile(rows) if rows else None


def _profile_rows(session: Session, row_id: int) -> Sequence[Row[Any]]:
    return session.execute(_PROFILE, {"row_id": row_id}).all()


def _profile(rows: Sequence[Row[Any]]) -> Profile:
    user = rows[0]
    return Profile(
        user_id=user.user_id,
        real_name=user.real_name or user.display_name or user.name or user.user_id,
        display_name=user.display_name,
        email=user.email,
        title=user.title,
        images={int(size): one for size, one in user.images.items() if _is_image(size, one)},
        tz=user.tz,
        tz_label=user.tz_label,
        tz_offset=user.tz_offset,
        locale=user.locale,
        is_deleted=user.is_deleted,
        linked_at=user.linked_at,
        refreshed_at=user.refreshed_at,
        workspaces=tuple(map(_workspace, rows)),
    )


def _is_image(size: str, address: object) -> bool:
    return size.isdecimal() and isinstance(address, str)


def _workspace(row: Row[Any]) -> Workspace:
    return Workspace(
        team_id=row.team_id,
        enterprise_id=row.enterprise_id or None,
        name=row.team_name or row.team_id,
        domain=row.domain,
        is_admin=row.is_admin,
        is_owner=row.is_owner,
        is_guest=row.is_guest,
        linked_at=row.member_since,
    )
