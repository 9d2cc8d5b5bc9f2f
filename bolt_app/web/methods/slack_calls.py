"""Lookups of the Slack-compatible Web API, which have room before anything is counted for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bolt_app.web.errors import BUSY_SECONDS
from bolt_app.web.methods.call import Call
from bolt_app.web.methods.errors import OverloadError


@contextmanager
def waiting_for_slack(call: Call) -> Iterator[None]:
    """Look something up at Slack in the context, unless too many threads already wait for it.

    Every call of `SlackApi` takes room itself. This is for lookups whose budget is taken before the
    call: without room they would use it up without a call. Also for those that wait while another
    thread lists the channels of an organization.

    Raises:
        OverloadError: too many threads do.
    """
    with call.services.slack_waits.enter() as has_room:
        if not has_room:
            raise OverloadError(BUSY_SECONDS)
        yield
