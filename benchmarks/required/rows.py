"""Database rows that would take too long to create by sending: a backlog, and idle workspaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, text, update

from benchmarks.required.deployment import Deployment
from bolt_app.config import load_settings
from bolt_app.db import Database
from bolt_app.db.models import WorkspaceQueue
from bolt_app.notifications.content.ids import new_id
from bolt_app.notifications.queue.change_feed import begin_change, stored_urgency
from bolt_app.notifications.queue.shards import shard_of

_NUMBERS = """
    WITH RECURSIVE numbers(n) AS (
        SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < :last
    )
"""
_LANES = text(f"""
    INSERT INTO lanes (team_id, address, is_erasable)
    {_NUMBERS} SELECT :team_id, :address || n, false FROM numbers
""")  # noqa: S608
_NOTIFICATION = text("""
    INSERT INTO notifications (id, team_id, source, content, created_at)
    VALUES (:id, :team_id, 'command', :content, :now)
""")
_DELIVERIES = text(f"""
    INSERT INTO deliveries (
        notification_id, team_id, lane_id, seq, target, state, source, rank, urgency, mode,
        on_unknown, send_at, attempts
    )
    {_NUMBERS} SELECT
        :id, lanes.team_id, lanes.id, :seq, lanes.address, 'waiting', 'command', 0,
        CAST(:urgency AS BIGINT) + n, 'new', 'hold', :now, 0
    FROM lanes, numbers WHERE lanes.team_id = :team_id
""")  # noqa: S608
_IDLE_TEAM = "T0IDLE{:05}"
# The team's installation, for another team.
_IDLE_BOT = text("""
    INSERT INTO bots (
        client_id, enterprise_id, team_id, bot_token, bot_id, bot_user_id, bot_scopes,
        is_enterprise_install, installed_at
    )
    SELECT client_id, enterprise_id, :idle, bot_token, bot_id, bot_user_id, bot_scopes,
        is_enterprise_install, installed_at
    FROM bots WHERE team_id = :team_id
""")


def add_waiting(deployment: Deployment, teams: Sequence[str], *, lanes: int, each: int) -> None:
    """Insert waiting deliveries into a number of lanes, divided among workspaces."""
    now = datetime.now(UTC)
    shared: dict[str, Any] = {"now": now, "urgency": stored_urgency(0, now)}
    database = _database(deployment.environment)
    for team_id in teams:
        values = {**shared, "team_id": team_id, "id": new_id(now), "content": '{"text": "waiting"}'}
        with database.writing_connection() as connection:
            [seq] = begin_change(connection, [team_id]).values()
            last = lanes // len(teams) - 1
            address = f"C{team_id[1:]}X"
            _run(connection, _LANES, team_id=team_id, address=address, last=last)
            _run(connection, _NOTIFICATION, **values)
            _run(connection, _DELIVERIES, **values, seq=seq, last=each - 1)
            queue = update(WorkspaceQueue).where(WorkspaceQueue.team_id == team_id)
            connection.execute(queue.values(accepted_at=now))
    _analyze(database)


def add_idle(deployment: Deployment, team_id: str, number: int) -> None:
    """Install Bellhop in a number of idle workspaces with one delivery each."""
    now = datetime.now(UTC)
    teams = [_IDLE_TEAM.format(index) for index in range(number)]
    queues = [
        {"team_id": one, "shard": shard_of(one), "seq": 1, "accepted_at": now} for one in teams
    ]
    database = _database(deployment.environment)
    with database.writing_connection() as connection:
        connection.execute(insert(WorkspaceQueue), queues)
        connection.execute(_IDLE_BOT, [{"idle": one, "team_id": team_id} for one in teams])
    _analyze(database)


def _run(connection: Connection, statement: Any, **values: Any) -> None:
    named = statement.compile().params
    connection.execute(statement, {name: values[name] for name in named})


def _database(environment: Mapping[str, str]) -> Database:
    settings = load_settings(environment)
    return Database(settings.database_url, settings.encryption_keys)


def _analyze(database: Database) -> None:
    with database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
    database.close()
