"""The message sender: posts and updates messages in Slack, and finds earlier ones."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
)
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from bolt_app.access.authorization import Authorization
from bolt_app.blockkit.signed_values import ValueSigner
from bolt_app.clock import Clock, utc_now
from bolt_app.db import DATABASE_UNAVAILABLE
from bolt_app.delays import Delays
from bolt_app.logs import describe_error
from bolt_app.notifications.content.fallbacks import CONTENT_CODES, renderings
from bolt_app.notifications.content.files import FILES, with_file_links
from bolt_app.notifications.content.message import is_markdown, mention
from bolt_app.notifications.content.modes import DeliveryMode, OnUnknown
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.delivery.attempts import Attempt
from bolt_app.notifications.delivery.errors import UploadsBusyError
from bolt_app.notifications.delivery.file_links import FileLinks
from bolt_app.notifications.delivery.outcomes import (
    MESSAGE_GONE,
    Outcome,
    classify_error,
    dead_installation,
    internal_error,
    not_made,
    recipient_denied,
    sent,
)
from bolt_app.notifications.delivery.retry_schedule import backoff
from bolt_app.notifications.incidents.blocks import incident_blocks
from bolt_app.notifications.incidents.resolved_content import content_in_state
from bolt_app.notifications.queue.moved_channels import NOT_FOUND
from bolt_app.slack_api import AMBIGUOUS_CODES, NotSentError, SlackCallError
from bolt_app.slack_ids import NOBODY, is_conversation, is_person
from bolt_app.slack_threads import SlackThreads
from bolt_app.sliding_limit import SlidingLimit
from bolt_app.workspaces.channels import Channels
from bolt_app.workspaces.client import BotWorkspace, NotInstalledError, WorkspaceClient
from bolt_app.workspaces.lookup_budgets import (
    CONVERSATIONS_JOIN,
    LookupBudgets,
    LookupLimitError,
    LookupShare,
)
from bolt_app.workspaces.organization_channels import OrganizationChannels
from bolt_app.workspaces.users import LOOKUP, UNKNOWN, FoundPeople, Users

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

EVENT_TYPE = "bellhop_delivery"
# Tolerated difference between Slack's clock and ours.
CLOCK_MARGIN = timedelta(minutes=1)
HISTORY_PAGE = 200
# How often messages to a channel or person wait, up to a minute each, for lookups of people that
# they mention: others wait behind them.
MENTION_WAITS, MENTION_WAITS_WINDOW = 2, timedelta(minutes=10)
# The note on a message that was sent without a mention, because Bellhop's limit was reached.
MENTION_SKIPPED = "mention_skipped"
# Rendering takes about a millisecond at most for so many bytes; larger contents are rendered in a
# thread. So is all Markdown, which takes up to 4 ms a KiB.
LARGE_CONTENT = 2 * 1024
POST, UPDATE = "chat.postMessage", "chat.update"
# Attempts with the best rendering. After further errors of Slack's servers, which the content may
# cause, each has a simpler one: after two minutes, four, nine.
FULL_ATTEMPTS = 6
THREAD_GONE = "thread_not_found"
CUSTOMIZE = "chat:write.customize"
CUSTOM_LOOKS = ("username", "icon_emoji", "icon_url")
# Arguments of chat.postMessage that chat.update does not accept.
ONLY_WHEN_POSTING = ("unfurl_links", "unfurl_media", "mrkdwn", *CUSTOM_LOOKS)
# Errors after which the earlier message is left as it is, and a new one is posted
# (https://docs.slack.dev/reference/methods/chat.update).
CANNOT_BE_CHANGED = frozenset(
    {
        MESSAGE_GONE,
        "cant_update_message",
        "edit_window_closed",
        "msg_too_long",
        "block_mismatch",
    }
)

# The method of each change without content, and Slack's code if it was made before.
_ACTIONS: Mapping[DeliveryMode | None, tuple[str, str]] = {
    DeliveryMode.DELETE: ("chat.delete", MESSAGE_GONE),
    DeliveryMode.REACT: ("reactions.add", "already_reacted"),
}

# The last check before a request: raises NotSentError if the workspace may have another owner.
Check = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class _Prepared:
    """The best rendering of a message, simpler ones, and whether someone is not mentioned in it."""

    message: dict[str, Any] = field(repr=False)
    others: Iterator[dict[str, Any]] = field(repr=False)
    has_skipped: bool = False


class MessageSender:
    """Executes attempts as the workspace's bot, in coroutines on the HTTP loop."""

    def __init__(
        self,
        client: WorkspaceClient,
        channels: Channels,
        organization_channels: OrganizationChannels,
        users: Users,
        access: Authorization,
        signer: ValueSigner,
        delays: Delays,
        budgets: LookupBudgets,
        threads: SlackThreads,
        file_links: FileLinks,
        follow_move: Callable[[str, str], bool],
        senders_of: Callable[[int], Collection[str]],
        *,
        clock: Clock = utc_now,
    ) -> None:
        """Create the sender.

        Args:
            threads: run lookups.
            file_links: uploads the files of messages, or links to their pages.
            follow_move: takes workspace and channel id, moves the rows of a channel whose id has
                changed, and returns whether it has.
            senders_of: takes the id of a lane and returns the senders of its pending deliveries.
        """
        self._mention_waits = SlidingLimit(MENTION_WAITS, MENTION_WAITS_WINDOW, clock=clock)
        self._delays = delays
        self._budgets = budgets
        self._threads = threads
        self._file_links = file_links
        self._follow_move = follow_move
        self._senders_of = senders_of
        self._access = access
        self._client = client
        self._channels = channels
        self._organization_channels = organization_channels
        self._users = users
        self._signer = signer
        # Consecutive ones, by delivery.
        self._internal_errors: Counter[int] = Counter()

    async def send(self, attempt: Attempt, check: Check) -> Outcome:
        """Post the message, or update the earlier one.

        Args:
            check: awaited right before each request that changes something.

        Returns: the outcome; never raises.
        """
        if attempt.is_refresh and attempt.update_ts is None:
            # The message was never posted, so there is nothing to refresh.
            return Outcome(DeliveryState.CANCELLED, requested=False)
        if attempt.change is not None and attempt.update_ts is None:
            return _cannot_change(attempt, MESSAGE_GONE)
        # A message that is shown again is not refused: a name that was erased has to leave it. The
        # same applies to a message that is to be deleted.
        is_exempt = attempt.is_refresh or attempt.change in _ACTIONS
        try:
            workspace = await self._client.find_workspace_soon(attempt.team_id)
            if not is_exempt:
                await self._require_address(workspace, attempt)
        except Exception as error:
            outcome = self._not_prepared(error, attempt)
            # An earlier attempt may have reached someone.
            return outcome if attempt.is_repeat else _for_recipient(outcome, attempt, NOBODY)
        outcome = await self._send_if_allowed(workspace, attempt, check, is_exempt=is_exempt)
        return outcome if is_exempt else _for_recipient(outcome, attempt, attempt.address)

    async def _send_if_allowed(
        self, workspace: BotWorkspace, attempt: Attempt, check: Check, *, is_exempt: bool
    ) -> Outcome:
        try:
            if not is_exempt and not await self._is_allowed(workspace, attempt):
                return recipient_denied(by_subscription=attempt.by_subscription)
            attempt = await self._with_file_links(workspace, attempt, check)
            prepared = await self._prepare(workspace, attempt)
        except Exception as error:
            return self._not_prepared(error, attempt)
        try:
            outcome = await self._send(workspace, attempt, prepared, check)
            self._internal_errors.pop(attempt.delivery_id, None)
            if prepared.has_skipped and outcome.state == DeliveryState.SENT:
                return replace(outcome, error=MENTION_SKIPPED)
            return outcome
        except NotSentError:
            logger.info("a message was not sent: the workspace may have another owner")
            return not_made(is_repeat=attempt.is_repeat)
        except (NotInstalledError, SlackCallError) as error:
            return await self._unless_moved(attempt, self._failed(error, attempt))
        except Exception:
            logger.exception("an attempt failed")
            return self._after_internal_error(attempt, may_have_posted=True)

    async def look(self, attempt: Attempt, check: Check) -> Outcome | None:
        """Find out whether an attempt in doubt was posted.

        Returns: the outcome if it is known, or SENDING if a later look is needed; None if the
            message does not exist and must be posted.
        """
        if attempt.change in _ACTIONS:
            # A repetition changes nothing.
            return _unknown() if attempt.has_expired else None
        try:
            workspace = await self._client.find_workspace_soon(attempt.team_id)
            found = [message async for message in self._find(workspace, attempt, check)]
        except NotSentError:
            return Outcome(DeliveryState.SENDING, requested=False)
        except NotInstalledError as error:
            return self._failed(error, attempt)
        except SlackCallError as error:
            if error.is_dead_token or not error.is_permanent:
                return self._failed(error, attempt)
            logger.warning("cannot find out whether it was posted", extra={"error": error.code})
            # Updating a message twice does no harm.
            is_held = attempt.on_unknown == OnUnknown.HOLD and attempt.update_ts is None
            return _unknown(error.code) if is_held or attempt.has_expired else None
        except Exception:
            logger.exception("a look failed")
            return self._after_internal_error(attempt, may_have_posted=True)
        return _sent(attempt, *found[0]) if found else None

    async def look_again(
        self, attempt: Attempt, ts: str | None, check: Check, *, is_deleted: bool
    ) -> tuple[Outcome | None, str | None]:
        """Find the messages of an ended delivery, and delete all but one.

        Args:
            ts: of the known message; others are deleted, unless people have replied to them, or
                have deleted the known one.
            is_deleted: whether the sender deletes the message, and with it all others.

        Returns: the outcome of the first message found, if `ts` is None and it stays; and Slack's
            code, if it refused to delete one.

        Raises:
            NotInstalledError, SlackCallError: a call failed.
            NotSentError: the workspace may have another owner by now.
        """
        workspace = await self._client.find_workspace_soon(attempt.team_id)
        found = [message async for message in self._find(workspace, attempt, check, ts)]
        known, refused = None, None
        if ts is None and found and not is_deleted:
            known = _sent(attempt, *found[0])
            ts = known.ts
        is_one_left = is_deleted or any(str(message["ts"]) == ts for _, message in found)
        for channel_id, message in found if is_one_left else ():
            if str(message["ts"]) != ts and not message.get("reply_count"):
                refused = await self._delete(workspace, channel_id, message, check) or refused
        return known, refused

    async def _delete(
        self, workspace: BotWorkspace, channel_id: str, message: Mapping[str, Any], check: Check
    ) -> str | None:
        """Delete a message; return Slack's code if it refuses."""
        try:
            await self._client.call_as_bot(
                workspace, "chat.delete", before_request=check, channel=channel_id, ts=message["ts"]
            )
        except SlackCallError as error:
            if not error.is_permanent or error.is_dead_token:
                raise
            return None if error.code == MESSAGE_GONE else error.code
        return None

    async def mark_at(self, team_id: str, channel_id: str, ts: str) -> str | None:
        """Return the mark of the message with a ts, or None if it has none or is gone.

        Raises:
            NotInstalledError, SlackCallError: the call failed.
        """
        workspace = await self._client.find_workspace_soon(team_id)
        # A reply is found only by its own ts, which `conversations.replies` accepts.
        answer = await self._client.call_as_bot(
            workspace,
            "conversations.replies",
            channel=channel_id,
            ts=ts,
            latest=ts,
            oldest=ts,
            inclusive=True,
            include_all_metadata=True,
            limit=1,
        )
        found = [message for message in answer["messages"] if message.get("ts") == ts]
        return _mark(found[0]) if found else None

    def _not_prepared(self, error: Exception, attempt: Attempt) -> Outcome:
        """Return the outcome of an attempt that ended before its message was sent."""
        if isinstance(error, NotSentError):
            logger.info("a file was not uploaded: the workspace may have another owner")
            return not_made(is_repeat=attempt.is_repeat)
        if isinstance(error, UploadsBusyError):
            return not_made(is_repeat=attempt.is_repeat, wait=error.wait)
        if isinstance(error, NotInstalledError | SlackCallError):
            return self._failed(error, attempt)
        if isinstance(error, DATABASE_UNAVAILABLE):
            logger.warning("the database is not answering", extra={"error": describe_error(error)})
            return not_made(is_repeat=attempt.is_repeat)
        logger.error("a message cannot be rendered", exc_info=error)
        return self._after_internal_error(attempt, may_have_posted=attempt.is_repeat)

    def _after_internal_error(self, attempt: Attempt, *, may_have_posted: bool) -> Outcome:
        self._internal_errors[attempt.delivery_id] += 1
        errors = self._internal_errors[attempt.delivery_id]
        outcome = internal_error(errors, self._delays, may_have_posted=may_have_posted)
        if outcome.is_final:
            del self._internal_errors[attempt.delivery_id]
        return outcome

    async def _unless_moved(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """Return the outcome; if the channel's id has changed, the delivery waits again."""
        if outcome.error != NOT_FOUND or not outcome.is_final:
            return outcome
        try:
            has_moved = await asyncio.to_thread(
                self._follow_move, attempt.team_id, attempt.channel_id
            )
        except Exception:
            logger.exception("the new id of a channel cannot be looked up")
            return self._after_internal_error(attempt, may_have_posted=attempt.is_repeat)
        if not has_moved:
            return outcome
        state = DeliveryState.SENDING if attempt.is_repeat else DeliveryState.WAITING
        wait = backoff(attempt.number, self._delays)
        return Outcome(state, NOT_FOUND, wait=wait, requested=False)

    def _failed(self, error: NotInstalledError | SlackCallError, attempt: Attempt) -> Outcome:
        if isinstance(error, NotInstalledError):
            return dead_installation("not_installed", self._delays, is_repeat=attempt.is_repeat)
        return classify_error(error, attempt.number, self._delays, is_repeat=attempt.is_repeat)

    async def _require_address(self, workspace: BotWorkspace, attempt: Attempt) -> None:
        """Require that the e-mail address of an attempt is that of the person in its lane.

        It may have become someone else's since the lane was found.

        Raises:
            NotInstalledError, SlackCallError: it is not, or the call failed.
        """
        if attempt.target.startswith("@") and _is_for_person(attempt):
            email, find = attempt.target.removeprefix("@"), self._users.find
            found = await self._look_up(attempt, lambda share: find(workspace, email, share))
            if found != attempt.address:
                raise SlackCallError(LOOKUP, UNKNOWN)

    async def _is_allowed(self, workspace: BotWorkspace, attempt: Attempt) -> bool:
        """Whether a message may be posted for those who read it there.

        Raises:
            NotInstalledError, SlackCallError: as `_may_receive` and `_require_in_workspace`.
        """
        if not _is_for_person(attempt):
            await self._require_in_workspace(workspace, attempt)
            return True
        return await self._look_up(
            attempt, lambda share: self._may_receive(workspace, attempt, share)
        )

    async def _require_in_workspace(self, workspace: BotWorkspace, attempt: Attempt) -> None:
        """Require that a channel is not one of another workspace of the organization.

        Raises:
            NotInstalledError, SlackCallError: see `OrganizationChannels.require`.
        """
        if workspace.is_enterprise_install:
            require = self._organization_channels.require
            await self._look_up(
                attempt, lambda share: require(workspace, attempt.channel_id, share)
            )

    async def _look_up(self, attempt: Attempt, ask: Callable[[LookupShare], _Result]) -> _Result:
        """Return the result of a lookup, made in a thread like `_ask`."""
        return await self._threads.run(attempt.team_id, self._ask, attempt, ask)

    def _ask(self, attempt: Attempt, ask: Callable[[LookupShare], _Result]) -> _Result:
        """Return the result of a lookup, with the share of any sender that waits for it.

        Deliveries of other senders wait in the lane behind this one.

        Raises:
            LookupLimitError: all of them have used up their shares.
        """
        try:
            return ask(LookupShare.of_delivery(attempt.sender))
        except LookupLimitError:
            others = set(self._senders_of(attempt.lane_id)) - {attempt.sender}
            if not others:
                raise
            return ask(LookupShare.of_delivery(*others))

    def _may_receive(self, workspace: BotWorkspace, attempt: Attempt, share: LookupShare) -> bool:
        """Whether the person may still receive the delivery.

        Raises:
            SlackCallError: a call failed.
        """
        address = attempt.address
        if is_conversation(address):
            address = self._users.find_by_conversation(workspace, address, share)
        by_subscription = attempt.by_subscription
        return self._access.may_receive(workspace, address, share, by_subscription=by_subscription)

    async def _with_file_links(
        self, workspace: BotWorkspace, attempt: Attempt, check: Check
    ) -> Attempt:
        """Return an attempt whose content links to its files.

        Raises:
            NotInstalledError, SlackCallError, NotSentError, UploadsBusyError: see `FileLinks.find`.
        """
        if FILES not in attempt.content or attempt.change in _ACTIONS:
            return attempt
        urls = await self._file_links.find(workspace, attempt, check)
        return replace(attempt, content=with_file_links(attempt.content, urls))

    async def _prepare(self, workspace: BotWorkspace, attempt: Attempt) -> _Prepared:
        """Return the renderings of the message; an action has none."""
        if attempt.change in _ACTIONS:
            return _Prepared({}, iter(()))
        content, people = attempt.content, FoundPeople((), 0)
        if addresses := content.get("mentions"):
            people = await self._threads.run(
                attempt.team_id, self._find_mentioned, workspace, attempt, addresses
            )
        looks = [name for name in CUSTOM_LOOKS if name in content]
        if looks and await self._client.has_scope_soon(workspace, CUSTOMIZE):
            looks = []
        if is_markdown(content) or attempt.size > LARGE_CONTENT:
            return await asyncio.to_thread(self._render, attempt, people, looks)
        return self._render(attempt, people, looks)

    def _render(
        self, attempt: Attempt, people: FoundPeople, left_out: Collection[str]
    ) -> _Prepared:
        """Return the renderings, with people mentioned and without some arguments."""
        content = content_in_state(attempt.content, attempt.incident)
        content = mention(content, people.user_ids)
        marked = {
            "channel": attempt.channel_id,
            "metadata": {"event_type": EVENT_TYPE, "event_payload": {"delivery": attempt.mark}},
        }
        given = renderings(content, under=self._under(attempt))
        if attempt.last_error in AMBIGUOUS_CODES and attempt.number > FULL_ATTEMPTS:
            given = _simpler(given, attempt.number - FULL_ATTEMPTS)
        messages = (
            {**marked, **{name: value for name, value in rendering.items() if name not in left_out}}
            for rendering in given
        )
        return _Prepared(next(messages), messages, people.skipped > 0)

    def _find_mentioned(
        self, workspace: BotWorkspace, attempt: Attempt, addresses: Iterable[str]
    ) -> FoundPeople:
        """Find mentioned people; let the message wait for lookups that other senders have used up.

        Raises:
            LookupLimitError: the message waits.
            SlackCallError: a temporary failure.
        """
        share = LookupShare.of_mention(attempt.sender)
        try:
            return self._users.find_all(workspace, addresses, share, may_wait=True)
        except LookupLimitError:
            if self._mention_waits.take(str(attempt.lane_id)) == 0:
                raise
            return self._users.find_all(workspace, addresses, share, may_wait=False)

    def _under(self, attempt: Attempt) -> list[dict[str, Any]]:
        if attempt.incident is None:
            return []
        actions = attempt.content["actions"]
        blocks = incident_blocks(attempt.notification_id, actions, attempt.incident)
        return self._signer.sign_blocks(blocks, attempt.team_id, attempt.address)

    async def _send(
        self,
        workspace: BotWorkspace,
        attempt: Attempt,
        prepared: _Prepared,
        check: Check,
    ) -> Outcome:
        """Update the earlier message or post, in the first rendering that Slack accepts."""
        message, others = prepared.message, prepared.others
        if attempt.change in _ACTIONS:
            return await self._act(workspace, attempt, check)
        update_or_post = self._post if attempt.update_ts is None else self._update
        while True:
            try:
                return await update_or_post(workspace, attempt, message, check)
            except SlackCallError as error:
                simpler = None
                if error.code in CONTENT_CODES:
                    simpler = await asyncio.to_thread(next, others, None)
                if simpler is None:
                    raise
                extra = {"delivery": attempt.delivery_id, "error": error.code}
                logger.warning("Slack rejects the content: sending a simpler one", extra=extra)
                message = simpler

    async def _post(
        self, workspace: BotWorkspace, attempt: Attempt, given: Mapping[str, Any], check: Check
    ) -> Outcome:
        message = {**given, "thread_ts": attempt.thread_ts}
        if attempt.thread_ts is not None and attempt.content.get("reply_broadcast"):
            message["reply_broadcast"] = True
        try:
            answer = await self._client.call_as_bot(
                workspace, POST, before_request=check, **message
            )
        except SlackCallError as error:
            if error.code != "not_in_channel":
                raise
            await self._join(workspace, attempt, check)
            answer = await self._client.call_as_bot(
                workspace, POST, before_request=check, **message
            )
        posted = {"ts": answer["ts"], **(answer.get("message") or {})}
        return _sent(attempt, str(answer["channel"]), posted)

    async def _update(
        self, workspace: BotWorkspace, attempt: Attempt, given: Mapping[str, Any], check: Check
    ) -> Outcome:
        # Empty lists remove blocks and attachments of the earlier message.
        message = {"blocks": [], "attachments": [], **given, "ts": attempt.update_ts}
        for name in ONLY_WHEN_POSTING:
            message.pop(name, None)
        try:
            await self._client.call_as_bot(workspace, UPDATE, before_request=check, **message)
        except SlackCallError as error:
            if error.code not in CANNOT_BE_CHANGED or attempt.change is not None:
                raise
            is_gone = error.code == MESSAGE_GONE
            if attempt.is_refresh and not (is_gone and attempt.may_post_again):
                return Outcome(DeliveryState.CANCELLED, error.code)
            if attempt.incident is not None and attempt.incident.is_quiet:
                return Outcome(DeliveryState.MUTED, error.code)
            if attempt.is_refresh:
                await self._require_address(workspace, attempt)
                if not await self._is_allowed(workspace, attempt):
                    return recipient_denied(by_subscription=True)
            posted = await self._post(workspace, attempt, given, check)
            # A message that exists but cannot be updated keeps its replies and buttons.
            return posted if is_gone else replace(posted, replaced_ts=None)
        return sent(attempt.channel_id, str(attempt.update_ts))

    async def _act(self, workspace: BotWorkspace, attempt: Attempt, check: Check) -> Outcome:
        """Delete a message, or add an emoji to it.

        https://docs.slack.dev/reference/methods/chat.delete and
        https://docs.slack.dev/reference/methods/reactions.add
        """
        arguments: dict[str, Any] = {"channel": attempt.channel_id, "ts": attempt.update_ts}
        if attempt.change == DeliveryMode.REACT:
            arguments = {
                "channel": attempt.channel_id,
                "timestamp": attempt.update_ts,
                "name": attempt.reaction,
            }
        method, done = _ACTIONS[attempt.change]
        try:
            await self._client.call_as_bot(workspace, method, before_request=check, **arguments)
        except SlackCallError as error:
            is_done = error.code == done and attempt.number > 1
            if not is_done and (error.is_dead_token or not error.is_permanent):
                raise
            return Outcome(DeliveryState.SENT) if is_done else _cannot_change(attempt, error.code)
        return Outcome(DeliveryState.SENT)

    async def _join(self, workspace: BotWorkspace, attempt: Attempt, check: Check) -> None:
        channel_id = attempt.channel_id
        # A look for an attempt in doubt is the first to see some channels.
        await self._require_in_workspace(workspace, attempt)
        take, team_id = self._budgets.take, workspace.team_id
        await self._look_up(attempt, lambda share: take(CONVERSATIONS_JOIN, team_id, share))
        await self._client.call_as_bot(
            workspace, CONVERSATIONS_JOIN, before_request=check, channel=channel_id
        )
        await asyncio.to_thread(self._channels.record_joined, workspace.team_id, channel_id)

    async def _find(
        self, workspace: BotWorkspace, attempt: Attempt, check: Check, ts: str | None = None
    ) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
        """Yield the messages of a delivery, in its thread and in the channel, and their channel.

        Slack posts a reply to a deleted message in the channel itself.

        Args:
            ts: of a message that may have another mark, because it was updated.
        """
        channel_id = await self._channel_to_read(workspace, attempt)
        for thread_ts in dict.fromkeys((attempt.thread_ts, None)):
            try:
                messages = self._messages(workspace, attempt, channel_id, thread_ts, check)
                async for message in messages:
                    is_reply = message.get("thread_ts", message["ts"]) != message["ts"]
                    # Slack shows a reply that was also sent to the channel in both.
                    is_found = _mark(message) == attempt.mark or _is_at(message, ts)
                    if is_found and (thread_ts is not None) == is_reply:
                        yield channel_id, message
            except SlackCallError as error:
                if error.code != THREAD_GONE:
                    raise

    async def _channel_to_read(self, workspace: BotWorkspace, attempt: Attempt) -> str:
        """Return the id of the conversation; a direct message has another id than its person.

        https://docs.slack.dev/reference/methods/conversations.open
        """
        if not is_person(attempt.channel_id):
            return attempt.channel_id
        answer = await self._client.call_as_bot(
            workspace, "conversations.open", users=attempt.channel_id
        )
        return str(answer["channel"]["id"])

    async def _messages(
        self,
        workspace: BotWorkspace,
        attempt: Attempt,
        channel_id: str,
        thread_ts: str | None,
        check: Check,
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield the messages since the first attempt, in a thread or in the channel.

        https://docs.slack.dev/reference/methods/conversations.history and
        https://docs.slack.dev/reference/methods/conversations.replies
        """
        method = "conversations.history" if thread_ts is None else "conversations.replies"
        arguments = {
            "channel": channel_id,
            "ts": thread_ts,
            "oldest": _slack_time(attempt.tried_at - CLOCK_MARGIN),
            "include_all_metadata": True,
            "limit": HISTORY_PAGE,
        }
        try:
            pages = self._client.pages_as_bot_async(workspace, method, "messages", **arguments)
            async for message in pages:
                yield message
        except SlackCallError as error:
            if error.code != "not_in_channel":
                raise
            await self._join(workspace, attempt, check)
            pages = self._client.pages_as_bot_async(workspace, method, "messages", **arguments)
            async for message in pages:
                yield message


def _simpler(given: Iterable[dict[str, Any]], steps: int) -> Iterator[dict[str, Any]]:
    """Return renderings without the first ones; the last one remains."""
    messages = list(given)
    return iter(messages[min(steps, len(messages) - 1) :])


def _unknown(code: str | None = None) -> Outcome:
    return Outcome(DeliveryState.UNKNOWN, code, requested=False)


def _cannot_change(attempt: Attempt, code: str) -> Outcome:
    """Return the outcome of a change that Slack rejects.

    An edit is a notification, which failed; another change says nothing, and is not listed.
    """
    is_edit = attempt.change == DeliveryMode.EDIT
    state = DeliveryState.DEAD if is_edit else DeliveryState.CANCELLED
    return Outcome(state, code, requested=False)


def _mark(message: Mapping[str, Any]) -> str | None:
    metadata = message.get("metadata") or {}
    mark = metadata.get("event_payload", {}).get("delivery")
    return None if mark is None else str(mark)


def _is_at(message: Mapping[str, Any], ts: str | None) -> bool:
    """Return whether a message has a ts; the rest of a deleted one with replies does not count."""
    return message["ts"] == ts and message.get("subtype") != "tombstone"


def _sent(attempt: Attempt, channel_id: str, message: Mapping[str, Any]) -> Outcome:
    """Return the outcome of a message in Slack: in a thread, or in the channel itself."""
    ts, thread_ts = str(message["ts"]), message.get("thread_ts")
    is_reply = thread_ts is not None and thread_ts != ts
    replaced_ts = None
    if attempt.update_ts is not None and attempt.update_ts != ts:
        replaced_ts = attempt.update_ts
    elif not is_reply:
        replaced_ts = attempt.thread_ts
    outcome = replace(sent(channel_id, ts, is_reply=is_reply), replaced_ts=replaced_ts)
    return _for_recipient(outcome, attempt, attempt.address)


def _for_recipient(outcome: Outcome, attempt: Attempt, recipient_id: str) -> Outcome:
    """Return an outcome with the recipient that was found, if it is for an e-mail address."""
    is_to_email = attempt.target.startswith("@")
    return replace(outcome, recipient_id=recipient_id) if is_to_email else outcome


def _slack_time(moment: datetime) -> str:
    return f"{moment.timestamp():.6f}"


def _is_for_person(attempt: Attempt) -> bool:
    """Whether an attempt is at a direct message: the person's role decides."""
    return is_person(attempt.address) or is_conversation(attempt.address)
