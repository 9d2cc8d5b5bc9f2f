"""The sandbox's public interface: its state, the actions of people, and changes at Slack."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from slack_sandbox import changes, installs, interactions, links, oauth, people, workflows
from slack_sandbox.calls import ApiCall
from slack_sandbox.core import Core, StepRun
from slack_sandbox.deliveries import Delivery
from slack_sandbox.errors import AuthorizeError, SandboxError
from slack_sandbox.interactions import InteractionResult, State
from slack_sandbox.messages import visible_messages
from slack_sandbox.people import CommandResult
from slack_sandbox.tokens import Installation, InstallKey
from slack_sandbox.world import Channel, JsonDict, Message, SlackFile, User, View, Workspace


class Sandbox(Core):
    """All state behind one lock; :class:`~slack_sandbox.server.SandboxServer` serves it.

    Main attributes: ``config`` (the app), ``base_url`` (address of the sandbox), ``faults``
    (:class:`~slack_sandbox.faults.FaultBoard`), ``limits``
    (:class:`~slack_sandbox.limits.RateLimits`), ``clock``.

    Changes queue their events. A running server sends them in the background; :meth:`deliver_due`
    sends them now and waits.
    """

    def set_app_url(self, app_url: str) -> None:
        """Set the app's address, when it becomes known only after the start."""
        with self.edit():
            self.config = self.config.at(app_url)

    # State. Each result is a snapshot that can be iterated without the lock.

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
    def files(self) -> dict[str, SlackFile]:
        """Files by id."""
        with self.lock:
            return dict(self.world.files)

    @property
    def installations(self) -> dict[InstallKey, Installation]:
        """Installations of the app by workspace or organization."""
        with self.lock:
            return dict(self.tokens.installations)

    def messages(self, channel_id: str) -> list[Message]:
        """The messages everyone in a channel sees, oldest first, including thread replies."""
        with self.lock:
            return visible_messages(self, channel_id)

    def ephemerals(self, user_id: str, channel_id: str | None = None) -> list[Message]:
        """The messages only this person sees, oldest first, in one channel or all."""
        with self.lock:
            return [
                message
                for message in self.world.ephemerals
                if message.ephemeral_to == user_id
                and not message.deleted
                and channel_id in (None, message.channel_id)
            ]

    def home_view(self, team_id: str, user_id: str) -> View | None:
        """The App Home tab the app published for a person, or None."""
        with self.lock:
            return self.world.homes.get((team_id, user_id))

    def open_modal(self, user_id: str) -> View | None:
        """The modal on top of a person's stack, or None."""
        with self.lock:
            stack = self.world.modals.get(user_id)
            return self.world.views[stack[-1]] if stack else None

    def conversations_for(self, team_id: str, user_id: str) -> list[Channel]:
        """The conversations a person's client lists: their own, and the public channels."""
        with self.lock:
            guest = self.get_user(user_id).is_restricted
            return [
                channel
                for channel in self.world.channels_of(team_id)
                if user_id in channel.members
                or not (channel.is_private or channel.is_im or channel.is_archived or guest)
            ]

    def app_dm(self, team_id: str, user_id: str) -> Channel:
        """The direct message between a person and the app; opened if necessary.

        Raises SandboxError if the app has no bot in that workspace.
        """
        with self.edit():
            installation = self.installation_for(team_id)
            if installation is None or installation.bot_user_id is None:
                raise SandboxError(f"the app has no bot in {team_id}")
            return self.direct_message(team_id, installation.bot_user_id, user_id)

    def is_installed(self, team_id: str) -> bool:
        """Whether the app has a bot in a workspace."""
        with self.lock:
            installation = self.installation_for(team_id)
            return installation is not None and installation.bot_user_id is not None

    @property
    def calls(self) -> list[ApiCall]:
        """The latest Web API calls, oldest first."""
        return self.call_log.all()

    def calls_to(self, method: str) -> list[ApiCall]:
        """The calls of one method, oldest first."""
        return [call for call in self.call_log.all() if call.method == method]

    @property
    def deliveries(self) -> list[Delivery]:
        """The latest requests sent to the app, oldest first."""
        return self.events.log()

    # Actions of a person.

    def post_as(
        self, user_id: str, channel_id: str, text: str, *, thread_ts: str | None = None
    ) -> Message:
        """Post a message as a person. Raises SandboxError if that person cannot."""
        return people.post_as(self, user_id, channel_id, text, thread_ts)

    def compose_as(self, user_id: str, team_id: str, text: str) -> str | None:
        """Type a message without posting it. Returns the ``unfurl_id`` of the app's links in it."""
        return links.compose(self, user_id, team_id, text)

    def join_as(self, user_id: str, channel_id: str) -> None:
        """Join a public channel."""
        people.join_as(self, user_id, channel_id)

    def invite_bot(self, user_id: str, channel_id: str) -> None:
        """Add the app's bot to a channel that ``user_id`` is in."""
        with self.edit():
            channel = self.get_channel(channel_id)
            installation = self.installation_for(channel.team_id)
            if installation is None or installation.bot_user_id is None:
                raise SandboxError("the app has no bot in that workspace")
            if user_id not in channel.members:
                raise SandboxError("only members can invite the app")
            people.add_member(self, channel, installation.bot_user_id, user_id)

    def share_channel(self, channel_id: str, user_id: str) -> None:
        """Share a channel with a person of another organization (Slack Connect)."""
        with self.edit():
            channel, user = self.get_channel(channel_id), self.get_user(user_id)
            if user.team_id not in (channel.team_id, *channel.connected_team_ids):
                channel.connected_team_ids.append(user.team_id)
            people.add_member(self, channel, user_id)

    def share_within_organization(self, channel_id: str, team_id: str) -> None:
        """Share a channel with another workspace of its organization."""
        with self.edit():
            channel = self.get_channel(channel_id)
            home = self.world.enterprise_of(channel.team_id)
            if home is None or self.world.enterprise_of(team_id) is not home:
                raise SandboxError("only workspaces of one organization can share a channel so")
            if team_id not in channel.home_team_ids:
                channel.org_team_ids.append(team_id)

    def send_command(
        self, user_id: str, channel_id: str, command: str, text: str = ""
    ) -> CommandResult:
        """Send a slash command and wait up to three seconds, as Slack does.

        A response in time appears as a message (only for this person, or ``in_channel``). Any other
        outcome appears as Slack's error message to the person, and as ``result.error``.
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
        """Click a button. ``value`` distinguishes buttons that share an action id.

        Raises ConfirmationNeededError if the button has a confirm dialog and ``confirmed`` is
        false. ``state`` holds the values of the other inputs.
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
        """Choose a message shortcut of the app."""
        return interactions.use_shortcut(self, user_id, message, callback_id)

    def run_step(self, team_id: str, callback_id: str, inputs: Mapping[str, Any]) -> StepRun:
        """Run a workflow step of the app; ``state`` of the result is its progress."""
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
        """Choose from a menu, an overflow, checkboxes, a date picker …

        ``value`` is an option's value, an id, a date or a time; a list for elements with several
        selections. Raises as :meth:`click`.
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
        """Submit a modal and apply the app's ``response_action``.

        ``values`` are plain values by block id and action id. Errors are in ``result.errors`` and
        on the view.
        """
        return interactions.submit_view(self, user_id, view_id, values)

    def close_view(self, user_id: str, view_id: str, *, clear: bool = False) -> InteractionResult:
        """Close a modal (``clear``: the whole stack) and send ``view_closed`` if requested."""
        return interactions.close_view(self, user_id, view_id, clear=clear)

    def open_home(self, user_id: str, team_id: str, tab: str = "home") -> None:
        """Open the app's Home or Messages tab (``app_home_opened``)."""
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
        whole_organization: bool = False,
        optional: Collection[str] = (),
    ) -> str:
        """Click Allow on an authorize page. Returns the callback URL with ``code`` and ``state``.

        The workspace is ``team_id``, the page's own ``team``, or the person's. Of the manifest's
        optional scopes only those in ``optional`` are granted. Raises AuthorizeError where Slack
        shows an error page.
        """
        request = oauth.request_from_url(self.config, authorize_url)
        user = oauth.find_user(self, user_id)
        if whole_organization:
            key = InstallKey(user.enterprise_id, None)
        else:
            key = self.key_for(team_id or request.team or user.team_id)
        return oauth.allow(self, request, key, user_id, optional)

    def install(self, user_id: str, team_id: str | None = None) -> JsonDict:
        """Install the app with the scopes of its manifest, without the app's OAuth pages.

        Returns the response of ``oauth.v2.access``. Raises AuthorizeError if that person may not
        install the app there.
        """
        user = oauth.find_user(self, user_id)
        with self.edit():
            code = oauth.manifest_code(self, user_id, team_id or user.team_id)
            code.used = True
            return installs.install(self, code)

    def cancel(self, authorize_url: str) -> str:
        """Click Cancel on an authorize page. Returns the callback URL with ``error``."""
        return oauth.cancel(oauth.request_from_url(self.config, authorize_url))

    def issue_code(self, user_id: str, team_id: str | None = None) -> str:
        """Install from Slack's directory. Returns the callback URL with a code and no state."""
        user = oauth.find_user(self, user_id)
        if team_id is not None and not user.is_in(team_id):
            raise AuthorizeError("invalid_team", "That person is not in that workspace")
        return oauth.direct_install(self, user_id, team_id or user.team_id)

    # Changes at Slack.

    def send_event(self, team_id: str, event: Mapping[str, Any]) -> Delivery:
        """Send any event to the app, subscribed or not, and wait for the first attempt.

        The clock decides when failed attempts are repeated: see :meth:`deliver_due`.
        """
        delivery = self.queue_event(team_id, dict(event), self.installation_for(team_id))
        self.events.deliver_one(delivery)
        return delivery

    def deliver_due(self) -> None:
        """Send every event and retry that is due now, and wait for the answers."""
        self.events.deliver_due()

    def update_user(self, user_id: str, **profile: Any) -> User:
        """Change a person's fields (``user_change``); names as in :class:`User`."""
        return changes.update_user(self, user_id, **profile)

    def rename_team(self, team_id: str, name: str) -> Workspace:
        """Rename a workspace (``team_rename``)."""
        return changes.rename_team(self, team_id, name)

    def change_domain(self, team_id: str, domain: str) -> Workspace:
        """Change a workspace's domain (``team_domain_change``)."""
        return changes.change_domain(self, team_id, domain)

    def change_team_access(self, team_id: str, *, is_granted: bool) -> None:
        """Grant or revoke an organization installation's access to a workspace."""
        changes.change_team_access(self, team_id, is_granted=is_granted)

    def add_channel(
        self, team_id: str, name: str, *, members: Iterable[str] = (), is_private: bool = False
    ) -> Channel:
        """Create a channel (``channel_created`` if it is public)."""
        return changes.add_channel(self, team_id, name, members=members, is_private=is_private)

    def add_channels(self, team_id: str, number: int, stem: str = "channel") -> list[Channel]:
        """Create many public channels, ``stem-1`` and so on, for tests of pagination."""
        return [
            changes.add_channel(self, team_id, f"{stem}-{target}")
            for target in range(1, number + 1)
        ]

    def rename_channel(self, channel_id: str, name: str) -> Channel:
        """Rename a channel (``channel_rename``)."""
        return changes.rename_channel(self, channel_id, name)

    def archive_channel(self, channel_id: str) -> Channel:
        """Archive a channel (``channel_archive``)."""
        return changes.archive_channel(self, channel_id)

    def unarchive_channel(self, channel_id: str) -> Channel:
        """Unarchive a channel (``channel_unarchive``)."""
        return changes.unarchive_channel(self, channel_id)

    def delete_channel(self, channel_id: str) -> None:
        """Delete a channel (``channel_deleted``)."""
        changes.delete_channel(self, channel_id)

    def change_channel_id(self, channel_id: str) -> Channel:
        """Change a channel's id (``channel_id_changed``)."""
        return changes.change_channel_id(self, channel_id)

    def remove_bot(self, channel_id: str) -> None:
        """Remove the bot from a channel (``channel_left``)."""
        changes.remove_bot(self, channel_id)

    def revoke_tokens(self, team_id: str, *, users: Iterable[str] = (), bot: bool = False) -> None:
        """Revoke people's tokens, or the bot's (``tokens_revoked``)."""
        changes.revoke_tokens(self, team_id, users=users, bot=bot)

    def uninstall(self, team_id: str, *, uninstalled_first: bool = True) -> None:
        """Uninstall the app (``app_uninstalled`` and ``tokens_revoked``, in either order)."""
        changes.uninstall(self, team_id, uninstalled_first=uninstalled_first)
