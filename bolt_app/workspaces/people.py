"""People of a workspace as Slack describes them, for programs that look them up.

Each process caches Slack's answers, so that tools which look up the same people again and again do
not reach Slack's limits. An answer is up to `CACHED_FOR` old.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from bolt_app.clock import Clock, utc_now
from bolt_app.recent_answers import RecentAnswers
from bolt_app.workspaces.client import BotWorkspace, WorkspaceClient
from bolt_app.workspaces.person_lookups import INFO, PersonLookups

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
_PROFILE_FIELDS = (
    *("real_name", "real_name_normalized", "display_name", "display_name_normalized"),
    *("first_name", "last_name", "title", "email", "team", "avatar_hash"),
    *("image_24", "image_32", "image_48", "image_72", "image_192", "image_512"),
)

Person = Mapping[str, Any]


@dataclass(frozen=True)
class PeoplePage:
    """A page of people, and the cursor of the next one; empty after the last."""

    people: tuple[Person, ...] = field(repr=False)
    next_cursor: str


class People:
    """Looks up people as the bot of a workspace."""

    def __init__(
        self, client: WorkspaceClient, lookups: PersonLookups, *, clock: Clock = utc_now
    ) -> None:
        self._client = client
        self._lookups = lookups
        self._known: RecentAnswers[tuple[str, str], Person] = RecentAnswers(
            CACHED_FOR, MOST_PEOPLE, clock
        )
        self._pages: RecentAnswers[tuple[str, str, int], PeoplePage] = RecentAnswers(
            CACHED_FOR, MOST_PAGES, clock
        )

    def find(self, workspace: BotWorkspace, user_id: str) -> Person:
        """Return a person (https://docs.slack.dev/reference/methods/users.info).

        Raises:
            NotInstalledError: the workspace has no bot.
            LookupLimitError: the limit of calls is reached.
            SlackCallError: the person is unknown, or Slack did not answer.
        """
        key = workspace.team_id, user_id
        known = self._known.find(key)
        return known or self._known.ask(key, lambda: self._ask(workspace, user_id))

    def page(self, workspace: BotWorkspace, cursor: str, limit: int) -> PeoplePage:
        """Return a page of people (https://docs.slack.dev/reference/methods/users.list).

        Args:
            cursor: of an earlier page; empty for the first.

        Raises:
            NotInstalledError: the workspace has no bot.
            SlackCallError: the cursor is invalid, or Slack did not answer.
        """
        key = workspace.team_id, cursor, limit
        known = self._pages.find(key)
        return known or self._pages.ask(key, lambda: self._list(workspace, cursor, limit))

    def _ask(self, workspace: BotWorkspace, user_id: str) -> Person:
        self._lookups.take(workspace.team_id)
        return _shown(self._client.as_bot(workspace, INFO, user=user_id)["user"])

    def _list(self, workspace: BotWorkspace, cursor: str, limit: int) -> PeoplePage:
        answer = self._client.as_bot(
            workspace,
            "users.list",
            cursor=cursor or None,
            limit=limit,
            team_id=workspace.team_id,
        )
        following = (answer.get("response_metadata") or {}).get("next_cursor") or ""
        return PeoplePage(tuple(map(_shown, answer["members"])), str(following))


def _shown(user: Mapping[str, Any]) -> Person:
    profile = user.get("profile") or {}
    return {
        **{name: user[name] for name in _FIELDS if name in user},
        "profile": {name: profile[name] for name in _PROFILE_FIELDS if name in profile},
    }
