"""Interface of a known sender: recognition, mapping, and verification of its signature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

# By their names in lower case.
Headers = Mapping[str, str]
# Members of Bellhop's own JSON, without `to`.
Notification = dict[str, Any]
# Whether a body was signed with a secret, and not too long before a moment if the signature covers
# its time.
Verify = Callable[[str, Headers, bytes, datetime], bool]


@dataclass(frozen=True)
class Signature:
    """The signature of a sender's requests.

    Attributes:
        name: the header or member that contains it.
        verify: whether a body is signed with a secret; None if there is no shared secret.
        is_chosen_here: whether Bellhop generates the secret, for people to paste into the sender;
            otherwise the sender shows its own.
    """

    name: str
    verify: Verify | None = field(repr=False)
    is_chosen_here: bool = True


@dataclass(frozen=True)
class KnownSender:
    """A tool whose bodies are understood.

    Attributes:
        title: the tool's name.
        recognizes: whether headers and a body (JSON or text) are from this sender.
        read: returns the notifications of a recognized body, at least one; never raises.
        signature: None if the sender does not sign requests.
    """

    title: str = field(repr=False)
    recognizes: Callable[[Headers, Any], bool]
    read: Callable[[Headers, Any], list[Notification]]
    signature: Signature | None = None
