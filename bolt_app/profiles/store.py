"""Rows of users, teams and memberships: lookups and upserts in a caller's transaction."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, bindparam, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from bolt_app.db import PreparedSelect
from bolt_app.db.accounts import DESCRIPTION_COLUMNS, ROLE_COLUMNS
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import Membership, Team, User
from bolt_app.db.upsert import upsert
from bolt_app.installations.records import StoredInstallation
from bolt_app.installations.rows import InstallationRows
from bolt_app.installations.serving import serve_by_organization
from bolt_app.profiles.view import Profile, profile_of
from bolt_app.slack_user import membership_values, updated_at, user_values

# Prepared once, because building a statement takes longer than running it.
_MEMBER = User.id.in_(select(Membership.user_id).where(Membership.team_id == bindparam("team_id")))
_IS_ASKED_FOR = User.user_id == bindparam("user_id")
_FIND_MEMBER = select(User.id).where(_IS_ASKED_FOR, _MEMBER).limit(1)
# A person has one account in all workspaces of an organization, which is its home.
_FIND_COLLEAGUE = (
    select(User.id)
    .where(_IS_ASKED_FOR, or_(User.home_id == bindparam("enterprise_id"), _MEMBER))
    .limit(1)
)

_ACCOUNT = aliased(User)
# Joined accounts belong to one person only while their addresses are equal.
_IS_SAME_PERSON = or_(
    _ACCOUNT.id == User.id,
    and_(
        _ACCOUNT.person_id == User.person_id, func.lower(_ACCOUNT.email) == func.lower(User.email)
    ),
)
# A user with each membership of every account of the same person.
_PROFILES = (
    select(
        *DESCRIPTION_COLUMNS,
        User.locale,
        User.is_deleted,
        User.linked_at,
        User.refreshed_at,
        Team.team_id,
        Team.enterprise_id,
        Team.name.label("team_name"),
        Team.domain,
        *ROLE_COLUMNS,
        Membership.linked_at.label("member_since"),
    )
    .join(_ACCOUNT, _IS_SAME_PERSON)
    .join(Membership, Membership.user_id == _ACCOUNT.id)
    .join(Team, Team.team_id == Membership.team_id)
    .order_by(Membership.linked_at, Membership.id)
)
_PROFILE = _PROFILES.where(User.id == bindparam("row_id"))
PROFILE_OF_MEMBER = PreparedSelect(_PROFILES.where(User.id == _FIND_MEMBER.scalar_subquery()))
PROFILE_OF_COLLEAGUE = PreparedSelect(_PROFILES.where(User.id == _FIND_COLLEAGUE.scalar_subquery()))

# Each membership of one account.
ACCOUNTS = (
    select(User, Membership)
    .join(Membership, Membership.user_id == User.id)
    .where(User.id == bindparam("row_id"), User.is_deleted.is_(False))
    .order_by(Membership.linked_at, Membership.id)
)


def search_user(session: Session, installation: StoredInstallation) -> int | None:
    """Return the row id of an installation's user."""
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
    """Return the row id of the user `user_id` if linked in `team_id`.

    With `enterprise_id` a link anywhere in that organization counts, because a person has one
    account in all its workspaces.
    """
    statement = _FIND_MEMBER if enterprise_id is None else _FIND_COLLEAGUE
    values = {"team_id": team_id, "user_id": user_id, "enterprise_id": enterprise_id}
    return session.scalar(statement, values)


def is_linked(
    session: Session, team_id: str, user_id: str, enterprise_id: str | None = None
) -> bool:
    """Whether a person is linked in a workspace, or anywhere in its organization."""
    return search_member(session, team_id, user_id, enterprise_id) is not None


def find_profile(session: Session, row_id: int | None) -> Profile | None:
    """Return the profile of a user, by row id; None without a row or a membership."""
    rows = session.execute(_PROFILE, {"row_id": row_id}).all()
    return profile_of(rows) if rows else None


def get_profile(session: Session, row_id: int) -> Profile:
    """Return the profile of a user who has a membership."""
    return profile_of(session.execute(_PROFILE, {"row_id": row_id}).all())


def find_teams(session: Session, enterprise_id: str | None, team_id: str | None) -> Sequence[str]:
    """Return the ids of one workspace, known or not, or of a whole organization."""
    # A workspace without linked people may have other data of people.
    return [team_id] if team_id else session.scalars(teams_of(enterprise_id, team_id)).all()


def find_organization(session: Session, team_id: str) -> str:
    """Return the organization that a workspace is recorded with; empty if unknown."""
    return session.scalar(select(Team.enterprise_id).where(Team.team_id == team_id)) or ""


def find_teams_of_accounts(
    session: Session,
    enterprise_id: str | None,
    team_id: str | None,
    user_ids: Collection[str] | None = None,
) -> Sequence[str]:
    """Return the ids of one workspace, or of an organization's, where people may have data.

    Workspaces that were separated from the organization are included while its accounts are linked
    there.

    Args:
        user_ids: whose accounts; None means everyone's.
    """
    teams = set(find_teams(session, enterprise_id, team_id))
    if enterprise_id and not team_id:
        linked = select(Membership.team_id).join(User, User.id == Membership.user_id)
        linked = linked.where(User.home_id == enterprise_id)
        if user_ids is not None:
            linked = linked.where(is_any_of(User.user_id, values=user_ids))
        teams.update(session.scalars(linked))
    return sorted(teams)


def find_emails(
    session: Session,
    enterprise_id: str | None,
    team_ids: Collection[str],
    user_ids: Collection[str],
) -> Collection[str]:
    """Return the e-mail addresses of people who are linked in an organization or in workspaces.

    An address leads to the person in every workspace of the organization, while a membership may be
    recorded in their first one alone.
    """
    is_there = is_any_of(Membership.team_id, values=team_ids)
    is_linked = or_(
        User.id.in_(select(Membership.user_id).where(is_there)),
        User.home_id == (enterprise_id or ""),
    )
    known = select(User.email).where(is_any_of(User.user_id, values=user_ids), is_linked)
    return {email for email in session.scalars(known) if email}


def teams_of(enterprise_id: str | None, team_id: str | None) -> Select[str]:
    """Select the known ids of one workspace, or of a whole organization's workspaces."""
    teams = select(Team.team_id)
    if team_id:
        return teams.where(Team.team_id == team_id)
    return teams.where(Team.enterprise_id == enterprise_id, Team.enterprise_id != "")


def register_user(session: Session, home_id: str, facts: Mapping[str, Any], now: datetime) -> int:
    """Insert or update a user, and return the row id.

    Older data from Slack never overwrites newer data.
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
    separate_accounts(session, row_id)
    return row_id


def move_account(session: Session, team_id: str, home_id: str, user_id: str) -> None:
    """Move a person's account from a workspace to the organization that the workspace has joined.

    A second account of the person would keep the facts of the first, such as that it is active.
    """
    if home_id == team_id:
        return
    former = and_(User.home_id == team_id, User.user_id == user_id)
    other = aliased(User)
    is_known = exists().where(other.home_id == home_id, other.user_id == user_id)
    unsynchronized = {"synchronize_session": False}
    session.execute(
        update(User).where(former, ~is_known).values(home_id=home_id),
        execution_options=unsynchronized,
    )
    session.execute(delete(User).where(former), execution_options=unsynchronized)


def register_served_team(
    session: Session,
    rows: InstallationRows,
    team_id: str,
    enterprise_id: str,
    now: datetime,
    *,
    name: str | None = None,
) -> None:
    """Insert or update a team that an organization's installation serves according to Slack.

    API keys and webhooks of another installation are revoked.
    """
    serve_by_organization(session, rows, team_id, enterprise_id, now)
    facts = {"enterprise_id": enterprise_id, **({"name": name} if name else {})}
    register_team(session, team_id, facts, now)


def register_team(session: Session, team_id: str, facts: Mapping[str, Any], now: datetime) -> None:
    """Insert or update a team."""
    upsert(session, Team, key={"team_id": team_id}, insert={"created_at": now}, update=facts)


def register_membership(
    session: Session, row_id: int, team_id: str, facts: Mapping[str, Any], now: datetime
) -> None:
    """Insert or update a user's membership in a team, and their role."""
    upsert(
        session,
        Membership,
        key={"user_id": row_id, "team_id": team_id},
        insert={"linked_at": now},
        update=membership_values(facts),
    )


def may_be_joined(session: Session, row_id: int | None, other_id: int | None) -> bool:
    """Whether two accounts belong to different people with one e-mail address."""
    rows = session.execute(
        select(User.person_id, func.lower(User.email)).where(
            User.id.in_([row_id, other_id]), User.is_deleted.is_(False)
        )
    ).all()
    people = {person_id for person_id, _ in rows}
    addresses = {address for _, address in rows}
    return len(people) == 2 and len(addresses) == 1 and addresses != {None}


def separate_accounts(session: Session, row_id: int) -> None:
    """Separate an account from joined ones once its e-mail address differs from theirs."""
    other = aliased(User)
    differs = exists().where(
        other.person_id == User.person_id,
        other.id != User.id,
        func.lower(other.email).is_distinct_from(func.lower(User.email)),
    )
    separated = update(User).where(User.id == row_id, differs)
    session.execute(
        separated.values(person_id=str(uuid.uuid4())),
        execution_options={"synchronize_session": False},
    )
