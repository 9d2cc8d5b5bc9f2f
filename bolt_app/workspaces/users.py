"""Lookup of people by e-mail address or direct message.

Senders choose the addresses, so the resulting calls are limited: each answer is cached, for an
unknown address too, and each call takes from a budget (`lookup_budgets.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import bindparam, select

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database, PreparedSelect
from bolt_app.db.models import Membership, Subscription, User
from bolt_app.recent_answers import RecentAnswers
from bolt_app.slack_api import SlackCallError
from bolt_app.slack_ids import is_person
from bolt_app.workspaces.client import BotWorkspace, WorkspaceClient
from bolt_app.workspaces.lookup_budgets import LookupBudgets, LookupLimitError, LookupShare
from bolt_app.workspaces.store_ids import StoreIds

logger = logging.getLogger(__name__)

LOOKUP, OPEN = "users.lookupByEmail", "conversations.open"
REMEMBERED_FOR = timedelta(minutes=5)
# How long the address in a linked profile counts after Slack reported it.
ADDRESS_LIFETIME = timedelta(hours=1)
MOST_REMEMBERED = 10_000
UNKNOWN, NO_CHANNEL = "users_not_found", "channel_not_found"
# A second person with an address is enough to know that it has more than one. Prepared, because a
# message may mention many people.
_LINKED = PreparedSelect(
    select(User.user_id, User.refreshed_at)
    .join(Membership, Membership.user_id == User.id)
    .where(
        Membership.team_id == bindparam("team_id"),
        User.email == bindparam("email"),
        ~User.is_deleted,
    )
    .limit(2)
)


@dataclass(frozen=True)
class FoundPeople:
    """The ids of people who were found, and how many were not looked up."""

    user_ids: tuple[str, ...]
    skipped: int


class Users:
    """Finds people by their linked profiles, or else by asking Slack."""

    def __init__(
        self,
        database: Database,
        client: WorkspaceClient,
        store_ids: StoreIds,
        budgets: LookupBudgets,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._client = client
        self._store_ids = store_ids
        self._budgets = budgets
        self._clock = clock
        # Ids by workspace and address, conversation or person; empty for an unknown one.
        self._remembered: RecentAnswers[tuple[str, str], str] = RecentAnswers(
            REMEMBERED_FOR, MOST_REMEMBERED, clock
        )

    def find(self, workspace: BotWorkspace, email: str, share: LookupShare) -> str:
        """Return a person's id, from a linked profile that was read recently, or from Slack.

        https://docs.slack.dev/reference/methods/users.lookupByEmail

        Raises:
            LookupLimitError: Slack would have to be asked too often.
            SlackCallError: the address is unknown, or Slack did not answer.
        """
        user_id = self._find_linked(workspace.team_id, email)
        key = workspace.team_id, email
        if user_id is None:
            user_id = self._remembered.find(key)
        if user_id is None:
            user_id = self._remembered.ask(key, lambda: self._look_up(workspace, email, share))
        if not user_id:
            raise SlackCallError(LOOKUP, UNKNOWN)
        self._store_id(workspace, f"@{email}", user_id)
        return user_id

    def _find_linked(self, team_id: str, email: str) -> str | None:
        """Return the id of the only linked person with an address, if it was read recently.

        Otherwise the address may be another person's by now: an event of Slack may be lost.
        """
        people = self._database.fetch(_LINKED, {"team_id": team_id, "email": email})
        if len(people) != 1 or self._clock() - people[0].refreshed_at >= ADDRESS_LIFETIME:
            return None
        return str(people[0].user_id)

    def linked_among(self, team_id: str, addresses: Iterable[str]) -> Sequence[str]:
        """Return the ids of the linked people that e-mail addresses mean, without asking Slack."""
        emails = (address[1:] for address in addresses if address.startswith("@"))
        found = (self._find_linked(team_id, email) for email in emails)
        return [user_id for user_id in found if user_id is not None]

    def find_by_conversation(
        self, workspace: BotWorkspace, conversation_id: str, share: LookupShare
    ) -> str:
        """Return the id of the person in a direct message with the bot.

        https://docs.slack.dev/reference/methods/conversations.open

        Raises:
            LookupLimitError: Slack would have to be asked too often.
            SlackCallError: the bot does not have that direct message, or Slack does not answer.
        """
        key = workspace.team_id, conversation_id
        user_id = self._remembered.find(key)
        if user_id is None:
            user_id = self._remembered.ask(
                key, lambda: self._open(workspace, conversation_id, share)
            )
        if not user_id:
            raise SlackCallError(OPEN, NO_CHANNEL)
        self._store_id(workspace, conversation_id, user_id)
        return user_id

    def open_conversation(self, workspace: BotWorkspace, user_id: str, share: LookupShare) -> str:
        """Return the id of the bot's direct message with a person.

        https://docs.slack.dev/reference/methods/conversations.open

        Raises:
            LookupLimitError: Slack would have to be asked too often.
            SlackCallError: the person cannot get direct messages, or Slack does not answer.
        """
        key = workspace.team_id, user_id
        known = self._remembered.find(key)
        return known or self._remembered.ask(
            key, lambda: self._open_with(workspace, user_id, share)
        )

    def _open_with(self, workspace: BotWorkspace, user_id: str, share: LookupShare) -> str:
        self._budgets.take(OPEN, workspace.team_id, share)
        answer = self._client.as_bot(workspace, OPEN, users=user_id)
        return str(answer["channel"]["id"])

    def _store_id(self, workspace: BotWorkspace, address: str, user_id: str) -> None:
        """Let a subscription of an address be the person's."""
        team_id = workspace.team_id
        named = (Subscription.team_id == team_id, Subscription.address == address)
        with self._database.reading() as session:
            is_subscribed = session.scalar(select(Subscription.id).where(*named).limit(1))
        if is_subscribed is not None:
            with self._database.writing() as session:
                self._store_ids(session, team_id, {address: user_id})

    def _open(self, workspace: BotWorkspace, conversation_id: str, share: LookupShare) -> str:
        self._budgets.take(OPEN, workspace.team_id, share)
        try:
            answer = self._client.as_bot(workspace, OPEN, channel=conversation_id, return_im=True)
        except SlackCallError as error:
            if error.code != NO_CHANNEL:
                raise
            return ""
        return str(answer["channel"].get("user") or "")

    def _look_up(self, workspace: BotWorkspace, email: str, share: LookupShare) -> str:
        self._budgets.take(LOOKUP, workspace.team_id, share)
        try:
            answer = self._client.as_bot(workspace, LOOKUP, email=email, team_id=workspace.team_id)
        except SlackCallError as error:
            if error.code != UNKNOWN:
                raise
            return ""
        return str(answer["user"]["id"])

    def find_all(
        self,
        workspace: BotWorkspace,
        addresses: Iterable[str],
        share: LookupShare,
        *,
        may_wait: bool,
    ) -> FoundPeople:
        """Return the people who can be found, without duplicates.

        A sender that has had its share waits for none of them, because other senders' messages to
        the same channel would wait as well.

        Args:
            addresses: ids, or e-mail addresses with a leading `@`.
            may_wait: whether the caller can try again if other senders have used the budget up.

        Raises:
            LookupLimitError: they have, and `may_wait`.
            SlackCallError: a temporary failure.
        """
        found, skipped = dict[str, None](), 0
        for address in addresses:
            try:
                user_id = self._find_known(workspace, address, share)
            except LookupLimitError as error:
                if may_wait and not error.had_share:
                    raise
                logger.warning("a person was not looked up", extra={"error": error.code})
                skipped += 1
                continue
            if user_id is not None:
                found[user_id] = None
        return FoundPeople(tuple(found), skipped)

    def _find_known(self, workspace: BotWorkspace, address: str, share: LookupShare) -> str | None:
        """Return a person's id, or None for an address that Slack does not know."""
        if is_person(address):
            return address
        try:
            return self.find(workspace, address.removeprefix("@"), share)
        except SlackCallError as error:
            if error.is_dead_token or not error.is_permanent:
                raise
            logger.warning("a person is not mentioned", extra={"error": error.code})
            return None
