"""Signed values of Bellhop's buttons, menus and modals.

A value has a version, a workspace, a signature and named fields as JSON. The signature binds it to
an action, a workspace and an address: a value of another button, workspace or channel is invalid.
A button has it as `value`; a menu, whose options Slack limits to 150 characters, in the `block_id`
of its block; a modal as `private_metadata`.

https://docs.slack.dev/reference/block-kit/block-elements/button-element
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from bolt_app.derived_keys import derive_key

Block = dict[str, Any]

VERSION = "v1"
VALUE_LENGTH = 2000
_PURPOSE = "bellhop: values of buttons, menus and modals"
_SIGNATURE_LENGTH = 22  # of 128 bits in base64
_TEAM_LENGTH = 32  # Slack's ids have about eleven characters
# Shared, because `json.dumps` would create one per button.
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_OVERHEAD = len(VERSION) + _TEAM_LENGTH + _SIGNATURE_LENGTH + 3


class OutdatedError(Exception):
    """A value was not signed for the place of its use, or has an old version."""

    sentence = (
        "This button is outdated, and nothing was changed. Run the command again, or open "
        "Bellhop's Home tab, to get a new one."
    )

    def __init__(self) -> None:
        super().__init__(self.sentence)


class OutdatedFormError(OutdatedError):
    """A submitted modal was not opened by Bellhop, or contains a value that it does not offer."""

    sentence = "This form is outdated, and nothing was changed. Close it and open it again."


class ValueSigner:
    """Signs and verifies values."""

    def __init__(self, secret: str) -> None:
        self._key = derive_key(secret, _PURPOSE)

    def sign(
        self, action: str, team_id: str, address: str, fields: Mapping[str, Any] | None = None
    ) -> str:
        """Return a value that `read` accepts for the same action, workspace and address.

        Args:
            action: the action id, or `view:` and the callback id of a modal.
            address: the channel or person that sees the element, or the result of `home_of` or
                `shown_to`.
        """
        packed = _pack(fields or {})
        signature = self._signature(action, team_id, address, packed)
        return f"{VERSION}.{team_id}.{signature}.{packed}"

    def read(
        self, value: object, action: str, team_id: str, addresses: Iterable[str]
    ) -> dict[str, Any]:
        """Return the fields of a value that was signed for one of the addresses in a workspace.

        Raises:
            OutdatedError: the value is not valid.
        """
        signed_for, fields = self.open(value, action, addresses)
        if signed_for != team_id:
            raise OutdatedError
        return fields

    def open(
        self, value: object, action: str, addresses: Iterable[str]
    ) -> tuple[str, dict[str, Any]]:
        """Return the workspace and the fields of a value that was signed for one of the addresses.

        Raises:
            OutdatedError: the value is not valid.
        """
        parts = value.split(".", 3) if isinstance(value, str) else []
        version, team_id, signature, packed = parts if len(parts) == 4 else ("", "", "", "")
        if version != VERSION or not any(
            hmac.compare_digest(
                signature.encode("utf-8", "replace"),
                self._signature(action, team_id, address, packed).encode(),
            )
            for address in addresses
        ):
            raise OutdatedError
        return team_id, json.loads(packed)

    def sign_blocks(self, blocks: Sequence[Block], team_id: str, address: str) -> list[Block]:
        """Sign the `value` of buttons and the `block_id` of menus in Bellhop's blocks."""
        return [self._signed_block(block, team_id, address) for block in blocks]

    def _signed_block(self, block: Block, team_id: str, address: str) -> Block:
        elements = [*block.get("elements", ()), *filter(None, [block.get("accessory")])]
        actions = [element for element in elements if "action_id" in element]
        if not actions:
            return block
        signed = dict(block)
        menus = [action["action_id"] for action in actions if action["type"] != "button"]
        if "block_id" in block:
            # A block has at most one menu: the block's id is signed for it.
            action_id = next(iter(menus), actions[0]["action_id"])
            signed["block_id"] = self.sign(action_id, team_id, address, block["block_id"])
        if "elements" in block:
            signed["elements"] = [
                self._signed(element, team_id, address) for element in block["elements"]
            ]
        if "accessory" in block:
            signed["accessory"] = self._signed(block["accessory"], team_id, address)
        return signed

    def _signed(self, element: Block, team_id: str, address: str) -> Block:
        if element["type"] != "button":
            return element
        value = self.sign(element["action_id"], team_id, address, element.get("value"))
        return {**element, "value": value}

    def _signature(self, action: str, team_id: str, address: str, packed: str) -> str:
        bound = json.dumps([VERSION, action, team_id, address, packed])
        digest = hmac.digest(self._key, bound.encode(), sha256)[:16]
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def fits(fields: Mapping[str, Any]) -> bool:
    """Whether the signed value of these fields fits into a button."""
    return _OVERHEAD + len(_pack(fields)) <= VALUE_LENGTH


def home_of(user_id: str) -> str:
    """Return the address of a person's Home tab."""
    return f"home:{user_id}"


def shown_to(user_id: str, address: str) -> str:
    """Return the address of an ephemeral message to a person in a channel."""
    return f"only:{user_id}:{address}"


def _pack(fields: Mapping[str, Any]) -> str:
    """Return fields as JSON without the characters that Slack escapes."""
    packed = _ENCODER.encode(fields)
    return packed.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")
