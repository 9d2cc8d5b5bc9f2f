"""People of a workspace as Slack describes them, for programs that look them up.

People with a linked profile are described by it: it follows Slack's events. For others each process
caches Slack's answers, up to `CACHED_FOR`. So tools that look up the same people again and again do
not reach Slack's limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, select

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.accounts import DESCRIPTION_COLUMNS, ROLE_COLUMNS
from bolt_app.db.models import Membership, User
from bolt_app.recent_answers import RecentAnswers
from bolt_app.slack_api import SlackCallError
from bolt_app.slack_user import is_in_workspace
from bolt_app.workspaces.client import BotWorkspace, WorkspaceClient
from bolt_app.workspaces.lookup_budgets import USERS_INFO, LookupBudgets, LookupShare

LIST = "users.list"
CACHED_FOR = timedelta(minutes=5)
MOST_PEOPLE, MOST_PAGES = 5_000, 50
# Slack recommends pages of at most this size.
PAGE_SIZE = 200
# The fields that are passed on; others, such as phone numbers, are left out.
_FIELDS = (
    *("id", "team_id", "name", "deleted", "color", "real_name", "tz", "tz_label", "tz_offset"),
    *("is_admin", "is_owner", "is_primary_owner", "is_restricted", "is_ultra_restricted"),
    *("is_bot", "is_app_user", "is_stranger", "updated"),
)
PROFILE_FIELDS = (
    *("real_name", "real_name_normalized", "display_name", "display_name_normalized"),
    *("first_name", "last_name", "title", "email", "team", "avatar_hash"),
    *("image_24", "image_32", "image_48", "image_72", "image_192", "image_512"),
)

Person = Mapping[str, Any]
_LINKED = (
    select(
        *DESCRIPTION_COLUMNS,
        User.is_bot,
        User.slack_updated,
        Membership.team_id,
        *ROLE_COLUMNS,
    )
    .join(Membership, Membership.user_id == User.id)
    .where(
        Membership.team_id == bindparam("team_id"),
        User.user_id == bindparam("user_id"),
        ~User.is_deleted,
    )
)


@dataclass(frozen=True)
class PeoplePage:
    """A page of people, and the cursor of the next one; empty after the last."""

    people: tuple[Person, ...] = field(repr=False)
    next_cursor: str


class People:
    """Looks up people of a workspace, as its bot.

    The bot also sees people of other workspaces, who share a channel: these are unknown here.
    """

    def __init__(
        self,
        database: Database,
        client: WorkspaceClient,
        budgets: LookupBudgets,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._client = client
        self._budgets = budgets
        self._known: RecentAnswers[tuple[str, str], Person] = RecentAnswers(
            CACHED_FOR, MOST_PEOPLE, clock
        )
        self._pages: RecentAnswers[tuple[str, str, int], PeoplePage] = RecentAnswers(
            CACHED_FOR, MOST_PAGES, clock
        )

    def find(self, workspace: BotWorkspace, user_id: str, share: LookupShare) -> Person:
        """Return a person (https://docs.slack.dev/reference/methods/users.info).

        Raises:
            NotInstalledError: the workspace has no bot.
            LookupLimitError: Slack would have to be asked too often.
            SlackCallError: the person is unknown, or Slack did not answer.
        """
        key = workspace.team_id, user_id
        known = self._find_linked(*key) or self._known.find(key)
        return known or self._known.ask(key, lambda: self._ask(workspace, user_id, share))

    def page(
        self, workspace: BotWorkspace, cursor: str, limit: int, share: LookupShare
    ) -> PeoplePage:
        """Return a page of people (https://docs.slack.dev/reference/methods/users.list).

        Args:
            cursor: of an earlier page; empty for the first.

        Raises:
            NotInstalledError: the workspace has no bot.
            LookupLimitError: Slack would have to be asked too often.
            SlackCallError: the cursor is invalid, or Slack did not answer.
        """
        key = workspace.team_id, cursor, limit
        known = self._pages.find(key)
        return known or self._pages.ask(key, lambda: self._list(workspace, cursor, limit, share))

    def _find_linked(self, team_id: str, user_id: str) -> Person | None:
        values = {"team_id": team_id, "user_id": user_id}
        with self._database.reading_connection() as connection:
            row = connection.execute(_LINKED, values).first()
        return None if row is None else _linked(row)

    def _ask(self, workspace: BotWorkspace, user_id: str, share: LookupShare) -> Person:
        self._budgets.take(USERS_INFO, workspace.team_id, share)
        user = self._client.as_bot(workspace, USERS_INFO, user=user_id)["user"]
        if not is_in_workspace(workspace.team_id, user):
            raise SlackCallError(USERS_INFO, "user_not_found")
        return _shown(user)

    def _list(
        self, workspace: BotWorkspace, cursor: str, limit: int, share: LookupShare
    ) -> PeoplePage:
        self._budgets.take(LIST, workspace.team_id, share)
        answer = self._client.as_bot(
            workspace,
            LIST,
            cursor=cursor or None,
            limit=limit,
            team_id=workspace.team_id,
        )
        following = (answer.get("response_metadata") or {}).get("next_cursor") or ""
        members = (user for user in answer["members"] if is_in_workspace(workspace.team_id, user))
        return PeoplePage(tuple(map(_shown, members)), str(following))


def _linked(row: Any) -> Person:
    """Return a linked person as in https://docs.slack.dev/reference/objects/user-object."""
    profile = {
        "real_name": row.real_name,
        "display_name": row.display_name or "",
        "email": row.email,
        "title": row.title or "",
        **{f"image_{size}": url for size, url in row.images.items()},
    }
    user = {
        "id": row.user_id,
        "team_id": row.team_id,
        "name": row.name,
        "deleted": False,
        "real_name": row.real_name,
        "tz": row.tz,
        "tz_label": row.tz_label,
        "tz_offset": row.tz_offset,
        "is_admin": row.is_admin,
        "is_owner": row.is_owner,
        "is_restricted": row.is_guest,
        "is_bot": row.is_bot,
        "updated": row.slack_updated,
        "profile": profile,
    }
    return _shown({name: value for name, value in user.items() if value is not None})


def _shown(user: Mapping[str, Any]) -> Person:
    profile = user.get("profile") or {}
    return {
        **{name: user[name] for name in _FIELDS if name in user},
        "profile": {
            name: profile[name] for name in PROFILE_FIELDS if profile.get(name) is not None
        },
    }
