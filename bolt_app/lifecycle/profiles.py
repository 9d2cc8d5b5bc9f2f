"""Changes of people and workspaces: a new name or role, a deactivation, an unlinked profile."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy.orm import Session

from bolt_app.access.sessions import end_sessions_of
from bolt_app.client_address import client_address
from bolt_app.clock import Clock
from bolt_app.credentials.records import lock_credentials
from bolt_app.db import Database
from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.receipts import CLOCK_SKEW, record_effect
from bolt_app.installations.records import StoredInstallation
from bolt_app.installations.removals import InstallationRemovals
from bolt_app.lifecycle.erasure import Erasure
from bolt_app.lifecycle.events import EventOrigin, Events
from bolt_app.notifications.history.erasure import ErasedPeople, erase_people, with_data_only
from bolt_app.notifications.subscriptions.channel_sync import (
    PauseReason,
    begin_channel_sync,
    find_subscribed,
    pause,
    resume,
)
from bolt_app.profiles.removal import forget_preferences
from bolt_app.profiles.slack_changes import find_active_after, follow_team, follow_user, is_older
from bolt_app.profiles.store import find_teams, is_linked
from bolt_app.signals import Signals
from bolt_app.slack_user import enterprise_of, is_guest_in, updated_at, user_values


class ProfileLifecycle:
    """Applies changes of people, known or unknown, and of workspaces."""

    def __init__(
        self,
        database: Database,
        events: Events,
        removals: InstallationRemovals,
        erasure: Erasure,
        signals: Signals,
        *,
        guests_may_subscribe: bool,
        clock: Clock,
    ) -> None:
        self._database = database
        self._events = events
        self._removals = removals
        self._erasure = erasure
        self._signals = signals
        self._guests_may_subscribe = guests_may_subscribe
        self._clock = clock

    def unlink(self, installation: StoredInstallation) -> None:
        """Delete a person's tokens and personal data in one transaction.

        A person who is linked in the whole organization leaves it with all its workspaces.
        `Revocations` then revokes the tokens at Slack. Of requests at the same time, one takes
        effect.
        """
        with self._database.writing() as session:
            record_effect(session, self._clock(), None)
            left = self._removals.release(session, installation)
            if left is None:
                return
            opened = self._erasure.erase_people(
                session, *left, [installation.user_id], refreshes=True
            )
            write_audit(
                session,
                AuditAction.UNLINKED,
                at=self._clock(),
                address=client_address(),
                enterprise_id=installation.enterprise_id,
                team_id=installation.team_id,
                user_id=installation.user_id,
            )
        self._erasure.publish(opened)

    def user_changed(self, origin: EventOrigin, facts: Mapping[str, Any]) -> None:
        """Apply a changed profile (https://docs.slack.dev/reference/events/user_change).

        Only the workspaces that the event is authorized for change, never other organizations that
        share a channel.
        """
        facts, user_id = _dated(origin, facts), str(facts["id"])
        concerned: set[str] = set()
        opened: Mapping[str, Sequence[str]] = {}
        with self._events.once(origin) as session:
            teams = () if session is None else _teams_of_person(session, origin, facts)
            if session is None or not teams:
                return
            home = _home_of(session, origin, teams, facts)
            subscribed = find_subscribed(session, teams, user_id)
            concerned = {home, *subscribed}
            if is_older(session, home, origin.enterprise_id, facts):
                self._end_sessions_before(session, origin, teams, facts)
            elif facts.get("deleted"):
                opened = self._deactivate(session, origin, home, teams, subscribed, facts)
            else:
                follow_user(session, home, origin.enterprise_id, facts, self._clock())
                self._apply_role(session, subscribed, facts)
        if facts.get("deleted"):
            self._erasure.publish(opened)
        for concerned_id in sorted(concerned):
            self._publish_changes(concerned_id, [user_id])

    def team_changed(
        self, origin: EventOrigin, fact: Literal["name", "domain"], value: str
    ) -> None:
        """Apply a workspace's new name or domain.

        https://docs.slack.dev/reference/events/team_rename and
        https://docs.slack.dev/reference/events/team_domain_change
        """
        self._events.follow(
            origin, fact, lambda session, team_id: follow_team(session, team_id, {fact: value})
        )

    def _apply_role(
        self, session: Session, team_ids: Collection[str], facts: Mapping[str, Any]
    ) -> None:
        """Pause a person's subscriptions while their role does not allow them."""
        for team_id in sorted(team_ids):
            self._apply_role_in(session, team_id, facts)

    def _apply_role_in(self, session: Session, team_id: str, facts: Mapping[str, Any]) -> None:
        user_id = str(facts["id"])
        # Only a linked profile records the latest change.
        if not begin_channel_sync(session, team_id, user_id, updated_at(facts)):
            return
        follow = pause if facts.get("deleted") else resume
        follow(session, team_id, user_id, PauseReason.DEACTIVATED)
        is_guest = is_guest_in(team_id, facts)
        if is_guest is not None and not facts.get("deleted"):
            is_denied = is_guest and not self._guests_may_subscribe
            follow = pause if is_denied else resume
            follow(session, team_id, user_id, PauseReason.GUEST)

    def _end_sessions_before(
        self,
        session: Session,
        origin: EventOrigin,
        teams: Collection[str],
        facts: Mapping[str, Any],
    ) -> None:
        """End the sessions from before a deactivation of which Slack reports too late."""
        if facts.get("deleted"):
            at = datetime.fromtimestamp(max(updated_at(facts), 0), UTC) + CLOCK_SKEW
            end_sessions_of(
                session,
                [origin.enterprise_id, *teams],
                str(facts["id"]),
                self._clock(),
                begun_until=at,
            )

    def _deactivate(
        self,
        session: Session,
        origin: EventOrigin,
        home: str,
        teams: Collection[str],
        subscribed: Collection[str],
        facts: Mapping[str, Any],
    ) -> Mapping[str, Sequence[str]]:
        """End a deactivated person's sessions; erase their data if they are not linked.

        A linked profile is kept, because the account may be reactivated.

        Args:
            home: the workspace that their account is linked in, or their first one.
            teams: the workspaces that the event concerns.
            subscribed: those in which they have subscriptions.

        Returns: the people with an open App Home, by workspace in which they were erased.
        """
        user_id, now = str(facts["id"]), self._clock()
        known_until = max(updated_at(facts), 0) + int(CLOCK_SKEW.total_seconds())
        left = set(teams) - find_active_after(session, teams, user_id, known_until)
        erased = () if is_linked(session, home, user_id, origin.enterprise_id) else left
        email = user_values(facts).get("email")
        people = ErasedPeople(erased, [user_id], [email] if email else ())
        # In the order in which rows are locked (`credentials.limits`).
        if erased:
            self._removals.release_earlier_members(session, erased, [user_id])
        end_sessions_of(session, [origin.enterprise_id, *teams], user_id, now)
        follow_user(session, home, origin.enterprise_id, facts, now)
        forget_preferences(session, left, [user_id])
        people = with_data_only(session.connection(), people)
        if people.team_ids:
            lock_credentials(session, people.team_ids)
        self._apply_role(session, subscribed, facts)
        return erase_people(session.connection(), [people], now, refreshes=True)

    def _publish_changes(self, team_id: str | None, user_ids: Sequence[str]) -> None:
        # A change of a whole organization shows when a person next opens their home.
        if team_id is None:
            return
        for user_id in user_ids:
            self._signals.person_changed(team_id, user_id)


def _dated(origin: EventOrigin, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a user object with the time of its change: by default, of the event."""
    if updated_at(facts) > 0 or origin.at is None:
        return facts
    return {**facts, "updated": int(origin.at.timestamp())}


def _teams_of_person(
    session: Session, origin: EventOrigin, facts: Mapping[str, Any]
) -> Collection[str]:
    """Return the workspaces that an event about a person concerns; none for an external user.

    Slack also sends events about people of other organizations
    (https://docs.slack.dev/apis/slack-connect), whose data there is not about this workspace.
    """
    if facts.get("is_stranger"):
        return ()
    home = str(facts.get("team_id") or "")
    teams: set[str] = set()
    # An event of an organization may name the workspace of an external user.
    named = [] if origin.is_enterprise_install else [origin.team_id]
    if origin.enterprise_id:
        teams.update(find_teams(session, origin.enterprise_id, None))
        if enterprise_of(facts) == origin.enterprise_id:
            # A workspace without linked profiles may be unknown.
            named = [origin.team_id, home]
    teams.update(filter(None, named))
    if not home or home in teams or _is_lost_colleague(session, origin, facts):
        return teams
    return ()


def _is_lost_colleague(session: Session, origin: EventOrigin, facts: Mapping[str, Any]) -> bool:
    """Whether a deactivated person of an organization is linked where an event is authorized.

    Their object may no longer name the organization, but only their first workspace, which Bellhop
    may not know.
    """
    if not origin.enterprise_id or not facts.get("deleted"):
        return False
    return is_linked(session, origin.team_id or "", str(facts["id"]), origin.enterprise_id)


def _home_of(
    session: Session, origin: EventOrigin, teams: Collection[str], facts: Mapping[str, Any]
) -> str:
    """Return the person's first workspace; for a deactivated one, where their account is linked.

    A workspace that has joined an organization keeps the accounts of before, while their first
    workspace may be another one.
    """
    home, user_id = str(facts.get("team_id") or origin.team_id), str(facts["id"])
    if not facts.get("deleted"):
        return home
    linked = (
        team_id
        for team_id in (home, *sorted(teams))
        if is_linked(session, team_id, user_id, origin.enterprise_id)
    )
    return next(linked, home)
