"""Time zones of people."""

from __future__ import annotations

from bolt_app.notifications.subscriptions.schedules import is_zone
from bolt_app.services import Services


def time_zone_of(services: Services, team_id: str, user_id: str) -> str:
    """Return a person's time zone: from their profile, otherwise from Slack, otherwise UTC.

    Slack's answer is cached, because all people of a workspace share the limit of this method.
    https://docs.slack.dev/reference/methods/users.info

    Raises:
        NotInstalledError: the bot is not installed in the workspace.
        SlackCallError: the call to Slack failed.
    """
    profile = services.profiles.find(team_id, user_id)
    if profile is not None and profile.tz is not None and is_zone(profile.tz):
        return profile.tz
    known = services.time_zones.find((team_id, user_id))
    if known is not None:
        return known
    return services.time_zones.ask(
        (team_id, user_id), lambda: _ask_time_zone(services, team_id, user_id)
    )


def _ask_time_zone(services: Services, team_id: str, user_id: str) -> str:
    workspace = services.client.find_workspace(team_id)
    tz = services.client.as_bot(workspace, "users.info", user=user_id)["user"].get("tz")
    return str(tz) if is_zone(tz) else "UTC"
