"""Round trip of any ids, names and tokens through the installation store."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slack_sdk.oauth.installation_store import Installation

from bolt_app.db import Database
from bolt_app.installations.store import Installations
from tests.property import examples

ids = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=64)
# PostgreSQL stores no NUL in a text; encrypted values may contain anything.
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300)
secrets = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3000)
scopes = st.lists(st.text("abcdefghijklmnopqrstuvwxyz.:", min_size=1), unique=True)
seconds = st.integers(min_value=0, max_value=4_000_000_000)


@st.composite
def moments(draw: st.DrawFn) -> float:
    """A timestamp as given by slack_sdk, in microseconds."""
    moment = draw(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001
    return moment.replace(tzinfo=UTC).timestamp()


@st.composite
def installations(draw: st.DrawFn) -> Installation:
    """An installation with a bot token; optional fields are sometimes missing."""
    optional: dict[str, st.SearchStrategy[Any]] = {
        "app_id": ids,
        "enterprise_name": words,
        "enterprise_url": words,
        "team_name": words,
        "bot_id": ids,
        "bot_user_id": ids,
        "bot_refresh_token": secrets,
        "bot_token_expires_at": seconds,
        "incoming_webhook_url": secrets,
        "token_type": st.just("bot"),
    }
    values: dict[str, Any] = {
        name: draw(st.none() | strategy) for name, strategy in optional.items()
    }
    if draw(st.booleans()):
        values |= {
            "user_token": draw(secrets),
            "user_scopes": draw(scopes),
            "user_refresh_token": draw(st.none() | secrets),
            "user_token_expires_at": draw(st.none() | seconds),
        }
    if draw(st.booleans()):
        values |= {"enterprise_id": draw(ids), "is_enterprise_install": True}
    else:
        values |= {"enterprise_id": draw(st.none() | ids), "team_id": draw(ids)}
    return Installation(
        user_id=draw(ids),
        bot_token=draw(secrets),
        bot_scopes=draw(scopes),
        installed_at=draw(moments()),
        **values,
    )


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(installation=installations())
def test_a_saved_installation_is_found_unchanged(
    database: Database, installation: Installation
) -> None:
    # All examples share one database, so each has a separate app.
    store = Installations(uuid.uuid4().hex, database)
    store.save(installation)
    place: dict[str, Any] = {
        "enterprise_id": installation.enterprise_id,
        "team_id": installation.team_id,
    }

    found = store.find_installation(**place, user_id=installation.user_id)
    latest = store.find_installation(**place)
    bot = store.find_bot(**place)

    assert found is not None
    assert latest is not None
    assert bot is not None
    assert vars(found) == vars(latest) == vars(installation)
    assert vars(bot) == vars(installation.to_bot())

    store.delete_all(**place)
    assert store.find_installation(**place) is None
