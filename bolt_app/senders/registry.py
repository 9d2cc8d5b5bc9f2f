"""Registry of the known senders: the folders beside this module."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module

import bolt_app.senders as folders
from bolt_app.credentials.secrets import new_webhook_secret
from bolt_app.credentials.webhooks import WebhookRecord
from bolt_app.senders.known import KnownSender

# The most characters of a secret that a sender shows; those of today have 64.
SECRET_LENGTH = 200


@cache
def known_senders() -> Mapping[str, KnownSender]:
    """Return the senders by name: the name of their folder, with `-` for `_`."""
    found = {}
    for module in pkgutil.iter_modules(folders.__path__):
        if module.ispkg:
            mapping = import_module(f"{folders.__name__}.{module.name}.mapping")
            sender: KnownSender = mapping.SENDER
            found[module.name.replace("_", "-")] = sender
    return dict(sorted(found.items()))


def senders_with_secrets() -> list[str]:
    """Return the names of the senders that sign with a secret."""
    return [
        name
        for name, sender in known_senders().items()
        if sender.signature is not None and sender.signature.verify is not None
    ]


def shows_its_own_secret(name: str) -> bool:
    """Whether a sender generates the secret that it signs with, and shows it."""
    return name in senders_with_secrets() and secret_for(name) is None


def secret_for(name: str) -> str | None:
    """Return a new secret to paste into a sender; None if it does not sign or shows its own."""
    sender = known_senders().get(name)
    signature = None if sender is None else sender.signature
    if signature is None or signature.verify is None or not signature.is_chosen_here:
        return None
    return new_webhook_secret()


def own_secret(name: str, given: str) -> str:
    """Return the secret that a sender shows, as its webhook stores it.

    Raises:
        ValueError: the sender shows none, or it is empty or too long.
    """
    if not shows_its_own_secret(name):
        names = ", ".join(filter(shows_its_own_secret, known_senders()))
        raise ValueError(f"is only for tools that show a secret of their own: {names}")
    secret = given.strip()
    if not 0 < len(secret) <= SECRET_LENGTH:
        raise ValueError(f"must have 1 to {SECRET_LENGTH} characters")
    return secret


def signing_of(webhook: WebhookRecord) -> str:
    """Return whether the bodies of a webhook must be signed, in words; empty if they cannot be."""
    if webhook.is_signed:
        return "signed"
    return "not signed yet" if webhook.sender in senders_with_secrets() else ""
