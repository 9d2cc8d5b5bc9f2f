"""Cancel waiting deliveries and insert old, sent ones, in a separate process.

python -m benchmarks.old_rows TEAM NUMBER
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, select, text, update

from bolt_app.config import load_settings
from bolt_app.db import Database
from bolt_app.db.models import Delivery, Lane, Notification
from bolt_app.notifications.content.ids import new_id

BATCH = 10_000


def main(team_id: str, number: int) -> None:
    """Write the rows."""
    settings = load_settings()
    database = Database(settings.database_url, settings.encryption_keys)
    long_ago = datetime.now(UTC) - timedelta(days=20)
    with database.writing() as session:
        session.execute(
            update(Delivery).where(Delivery.state == "waiting").values(state="cancelled")
        )
    with database.reading() as session:
        lanes = session.scalars(select(Lane.id).where(Lane.team_id == team_id)).all()
    for start in range(0, number, BATCH):
        ids = [new_id(long_ago + timedelta(seconds=start + n)) for n in range(BATCH)]
        with database.writing_connection() as connection:
            connection.execute(
                insert(Notification),
                [
                    {
                        "id": id_,
                        "team_id": team_id,
                        "source": "command",
                        "content": {"text": "long ago"},
                        "created_at": long_ago,
                    }
                    for id_ in ids
                ],
            )
            connection.execute(
                insert(Delivery),
                [
                    {
                        "notification_id": id_,
                        "lane_id": lanes[index % len(lanes)],
                        "target": "#general",
                        "state": "sent",
                        "rank": 0,
                        "mode": "new",
                        "on_unknown": "hold",
                        "send_at": long_ago,
                        "attempts": 1,
                        "ts": "1700000000.000100",
                        "finished_at": long_ago,
                    }
                    for index, id_ in enumerate(ids)
                ],
            )
    with database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
    database.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
