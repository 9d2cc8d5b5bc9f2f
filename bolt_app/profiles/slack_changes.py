"""Changes of people and teams that Slack reports, applied to the stored rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import Membership, Preference, Subscription, Team, User
from bolt_app.db.receipts import is_latest
from bolt_app.profiles.store import find_teams_of_accounts, search_member, separate_accounts
from bolt_app.slack_user import membership_values, updated_at, user_values

# The facts of a workspace that events change (`Lifecycle.team_changed`).
FOLLOWED_FACTS = ("name", "domain")


def follow_user(
    session: Session,
    team_id: str,
    enterprise_id: str | None,
    facts: Mapping[str, Any],
    now: datetime,
) -> None:
    """Apply a changed profile (`user_change`), if the person is linked."""
    row_id = search_member(session, team_id, str(facts["id"]), enterprise_id)
    if row_id is None:
        return
    # No upsert: a person who unlinks at the same time must not be inserted again.
    changed = update(User).where(User.id == row_id, User.slack_updated <= updated_at(facts))
    values = {**user_values(facts), "slack_updated": updated_at(facts), "refreshed_at": now}
    session.execute(changed.values(**values))
    separate_accounts(session, row_id)
    role = membership_values(facts)
    if role:
        membership = (Membership.user_id == row_id, Membership.team_id == team_id)
        session.execute(update(Membership).where(*membership).values(**role))


def is_older(
    session: Session, team_id: str, enterprise_id: str | None, facts: Mapping[str, Any]
) -> bool:
    """Whether newer data of a linked person is stored."""
    row_id = search_member(session, team_id, str(facts["id"]), enterprise_id)
    known = session.scalar(select(User.slack_updated).where(User.id == row_id))
    return known is not None and known > updated_at(facts)


def find_active_after(
    session: Session, team_ids: Collection[str], user_id: str, moment: int
) -> set[str]:
    """Return where a person changed preferences or subscribed after a time (Unix seconds)."""
    after = datetime.fromtimestamp(moment, UTC)
    chosen = select(Preference.team_id).where(
        is_any_of(Preference.team_id, values=team_ids),
        Preference.user_id == user_id,
        Preference.changed_at > after,
    )
    subscribed = select(Subscription.team_id).where(
        is_any_of(Subscription.team_id, values=team_ids),
        Subscription.address == user_id,
        Subscription.created_at > after,
    )
    return set(session.scalars(chosen.union(subscribed)))


def follow_team(session: Session, team_id: str, facts: Mapping[str, str]) -> None:
    """Apply a team's new `name` or `domain`, if the team is known."""
    session.execute(update(Team).where(Team.team_id == team_id).values(**facts))


def without_older(
    session: Session, team_id: str, facts: Mapping[str, Any], stated_at: datetime, now: datetime
) -> dict[str, Any]:
    """Return the facts of a team that no later event has changed."""
    return {
        name: value
        for name, value in facts.items()
        if name not in FOLLOWED_FACTS or is_latest(session, team_id, name, stated_at, now)
    }


def is_latest_listing(
    session: Session, enterprise_id: str, listed_at: datetime, now: datetime
) -> bool:
    """Record when Slack was asked for the workspaces that an organization's installation serves.

    The second of two transactions about the same organization waits for the first to end.

    Returns: whether no answer to a later question took effect. An earlier answer must not, because
        the organization may have closed or opened a workspace in between.
    """
    return is_latest(session, enterprise_id, "workspaces", listed_at, now)


def find_unserved(
    session: Session, enterprise_id: str, kept: Collection[str], *, until: datetime
) -> Sequence[str]:
    """Return the recorded workspaces of an organization, except `kept`.

    Args:
        until: workspaces recorded later are omitted too.
    """
    teams = find_teams_of_accounts(session, enterprise_id, None)
    recorded = select(Team.team_id).where(
        is_any_of(Team.team_id, values=teams), Team.created_at <= until
    )
    return [team_id for team_id in session.scalars(recorded) if team_id not in kept]
