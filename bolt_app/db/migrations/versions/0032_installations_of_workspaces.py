"""installations: a workspace's rows are found by its id, whatever organization it is in

A workspace that joined an organization may have rows of before and after. The newest of each stays,
with the organization of the newest; sessions end with the row that they belong to. Tokens of the
other rows are not revoked at Slack, because the token of a later install may be the same one.

Revision: 0032
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_KEY = ("client_id", "enterprise_id", "team_id")
_BOTS = sa.table("bots", *map(sa.column, ("id", "installed_at", *_KEY)))
_PEOPLE = sa.table("installations", *map(sa.column, ("id", "installed_at", "user_id", *_KEY)))
_REVISIONS = sa.table("installation_revisions", *map(sa.column, (*_KEY, "revision")))
_SESSIONS = sa.table("sessions", sa.column("installation_id"))
_ACCOUNTS = sa.table("users", *map(sa.column, ("id", "home_id", "user_id")))
_MEMBERSHIPS = sa.table("memberships", *map(sa.column, ("user_id", "team_id")))

_INDEXES = (
    ("uq_bots_client_id_team_id", "bots", ["client_id", "team_id"]),
    (
        "uq_installations_client_id_team_id_user_id",
        "installations",
        ["client_id", "team_id", "user_id"],
    ),
)


def upgrade() -> None:
    _delete_earlier(_PEOPLE, "client_id", "team_id", "user_id")
    _delete_earlier(_BOTS, "client_id", "team_id")
    _name_one_organization()
    _merge_revisions()
    _delete_former_accounts()
    is_workspace = sa.text("team_id <> ''")
    for name, table, columns in _INDEXES:
        op.create_index(
            name,
            table,
            columns,
            unique=True,
            sqlite_where=is_workspace,
            postgresql_where=is_workspace,
        )


def downgrade() -> None:
    for name, table_name, _ in _INDEXES:
        op.drop_index(name, table_name)
    connection = op.get_bind()
    for table in (_BOTS, _PEOPLE):
        is_elsewhere = sa.and_(table.c.team_id != "", table.c.enterprise_id != "")
        places = sa.select(*_key_of(table)).where(is_elsewhere).distinct()
        for client_id, enterprise_id, team_id in connection.execute(places).all():
            is_there = _is_of(_REVISIONS, client_id, team_id)
            connection.execute(
                _REVISIONS.update().where(is_there).values(enterprise_id=enterprise_id)
            )


def _delete_earlier(table: sa.TableClause, *key: str) -> None:
    """Delete the rows of workspaces for which there is a newer row with the same key."""
    newer = table.alias()
    is_newer = sa.or_(
        newer.c.installed_at > table.c.installed_at,
        sa.and_(newer.c.installed_at == table.c.installed_at, newer.c.id > table.c.id),
    )
    same = [newer.c[name] == table.c[name] for name in key]
    is_earlier = sa.and_(table.c.team_id != "", sa.exists().where(*same, is_newer))
    connection = op.get_bind()
    ids = connection.scalars(sa.select(table.c.id).where(is_earlier)).all()
    if table is _PEOPLE:
        connection.execute(_SESSIONS.delete().where(_SESSIONS.c.installation_id.in_(ids)))
    connection.execute(table.delete().where(table.c.id.in_(ids)))


def _name_one_organization() -> None:
    """Give all rows of a workspace the organization of the newest one."""
    connection = op.get_bind()
    latest: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for table in (_BOTS, _PEOPLE):
        key = _key_of(table)
        places = sa.select(*[*key, sa.func.max(table.c.installed_at)]).group_by(*key)
        places = places.where(table.c.team_id != "")
        for client_id, enterprise_id, team_id, at in connection.execute(places):
            known = latest[client_id, team_id]
            known[enterprise_id] = max(at, known.get(enterprise_id, at))
    for place, organizations in latest.items():
        if len(organizations) == 1:
            continue
        newest = max(organizations, key=lambda found: organizations[found])
        for table in (_BOTS, _PEOPLE):
            connection.execute(
                table.update().where(_is_of(table, *place)).values(enterprise_id=newest)
            )


def _merge_revisions() -> None:
    """Count the changes of a workspace in one row, without an organization."""
    connection = op.get_bind()
    revisions = sa.select(_REVISIONS).where(_REVISIONS.c.team_id != "")
    totals: dict[tuple[str, str], int] = defaultdict(int)
    for client_id, _, team_id, changes in connection.execute(revisions):
        totals[client_id, team_id] += changes
    connection.execute(_REVISIONS.delete().where(_REVISIONS.c.team_id != ""))
    for (client_id, team_id), total in totals.items():
        connection.execute(
            _REVISIONS.insert().values(
                client_id=client_id, enterprise_id="", team_id=team_id, revision=total
            )
        )


def _delete_former_accounts() -> None:
    """Delete a workspace's account of a person who has one of its organization there as well."""
    own, other, account = _MEMBERSHIPS.alias(), _MEMBERSHIPS.alias(), _ACCOUNTS.alias()
    has_other = sa.exists().where(
        own.c.user_id == _ACCOUNTS.c.id,
        own.c.team_id == _ACCOUNTS.c.home_id,
        other.c.team_id == own.c.team_id,
        account.c.id == other.c.user_id,
        account.c.user_id == _ACCOUNTS.c.user_id,
        account.c.id != _ACCOUNTS.c.id,
    )
    connection = op.get_bind()
    ids = connection.scalars(sa.select(_ACCOUNTS.c.id).where(has_other)).all()
    connection.execute(_MEMBERSHIPS.delete().where(_MEMBERSHIPS.c.user_id.in_(ids)))
    connection.execute(_ACCOUNTS.delete().where(_ACCOUNTS.c.id.in_(ids)))


def _key_of(table: sa.TableClause) -> list[sa.ColumnElement[Any]]:
    return [table.c[name] for name in _KEY]


def _is_of(table: sa.TableClause, client_id: str, team_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.client_id == client_id, table.c.team_id == team_id)
