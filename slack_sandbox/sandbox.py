"""The stand-in itself: what it holds, and what people, tests and pages do with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from slack_sandbox import changes, interactions, links, oauth, people, workflows
from slack_sandbox.calls import ApiCall
from slack_sandbox.core import Core, StepRun
from slack_sandbox.deliveries import Delivery
from slack_sandbox.errors import AuthorizeError, SandboxError
from slack_sandbox.interactions import InteractionResult, State
from slack_sandbox.messages import visible_messages
from slack_sandbox.people import CommandResult
from slack_sandbox.tokens import Installation, InstallKey
from slack_sandbox.world import Channel, JsonDict, Message, User, View, Workspace


class Sandbox(Core):
    """All state behind one lock; :class:`~slack_sandbox.server.SandboxServer` serves it.

    Attributes worth knowing: ``config`` (the app), ``base_url`` (where the stand-in is),
    ``faults`` (:class:`~slack_sandbox.faults.FaultBoard`), ``limits``
    (:class:`~slack_sandbox.limits.RateLimits`), ``clock``.

    What changes the world queues its events; a running server sends them at once in the
    background, :meth:`deliver_due` sends them now and waits.
    """

    def set_app_url(self, app_url: str) -> None:
        """Say where the app is, once that is known."""
        with self.edit():
            self.config = self.config.at(app_url)

    # Reading. Each answer is a snapshot that may be walked through without the lock.

    @property
    def workspaces(self) -> dict[str, Workspace]:
        """Workspaces by id."""
        with self.lock:
            return dict(self.world.workspaces)

    @property
    def users(self) -> dict[str, User]:
        """People and bots by id."""
        with self.lock:
            return dict(self.world.users)

    @property
    def channels(self) -> dict[str, Channel]:
        """Channels and direct messages by id."""
        with self.lock:
            return dict(self.world.channels)

    @property
    def views(self) -> dict[str, View]:
        """Open modals by id."""
        with self.lock:
            return dict(self.world.views)

    @property
    def installations(self) -> dict[InstallKey, Installation]:
        """Where the app is installed."""
        with self.lock:
            return dict(self.tokens.installations)

    def messages(self, channel_id: str) -> list[Message]:
        """What everyone in a channel sees, oldest first, thread replies included."""
        with self.lock:
            return visible_messages(self, channel_id)

    def ephemerals(self, user_id: str, channel_id: str | None = None) -> list[Message]:
        """What only this person sees, oldest first, in one channel or all."""
        with self.lock:
            return [
                one
                for one in self.world.ephemerals
                if one.ephemeral_to == user_id
                and not one.deleted
                and channel_id in (None, one.channel_id)
            ]

    def home_view(self, team_id: str, user_id: str) -> View | None:
        """The App Home tab the app published for a person, if it did."""
        with self.lock:
            return self.world.homes.get((team_id, user_id))

    def open_modal(self, user_id: str) -> View | None:
        """The modal on top of a person's stack, if one is open."""
        with self.lock:
            stack = self.world.modals.get(user_id)
            return self.world.views[stack[-1]] if stack else None

    def conversations_for(self, team_id: str, user_id: str) -> list[Channel]:
        """The conversations a person's client lists: theirs, and the public ones."""
        with self.lock:
            guest = self.get_user(user_id).is_restricted
            return [
                channel
                for channel in self.world.channels_of(team_id)
                if user_id in channel.members
                or not (channel.is_private or channel.is_im or channel.is_archived or guest)
            ]

    def app_dm(self, team_id: str, user_id: str) -> Channel:
        """The direct message between a person and the app, opened when needed.

        Raises SandboxError when the app has no bot in that workspace.
        """
        with self.edit():
            installation = self.installation_for(team_id)
            if installation is None or installation.bot_user_id is None:
                raise SandboxError(f"the app has no bot in {team_id}")
            return self.direct_message(team_id, installation.bot_user_id, user_id)

    def is_installed(self, team_id: str) -> bool:
        """Whether the app's bot is in a workspace."""
        with self.lock:
            installation = self.installation_for(team_id)
            return installation is not None and installation.bot_user_id is not None

    @property
    def calls(self) -> list[ApiCall]:
        """The Web API calls made, oldest first (the last few thousand)."""
        return self.call_log.all()

    def calls_to(self, method: str) -> list[ApiCall]:
        """The calls of one method, oldest first."""
        return [call for call in self.call_log.all() if call.method == method]

    @property
    def deliveries(self) -> list[Delivery]:
        """What was sent to the app, oldest first (the last few hundred)."""
        return self.events.log()

    # What a person does.

    def post_as(
        self, user_id: str, channel_id: str, text: str, *, thread_ts: str | None = None
    ) -> Message:
        """Say something in a channel. Raises SandboxError where that person cannot."""
        return people.post_as(self, user_id, channel_id, text, thread_ts)

    def compose_as(self, user_id: str, team_id: str, text: str) -> str | None:
        """Write something and do not post it; the ``unfurl_id`` of the app's links in it."""
        return links.compose(self, user_id, team_id, text)

    def join_as(self, user_id: str, channel_id: str) -> None:
        """Join a public channel."""
        people.join_as(self, user_id, channel_id)

    def invite_bot(self, user_id: str, channel_id: str) -> None:
        """Bring the app's bot into a channel that ``user_id`` is in."""
        with self.edit():
            channel = self.get_channel(channel_id)
            installation = self.installation_for(channel.team_id)
            if installation is None or installation.bot_user_id is None:
                raise SandboxError("the app has no bot in that workspace")
            if user_id not in channel.members:
                raise SandboxError("only members may invite")
            people.add_member(self, channel, installation.bot_user_id, user_id)

    def share_channel(self, channel_id: str, user_id: str) -> None:
        """Share a channel with somebody of another organisation (Slack Connect)."""
        with self.edit():
            channel, user = self.get_channel(channel_id), self.get_user(user_id)
            if user.team_id not in (channel.team_id, *channel.connected_team_ids):
                channel.connected_team_ids.append(user.team_id)
            people.add_member(self, channel, user_id)

    def send_command(
        self, user_id: str, channel_id: str, command: str, text: str = ""
    ) -> CommandResult:
        """Type a slash command, and wait for the app as Slack does: three seconds.

        An answer in time appears as a message (for this person alone, or ``in_channel``).
        Anything else appears as Slack's own word to the person, and as ``result.error``.
        """
        return people.send_command(self, user_id, channel_id, command, text)

    def click(
        self,
        user_id: str,
        source: Message | View,
        action_id: str,
        value: str | None = None,
        *,
        block_id: str | None = None,
        confirmed: bool = False,
        state: State | None = None,
    ) -> InteractionResult:
        """Press a button. ``value`` tells apart buttons with one action id.

        Raises ConfirmationNeededError when the button asks first; click again with
        ``confirmed`` once the person said yes. ``state`` is what stands in the other inputs.
        """
        return interactions.act(
            self,
            user_id,
            source,
            action_id,
            value,
            block_id=block_id,
            confirmed=confirmed,
            state=state,
        )

    def use_shortcut(self, user_id: str, message: Message, callback_id: str) -> InteractionResult:
        """Choose one of the app's shortcuts in the menu of a message."""
        return interactions.use_shortcut(self, user_id, message, callback_id)

    def run_step(self, team_id: str, callback_id: str, inputs: Mapping[str, Any]) -> StepRun:
        """Let a workflow come to a step of the app's; what becomes of it is in ``state``."""
        return workflows.run_step(self, team_id, callback_id, inputs)

    def select_option(
        self,
        user_id: str,
        source: Message | View,
        action_id: str,
        value: str | Sequence[str],
        *,
        block_id: str | None = None,
        confirmed: bool = False,
        state: State | None = None,
    ) -> InteractionResult:
        """Choose from a menu, an overflow, check boxes, a date picker …

        ``value`` is an option's value, an id, a date or a time; a list where several may be
        chosen. Raises as :meth:`click`.
        """
        return interactions.act(
            self,
            user_id,
            source,
            action_id,
            value,
            block_id=block_id,
            confirmed=confirmed,
            state=state,
        )

    def submit_view(self, user_id: str, view_id: str, values: State) -> InteractionResult:
        """Submit a modal with ``values`` (block id, action id, plain value), then do what the
        app's ``response_action`` says. Errors it shows are in ``result.errors`` and on the view.
        """
        return interactions.submit_view(self, user_id, view_id, values)

    def close_view(self, user_id: str, view_id: str, *, clear: bool = False) -> InteractionResult:
        """Close a modal (``clear``: the whole stack); the app hears of it if it asked to."""
        return interactions.close_view(self, user_id, view_id, clear=clear)

    def open_home(self, user_id: str, team_id: str, tab: str = "home") -> None:
        """Look at the app's Home or Messages tab (``app_home_opened``)."""
        channel = self.app_dm(team_id, user_id)
        event: JsonDict = {
            "type": "app_home_opened",
            "user": user_id,
            "channel": channel.id,
            "tab": tab,
        }
        view = self.home_view(team_id, user_id)
        if tab == "home" and view is not None:
            event["view"] = view.as_slack()
        self.publish(team_id, event)

    def authorize(
        self,
        user_id: str,
        authorize_url: str,
        *,
        team_id: str | None = None,
        whole_organisation: bool = False,
    ) -> str:
        """Press Allow on an authorize page; the callback address with ``code`` and ``state``.

        The workspace is ``team_id``, the page's own ``team``, or the person's. Raises
        AuthorizeError where Slack would show an error page.
        """
        request = oauth.request_from_url(self.config, authorize_url)
        user = oauth.user_of(self, user_id)
        if whole_organisation:
            key = InstallKey(user.enterprise_id, None)
        else:
            key = self.key_for(team_id or request.team or user.team_id)
        return oauth.allow(self, request, key, user_id)

    def cancel(self, authorize_url: str) -> str:
        """Press Cancel on an authorize page; the callback address with ``error``."""
        return oauth.cancel(oauth.request_from_url(self.config, authorize_url))

    def issue_code(self, user_id: str, team_id: str | None = None) -> str:
        """Install from Slack's directory: the callback address with a code and an empty state."""
        user = oauth.user_of(self, user_id)
        if team_id is not None and not user.is_in(team_id):
            raise AuthorizeError("invalid_team", "That person is not in that workspace")
        return oauth.direct_install(self, user_id, team_id or user.team_id)

    # What happens at Slack.

    def send_event(self, team_id: str, event: Mapping[str, Any]) -> Delivery:
        """Send the app any event, subscribed or not, and try it once before returning.

        Failed attempts are repeated by the clock: see :meth:`deliver_due`.
        """
        delivery = self.queue_event(team_id, dict(event), self.installation_for(team_id))
        self.events.deliver_one(delivery)
        return delivery

    def deliver_due(self) -> None:
        """Send every event and retry that is due now, and wait for the answers."""
        self.events.deliver_due()

    def update_user(self, user_id: str, **profile: Any) -> User:
        """Change what is known of a person (``user_change``); names as in :class:`User`."""
        return changes.update_user(self, user_id, **profile)

    def rename_team(self, team_id: str, name: str) -> Workspace:
        """Give a workspace another name (``team_rename``)."""
        return changes.rename_team(self, team_id, name)

    def change_domain(self, team_id: str, domain: str) -> Workspace:
        """Give a workspace another address (``team_domain_change``)."""
        return changes.change_domain(self, team_id, domain)

    def change_team_access(self, team_id: str, *, is_granted: bool) -> None:
        """Open a workspace to an organization's installation, or close it."""
        changes.change_team_access(self, team_id, is_granted=is_granted)

    def add_channel(
        self, team_id: str, name: str, *, members: Iterable[str] = (), is_private: bool = False
    ) -> Channel:
        """Make a channel (``channel_created`` where it is public)."""
        return changes.add_channel(self, team_id, name, members=members, is_private=is_private)

    def add_channels(self, team_id: str, number: int, stem: str = "channel") -> list[Channel]:
        """Make many public channels, ``stem-1`` and so on, to page through."""
        return [
            changes.add_channel(self, team_id, f"{stem}-{place}") for place in range(1, number + 1)
        ]

    def rename_channel(self, channel_id: str, name: str) -> Channel:
        """Give a channel another name (``channel_rename``)."""
        return changes.rename_channel(self, channel_id, name)

    def archive_channel(self, channel_id: str) -> Channel:
        """Archive a channel (``channel_archive``)."""
        return changes.archive_channel(self, channel_id)

    def unarchive_channel(self, channel_id: str) -> Channel:
        """Bring a channel back (``channel_unarchive``)."""
        return changes.unarchive_channel(self, channel_id)

    def delete_channel(self, channel_id: str) -> None:
        """Delete a channel (``channel_deleted``)."""
        changes.delete_channel(self, channel_id)

    def change_channel_id(self, channel_id: str) -> Channel:
        """Give a channel another id (``channel_id_changed``)."""
        return changes.change_channel_id(self, channel_id)

    def remove_bot(self, channel_id: str) -> None:
        """Take the bot out of a channel (``channel_left``)."""
        changes.remove_bot(self, channel_id)

    def revoke_tokens(self, team_id: str, *, users: Iterable[str] = (), bot: bool = False) -> None:
        """Revoke the tokens of people, or the bot's (``tokens_revoked``)."""
        changes.revoke_tokens(self, team_id, users=users, bot=bot)

    def uninstall(self, team_id: str, *, uninstalled_first: bool = True) -> None:
        """Remove the app (``app_uninstalled`` and ``tokens_revoked``, in either order)."""
        changes.uninstall(self, team_id, uninstalled_first=uninstalled_first)
