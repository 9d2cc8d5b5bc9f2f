"""Refresh of open App Homes after changes from every entry point."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bolt_app.notifications.history.failure_watch import FAILURES, FailureWatch
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.signals import ChangeSignal
from bolt_app.slack import ids
from bolt_app.worker import create_worker
from bolt_app.workspaces.home_tabs import MOST_OF_WORKSPACE
from slack_sandbox import Fault
from tests.commands import flask, run, settings_file
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only

PUBLISH = "views.publish"


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def open_home(bellhop: Bellhop, user_id: str = ANN) -> None:
    bellhop.slack.open_home(user_id, ACME)
    bellhop.slack.deliver_due()


def wait_until_shown(bellhop: Bellhop, words: str, user_id: str = ANN) -> None:
    bellhop.wait_for_home(ACME, user_id, words)


def test_a_command_shows_at_home(installed: Bellhop) -> None:
    open_home(installed)

    dm = installed.slack.app_dm(ACME, ANN)
    installed.slack.send_command(ANN, dm.id, "/notify", "subscribe deploys")

    wait_until_shown(installed, "`deploys`")


def test_the_command_line_shows_at_home(installed: Bellhop) -> None:
    open_home(installed)

    run(installed, "topic", "subscribe", "--team", ACME, "deploys", ANN)

    wait_until_shown(installed, "`deploys`")


@pytest.mark.slow
def test_a_command_in_a_process_of_its_own_shows_in_the_homes_of_admins(
    installed: Bellhop, tmp_path: Path
) -> None:
    installed.slack.users[BEN].is_admin = True
    installed.services.api_keys.create(ACME, "monitoring")
    for user_id in (ANN, BEN):
        open_home(installed, user_id)
    settings = tmp_path / "settings"
    settings.write_text(settings_file(installed))

    done = flask("api-key", "revoke", "1", FLASK_ENV_FILE=str(settings))

    assert (done.returncode, done.stdout) == (0, "Key 1 is revoked.\n"), done.stderr
    for user_id in (ANN, BEN):
        view = installed.slack.home_view(ACME, user_id)
        assert view is not None
        assert "revoked, " in json.dumps(view.blocks)


def test_a_changed_profile_shows_at_home(installed: Bellhop) -> None:
    open_home(installed)

    installed.slack.update_user(ANN, title="Concierge")
    installed.slack.deliver_due()

    wait_until_shown(installed, "Concierge")


def test_an_unlinked_profile_is_gone_from_home(installed: Bellhop) -> None:
    open_home(installed)
    asked = installed.slack.send_command(ANN, GENERAL, "/profile", "unlink").message
    assert asked is not None

    installed.slack.click(ANN, asked, ids.UNLINK_PROFILE, confirmed=True)

    wait_until_shown(installed, "not linked your profile")


def test_a_key_shows_in_the_homes_of_all_admins_and_of_nobody_else(installed: Bellhop) -> None:
    installed.slack.users[BEN].is_admin = True
    open_home(installed)
    open_home(installed, BEN)

    installed.services.api_keys.create(ACME, "monitoring")

    wait_until_shown(installed, "`monitoring`")
    wait_until_shown(installed, "`monitoring`", BEN)


def test_a_home_that_was_never_opened_is_not_published(installed: Bellhop) -> None:
    installed.services.subscriptions.subscribe(ACME, ANN, SubscriptionSpec("deploys"))
    installed.services.api_keys.create(ACME, "monitoring")
    open_home(installed, BEN)

    assert installed.slack.home_view(ACME, ANN) is None
    assert len(installed.slack.calls_to(PUBLISH)) == 1


def test_it_is_tried_again_when_slack_wants_a_pause(installed: Bellhop) -> None:
    open_home(installed)
    installed.slack.faults.add(Fault(PUBLISH, "rate_limited", times=1, retry_after=1))

    installed.services.subscriptions.subscribe(ACME, ANN, SubscriptionSpec("deploys"))
    while not any(one.status == 429 for one in installed.slack.calls_to(PUBLISH)):
        installed.slack.wait_for_change(installed.slack.version, 0.05)
    installed.clock.advance(2)

    wait_until_shown(installed, "`deploys`")


def test_a_broken_slack_harms_nothing(installed: Bellhop) -> None:
    open_home(installed)
    installed.slack.faults.add(Fault(PUBLISH, "api_error", times=1, error="fatal_error"))

    installed.services.subscriptions.subscribe(ACME, ANN, SubscriptionSpec("deploys"))

    wait_until_shown(installed, "`deploys`")


class TestFailedDeliveries:
    """The list of failed deliveries in open homes."""

    @pytest.fixture
    def watch(self, installed: Bellhop) -> FailureWatch:
        open_home(installed)
        open_home(installed, BEN)
        watch = FailureWatch(installed.services.database, installed.services.signals)
        watch.run()
        return watch

    def fail(self, bellhop: Bellhop) -> str:
        """Make a delivery to a public channel fail."""
        bellhop.slack.faults.add(
            Fault("chat.postMessage", "api_error", times=1, error="restricted_action")
        )
        id_ = accept(bellhop, GENERAL, title="Backup of db3")
        Hand(bellhop).deliver()
        return id_

    def test_home_shows_failed_deliveries_until_they_are_retried(
        self, installed: Bellhop, watch: FailureWatch
    ) -> None:
        id_ = self.fail(installed)
        watch.run()
        for user_id in (ANN, BEN):
            wait_until_shown(installed, "1 failed (rejected", user_id)

        installed.services.history.retry(ACME, id_)
        watch.run()
        for user_id in (ANN, BEN):
            wait_until_shown(installed, "1 waiting", user_id)

    def test_a_flood_publishes_each_home_once_a_run(
        self, installed: Bellhop, watch: FailureWatch
    ) -> None:
        before = len(installed.slack.calls_to(PUBLISH))
        for _ in range(5):
            self.fail(installed)
            installed.clock.advance(5)
        watch.run()
        watch.run()

        for user_id in (ANN, BEN):
            wait_until_shown(installed, "5 failed (rejected", user_id)
        assert len(installed.slack.calls_to(PUBLISH)) == before + 2

    def test_with_many_homes_only_admins_and_the_latest_are_refreshed(
        self, installed: Bellhop
    ) -> None:
        homes = installed.services.home_tabs
        for number in range(MOST_OF_WORKSPACE + 5):
            homes.opened(ACME, f"U0MANY{number:04}")
            installed.clock.advance(1)
        homes.published(ACME, "U0MANY0000", for_admin=True)

        found = homes.of(ChangeSignal(ACME, None, is_everyone=True))

        assert len(found) == MOST_OF_WORKSPACE
        assert found[:2] == ["U0MANY0000", f"U0MANY{MOST_OF_WORKSPACE + 4:04}"]

    def test_the_watch_reads_an_index_of_failures(self, installed: Bellhop) -> None:
        engine = installed.services.database.engine
        statement = FAILURES.compile(engine, compile_kwargs={"literal_binds": True})
        with engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").all()

        steps = [row[-1] for row in plan if " deliveries" in row[-1]]
        assert steps
        assert all("USING INDEX ix_deliveries_failed (team_id=?)" in step for step in steps)

    def test_the_worker_watches(self, installed: Bellhop) -> None:
        tasks = create_worker(installed.services)._timetable._tasks
        assert "watch_failures" in {one.name for one in tasks}
