"""Authorization: the single module that decides what a person may see and do.

Slack provides the role (`users.info`) and the channel memberships (`users.conversations`). Its
answers are cached for `STALE_AFTER`; events drop them earlier, in the process that receives them.
If a call to Slack is necessary and fails, access is denied: the error is raised, and its message is
shown to the person.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol

from bolt_app.clock import Clock, utc_now
from bolt_app.config import Subscribers
from bolt_app.db import Database
from bolt_app.db.accounts import IS_DEACTIVATED
from bolt_app.db.web_sessions import REVOKED
from bolt_app.installations.records import StoredInstallation
from bolt_app.recent_answers import RecentAnswers
from bolt_app.slack_api import UNAVAILABLE, SlackCallError
from bolt_app.slack_user import enterprise_of, is_in_workspace, membership_values
from bolt_app.sliding_limit import SlidingLimit
from bolt_app.workspaces.client import BotWorkspace, NotInstalledError, WorkspaceClient
from bolt_app.workspaces.lookup_budgets import USERS_INFO, LookupBudgets, LookupShare

logger = logging.getLogger(__name__)

# How old a role or a membership may be.
STALE_AFTER = timedelta(seconds=60)
MOST_REMEMBERED = 10_000
# How long a person's requests fail without a call after Slack did not answer about them.
UNANSWERED_FOR = timedelta(seconds=10)
# Checks of one person's role at that moment. Slack allows 100 calls of users.info a minute
# (https://docs.slack.dev/apis/web-api/rate-limits), which all people of a workspace share.
CHECKS_A_MINUTE = 20
# How often a person's joining or leaving a channel, and a change of a channel in their workspace,
# let Slack be asked for their channels again. It allows 50 calls a minute in a workspace
# (https://docs.slack.dev/reference/methods/users.conversations).
JOINS_A_MINUTE, CHANGES_A_MINUTE = 4, 2
# How often a change of a person's profile that leaves their role alone lets Slack be asked again.
PROFILES_A_MINUTE = 4
PAGE_SIZE = 999
# Slack's errors for a person unknown in this workspace.
_UNKNOWN_PERSON = frozenset({"user_not_found", "user_not_visible", "users_not_found"})
# The fields of Slack's user object that `role_of` reads.
_ROLE_FIELDS = (
    "team_id",
    "deleted",
    "is_stranger",
    "is_admin",
    "is_owner",
    "is_restricted",
    "is_ultra_restricted",
    "enterprise_user",
)


class Role(StrEnum):
    """A person's role in a workspace.

    `ADMIN` includes owners; `GUEST` includes people without any flag from Slack. A
    `COLLEAGUE` belongs to another workspace of the same organization, and an `EXTERNAL` user to
    another organization: both only share a channel.
    """

    ADMIN = "admin"
    MEMBER = "member"
    COLLEAGUE = "colleague"
    GUEST = "guest"
    DEACTIVATED = "deactivated"
    EXTERNAL = "external"


class Action(StrEnum):
    """An action that depends only on the role."""

    USE = "use"  # personal profile, preferences and subscriptions; responses to received messages
    SEE_WORKSPACE = "see_workspace"  # public channels, topics, others' profiles
    SUBSCRIBE_SELF = "subscribe_self"
    CHANGE_CHANNEL = "change_channel"  # the subscriptions of a channel
    POST_TEST = "post_test"  # a test notification, or hello, into a channel
    SEE_UNRESOLVED = "see_unresolved"  # destinations that could not be resolved
    ADMINISTER = "administer"  # API keys and webhooks
    RETRY_FAILED = "retry_failed"  # failed deliveries of the workspace


_OURS = frozenset({Role.ADMIN, Role.MEMBER, Role.COLLEAGUE, Role.GUEST})
_MEMBERS = frozenset({Role.ADMIN, Role.MEMBER})
# In a shared channel, colleagues do not count as guests.
_IN_CHANNELS = _MEMBERS | {Role.COLLEAGUE}
_ADMINS = frozenset({Role.ADMIN})
# `SUBSCRIPTIONS_BY`, for the subscriptions of channels.
_SUBSCRIBERS = {
    Subscribers.ANYONE: _OURS,
    Subscribers.MEMBERS: _IN_CHANNELS,
    Subscribers.ADMINS: _ADMINS,
}
_EXTERNAL = (
    "Bellhop belongs to the other organization in this shared channel: ask someone there to do "
    "this for you."
)
_DEACTIVATED = "This account is deactivated in Slack and cannot use Bellhop."
_SENTENCES: Mapping[Action, str] = {
    Action.USE: "Only people of this workspace can do that.",
    Action.SEE_WORKSPACE: "Only members of this workspace can see that.",
    Action.SUBSCRIBE_SELF: "Guests cannot subscribe to topics: ask a member of this workspace.",
    Action.POST_TEST: (
        "Guests cannot have Bellhop post to channels: ask a member of this workspace."
    ),
    Action.SEE_UNRESOLVED: "Only admins of this workspace can see that.",
    Action.RETRY_FAILED: "Only admins of this workspace can retry failed deliveries.",
}


class AccessDeniedError(Exception):
    """The person may not do that; the message explains why."""


class ExternalUserError(AccessDeniedError):
    """The person belongs to another organization that shares a channel."""

    def __init__(self) -> None:
        super().__init__(_EXTERNAL)


class DeactivatedError(AccessDeniedError):
    """The person's account is deactivated."""

    def __init__(self) -> None:
        super().__init__(_DEACTIVATED)


class NotAdminError(AccessDeniedError):
    """The person is not an admin of the workspace."""

    def __init__(self) -> None:
        super().__init__(
            "Only admins of this workspace can create and revoke API keys and webhooks: ask one of "
            "them."
        )


class NotAllowedError(AccessDeniedError):
    """The person may not change the subscriptions of a channel."""

    def __init__(self, who: str) -> None:
        super().__init__(
            f"Only {who} can change the subscriptions of channels here: ask one of them."
        )


class ChannelDeniedError(AccessDeniedError):
    """The person cannot see that channel."""

    def __init__(self) -> None:
        super().__init__("You cannot choose that channel, because you cannot see it in Slack.")


class RoleCheckLimitError(AccessDeniedError):
    """The person's role was checked too often within a minute."""

    def __init__(self) -> None:
        super().__init__("You have changed or opened many things here. Try again in a minute.")


class PublicChannels(Protocol):
    """A source of the public channels of a workspace."""

    def names_of_public(self, team_id: str, channel_ids: Collection[str]) -> dict[str, str]:
        """Return the names of the public ones among some channels, by id."""


@dataclass(frozen=True)
class Person:
    """A person in a workspace, with the role that Slack reported recently."""

    team_id: str
    user_id: str
    role: Role
    authorization: Authorization

    def may(self, action: Action) -> bool:
        """Whether their role allows an action."""
        return self.role in self.authorization.allowed(action)

    def require(self, action: Action) -> None:
        """Require that their role allows an action.

        Raises:
            AccessDeniedError: it does not; the message explains why.
        """
        if not self.may(action):
            raise self.authorization.denial(self, action)

    def channel_names(self, channel_ids: Collection[str]) -> dict[str, str]:
        """Return the names of the channels that they may see, by id.

        A member sees public channels and the channels they belong to, a guest only the latter.

        Raises:
            NotInstalledError: Bellhop is not installed in that workspace.
            SlackCallError: a call to Slack was necessary, and failed.
        """
        wanted = {id_ for id_ in channel_ids if id_[:1] in ("C", "G")}
        if not wanted or self.role not in _OURS:
            return {}
        known: dict[str, str] = {}
        if self.may(Action.SEE_WORKSPACE):
            known = self.authorization.public.names_of_public(self.team_id, wanted)
        if wanted <= known.keys():
            return known
        memberships = self.memberships()
        return known | {id_: memberships[id_] for id_ in wanted if id_ in memberships}

    def memberships(self) -> Mapping[str, str]:
        """Return the names of the channels they belong to and the bot can see, by id.

        Raises:
            NotInstalledError: Bellhop is not installed in that workspace.
            SlackCallError: a call to Slack was necessary, and failed.
        """
        return self.authorization.channels_of(self.team_id, self.user_id)

    def require_channel(self, channel_id: str) -> None:
        """Require that they can see a channel.

        Raises:
            AccessDeniedError: they cannot, or it does not exist.
            NotInstalledError: Bellhop is not installed in that workspace.
            SlackCallError: a call to Slack was necessary, and failed.
        """
        self.require(Action.USE)
        if channel_id not in self.channel_names([channel_id]):
            raise ChannelDeniedError


class Authorization:
    """Decides access for the people of all workspaces."""

    def __init__(
        self,
        database: Database,
        client: WorkspaceClient,
        public: PublicChannels,
        budgets: LookupBudgets,
        *,
        subscriptions_by: Subscribers,
        clock: Clock = utc_now,
        most_remembered: int = MOST_REMEMBERED,
    ) -> None:
        self.public = public
        self._database = database
        self._client = client
        self._budgets = budgets
        self._subscriptions_by = subscriptions_by
        # By workspace and person.
        self._roles: RecentAnswers[tuple[str, str], Role] = RecentAnswers(
            STALE_AFTER, most_remembered, clock
        )
        self._memberships: RecentAnswers[tuple[str, str], Mapping[str, str]] = RecentAnswers(
            STALE_AFTER, most_remembered, clock
        )
        # Whether an account is deactivated, by installation and person.
        self._own_accounts: RecentAnswers[tuple[str, str], bool] = RecentAnswers(
            STALE_AFTER, most_remembered, clock
        )
        self._unanswered: RecentAnswers[tuple[str, str], bool] = RecentAnswers(
            UNANSWERED_FOR, most_remembered, clock
        )
        # Of the latest events: the values of `_ROLE_FIELDS`.
        self._role_facts: RecentAnswers[tuple[str, str], Mapping[str, Any]] = RecentAnswers(
            STALE_AFTER, most_remembered, clock
        )
        minute = timedelta(minutes=1)
        self._checks = SlidingLimit(CHECKS_A_MINUTE, minute, clock=clock)
        self._joins = SlidingLimit(JOINS_A_MINUTE, minute, clock=clock)
        self._changes = SlidingLimit(CHANGES_A_MINUTE, minute, clock=clock)
        self._profiles = SlidingLimit(PROFILES_A_MINUTE, minute, clock=clock)

    def allowed(self, action: Action) -> frozenset[Role]:
        """Return the roles that may perform an action."""
        match action:
            case Action.USE:
                return _OURS
            case Action.SEE_WORKSPACE:
                return _MEMBERS
            case Action.SUBSCRIBE_SELF:
                return _OURS if self._subscriptions_by == Subscribers.ANYONE else _MEMBERS
            case Action.POST_TEST:
                return _OURS if self._subscriptions_by == Subscribers.ANYONE else _IN_CHANNELS
            case Action.CHANGE_CHANNEL:
                return _SUBSCRIBERS[self._subscriptions_by]
            case Action.SEE_UNRESOLVED | Action.ADMINISTER | Action.RETRY_FAILED:
                return _ADMINS

    def denial(self, person: Person, action: Action) -> AccessDeniedError:
        """Log that a person's role is insufficient, and return the error that explains it."""
        role = person.role
        logger.info(
            "access denied",
            extra={
                "team_id": person.team_id,
                "user_id": person.user_id,
                "role": role.value,
                "action": action.value,
            },
        )
        if role is Role.EXTERNAL:
            return ExternalUserError()
        if role is Role.DEACTIVATED:
            return DeactivatedError()
        if action is Action.ADMINISTER:
            return NotAdminError()
        if action is Action.CHANGE_CHANNEL:
            admins = self._subscriptions_by == Subscribers.ADMINS
            return NotAllowedError("admins" if admins else "members, not guests,")
        return AccessDeniedError(_SENTENCES[action])

    def person(
        self,
        team_id: str,
        user_id: str,
        *,
        workspace: BotWorkspace | None = None,
    ) -> Person:
        """Return a person with their role.

        Args:
            workspace: the workspace and its installation, if known.

        Raises:
            NotInstalledError: Bellhop is not installed in that workspace.
            SlackCallError: a call to Slack was necessary, and failed.
        """
        role = self._roles.find((team_id, user_id))
        if role is None:
            return self._ask_person(team_id, user_id, workspace)
        return Person(team_id, user_id, role, self)

    def require_now(self, team_id: str, user_id: str, action: Action) -> Person:
        """Require that a person may perform an action, by the role Slack reports at this moment.

        A cached role that does not allow the action is sufficient to deny it: only people who were
        allowed a minute ago cause a call to Slack each time, up to `CHECKS_A_MINUTE`. Others could
        use up Slack's limit, and with it the checks of everyone in the workspace.

        Raises:
            AccessDeniedError: the person may not; the message explains why.
            RoleCheckLimitError: their role was checked too often within a minute.
            NotInstalledError: Bellhop is not installed in that workspace.
            SlackCallError: Slack did not report the role.
        """
        role = self._roles.find((team_id, user_id))
        if role is not None:
            Person(team_id, user_id, role, self).require(action)
            if self._checks.take(f"{team_id}/{user_id}"):
                raise RoleCheckLimitError
        person = self._ask_person(team_id, user_id)
        person.require(action)
        return person

    def require_use(
        self, workspace: BotWorkspace, user_id: str, is_deactivated: bool | None
    ) -> None:
        """Require that a signed request comes from a person of this workspace.

        Slack has just authenticated the person. It is asked only about people who are not linked:
        the stored state of linked people follows its events. If it does not answer, their requests
        fail without a call for `UNANSWERED_FOR`, because each call holds a thread.

        Args:
            is_deactivated: the stored state of a linked account; None if the person is not
                linked.

        Raises:
            AccessDeniedError: they are external, or deactivated.
            NotInstalledError: Bellhop is not installed in that workspace.
            SlackCallError: a call to Slack was necessary, and failed.
        """
        key = workspace.team_id, user_id
        if self._roles.find(key) is None:
            if is_deactivated:
                person = Person(workspace.team_id, user_id, Role.DEACTIVATED, self)
                raise self.denial(person, Action.USE)
            if is_deactivated is not None:
                return
            if self._unanswered.find(key):
                raise SlackCallError(USERS_INFO, UNAVAILABLE)
        try:
            person = self.person(workspace.team_id, user_id, workspace=workspace)
        except SlackCallError as error:
            if error.code == UNAVAILABLE:
                self._unanswered.ask(key, lambda: True)
            raise
        person.require(Action.USE)

    def may_receive(
        self,
        workspace: BotWorkspace,
        user_id: str,
        share: LookupShare,
        *,
        by_subscription: bool,
    ) -> bool:
        """Whether a person may receive a direct message now.

        A guest receives direct notifications, but nothing through a subscription. The stored
        state of a linked person decides about direct notifications, because it follows Slack's
        events; the role, at most `STALE_AFTER` old, decides about subscriptions.

        Raises:
            LookupLimitError: Slack would have to be asked too often about people that senders name.
            SlackCallError: a call to Slack was necessary, and failed.
        """
        if not by_subscription and self._roles.find((workspace.team_id, user_id)) is None:
            home_id = workspace.enterprise_id or ""
            is_deactivated = self._stored_as_deactivated(workspace.team_id, user_id, home_id)
            if is_deactivated is not None:
                return not is_deactivated
            self._budgets.take(USERS_INFO, workspace.team_id, share)
        person = self.person(workspace.team_id, user_id, workspace=workspace)
        return person.may(Action.SUBSCRIBE_SELF if by_subscription else Action.USE)

    def is_deactivated(self, installation: StoredInstallation, team_id: str) -> bool:
        """Whether the account of a session is deactivated, according to the database or to Slack.

        Without a bot in the workspace, Slack is asked with the person's own token, which ends with
        the account. If Slack does not answer, the database decides.

        Args:
            team_id: the person's workspace; empty if it is unknown, as for a person of a whole
                organization without a recorded profile.
        """
        user_id = installation.user_id
        if team_id and self._stored_as_deactivated(team_id, user_id):
            return True
        try:
            if team_id:
                return self.person(team_id, user_id).role is Role.DEACTIVATED
        except NotInstalledError:
            logger.debug("a person's own token is asked", extra={"team_id": team_id})
        except SlackCallError:
            return False
        return self._is_own_account_deactivated(installation)

    def channels_of(self, team_id: str, user_id: str) -> Mapping[str, str]:
        """Return the names of the channels a person belongs to, by id.

        They include public channels, and private channels that the bot belongs to as well
        (https://docs.slack.dev/reference/methods/users.conversations).

        Raises:
            NotInstalledError: Bellhop is not installed in that workspace.
            SlackCallError: a call to Slack was necessary, and failed.
        """
        key = team_id, user_id
        known = self._memberships.find(key)
        if known is not None:
            return known
        return self._memberships.ask(key, lambda: self._ask_channels(team_id, user_id))

    def person_changed(self, user_id: str) -> None:
        """Drop the cached role and channels of a person, in every workspace."""
        for answers in (self._roles, self._memberships, self._own_accounts):
            answers.forget(lambda key: key[1] == user_id)

    def profile_changed(self, team_id: str, facts: Mapping[str, Any]) -> None:
        """Drop the cached role and channels of a person whose profile has changed.

        Beyond `PROFILES_A_MINUTE` they are kept until they are old, unless the role may have
        changed: each person could otherwise use up Slack's limit.

        Args:
            team_id: the workspace that received the event.
            facts: Slack's user object (https://docs.slack.dev/reference/objects/user-object).
        """
        user_id = str(facts["id"])
        key = team_id, user_id
        role_facts = {name: facts[name] for name in _ROLE_FIELDS if name in facts}
        wait = self._profiles.take(f"{team_id}/{user_id}")
        if wait and self._role_facts.find(key) == role_facts:
            return
        self.person_changed(user_id)
        self._role_facts.ask(key, lambda: role_facts)

    def membership_changed(self, team_id: str, user_id: str, channel_id: str) -> None:
        """Drop the cached channels of a person who has joined or left one.

        Beyond `JOINS_A_MINUTE` only that channel is dropped: each person could otherwise use up
        Slack's limit, and nobody would see a private channel.
        """
        wait = self._joins.take(f"{team_id}/{user_id}")
        self._drop_channel(lambda key: key == (team_id, user_id), channel_id, asks=not wait)

    def channels_changed(self, team_id: str, channel_id: str) -> None:
        """Drop the cached channels of all people of a workspace, because one has changed.

        Beyond `CHANGES_A_MINUTE` only that channel is dropped, for the same reason.
        """
        wait = self._changes.take(team_id)
        self._drop_channel(lambda key: key[0] == team_id, channel_id, asks=not wait)

    def _drop_channel(
        self, matches: Callable[[tuple[str, str]], bool], channel_id: str, *, asks: bool
    ) -> None:
        """Drop a channel from cached channels; they are asked for again at once, or when old."""
        if asks:
            self._memberships.forget(matches)
            return
        self._memberships.change(
            matches, lambda names: {id_: names[id_] for id_ in names if id_ != channel_id}
        )

    def _ask_person(
        self, team_id: str, user_id: str, workspace: BotWorkspace | None = None
    ) -> Person:
        known = workspace or self._client.find_workspace(team_id)
        role = self._roles.ask((team_id, user_id), lambda: self._ask_role(known, user_id))
        return Person(team_id, user_id, role, self)

    def _ask_role(self, workspace: BotWorkspace, user_id: str) -> Role:
        """Ask Slack for a role (https://docs.slack.dev/reference/methods/users.info)."""
        try:
            facts = self._client.as_bot(workspace, USERS_INFO, user=user_id)["user"]
        except SlackCallError as error:
            if error.code in _UNKNOWN_PERSON:
                return Role.EXTERNAL
            raise
        return role_of(facts, workspace)

    def _is_own_account_deactivated(self, installation: StoredInstallation) -> bool:
        """Whether a person's own token, or the bot's, shows that their account is deactivated."""
        key = str(installation.id), installation.user_id
        known = self._own_accounts.find(key)
        if known is not None:
            return known
        try:
            return self._own_accounts.ask(key, lambda: self._ask_own_account(installation))
        except (SlackCallError, NotInstalledError):
            return False

    def _ask_own_account(self, installation: StoredInstallation) -> bool:
        try:
            answer = self._client.as_user(installation, USERS_INFO, user=installation.user_id)
        except SlackCallError as error:
            # Without a token of their own, the error concerns the bot's.
            if installation.user_token is not None and error.code in REVOKED:
                return True
            raise
        return bool(answer["user"].get("deleted"))

    def _ask_channels(self, team_id: str, user_id: str) -> Mapping[str, str]:
        workspace = self._client.find_workspace(team_id)
        kinds = "public_channel"
        if self._client.has_scope(workspace, "groups:read"):
            kinds += ",private_channel"
        channels = self._client.pages_as_bot(
            workspace,
            "users.conversations",
            "channels",
            user=user_id,
            types=kinds,
            team_id=workspace.team_id,
            limit=PAGE_SIZE,
        )
        return {channel["id"]: channel["name"] for channel in channels}

    def _stored_as_deactivated(self, team_id: str, user_id: str, home_id: str = "") -> bool | None:
        """Return whether a linked person is stored as deactivated; None if not linked."""
        values = {"workspace_id": team_id, "user_id": user_id, "home_id": home_id}
        with self._database.reading_connection() as connection:
            return connection.scalar(IS_DEACTIVATED, values)


def role_of(facts: Mapping[str, Any], workspace: BotWorkspace) -> Role:
    """Return a person's role in a workspace from Slack's user object.

    https://docs.slack.dev/reference/objects/user-object and, for people of other organizations,
    https://docs.slack.dev/apis/slack-connect. An object that does not name the workspace gives no
    rights in it: its flags may be those of another workspace.
    """
    # First, because a deactivated person's organization may be missing.
    if facts.get("deleted"):
        return Role.DEACTIVATED
    if facts.get("is_stranger") or not _is_ours(facts, workspace):
        return Role.EXTERNAL
    if not is_in_workspace(workspace.team_id, facts):
        return Role.COLLEAGUE
    values = membership_values(facts)
    is_guest = values.get("is_guest")
    if not is_guest and _is_admin(facts, workspace):
        return Role.ADMIN
    return Role.MEMBER if is_guest is False else Role.GUEST


def _is_ours(facts: Mapping[str, Any], workspace: BotWorkspace) -> bool:
    """Whether a person belongs to the workspace that has the bot, or to its organization.

    The bot of an organization serves only its people, whichever workspace a request names: for a
    person who only shares a channel, Slack names that person's workspace.
    """
    is_of_organization = (
        bool(workspace.enterprise_id) and enterprise_of(facts) == workspace.enterprise_id
    )
    if workspace.is_enterprise_install:
        return is_of_organization
    return is_of_organization or is_in_workspace(workspace.team_id, facts)


def _is_admin(facts: Mapping[str, Any], workspace: BotWorkspace) -> bool:
    """Whether a person is an admin of a workspace.

    Slack gives the bot of a workspace the flags for that workspace. The bot of an organization may
    get the flags for the person's first workspace: elsewhere only admins of the organization count.
    """
    if workspace.is_enterprise_install and facts.get("team_id") != workspace.team_id:
        facts = facts.get("enterprise_user") or {}
    return bool(facts.get("is_admin") or facts.get("is_owner"))
