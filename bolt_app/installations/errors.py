"""Why an install did not work out, in words for the person in front of the browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class InstallFailure:
    """What the failure page says.

    Attributes:
        code: Slack's, Bolt's or our own code for it.
        status: the HTTP status of the page.
        title: what happened.
        explanation: why, and what to do.
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
            "You pressed Cancel in Slack, so Bellhop was given no access. Start again whenever "
            "you like.",
        ),
        InstallFailure(
            "invalid_browser",
            400,
            "Let's start again from here",
            "This browser did not start the install, or its cookie is gone: that happens with a "
            "bookmarked address, another browser, or blocked cookies. Nothing was installed.",
        ),
        InstallFailure(
            "invalid_state",
            400,
            "That link is used up",
            "An install has to be finished within ten minutes, and its link works once. Nothing "
            "was installed this time; if you have just installed Bellhop, all is well.",
        ),
        InstallFailure(
            "missing_code",
            400,
            "Slack sent you back without its answer",
            "The address lacks the code that proves your approval. Nothing was installed.",
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
            "Too many approvals from this address were not accepted by Slack. Nothing was "
            "installed. Wait a minute and start again.",
        ),
        InstallFailure(
            "slack_unavailable",
            502,
            "Slack is not answering",
            "Slack took your approval but did not hand over the installation. Wait a minute and "
            "start again.",
        ),
        InstallFailure(
            "storage_error",
            503,
            "Bellhop could not write that down",
            "Its database is not answering, so nothing was installed. Wait a minute and start "
            "again; if it stays so, tell whoever runs Bellhop.",
        ),
        InstallFailure(
            "misconfigured",
            500,
            "Bellhop is not set up right",
            "Slack refuses Bellhop's own credentials or address. Starting again will not help: "
            "tell whoever runs Bellhop to compare its settings with the app's page at "
            "api.slack.com/apps.",
            can_retry=False,
        ),
    )
}
_UNKNOWN = InstallFailure(
    "unknown",
    400,
    "Slack did not install Bellhop",
    "Slack gave a reason that Bellhop does not know; it is in Bellhop's log. Nothing was "
    "installed.",
)
# What Slack says of the app's own settings
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
    """Return whether a code is one of Slack's, Bolt's or ours; others come from the address."""
    return code in _FAILURES or code in _MISCONFIGURED


def describe_failure(code: str) -> InstallFailure:
    """Return what to say of a failure.

    Nothing of an unknown code is shown: it may be text that someone wrote into an address.
    """
    if code in _MISCONFIGURED:
        return _FAILURES["misconfigured"]
    return _FAILURES.get(code, _UNKNOWN)
