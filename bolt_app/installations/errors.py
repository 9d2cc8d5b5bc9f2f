"""Reasons for a failed install, as shown on its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class InstallFailure:
    """The content of the failure page.

    Attributes:
        code: the error code of Slack, Bolt or Bellhop.
        status: the HTTP status of the page.
        title: the result.
        explanation: the reason, and the next step.
        can_retry: whether starting again may help.
    """

    code: str
    status: int
    title: str
    explanation: str
    can_retry: bool = True


_FAILURES: Mapping[str, InstallFailure] = {
    failure.code: failure
    for failure in (
        InstallFailure(
            "access_denied",
            200,
            "Nothing was installed",
            "You canceled in Slack, so Bellhop has no access. You can start again at any time.",
        ),
        InstallFailure(
            "invalid_browser",
            400,
            "Please start again here",
            "This browser did not start the install, or its cookie is missing. That happens with a "
            "bookmarked link, another browser, or blocked cookies. Nothing was installed.",
        ),
        InstallFailure(
            "invalid_state",
            400,
            "This link is no longer valid",
            "An install must be finished within ten minutes, and its link works once. Nothing was "
            "installed this time. If you have just installed Bellhop, everything is fine.",
        ),
        InstallFailure(
            "missing_code",
            400,
            "Slack's response is incomplete",
            "The URL lacks the code that confirms your approval. Nothing was installed.",
        ),
        InstallFailure(
            "invalid_code",
            400,
            "Slack did not accept the approval",
            "The code from Slack was wrong, used before, or older than ten minutes. Nothing was "
            "installed.",
        ),
        InstallFailure(
            "too_many_attempts",
            429,
            "Too many attempts",
            "Slack rejected too many approvals from this network address. Nothing was installed. "
            "Wait a minute and start again.",
        ),
        InstallFailure(
            "slack_unavailable",
            502,
            "Slack is not answering",
            "Slack accepted your approval, but did not complete the installation. Wait a minute "
            "and start again.",
        ),
        InstallFailure(
            "overloaded",
            503,
            "Slack is answering slowly",
            "Too many sign-ins are waiting for Slack, so yours has not begun. Reload this page in "
            "some seconds: your approval is valid for ten minutes.",
        ),
        InstallFailure(
            "storage_error",
            503,
            "Bellhop could not save the installation",
            "The database is not responding, so nothing was installed. Wait a minute and start "
            "again. If the problem persists, notify the administrator of Bellhop.",
        ),
        InstallFailure(
            "misconfigured",
            500,
            "Bellhop is not configured correctly",
            "Slack rejects Bellhop's credentials or redirect URL. Starting again will not help: "
            "ask the administrator of Bellhop to compare its settings with the app's page at "
            "api.slack.com/apps.",
            can_retry=False,
        ),
    )
}
_SIGN_IN_CANCELED = InstallFailure(
    "access_denied",
    200,
    "You are not signed in",
    "You canceled in Slack, so your profile is not linked. You can start again at any time.",
)
_UNKNOWN = InstallFailure(
    "unknown",
    400,
    "Slack did not install Bellhop",
    "Slack gave a reason that Bellhop does not know. It is in Bellhop's log. Nothing was "
    "installed.",
)
# Slack's error codes for wrong settings of the app
# (https://docs.slack.dev/reference/methods/oauth.v2.access).
_MISCONFIGURED = frozenset(
    {
        "bad_client_secret",
        "bad_redirect_uri",
        "invalid_client_id",
        "invalid_scope",
        "invalid_team_for_non_distributed_app",
        "redirect_uri_mismatch",
        "unapproved_scope",
    }
)


def is_known_failure(code: str) -> bool:
    """Whether a code is known; an unknown one may be any text from the URL."""
    return code in _FAILURES or code in _MISCONFIGURED


def describe_failure(code: str, *, is_sign_in: bool = False) -> InstallFailure:
    """Return the failure for a code.

    An unknown code is not shown, because it may be any text from the URL.

    Args:
        is_sign_in: whether the person was asked only for their profile.
    """
    if is_sign_in and code == _SIGN_IN_CANCELED.code:
        return _SIGN_IN_CANCELED
    if code in _MISCONFIGURED:
        return _FAILURES["misconfigured"]
    return _FAILURES.get(code, _UNKNOWN)
