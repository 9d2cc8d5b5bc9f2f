"""Columns of a stored account, and conditions on it, for use in other statements."""

from __future__ import annotations

from sqlalchemy import bindparam, or_, select

from bolt_app.db.models import Membership, User

# As a person is described, and their role in a workspace.
DESCRIPTION_COLUMNS = (
    User.user_id,
    User.name,
    User.real_name,
    User.display_name,
    User.email,
    User.title,
    User.images,
    User.tz,
    User.tz_label,
    User.tz_offset,
)
ROLE_COLUMNS = (Membership.is_admin, Membership.is_owner, Membership.is_guest)

# Whether a linked account is deactivated; no row if the person is not linked. A person has one
# account in all workspaces of an organization, its home. Prepared once, because it runs on every
# request.
IS_DEACTIVATED = (
    select(User.is_deleted)
    .where(
        User.user_id == bindparam("user_id"),
        or_(
            User.id.in_(
                select(Membership.user_id).where(Membership.team_id == bindparam("workspace_id"))
            ),
            User.home_id == bindparam("home_id"),
        ),
    )
    .limit(1)
)
