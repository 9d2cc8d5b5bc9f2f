"""Calls whose own transaction charges the API key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bolt_app.credentials.limits import LimitError, RevokedError
from bolt_app.notifications.messages.errors import MessageChangedError
from bolt_app.web.methods.auth import charge, invalidated
from bolt_app.web.methods.call import Call
from bolt_app.web.methods.errors import OverloadError


@contextmanager
def charged_by_transaction(call: Call) -> Iterator[None]:
    """Translate the errors of a transaction that charges the key of a call.

    Raises:
        MethodError: the key was revoked or has expired meanwhile.
        OverloadError: it is over a limit, or others change the message at the same time.
    """
    try:
        yield
    except RevokedError:
        raise invalidated(call.services, call.key) from None
    except LimitError as error:
        raise OverloadError(error.retry_after) from None
    except MessageChangedError:
        # Its transaction was undone, and the content was read twice.
        charge(call.services, call.key)
        raise OverloadError(1) from None
