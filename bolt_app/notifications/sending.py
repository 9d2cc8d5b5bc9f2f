"""One attempt: post, change or find a message in Slack."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bolt_app.blockkit.signed_values import ValueSigner
from bolt_app.delays import Delays
from bolt_app.notifications.addresses import is_person
from bolt_app.notifications.channels import Channels
from bolt_app.notifications.fallbacks import CONTENT_CODES, renderings
from bolt_app.notifications.incident_blocks import incident_blocks
from bolt_app.notifications.jobs import Attempt, untouched
from bolt_app.notifications.outcomes import Outcome, dead_installation, outcome_of, sent
from bolt_app.notifications.people import People
from bolt_app.notifications.rendering import mention
from bolt_app.oauth.calls import BotPlace, InstallationCalls, NotInstalledError
from bolt_app.slack_api import SlackCallError

logger = logging.getLogger(__name__)

EVENT_TYPE = "bellhop_delivery"
# Slack's clock and ours need not agree.
CLOCK_MARGIN = timedelta(minutes=1)
HISTORY_PAGE = 200
POST = "chat.postMessage"
THREAD_GONE = "thread_not_found"
CUSTOMIZE = "chat:write.customize"
CUSTOM_LOOKS = ("username", "icon_emoji", "icon_url")
# What chat.postMessage takes and chat.update does not.
ONLY_WHEN_POSTING = ("unfurl_links", "unfurl_media", "mrkdwn", *CUSTOM_LOOKS)
# After these the earlier message stays as it is, and what is new is posted
# (https://docs.slack.dev/reference/methods/chat.update).
CANNOT_BE_CHANGED = frozenset(
    {
        "message_not_found",
        "cant_update_message",
        "edit_window_closed",
        "msg_too_long",
        "block_mismatch",
    }
)


class Sending:
    """Makes attempts, as the bot of the workspace."""

    def __init__(
        self,
        calls: InstallationCalls,
        channels: Channels,
        people: People,
        signer: ValueSigner,
        delays: Delays,
    ) -> None:
        self._delays = delays
        self._calls = calls
        self._channels = channels
        self._people = people
        self._signer = signer

    def make(self, attempt: Attempt, may_send: Callable[[], bool] = lambda: True) -> Outcome:
        """Bring the message into its channel, unless an earlier attempt is found to have done it.

        Args:
            may_send: asked last of all whether the lane is still the worker's own.

        Returns: what came of it; whatever Slack says is an outcome, and nothing is raised.
        """
        try:
            place = self._calls.find_place(attempt.team_id)
            found = None if attempt.tried_at is None else self._look(place, attempt)
        except (NotInstalledError, SlackCallError) as error:
            outcome = _failed(error, attempt, self._delays)
            # What may have been posted still may.
            return outcome if attempt.tried_at is None else replace(outcome, state="sending")
        if found is not None:
            return found
        if attempt.is_refresh and attempt.update_ts is None:
            # What was being sent never got there: there is nothing to show anew.
            return Outcome("cancelled")
        if not may_send():
            logger.warning("a message was not sent: the lane may be another worker's by now")
            return untouched(attempt)
        try:
            return self._bring(place, attempt)
        except (NotInstalledError, SlackCallError) as error:
            return _failed(error, attempt, self._delays)

    def _bring(self, place: BotPlace, attempt: Attempt) -> Outcome:
        """Change the earlier message or post, in the first rendering that Slack takes."""
        error: SlackCallError | None = None
        for rendering in self._renderings(place, attempt):
            try:
                return self._change_or_post(place, attempt, rendering)
            except SlackCallError as refusal:
                if refusal.code not in CONTENT_CODES:
                    raise
                error = refusal
                extra = {"delivery": attempt.delivery_id, "error": refusal.code}
                logger.warning("Slack rejects the content, and gets a simpler one", extra=extra)
        assert error is not None, "there is a rendering"  # noqa: S101
        raise error

    def _change_or_post(
        self, place: BotPlace, attempt: Attempt, message: Mapping[str, Any]
    ) -> Outcome:
        if attempt.update_ts is not None:
            return self._update(place, attempt, attempt.update_ts, message)
        return self._post(place, attempt, message)

    def _post(self, place: BotPlace, attempt: Attempt, given: Mapping[str, Any]) -> Outcome:
        message = {**given, "thread_ts": attempt.thread_ts}
        try:
            answer = self._calls.as_bot(place, POST, **message)
        except SlackCallError as error:
            if error.code != "not_in_channel":
                raise
            self._channels.join(place, attempt.channel_id)
            answer = self._calls.as_bot(place, POST, **message)
        return _sent(str(answer["channel"]), {"ts": answer["ts"], **(answer.get("message") or {})})

    def _update(
        self, place: BotPlace, attempt: Attempt, ts: str, given: Mapping[str, Any]
    ) -> Outcome:
        # What the earlier message had and this one has not is taken away.
        message = {"blocks": [], "attachments": [], **given}
        for name in ONLY_WHEN_POSTING:
            message.pop(name, None)
        try:
            self._calls.as_bot(place, "chat.update", ts=ts, **message)
        except SlackCallError as error:
            if error.code not in CANNOT_BE_CHANGED:
                raise
            if attempt.is_refresh:
                return Outcome("cancelled", error.code)
            return self._post(place, attempt, given)
        return sent(attempt.channel_id, ts, posted=True)

    def _renderings(self, place: BotPlace, attempt: Attempt) -> Iterator[dict[str, Any]]:
        content = attempt.content
        if "mentions" in content:
            content = mention(content, self._people.find_all(place, content["mentions"]))
        looks = [name for name in CUSTOM_LOOKS if name in content]
        if looks and self._calls.has_scope(place, CUSTOMIZE):
            looks = []
        for message in renderings(content, under=self._under(attempt)):
            said = {name: value for name, value in message.items() if name not in looks}
            yield {
                "channel": attempt.channel_id,
                "metadata": {"event_type": EVENT_TYPE, "event_payload": {"delivery": attempt.mark}},
                **said,
            }

    def _under(self, attempt: Attempt) -> list[dict[str, Any]]:
        if attempt.incident is None:
            return []
        actions = attempt.content["actions"]
        blocks = incident_blocks(attempt.notification_id, actions, attempt.incident)
        return self._signer.sign_blocks(blocks, attempt.team_id, attempt.address)

    def _look(self, place: BotPlace, attempt: Attempt) -> Outcome | None:
        """Return what is known of an earlier attempt; None where it may be made again.

        Raises:
            NotInstalledError: there is no bot any more.
            SlackCallError: nothing can be known now, but can be later.
        """
        try:
            channel_id = self._channel_to_read(place, attempt)
            message = self._find(place, attempt, channel_id)
        except SlackCallError as error:
            if error.is_dead_token or not error.is_permanent:
                raise
            logger.warning("nobody can know whether it was posted", extra={"error": error.code})
            # To change a message twice does no harm.
            if attempt.on_unknown == "hold" and attempt.update_ts is None:
                return Outcome("unknown", error.code)
            return None
        return None if message is None else _sent(channel_id, message)

    def _find(self, place: BotPlace, attempt: Attempt, channel_id: str) -> Mapping[str, Any] | None:
        """Return the attempt's message, if it is in the channel."""
        try:
            return self._find_in_history(place, attempt, channel_id)
        except SlackCallError as error:
            if error.code != "not_in_channel":
                raise
        self._channels.join(place, channel_id)
        return self._find_in_history(place, attempt, channel_id)

    def _find_in_history(
        self, place: BotPlace, attempt: Attempt, channel_id: str
    ) -> Mapping[str, Any] | None:
        try:
            return _marked(self._messages(place, attempt, channel_id, attempt.thread_ts), attempt)
        except SlackCallError as error:
            if error.code != THREAD_GONE:
                raise
        # A reply to what is gone was posted in the channel itself.
        return _marked(self._messages(place, attempt, channel_id, None), attempt)

    def _channel_to_read(self, place: BotPlace, attempt: Attempt) -> str:
        """Return the id of the conversation: a person's direct message has one of its own.

        https://docs.slack.dev/reference/methods/conversations.open
        """
        if not is_person(attempt.channel_id):
            return attempt.channel_id
        answer = self._calls.as_bot(place, "conversations.open", users=attempt.channel_id)
        return str(answer["channel"]["id"])

    def _messages(
        self, place: BotPlace, attempt: Attempt, channel_id: str, thread_ts: str | None
    ) -> Iterator[dict[str, Any]]:
        """Yield what was said since the first attempt, in a thread or in the channel.

        https://docs.slack.dev/reference/methods/conversations.history and
        https://docs.slack.dev/reference/methods/conversations.replies
        """
        method = "conversations.history" if thread_ts is None else "conversations.replies"
        oldest = (attempt.tried_at or attempt.send_at) - CLOCK_MARGIN
        return self._calls.pages_as_bot(
            place,
            method,
            "messages",
            channel=channel_id,
            ts=thread_ts,
            oldest=_slack_time(oldest),
            include_all_metadata=True,
            limit=HISTORY_PAGE,
        )


def _marked(messages: Iterator[dict[str, Any]], attempt: Attempt) -> Mapping[str, Any] | None:
    for message in messages:
        metadata = message.get("metadata") or {}
        if metadata.get("event_payload", {}).get("delivery") == attempt.mark:
            return message
    return None


def _sent(channel_id: str, message: Mapping[str, Any]) -> Outcome:
    """Return the outcome of a message that Slack shows: in a thread, or in the channel itself."""
    ts, thread_ts = str(message["ts"]), message.get("thread_ts")
    is_reply = thread_ts is not None and thread_ts != ts
    return sent(channel_id, ts, posted=True, is_reply=is_reply)


def _failed(error: NotInstalledError | SlackCallError, attempt: Attempt, delays: Delays) -> Outcome:
    if isinstance(error, NotInstalledError):
        return dead_installation("not_installed", delays)
    may_have_posted = error.method == POST
    return outcome_of(error, attempt.number, delays, may_have_posted=may_have_posted)


def _slack_time(moment: datetime) -> str:
    return f"{moment.timestamp():.6f}"
