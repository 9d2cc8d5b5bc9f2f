"""Errors of the Slack-compatible Web API, in Slack's form.

https://docs.slack.dev/apis/web-api#responses: a call that failed is answered with HTTP 200,
`"ok": false` and a code.
"""

from __future__ import annotations

from typing import Any


class MethodError(Exception):
    """A call failed; `code` is Slack's error for it.

    Attributes:
        members: of the answer, beside `ok` and `error`.
        is_charged: whether the API key was already charged for the call.
    """

    def __init__(self, code: str, *messages: str, is_charged: bool = False, **members: Any) -> None:
        """Create the error.

        Args:
            messages: for the developer of the caller, as in Slack's `response_metadata`.
        """
        super().__init__(code)
        self.code = code
        self.members = members
        self.is_charged = is_charged
        if messages:
            listed = [f"[ERROR] {message}" for message in messages]
            self.members = {**members, "response_metadata": {"messages": listed}}


class OverloadError(Exception):
    """The call can be repeated later.

    Clients of Slack give up on 429 more often than on 503.

    Attributes:
        retry_after: in seconds.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__("service_unavailable")
        self.retry_after = retry_after


def invalid_argument(message: str) -> MethodError:
    """Return the error for an argument that is missing or malformed."""
    return MethodError("invalid_arguments", message)
