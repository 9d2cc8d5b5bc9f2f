"""The sandbox's exceptions. :class:`ApiError` carries Slack's error codes."""

from __future__ import annotations

from typing import Any

JsonDict = dict[str, Any]


class SandboxError(Exception):
    """An action that is impossible at Slack."""

    @property
    def sentence(self) -> str:
        """The message as a sentence, for a page."""
        text = str(self)
        return f"{text[:1].upper()}{text[1:]}."


class ManifestError(SandboxError):
    """An invalid app manifest."""


class NotFoundError(SandboxError):
    """Unknown person, workspace, channel, message or view."""


class AuthorizeError(SandboxError):
    """An error page of Slack in place of the consent page.

    ``error`` is Slack's code (``invalid_scope``, ``bad_redirect_uri`` …), ``message`` the text of
    the page.
    """

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error
        self.message = message


class ConfirmationNeededError(SandboxError):
    """The element has a confirm dialog, which has not been accepted.

    ``confirm`` is the dialog as described by the app.
    """

    def __init__(self, confirm: JsonDict) -> None:
        super().__init__("this action asks for confirmation first")
        self.confirm = confirm


class ApiError(SandboxError):
    """An ``{"ok": false, "error": …}`` response, with Slack's additional fields."""

    def __init__(self, error: str, **extra: Any) -> None:
        super().__init__(error)
        self.error = error
        self.extra = extra

    def as_answer(self) -> JsonDict:
        """The JSON body of the response."""
        return {"ok": False, "error": self.error, **self.extra}


class InvalidArgumentsError(ApiError):
    """``invalid_arguments`` with the reasons in ``response_metadata.messages``."""

    def __init__(self, *reasons: str) -> None:
        super().__init__(
            "invalid_arguments",
            response_metadata={"messages": [f"[ERROR] {reason}" for reason in reasons]},
        )


class RateLimitedError(SandboxError):
    """HTTP 429: retry after ``retry_after`` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"rate limited for {retry_after} s")
        self.retry_after = retry_after
