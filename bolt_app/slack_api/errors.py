"""Errors of Slack's Web API: codes, messages for people, and classification of responses.

https://docs.slack.dev/apis/web-api/ describes calls, errors and rate limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bolt_app.logs import LoggableError

# Errors that make a token invalid
# (https://docs.slack.dev/authentication/tokens; rotation resolves "token_expired").
DEAD_TOKEN_CODES = frozenset(
    {"invalid_auth", "account_inactive", "token_revoked", "token_expired", "not_authed"}
)
# Slack did not answer.
UNAVAILABLE = "unavailable"
# Too many threads wait for Slack already.
OVERLOADED = "overloaded"
# Errors that may pass; all others need a change by a person.
TEMPORARY_CODES = frozenset(
    {
        "ratelimited",
        "rate_limited",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "team_added_to_org",
        UNAVAILABLE,
        OVERLOADED,
    }
)
# Slack says of these that part of the operation may have succeeded
# (https://docs.slack.dev/reference/methods/chat.postMessage#errors), and of no others.
AMBIGUOUS_CODES = frozenset({"internal_error", "fatal_error"})
_CODE = re.compile(r"[a-z0-9_]+")
# Without a Slack error code, these come from a server in front of Slack that rejects the request
# as malformed or too large. 403, 404 and others affect all requests, and may pass
# (https://www.rfc-editor.org/rfc/rfc9110#section-15.5).
_REJECTED_REQUESTS = frozenset({400, 411, 413, 414, 415, 422, 431})
SENTENCES: Mapping[str, str] = {
    "account_inactive": "Slack has deactivated this installation. Install Bellhop again.",
    "already_in_channel": "Bellhop is already in that channel.",
    "cannot_dm_bot": "Slack does not allow messages between bots.",
    "channel_not_found": "The channel does not exist, or Bellhop is not in it.",
    "ekm_access_denied": "Your organization has suspended access to its messages.",
    "expired_trigger_id": "That took too long for Slack. Press the button again.",
    "fatal_error": "Slack had an internal error. Try again in a minute.",
    "internal_error": "Slack or Bellhop had an internal error. Try again in a minute.",
    "invalid_auth": "Slack no longer accepts Bellhop's token. Install Bellhop again.",
    "invalid_attachments": "Slack rejects an attachment of this message. Check its blocks.",
    "invalid_blocks": "Slack rejects the layout of this message.",
    "is_archived": "That channel is archived. Choose another, or unarchive it in Slack.",
    "is_inactive": "That channel is archived. Choose another, or unarchive it in Slack.",
    "method_not_supported_for_channel_type": "Slack does not allow that in this kind of channel.",
    "mention_skipped": (
        "Sent, but someone is not mentioned: the sender named too many people within a minute."
    ),
    "missing_scope": "Bellhop lacks a permission for this. Install it again to grant it.",
    "msg_blocks_too_long": "The blocks contain more text than Slack allows. Shorten them.",
    "msg_too_long": "The message is longer than Slack allows. Shorten it.",
    "no_permission": "Bellhop has no permission for this in that workspace.",
    "no_text": "The message has no text.",
    "not_authed": "Slack no longer accepts Bellhop's token. Install Bellhop again.",
    "not_in_channel": "Bellhop is not in that channel. Invite it there with /invite.",
    OVERLOADED: "Slack is answering slowly, and many requests wait for it. Try again in a minute.",
    "ratelimited": "Slack asks us to slow down. Try again in a minute.",
    "recipient_denied": (
        "The person is not in this workspace, is deactivated, or is a guest who cannot subscribe."
    ),
    "request_timeout": "Slack did not get the request in time. Try again in a minute.",
    "restricted_action": "A setting of the workspace does not allow posting there.",
    "restricted_action_read_only_channel": "That channel is read-only.",
    "restricted_action_thread_only_channel": "That channel allows only replies in threads.",
    "service_unavailable": "Slack is not available at the moment. Try again in a minute.",
    "team_access_not_granted": "The organization has not given Bellhop access to that workspace.",
    "team_added_to_org": "The workspace is moving into an organization. Try again later.",
    "token_expired": "Slack no longer accepts Bellhop's token. Install Bellhop again.",
    "token_revoked": "Slack no longer accepts Bellhop's token. Install Bellhop again.",
    "too_many_attachments": "Slack allows 100 attachments in a message. Send fewer.",
    UNAVAILABLE: "Slack is not answering. Try again in a minute.",
    "user_not_found": "The person does not exist in this workspace.",
    "users_not_found": "No person in this workspace has that e-mail address.",
    "not_installed": "Bellhop is not installed in that workspace. Install it to go on.",
}


class SlackCallError(LoggableError):
    """Slack refused a call or did not answer.

    Attributes:
        method: the Web API method.
        code: Slack's error code; `unavailable` without an answer, `overloaded` if the call was not
            made because too many threads wait for Slack.
        retry_after: the seconds that Slack asks to wait, if it does.
        ambiguous: whether the call may have taken effect nonetheless.
    """

    def __init__(
        self,
        method: str,
        code: str,
        *,
        retry_after: int | None = None,
        ambiguous: bool = False,
    ) -> None:
        super().__init__(f"{method}: {code}")
        self.method = method
        self.code = code
        self.retry_after = retry_after
        self.ambiguous = ambiguous

    @property
    def is_permanent(self) -> bool:
        """Whether a retry cannot help."""
        return self.code not in TEMPORARY_CODES

    @property
    def is_dead_token(self) -> bool:
        """Whether the token is no longer valid."""
        return self.code in DEAD_TOKEN_CODES

    @property
    def sentence(self) -> str:
        """The message for people: the problem, and the next step."""
        known = SENTENCES.get(self.code)
        if known is not None:
            return known
        if self.code.startswith("restricted_action"):
            return SENTENCES["restricted_action"]
        if self.code.startswith("http_"):
            return "Slack rejected the request as malformed or too large. Send less at once."
        return f"Slack answered “{self.code}”."


class NotSentError(LoggableError):
    """A call was stopped before any part of the request was sent."""


def error_of(method: str, error: SlackApiError) -> SlackCallError:
    """Return the error for an unsuccessful response from Slack."""
    answer = error.response
    # slack_sdk gives aiohttp's response if the body is invalid JSON.
    data = answer.data if isinstance(answer, AsyncSlackResponse) else None
    status = answer.status_code if isinstance(answer, AsyncSlackResponse) else answer.status
    if status == 429:
        return SlackCallError(method, "ratelimited", retry_after=_retry_after(answer.headers))
    code = str(data.get("error")) if isinstance(data, dict) else ""
    is_code = _CODE.fullmatch(code) is not None
    if not is_code and status in _REJECTED_REQUESTS:
        return SlackCallError(method, f"http_{status}")
    if status >= 500 or not is_code:
        known = code if code in TEMPORARY_CODES else UNAVAILABLE
        return SlackCallError(method, known, ambiguous=True)
    return SlackCallError(method, code, ambiguous=code in AMBIGUOUS_CODES)


def _retry_after(headers: Mapping[str, str]) -> int:
    """Return the seconds to wait (https://docs.slack.dev/apis/web-api/rate-limits)."""
    for name, value in headers.items():
        if name.lower() == "retry-after" and str(value).isdigit():
            return int(value)
    return 1
