"""Errors of Slack's Web API: their codes, sentences for people, and what an answer means.

https://docs.slack.dev/apis/web-api/ describes calls, errors and rate limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bolt_app.logs import LoggableError

# Errors after which the token is of no use to anybody
# (https://docs.slack.dev/authentication/tokens, "token_expired" heals by rotation).
DEAD_TOKEN_CODES = frozenset(
    {"invalid_auth", "account_inactive", "token_revoked", "token_expired", "not_authed"}
)
# Errors that heal by waiting; every other one stays until somebody changes something.
TEMPORARY_CODES = frozenset(
    {
        "ratelimited",
        "rate_limited",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "team_added_to_org",
        "unavailable",
    }
)
_CODE = re.compile(r"[a-z0-9_]+")
# Without an error code of Slack's these come from a server before it, which rejects this request:
# malformed or too large. 403, 404 and the like are about all requests, and may pass
# (https://www.rfc-editor.org/rfc/rfc9110#section-15.5).
_REJECTED_REQUESTS = frozenset({400, 411, 413, 414, 415, 422, 431})
SENTENCES: Mapping[str, str] = {
    "account_inactive": "Slack has switched this installation off. Install Bellhop again.",
    "already_in_channel": "Bellhop is in that channel already.",
    "cannot_dm_bot": "Slack does not let a bot write to another bot.",
    "channel_not_found": "Slack knows no such channel, or Bellhop is not in it.",
    "ekm_access_denied": "Your organisation has suspended access to its messages.",
    "expired_trigger_id": "That took longer than Slack waits. Press the button again.",
    "fatal_error": "Slack had a problem of its own. Try again in a minute.",
    "internal_error": "Slack or Bellhop had an internal error. Try again in a minute.",
    "invalid_auth": "Slack no longer accepts Bellhop's token. Install Bellhop again.",
    "invalid_attachments": "Slack rejects an attachment of this message. Check its blocks.",
    "invalid_blocks": "Slack refuses the layout of this message.",
    "is_archived": "That channel is archived. Choose another, or unarchive it in Slack.",
    "is_inactive": "That channel is archived. Choose another, or unarchive it in Slack.",
    "method_not_supported_for_channel_type": "Slack does not allow that in this kind of channel.",
    "missing_scope": "Bellhop was not granted what this needs. Install it again to grant it.",
    "msg_blocks_too_long": "The blocks hold more text than Slack allows. Shorten them.",
    "msg_too_long": "The message is longer than Slack allows. Shorten it.",
    "no_permission": "Bellhop's rights in that workspace do not reach that far.",
    "no_text": "The message has no text.",
    "not_authed": "Slack no longer accepts Bellhop's token. Install Bellhop again.",
    "not_in_channel": "Bellhop is not in that channel. Invite it there with /invite.",
    "ratelimited": "Slack asks us to slow down. Try again in a minute.",
    "recipient_denied": (
        "The person is not of this workspace, is deactivated, or is a guest who may not subscribe."
    ),
    "request_timeout": "Slack did not get the request in time. Try again in a minute.",
    "restricted_action": "A setting of the workspace forbids posting there.",
    "restricted_action_read_only_channel": "That channel is read-only.",
    "restricted_action_thread_only_channel": "That channel takes replies in threads only.",
    "service_unavailable": "Slack is not available at the moment. Try again in a minute.",
    "team_access_not_granted": "The organisation has not opened that workspace to Bellhop.",
    "team_added_to_org": "The workspace is moving into an organisation. Try again later.",
    "token_expired": "Slack no longer accepts Bellhop's token. Install Bellhop again.",
    "token_revoked": "Slack no longer accepts Bellhop's token. Install Bellhop again.",
    "too_many_attachments": "Slack takes 100 attachments in a message. Send fewer.",
    "unavailable": "Slack is not answering. Try again in a minute.",
    "user_not_found": "Slack knows no such person here.",
    "users_not_found": "Slack knows no person with that e-mail address here.",
    "not_installed": "Bellhop is not installed in that workspace. Install it, and it goes on.",
}


class SlackCallError(LoggableError):
    """Slack refused a call, or no answer came.

    Attributes:
        method: the Web API method.
        code: Slack's error code; `unavailable` where no answer came.
        retry_after: seconds Slack asked us to wait, where it did.
        ambiguous: whether the call may have taken effect all the same.
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
        """Whether trying again cannot help."""
        return self.code not in TEMPORARY_CODES

    @property
    def is_dead_token(self) -> bool:
        """Whether the token is of no use any more."""
        return self.code in DEAD_TOKEN_CODES

    @property
    def sentence(self) -> str:
        """What happened and what to do, for a person."""
        known = SENTENCES.get(self.code)
        if known is not None:
            return known
        if self.code.startswith("restricted_action"):
            return SENTENCES["restricted_action"]
        if self.code.startswith("http_"):
            return "Slack rejected the request as malformed or too large. Send less at a time."
        return f"Slack answered “{self.code}”."


class NotSentError(LoggableError):
    """A call was stopped before any of its request was sent."""


def error_of(method: str, error: SlackApiError) -> SlackCallError:
    """Return the error that an answer of Slack's stands for."""
    answer = error.response
    # slack_sdk gives aiohttp's own response where the answer is JSON that cannot be read.
    data = answer.data if isinstance(answer, AsyncSlackResponse) else None
    status = answer.status_code if isinstance(answer, AsyncSlackResponse) else answer.status
    if status == 429:
        return SlackCallError(method, "ratelimited", retry_after=_retry_after(answer.headers))
    code = str(data.get("error")) if isinstance(data, dict) else ""
    is_code = _CODE.fullmatch(code) is not None
    if not is_code and status in _REJECTED_REQUESTS:
        return SlackCallError(method, f"http_{status}")
    if status >= 500 or not is_code:
        known = code if code in TEMPORARY_CODES else "unavailable"
        return SlackCallError(method, known, ambiguous=True)
    return SlackCallError(method, code)


def _retry_after(headers: Mapping[str, str]) -> int:
    """Return the seconds to wait (https://docs.slack.dev/apis/web-api/rate-limits)."""
    for name, value in headers.items():
        if name.lower() == "retry-after" and str(value).isdigit():
            return int(value)
    return 1
