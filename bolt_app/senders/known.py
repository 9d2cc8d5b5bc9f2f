"""Interface of a known sender: recognition, mapping, and verification of its signature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

# By their names in lower case.
Headers = Mapping[str, str]
# Members of Bellhop's own JSON, without `to`.
Notification = dict[str, Any]
# Whether a body was signed with a secret.
Verify = Callable[[str, Headers, bytes], bool]


@dataclass(frozen=True)
class Signature:
    """How a sender proves that a body is its own.

    Attributes:
        name: the header or member that has it, for people.
        verify: whether a body is signed with a secret; None where no secret is shared.
        is_chosen_here: whether people paste a secret of ours into the sender; otherwise the sender
            shows its own.
    """

    name: str
    verify: Verify | None = field(repr=False)
    is_chosen_here: bool = True


@dataclass(frozen=True)
class KnownSender:
    """A tool whose bodies are understood.

    Attributes:
        title: the tool's name, for people.
        recognizes: whether headers and a body (JSON, or text) are this sender's.
        read: the notifications of a body that is recognized, at least one; never raises.
        signature: None where the sender signs nothing.
    """

    title: str = field(repr=False)
    recognizes: Callable[[Headers, Any], bool]
    read: Callable[[Headers, Any], list[Notification]]
    signature: Signature | None = None
