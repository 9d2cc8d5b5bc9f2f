"""The stand-in's own errors. Slack's error codes travel in :class:`ApiError`."""

from __future__ import annotations

from typing import Any

JsonDict = dict[str, Any]


class SandboxError(Exception):
    """Something the stand-in was asked to do that nobody could do at Slack."""

    @property
    def sentence(self) -> str:
        """What is wrong, for a page."""
        text = str(self)
        return f"{text[:1].upper()}{text[1:]}."


class ManifestError(SandboxError):
    """The app manifest lacks something, or is not one."""


class NotFoundError(SandboxError):
    """No such person, workspace, channel, message or view."""


class AuthorizeError(SandboxError):
    """Slack would show an error page instead of asking for consent.

    ``error`` is Slack's code (``invalid_scope``, ``bad_redirect_uri`` …); the text says what
    the page says.
    """

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error
        self.message = message


class ConfirmationNeededError(SandboxError):
    """The button has a confirm dialog, and nobody has pressed its yes yet.

    ``confirm`` is the dialog as the app described it.
    """

    def __init__(self, confirm: JsonDict) -> None:
        super().__init__("this action asks for confirmation first")
        self.confirm = confirm


class ApiError(SandboxError):
    """An ``{"ok": false, "error": …}`` answer, with any further fields Slack adds."""

    def __init__(self, error: str, **extra: Any) -> None:
        super().__init__(error)
        self.error = error
        self.extra = extra

    def as_answer(self) -> JsonDict:
        """The JSON body of the answer."""
        return {"ok": False, "error": self.error, **self.extra}


class InvalidArgumentsError(ApiError):
    """``invalid_arguments`` with the reasons Slack lists in ``response_metadata.messages``."""

    def __init__(self, *reasons: str) -> None:
        super().__init__(
            "invalid_arguments",
            response_metadata={"messages": [f"[ERROR] {reason}" for reason in reasons]},
        )


class RateLimitedError(SandboxError):
    """HTTP 429: come back after ``retry_after`` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"rate limited for {retry_after} s")
        self.retry_after = retry_after
