"""Profiles as Block Kit: pure functions from typed values to dictionaries.

https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bolt_app.blockkit.elements import (
    Answer,
    Block,
    actions,
    button,
    context,
    date,
    literal,
    mrkdwn,
    plain,
    plain_answer,
    section,
)
from bolt_app.blockkit.mrkdwn import escape, is_markup, is_misread_in_bold
from bolt_app.profiles.view import Profile, Workspace
from bolt_app.slack import ids

FIELD_LIMIT = 2000
_SHOWN_WORKSPACES = 10


def profile_answer(profile: Profile, scopes: Sequence[str], now: datetime) -> Answer:
    """Show a person their own linked profile."""
    return Answer(
        text=f"Your linked profile: {escape(profile.real_name)}",
        blocks=[
            *_who(profile),
            {"type": "section", "fields": _fields(profile, now)},
            context(
                f"Granted: {', '.join(f'`{scope}`' for scope in scopes) or 'nothing of your own'}"
                f"  •  Linked since {date(profile.linked_at)}"
                f"  •  Last read from Slack {date(profile.refreshed_at)}"
            ),
            actions(button("Refresh", ids.REFRESH_PROFILE), _unlink_button()),
        ],
    )


def public_profile_answer(profile: Profile, now: datetime) -> Answer:
    """Show somebody else's linked profile: what everybody sees in Slack, and no e-mail address."""
    fields = [_field("Title", profile.title), _field("Local time", _local_time(profile, now))]
    shown = [field for field in fields if field is not None]
    blocks = _who(profile)
    if shown:
        blocks.append({"type": "section", "fields": shown})
    return Answer(
        text=f"The linked profile of {escape(profile.real_name)}",
        blocks=[*blocks, context(f"Linked since {date(profile.linked_at)}")],
    )


def not_linked_answer(link_url: str) -> Answer:
    """Offer to link a profile."""
    text = "You have not linked your profile yet."
    return Answer(
        text=text,
        blocks=[
            section(
                f"*{text}*\nLinking lets Bellhop know your name, picture, e-mail address and time "
                "zone. You approve it in Slack and can unlink whenever you like."
            ),
            actions(button("Link my profile", ids.LINK_PROFILE, style="primary", url=link_url)),
        ],
    )


def token_dead_answer(link_url: str) -> Answer:
    """Say that Slack no longer takes the person's token, and offer to link anew."""
    text = "Slack no longer accepts the token of your profile."
    return Answer(
        text=text,
        blocks=[
            section(f"*{text}*\nLink your profile again and all is well."),
            actions(
                button("Link again", ids.LINK_PROFILE, style="primary", url=link_url),
                _unlink_button(),
            ),
        ],
    )


def other_not_linked_answer(user_id: str) -> Answer:
    """Say that somebody has no linked profile."""
    return plain_answer(f"<@{user_id}> has not linked a profile.")


def unlink_question() -> Answer:
    """Ask before forgetting a person."""
    text = "Unlink your profile?"
    return Answer(
        text=text,
        blocks=[
            section(
                f"*{text}*\nBellhop deletes your name, picture, e-mail address, time zone and "
                "token, and what you subscribed yourself to, and hands the token back to Slack. "
                "Notifications to channels go on."
            ),
            actions(_unlink_button(), button("Keep it", ids.KEEP_PROFILE)),
        ],
    )


def unlinked_answer() -> Answer:
    """Say that a person was forgotten."""
    return plain_answer(
        "Your profile is unlinked: your personal data and your token are deleted. "
        "Type `/profile` to link it again."
    )


def help_answer(unknown: str) -> Answer:
    """Say what `/profile` understands."""
    lead = f"I do not understand “{escape(unknown[:100])}”.\n" if unknown else ""
    return plain_answer(
        f"{lead}*What you can ask*\n"
        "• `/profile` shows your linked profile\n"
        "• `/profile @someone` shows the public part of theirs\n"
        "• `/profile refresh` reads yours from Slack anew\n"
        "• `/profile unlink` deletes yours"
    )


def _who(profile: Profile) -> list[Block]:
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
            "text": plain("Bellhop forgets you and deletes your token."),
            "confirm": plain("Unlink"),
            "deny": plain("Keep it"),
            "style": "danger",
        },
    }
