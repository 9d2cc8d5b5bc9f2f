"""Sweep: each argument that is the `ts` of a message may be a JSON number."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from bolt_app.credentials.api_keys import Scope
from bolt_app.db.models import Delivery
from tests.running import Bellhop
from tests.web.methods.calling import method_caller
from tests.web.methods.test_access import OWNER, Target, arguments
from tests.web.methods.test_access import installed as installed
from tests.web.methods.test_hostile_inputs import READ

pytestmark = pytest.mark.sqlite_only

NAMES = {"ts", "message_ts", "timestamp", "thread_ts"}
ARGUMENTS = [(method, name) for method, names in READ.items() for name in names if name in NAMES]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "name"), ARGUMENTS)
@pytest.mark.parametrize(
    ("ts", "number"), [("1700000000.123400", 1700000000.1234), ("1700000000.000000", 1700000000)]
)
def test_a_number_names_its_message(
    installed: Bellhop, method: str, name: str, ts: str, number: float
) -> None:
    target = Target(installed)
    with installed.services.database.writing() as session:
        posted = update(Delivery).where(Delivery.provisional_ts == target.posted)
        session.execute(posted.values(provisional_ts=ts))
    given = {**arguments(installed, target, ts)[method], name: number}

    method_caller(installed, Scope.SEND, source=OWNER).ok(method, **given)
