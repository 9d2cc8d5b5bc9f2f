"""Profiles as Block Kit: pure functions from typed values to dictionaries.

https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bolt_app.blockkit.elements import (
    Block,
    Reply,
    actions,
    button,
    context,
    date,
    literal,
    mrkdwn,
    plain,
    plain_reply,
    section,
)
from bolt_app.blockkit.mrkdwn import escape, is_markup, is_misread_in_bold
from bolt_app.profiles.view import Profile, Workspace
from bolt_app.slack import ids

FIELD_LIMIT = 2000
_SHOWN_WORKSPACES = 10


def profile_reply(profile: Profile, scopes: Sequence[str], now: datetime) -> Reply:
    """Show a person their own linked profile."""
    return Reply(
        text=f"Your linked profile: {escape(profile.real_name)}",
        blocks=[
            *_identity(profile),
            {"type": "section", "fields": _fields(profile, now)},
            context(
                f"Granted: {', '.join(f'`{scope}`' for scope in scopes) or 'nothing'}"
                f"  •  Linked since {date(profile.linked_at)}"
                f"  •  Last read from Slack {date(profile.refreshed_at)}"
            ),
            actions(button("Refresh", ids.REFRESH_PROFILE), _unlink_button()),
        ],
    )


def public_profile_reply(profile: Profile, now: datetime) -> Reply:
    """Show another person's linked profile: only what everyone sees in Slack, without e-mail."""
    fields = [_field("Title", profile.title), _field("Local time", _local_time(profile, now))]
    shown = [field for field in fields if field is not None]
    blocks = _identity(profile)
    if shown:
        blocks.append({"type": "section", "fields": shown})
    return Reply(
        text=f"The linked profile of {escape(profile.real_name)}",
        blocks=[*blocks, context(f"Linked since {date(profile.linked_at)}")],
    )


def not_linked_reply(link_url: str) -> Reply:
    """Offer to link a profile."""
    text = "You have not linked your profile yet."
    return Reply(
        text=text,
        blocks=[
            section(
                f"*{text}*\nLinking gives Bellhop your name, picture, e-mail address and time "
                "zone. You approve it in Slack and can unlink at any time."
            ),
            actions(button("Link my profile", ids.LINK_PROFILE, style="primary", url=link_url)),
        ],
    )


def token_dead_reply(link_url: str) -> Reply:
    """Report that Slack no longer accepts the person's token, and offer to link again."""
    text = "Slack no longer accepts the token of your profile."
    return Reply(
        text=text,
        blocks=[
            section(f"*{text}*\nLink your profile again to continue."),
            actions(
                button("Link again", ids.LINK_PROFILE, style="primary", url=link_url),
                _unlink_button(),
            ),
        ],
    )


def other_not_linked_reply(user_id: str) -> Reply:
    """Report that another person has no linked profile."""
    return plain_reply(f"<@{user_id}> has not linked a profile.")


def unlink_question() -> Reply:
    """Ask for confirmation before a profile is unlinked."""
    text = "Unlink your profile?"
    return Reply(
        text=text,
        blocks=[
            section(
                f"*{text}*\nBellhop deletes your name, picture, e-mail address, time zone and "
                "token and your own subscriptions, and revokes the token in Slack. Notifications "
                "to channels continue."
            ),
            actions(_unlink_button(), button("Keep it", ids.KEEP_PROFILE)),
        ],
    )


def unlinked_reply() -> Reply:
    """Report that a profile was unlinked."""
    return plain_reply(
        "Your profile is unlinked. Your personal data and your token are deleted. "
        "Type `/profile` to link it again."
    )


def help_reply(unknown: str) -> Reply:
    """List what `/profile` can do."""
    lead = f"Unknown command “{escape(unknown[:100])}”.\n" if unknown else ""
    return plain_reply(
        f"{lead}*Commands*\n"
        "• `/profile`: show your linked profile\n"
        "• `/profile @someone`: show the public part of another profile\n"
        "• `/profile refresh`: read your profile from Slack again\n"
        "• `/profile unlink`: delete your profile"
    )


def _identity(profile: Profile) -> list[Block]:
    names = [profile.real_name]
    if profile.display_name and profile.display_name != profile.real_name:
        names.append(f"({profile.display_name})")
    blocks: list[Block]
    if any(is_misread_in_bold(name) for name in names):
        blocks = [
            {"type": "section", "text": literal("  ".join(names))},
            context(f"<@{profile.user_id}>"),
        ]
    else:
        bold, *others = map(escape, names)
        blocks = [section(f"{'  '.join([f'*{bold}*', *others])}\n<@{profile.user_id}>")]
    picture = profile.image(192)
    if picture is not None:
        blocks[0]["accessory"] = {
            "type": "image",
            "image_url": picture,
            "alt_text": f"Picture of {profile.real_name}"[:FIELD_LIMIT],
        }
    return blocks


def _fields(profile: Profile, now: datetime) -> list[Block]:
    label = "Workspace" if len(profile.workspaces) == 1 else "Workspaces"
    fields = (
        _field("E-mail", profile.email),
        _field("Title", profile.title),
        _field("Local time", _local_time(profile, now)),
        _field(label, _workspaces(profile.workspaces)),
    )
    return [field for field in fields if field is not None]


def _field(label: str, value: str | None) -> Block | None:
    if not value:
        return None
    if is_markup(value):
        return literal(f"{label}\n{value}", FIELD_LIMIT)
    return mrkdwn(f"*{label}*\n{escape(value)}", FIELD_LIMIT)


def _local_time(profile: Profile, now: datetime) -> str | None:
    local = profile.local_time(now)
    if local is None:
        return None
    zone = profile.tz_label or profile.tz
    return f"{local:%H:%M}, {local:%A}" + (f" ({zone})" if zone else "")


def _workspaces(workspaces: Sequence[Workspace]) -> str:
    shown = [f"{workspace.name} ({workspace.role.lower()})" for workspace in workspaces]
    more = len(shown) - _SHOWN_WORKSPACES
    return "\n".join(shown[:_SHOWN_WORKSPACES]) + (f"\nand {more} more" if more > 0 else "")


def _unlink_button() -> Block:
    return {
        **button("Unlink", ids.UNLINK_PROFILE, style="danger"),
        "confirm": {
            "title": plain("Unlink your profile?"),
            "text": plain("Bellhop deletes your personal data and your token."),
            "confirm": plain("Unlink"),
            "deny": plain("Keep it"),
            "style": "danger",
        },
    }
