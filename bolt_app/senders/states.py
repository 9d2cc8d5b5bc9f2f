"""Severities of the words that senders use for states and problems."""

from __future__ import annotations

from bolt_app.notifications.content.meaning import named_severity
from bolt_app.severity import Severity

_SEVERITIES = {
    Severity.SUCCESS: "success passed succeeded fixed ok approved",
    Severity.ERROR: "failure failed error errored timed_out timedout startup_failure broken",
    Severity.WARNING: "cancelled canceled aborted action_required unstable on_hold rejected",
}
_SEVERITY_OF = {word: severity for severity, words in _SEVERITIES.items() for word in words.split()}


def severity_of_state(state: str) -> Severity:
    """Return the severity of a state; `INFO` if it is neither good nor bad."""
    word = state.lower().replace(" ", "_").replace("-", "_")
    return _SEVERITY_OF.get(word, Severity.INFO)


def severity_of_problem(name: str, default: Severity = Severity.ERROR) -> Severity:
    """Return the severity that a tool names for an open problem.

    Args:
        default: for an unknown name, or one that means success.
    """
    found = named_severity(name)
    return default if found is None or found == Severity.SUCCESS else found


def in_words(state: str) -> str:
    """Return a state in plain words."""
    return state.replace("_", " ").replace("-", " ").strip().lower()
