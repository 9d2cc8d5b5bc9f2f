"""Words that senders use for the state of a run or a deployment, and their severity."""

from __future__ import annotations

_SEVERITIES = {
    "success": "success passed succeeded fixed ok approved",
    "error": "failure failed error errored timed_out timedout startup_failure broken",
    "warning": "cancelled canceled aborted action_required unstable on_hold rejected",
}
_SEVERITY_OF = {word: severity for severity, words in _SEVERITIES.items() for word in words.split()}


def severity_of_state(state: str) -> str:
    """Return the severity of a state; `info` for one that means neither good nor bad."""
    return _SEVERITY_OF.get(state.lower().replace(" ", "_").replace("-", "_"), "info")


def in_words(state: str) -> str:
    """Return a state as people write it."""
    return state.replace("_", " ").replace("-", " ").strip().lower()
