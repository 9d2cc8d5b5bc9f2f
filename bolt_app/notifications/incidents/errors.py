"""Errors of incidents and callbacks."""

from __future__ import annotations


class NotOfferedError(Exception):
    """The message in which someone answered does not offer that answer."""


class RefusedAddressError(ValueError):
    """A host has no address that callbacks may be sent to; the message gives reason and fix."""
