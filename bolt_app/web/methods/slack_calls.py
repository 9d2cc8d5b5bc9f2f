"""Calls of the Slack-compatible Web API that wait for Slack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bolt_app.web.methods.call import Call
from bolt_app.web.methods.errors import OverloadError

RETRY_SECONDS = 1


@contextmanager
def waiting_for_slack(call: Call) -> Iterator[None]:
    """Call Slack in the context, unless too many threads already wait for it.

    Raises:
        OverloadError: they do.
    """
    with call.services.slack_waits.enter() as has_room:
        if not has_room:
            raise OverloadError(RETRY_SECONDS)
        yield
