"""The state shared by all parts of the sandbox, behind one lock."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from slack_sandbox.calls import CallLog
from slack_sandbox.config import AppConfig, Function
from slack_sandbox.deliveries import (
    ANSWER_WITHIN,
    USER_AGENT,
    Delivery,
    EventQueue,
    Reply,
    json_body,
    post,
    signature_headers,
)
from slack_sandbox.errors import NotFoundError
from slack_sandbox.faults import FaultBoard
from slack_sandbox.limits import RateLimits
from slack_sandbox.scopes import EVENT_SCOPES
from slack_sandbox.seed import seeded_world
from slack_sandbox.tokens import Installation, InstallKey, TokenStore
from slack_sandbox.world import Channel, JsonDict, Message, SlackFile, User, View, Workspace

_T = TypeVar("_T")

TRIGGER_LIFETIME = 3.0
RESPONSE_URL_LIFETIME = 1_800.0
RESPONSE_URL_USES = 5
CODE_LIFETIME = 600.0


@dataclass
class Code:
    """An authorization code: single use, valid for ten minutes."""

    value: str = field(repr=False)
    key: InstallKey
    user_id: str
    bot_scopes: tuple[str, ...]
    user_scopes: tuple[str, ...]
    redirect_uri: str | None
    issued_at: float
    used: bool = False


@dataclass
class Trigger:
    """A ``trigger_id``: lets the app open one modal for one person within three seconds."""

    user_id: str
    team_id: str
    expires_at: float
    used: bool = False


@dataclass
class ResponseUrl:
    """A ``response_url``: five uses within thirty minutes."""

    team_id: str
    channel_id: str
    user_id: str
    expires_at: float
    original: Message | None = None
    uses: int = 0


@dataclass
class StepRun:
    """One execution of a workflow step of the app."""

    id: str
    team_id: str
    function: Function
    state: Literal["running", "completed", "failed"] = "running"
    outputs: JsonDict = field(default_factory=dict)
    error: str = ""


@dataclass
class SharedLinks:
    """Links announced to the app by ``link_shared``, in a message or a draft.

    ``shown`` maps each URL to the app's unfurl.
    """

    team_id: str
    urls: tuple[str, ...]
    message: Message | None = None
    shown: dict[str, JsonDict] = field(default_factory=dict)


class Core:
    """The shared state, and the basic operations on it."""

    def __init__(self, config: AppConfig, clock: Callable[[], float] = time.time) -> None:
        self.config = config
        self.clock = clock
        self.base_url = "http://127.0.0.1"
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.faults = FaultBoard()
        self.limits = RateLimits(clock)
        # Seconds in which the app must respond. Tests on a busy machine allow more than Slack.
        self.answer_within = ANSWER_WITHIN
        self.call_log = CallLog()
        self.events = EventQueue(self._send_event_attempt, clock)
        self.unreachable_hosts: set[str] = set()
        """Hosts from which Slack cannot fetch images."""
        self.version = 0
        self.is_closed = False
        self._reset_state()

    def _reset_state(self) -> None:
        self.world = seeded_world()
        self.tokens = TokenStore()
        self.codes: dict[str, Code] = {}
        self.triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.step_runs: dict[str, StepRun] = {}
        self.shared_links: dict[str, SharedLinks] = {}
        self.uploads: dict[str, SlackFile] = {}

    def reset(self) -> None:
        """Return to the seeded world: no installations, faults, calls or deliveries."""
        with self.edit():
            self._reset_state()
        self.faults.clear()
        self.unreachable_hosts.clear()
        self.limits.clear()
        self.call_log.clear()
        self.events.clear()

    @contextmanager
    def edit(self) -> Iterator[None]:
        """Hold the lock, and notify everyone waiting for a change."""
        with self.changed:
            yield
            self.version += 1
            self.changed.notify_all()

    def wait_for_change(self, version: int, timeout: float) -> int:
        """Wait until something changes after ``version``. Returns the current version.

        Returns at once if the server is stopping; a page that waits in a loop checks ``is_closed``.
        """
        with self.changed:
            self.changed.wait_for(lambda: self.is_closed or self.version != version, timeout)
            return self.version

    def close(self) -> None:
        """Wake every waiting client; no more changes follow."""
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()

    # Lookups; each raises NotFoundError.

    def get_workspace(self, team_id: str) -> Workspace:
        """The workspace with this id."""
        return _found(self.world.workspaces, team_id, "workspace")

    def get_user(self, user_id: str) -> User:
        """The person or bot with this id."""
        return _found(self.world.users, user_id, "user")

    def get_channel(self, channel_id: str) -> Channel:
        """The conversation with this id."""
        return _found(self.world.channels, channel_id, "channel")

    def get_view(self, view_id: str) -> View:
        """The open modal or published Home tab with this id."""
        homes = {view.id: view for view in self.world.homes.values()}
        return _found({**self.world.views, **homes}, view_id, "view")

    # Installations.

    def key_for(self, team_id: str) -> InstallKey:
        """The key of a workspace-level installation."""
        return InstallKey(self.get_workspace(team_id).enterprise_id, team_id)

    def installation_for(self, team_id: str) -> Installation | None:
        """The installation that serves a workspace: its own, or its organization's."""
        key = self.key_for(team_id)
        org = self.tokens.installations.get(InstallKey(key.enterprise_id, None))
        if org is not None and team_id not in org.team_ids:
            org = None
        return self.tokens.installations.get(key) or org

    def bot_scopes(self, installation: Installation) -> tuple[str, ...]:
        """The scopes granted to the bot of an installation."""
        if installation.bot_user_id is None:
            return ()
        return self.tokens.scopes_of(installation.key, "bot", installation.bot_user_id)

    def direct_message(self, team_id: str, user_id: str, other: str) -> Channel:
        """The direct message between two users; opened if necessary."""
        for channel in self.world.channels_of(team_id):
            if channel.is_im and set(channel.members) == {user_id, other}:
                return channel
        channel = Channel(
            self.world.next_id("D"),
            team_id,
            "",
            is_im=True,
            created=int(self.clock()),
            members=[user_id, other],
        )
        self.world.channels[channel.id] = channel
        return channel

    # Triggers and response URLs.

    def new_trigger(self, user_id: str, team_id: str) -> str:
        """A new ``trigger_id`` for a person."""
        serial = f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**12)}"
        trigger_id = f"{serial}.{secrets.token_hex(16)}"
        with self.lock:
            expires_at = self.clock() + TRIGGER_LIFETIME
            self.triggers[trigger_id] = Trigger(user_id, team_id, expires_at)
            _drop_oldest(self.triggers, 5_000)
        return trigger_id

    def new_response_url(
        self, kind: str, user_id: str, channel: Channel, original: Message | None = None
    ) -> str:
        """A new ``response_url`` for responses to a person in a channel."""
        path = f"{kind}/{channel.team_id}/{secrets.randbelow(10**13)}/{secrets.token_urlsafe(18)}"
        with self.lock:
            self.response_urls[path] = ResponseUrl(
                channel.team_id,
                channel.id,
                user_id,
                self.clock() + RESPONSE_URL_LIFETIME,
                original,
            )
            _drop_oldest(self.response_urls, 20_000)
        return f"{self.base_url}/hooks/{path}"

    # Requests to the app.

    def headers_for(self, body: bytes, content_type: str) -> dict[str, str]:
        """The headers of a signed request to the app."""
        return {
            "Content-Type": content_type,
            "User-Agent": USER_AGENT,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            **signature_headers(body, self.config.signing_secret, self.clock()),
        }

    def publish(self, team_id: str, event: JsonDict, subscription: str | None = None) -> None:
        """Queue an event if the app is installed, subscribed to it and has a scope for it."""
        installation = self.installation_for(team_id)
        name = subscription or event["type"]
        if installation is None or name not in self.config.bot_events:
            return
        needed = EVENT_SCOPES.get(name, ())
        if needed and not set(needed) & set(self.bot_scopes(installation)):
            return
        self.queue_event(team_id, event, installation)

    def queue_event(
        self, team_id: str, event: JsonDict, installation: Installation | None
    ) -> Delivery:
        """Queue an event regardless of the app's subscriptions."""
        with self.lock:
            wrapper = self._wrapped(team_id, event, installation)
            now = self.clock()
        delivery = Delivery(
            wrapper["event_id"],
            "event",
            event["type"],
            self.config.events_url or f"{self.config.app_url}/slack/events",
            team_id,
            json_body(wrapper),
            "application/json",
            now,
        )
        self.events.add(delivery)
        return delivery

    def _wrapped(
        self, team_id: str, event: JsonDict, installation: Installation | None
    ) -> JsonDict:
        workspace = self.world.workspaces.get(team_id)
        enterprise_id = workspace.enterprise_id if workspace else None
        wrapper: JsonDict = {
            "token": self.config.verification_token,
            "team_id": team_id,
            "context_team_id": team_id,
            "context_enterprise_id": enterprise_id,
            "api_app_id": self.config.app_id,
            "event": {"event_ts": self.world.next_ts(self.clock()), **event},
            "type": "event_callback",
            "event_id": self.world.next_id("Ev"),
            "event_time": int(self.clock()),
            "authorizations": self._authorizations(team_id, installation),
            "is_ext_shared_channel": self._is_shared(event),
        }
        if enterprise_id is not None:
            wrapper["enterprise_id"] = enterprise_id
        return wrapper

    def _is_shared(self, event: JsonDict) -> bool:
        """Whether the event's channel is shared with another organization."""
        named = event.get("channel") or (event.get("item") or {}).get("channel")
        channel_id = named.get("id") if isinstance(named, dict) else named
        channel = self.world.channels.get(str(channel_id))
        return channel is not None and bool(channel.connected_team_ids)

    def _authorizations(self, team_id: str, installation: Installation | None) -> list[JsonDict]:
        if installation is None:
            return []
        key = installation.key
        user_id = installation.bot_user_id
        is_bot = user_id is not None
        if user_id is None:
            users = [token.user_id for token in self.tokens.live(key, "user")]
            user_id = users[0] if users else None
        return [
            {
                "enterprise_id": key.enterprise_id,
                "team_id": None if key.is_org else team_id,
                "user_id": user_id,
                "is_bot": is_bot,
                "is_enterprise_install": key.is_org,
            }
        ]

    def _send_event_attempt(self, delivery: Delivery, number: int) -> Reply:
        headers = self.headers_for(delivery.body, delivery.content_type)
        if number > 0:
            headers["X-Slack-Retry-Num"] = str(number)
            headers["X-Slack-Retry-Reason"] = delivery.attempts[-1].reason or "unknown_error"
        return post(delivery.url, delivery.body, headers, self.answer_within)


def _found(things: Mapping[str, _T], thing_id: str, kind: str) -> _T:
    try:
        return things[thing_id]
    except KeyError:
        raise NotFoundError(f"unknown {kind} {thing_id}") from None


def _drop_oldest(things: dict[str, Any], limit: int) -> None:
    while len(things) > limit:
        del things[next(iter(things))]
