"""Slack's user object, mapped to the columns that Bellhop stores.

https://docs.slack.dev/reference/objects/user-object: every field but the id may be missing. A
missing field changes nothing; an empty one clears the stored value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bolt_app.text_forms import lowered

_IMAGE_SIZES = (24, 32, 48, 72, 192, 512, 1024)
_PROFILE_TEXTS = ("real_name", "display_name", "email", "title")
_USER_TEXTS = ("name", "tz", "tz_label", "locale")


def user_values(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of `users` for which the user object has a value."""
    profile = _mapping(facts.get("profile"))
    values: dict[str, Any] = {
        **_texts(facts, _USER_TEXTS),
        **_texts(facts, ("real_name",)),
        **_texts(profile, _PROFILE_TEXTS),
    }
    if values.get("email"):
        # Lookups by e-mail need one form.
        values["email"] = lowered(values["email"])
    images = {
        str(size): profile[f"image_{size}"]
        for size in _IMAGE_SIZES
        if isinstance(profile.get(f"image_{size}"), str)
    }
    if images:
        values["images"] = images
    if isinstance(facts.get("tz_offset"), int):
        values["tz_offset"] = facts["tz_offset"]
    for name, flag in (("is_bot", "is_bot"), ("is_deleted", "deleted")):
        if flag in facts:
            values[name] = bool(facts[flag])
    return values


def updated_at(facts: Mapping[str, Any]) -> int:
    """Return when Slack last changed the user object (Unix seconds); 0 if unknown."""
    updated = facts.get("updated")
    return int(updated) if isinstance(updated, int | float) else 0


def membership_values(facts: Mapping[str, Any]) -> dict[str, bool]:
    """Return the columns of `memberships` for which the user object has a value."""
    values = {name: bool(facts[name]) for name in ("is_admin", "is_owner") if name in facts}
    if "is_restricted" in facts or "is_ultra_restricted" in facts:
        values["is_guest"] = bool(facts.get("is_restricted") or facts.get("is_ultra_restricted"))
    return values


def enterprise_of(facts: Mapping[str, Any]) -> str:
    """Return the organization the account belongs to, or an empty string."""
    return str(_mapping(facts.get("enterprise_user")).get("enterprise_id") or "")


def is_guest_in(team_id: str, facts: Mapping[str, Any]) -> bool | None:
    """Whether a person has only the access of a guest in a workspace; None if unknown.

    This applies to guests, and to people of other workspaces of the organization.
    """
    teams = _mapping(facts.get("enterprise_user")).get("teams")
    if isinstance(teams, list) and team_id not in (*teams, facts.get("team_id")):
        return True
    return membership_values(facts).get("is_guest")


def is_in_workspace(team_id: str, facts: Mapping[str, Any]) -> bool:
    """Whether a person belongs to a workspace, as a member or a guest.

    People of other workspaces of the organization, and of other organizations that share a
    channel, do not.
    """
    teams = _mapping(facts.get("enterprise_user")).get("teams")
    return team_id in (facts.get("team_id"), *(teams if isinstance(teams, list) else ()))


def _texts(source: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str | None]:
    return {
        name: (str(source[name]).strip() or None) if source[name] is not None else None
        for name in names
        if name in source
    }


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
