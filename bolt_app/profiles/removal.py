"""Removal of people and teams, in a caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, delete, exists, select
from sqlalchemy.orm import Session

from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import Channel, ChannelListing, Membership, Preference, Team, User


def forget_users(session: Session, teams: Collection[str], user_ids: Collection[str]) -> None:
    """Delete the data of people in workspaces.

    People linked in another workspace of the organization stay linked there.
    """
    is_theirs = is_any_of(User.user_id, values=user_ids)
    _lock_members(session, teams, is_theirs)
    members = select(User.id).where(is_theirs)
    is_there = is_any_of(Membership.team_id, values=teams)
    gone = delete(Membership).where(Membership.user_id.in_(members), is_there)
    _delete_unlinked(session, session.scalars(gone.returning(Membership.user_id)).all())
    forget_preferences(session, teams, user_ids)


def forget_teams(session: Session, teams: Collection[str]) -> None:
    """Delete the data of workspaces and of their people."""
    _lock_members(session, teams)
    gone = delete(Membership).where(is_any_of(Membership.team_id, values=teams))
    _delete_unlinked(session, session.scalars(gone.returning(Membership.user_id)).all())
    forget_preferences(session, teams)
    for model in (ChannelListing, Channel, Team):
        session.execute(delete(model).where(is_any_of(model.team_id, values=teams)))


def forget_preferences(
    session: Session, teams: Collection[str], user_ids: Collection[str] | None = None
) -> None:
    """Delete the preferences of people in workspaces; None means all people."""
    chosen = delete(Preference).where(is_any_of(Preference.team_id, values=teams))
    if user_ids is not None:
        chosen = chosen.where(is_any_of(Preference.user_id, values=user_ids))
    session.execute(chosen)


def _lock_members(session: Session, teams: Collection[str], *which: ColumnElement[bool]) -> None:
    """Lock people before their memberships, like a change of their profile."""
    is_there = is_any_of(Membership.team_id, values=teams)
    members = (
        select(User.id).join(Membership, Membership.user_id == User.id).where(is_there, *which)
    )
    session.execute(members.order_by(User.id).with_for_update(of=User))


def _delete_unlinked(session: Session, row_ids: Sequence[int]) -> None:
    linked = exists().where(Membership.user_id == User.id)
    session.execute(delete(User).where(is_any_of(User.id, values=row_ids), ~linked))
