"""What somebody is in a workspace, as Slack says now, and what they may do there."""

from __future__ import annotations

from dataclasses import dataclass

from bolt_app.services import Services
from bolt_app.user_facts import enterprise_of, membership_values


class StrangerError(Exception):
    """The person is of another organisation, and only shares a channel."""

    def __init__(self) -> None:
        super().__init__(
            "Bellhop works for the other organisation in this shared channel: ask somebody there "
            "to do this for you."
        )


@dataclass(frozen=True)
class Role:
    """What somebody is in a workspace.

    Attributes:
        is_admin: an admin or owner.
        is_guest: a guest, or somebody of whom Slack does not say.
        is_stranger: somebody of another organisation, who shares a channel.
    """

    is_admin: bool
    is_guest: bool
    is_stranger: bool


def look_up_role(services: Services, team_id: str, user_id: str) -> Role:
    """Ask Slack what somebody is (https://docs.slack.dev/reference/methods/users.info).

    Raises:
        NotInstalledError: there is no bot in that workspace.
        SlackCallError: Slack refused or did not answer.
    """
    place = services.calls.find_place(team_id)
    facts = services.calls.as_bot(place, "users.info", user=user_id)["user"]
    values = membership_values(facts)
    is_stranger = bool(facts.get("is_stranger")) or (
        facts.get("team_id") not in (None, team_id)
        and (place.enterprise_id is None or enterprise_of(facts) != place.enterprise_id)
    )
    is_admin = bool(values.get("is_admin") or values.get("is_owner"))
    return Role(
        is_admin=is_admin and not is_stranger and not facts.get("deleted"),
        is_guest=values.get("is_guest", True),
        is_stranger=is_stranger,
    )


def is_stranger(services: Services, team_id: str, user_id: str) -> bool:
    """Whether somebody is of another organisation; Slack is asked of those who are not linked.

    Raises:
        NotInstalledError: there is no bot in that workspace.
        SlackCallError: Slack refused or did not answer.
    """
    if services.profiles.find(team_id, user_id) is not None:
        return False
    return look_up_role(services, team_id, user_id).is_stranger
