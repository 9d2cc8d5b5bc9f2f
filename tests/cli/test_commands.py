"""Commands: what they do, and what they say when they cannot."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from cryptography.fernet import Fernet

from bolt_app.cli.errors import one_line_errors
from bolt_app.db import schema
from bolt_app.manifest import load_manifest
from bolt_app.notifications.delivery.ownership import OwnershipError
from bolt_app.notifications.history.search import Filter
from slack_sandbox import Fault
from tests.commands import assert_failed, flask, run, settings_file
from tests.conftest import FakeClock
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop, running_bellhop

pytestmark = pytest.mark.sqlite_only


class TestManifest:
    def test_it_needs_no_credentials(self) -> None:
        done = flask("manifest", PUBLIC_URL="https://bell.acme.example")

        assert (done.returncode, done.stderr) == (0, "")
        assert yaml.safe_load(done.stdout) == load_manifest("https://bell.acme.example")
        assert "https://bell.acme.example/slack/oauth_redirect" in done.stdout
        assert "bellhop.example.com" not in done.stdout

    def test_it_has_a_step_for_workflows_where_asked(self) -> None:
        done = flask("manifest", "--workflow-step", PUBLIC_URL="https://bell.acme.example")

        made = yaml.safe_load(done.stdout)
        assert list(made.pop("functions")) == ["send_notification"]
        assert made["settings"].pop("function_runtime") == "remote"
        assert made["settings"]["event_subscriptions"]["bot_events"].pop() == "function_executed"
        assert made == load_manifest("https://bell.acme.example")

    def test_a_malformed_address_is_named(self) -> None:
        done = flask("manifest", PUBLIC_URL="bell.acme.example/app")

        assert done.returncode == 2
        assert "PUBLIC_URL is 'bell.acme.example/app'" in done.stderr
        assert "Traceback" not in done.stderr


def test_new_key_makes_keys_that_work() -> None:
    printed = dict(line.split("=", 1) for line in flask("new-key").stdout.splitlines())

    assert Fernet(printed["ENCRYPTION_KEYS"])
    assert len(printed["SESSION_SECRET"]) >= 32


class TestHelp:
    """Help is read before there are settings."""

    def test_commands_are_listed(self) -> None:
        done = flask("--help")

        assert (done.returncode, done.stderr) == (0, "")
        assert {"manifest", "send", "worker", "workspaces"} <= set(done.stdout.split())

    @pytest.mark.parametrize("command", [["send"], ["db", "upgrade"], ["api-key", "create"]])
    def test_a_command_is_described(self, command: list[str]) -> None:
        done = flask(*command, "--help")

        assert (done.returncode, done.stderr) == (0, "")
        assert f"Usage: python -m flask {' '.join(command)}" in done.stdout


@pytest.mark.parametrize("word", ["manifest", "new-key"])
def test_a_message_may_have_the_name_of_a_setup_command(word: str, bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    environment = dict(line.split("=", 1) for line in settings_file(bellhop).splitlines())

    done = flask("send", "--team", ACME, "--to", GENERAL, word, **environment)

    assert (done.returncode, done.stderr) == (0, "")
    found = bellhop.services.history.search(ACME, Filter(), limit=2).notifications
    assert [one.content["text"] for one in found] == [word]


def test_flasks_own_commands_see_the_whole_application(bellhop: Bellhop) -> None:
    environment = dict(line.split("=", 1) for line in settings_file(bellhop).splitlines())

    assert "/slack/oauth_redirect" in flask("routes", **environment).stdout


class TestWorkspaces:
    def test_they_are_listed_with_what_a_command_takes(self, bellhop: Bellhop) -> None:
        assert "not installed in any workspace yet" in run(bellhop, "workspaces").stderr

        bellhop.install(ANN)

        assert run(bellhop, "workspaces").stdout == f"{ACME}  Acme\n"

    @pytest.mark.parametrize(
        "command",
        [
            ("send", "--to", "#general", "hello"),
            ("api-key", "create", "--name", "ci"),
            ("api-key", "list"),
            ("webhook", "create", "--to", "#general"),
            ("webhook", "list"),
            ("topic", "subscribe", "deploys", "#general"),
            ("topic", "unsubscribe", "deploys", "#general"),
            ("topic", "list"),
            ("session", "list"),
        ],
        ids=" ".join,
    )
    def test_an_unknown_one_is_answered_with_those_that_are_known(
        self, bellhop: Bellhop, command: tuple[str, ...]
    ) -> None:
        bellhop.install(ANN)

        done = run(bellhop, *command, "--team", "T0WRONG")

        assert_failed(done, f"workspace T0WRONG. Known: {ACME} (Acme).")


def test_other_commands_name_every_setting_that_is_missing() -> None:
    done = flask("db", "upgrade", DATABASE_URL="postgresql://127.0.0.1/x")

    assert done.returncode == 2
    for name in ("SLACK_CLIENT_ID", "SLACK_SIGNING_SECRET", "ENCRYPTION_KEYS", "SESSION_SECRET"):
        assert f"{name} is required" in done.stderr
    assert "Traceback" not in done.stderr


class TestDatabaseUpgrade:
    @pytest.fixture
    def unmigrated(
        self, empty_database_url: str, encryption_key: str, clock: FakeClock
    ) -> Iterator[Bellhop]:
        with running_bellhop(empty_database_url, encryption_key, clock) as running:
            yield running

    def test_it_can_be_repeated(self, unmigrated: Bellhop) -> None:
        first = run(unmigrated, "db", "upgrade")
        again = run(unmigrated, "db", "upgrade")

        assert (first.exit_code, again.exit_code) == (0, 0)
        head = schema.head_revision()
        assert f"The schema was at {head} and is at {head}." in again.stdout
        assert unmigrated.browser().get("/readyz").status == 200

    def test_several_may_run_it_at_once(self, unmigrated: Bellhop) -> None:
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda _: run(unmigrated, "db", "upgrade"), range(4)))

        assert [one.exit_code for one in done] == [0] * 4
        assert unmigrated.browser().get("/readyz").status == 200

    def test_a_schema_of_a_newer_version_is_left_alone(self, bellhop: Bellhop) -> None:
        with bellhop.services.database.writing_connection() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'ffff'")

        assert_failed(run(bellhop, "db", "upgrade"), "of a newer Bellhop")


class TestCatchUp:
    def test_a_profile_that_could_not_be_recorded_is_made_up_for(self, bellhop: Bellhop) -> None:
        bellhop.slack.faults.add(Fault("users.info", "server_error", times=1))
        bellhop.install(ANN)
        assert bellhop.services.profiles.find(ACME, ANN) is None

        done = run(bellhop, "retry-pending")

        assert done.stdout == "Profiles recorded: 1. Tokens revoked: 0. Installations checked: 0.\n"
        profile = bellhop.services.profiles.find(ACME, ANN)
        assert profile is not None
        assert profile.email == "ann@acme.example"

    def test_what_slack_still_refuses_is_said(self, bellhop: Bellhop) -> None:
        bellhop.slack.faults.add(Fault("users.info", "server_error"))
        bellhop.install(ANN)
        bellhop.install(BEN, query="?only=profile")

        done = run(bellhop, "retry-pending")

        assert done.exit_code == 1
        assert (
            done.stderr == "Still to be done: 2. Slack is not answering. Try again in a minute.\n"
        )

    def test_with_nothing_to_do_it_does_nothing(self, bellhop: Bellhop) -> None:
        assert run(bellhop, "retry-pending").stdout.startswith(
            "Profiles recorded: 0. Tokens revoked: 0."
        )


class TestRotateKeys:
    def test_everything_is_encrypted_with_the_new_key(
        self, database_url: str, encryption_key: str, clock: FakeClock
    ) -> None:
        new = Fernet.generate_key().decode()
        with running_bellhop(database_url, encryption_key, clock) as old:
            old.install(ANN)
        with running_bellhop(
            database_url, encryption_key, clock, encryption_keys=(new, encryption_key)
        ) as both:
            done = run(both, "rotate-keys")
            assert done.exit_code == 0
            assert "Encrypted 2 secrets with the first key." in done.stdout
            assert "of" in done.stderr
        with running_bellhop(database_url, new, clock) as rotated:
            stored = rotated.services.installations.find(
                enterprise_id=None, team_id=ACME, user_id=ANN
            )
            assert stored is not None
            assert str(stored.user_token).startswith("xoxp-")

    def test_a_wrong_key_is_a_clear_error(
        self, database_url: str, encryption_key: str, clock: FakeClock
    ) -> None:
        wrong = Fernet.generate_key().decode()
        with running_bellhop(database_url, encryption_key, clock) as right:
            right.install(ANN)
        with running_bellhop(database_url, wrong, clock) as running:
            done = run(running, "rotate-keys")

        assert done.exit_code == 1
        assert "ENCRYPTION_KEYS" in done.stderr
        assert "xox" not in done.stderr


class TestWorker:
    def test_a_health_port_in_use_is_reported(
        self, database_url: str, encryption_key: str, clock: FakeClock
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with running_bellhop(database_url, encryption_key, clock, health_port=port) as bellhop:
                result = run(bellhop, "worker")

        assert_failed(result, f"HEALTH_PORT {port} on 127.0.0.1 cannot be used")


def test_a_setup_in_which_nothing_can_be_owned_is_reported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    @one_line_errors
    def command() -> None:
        raise OwnershipError("Delivery needs a local disk.")

    with pytest.raises(SystemExit) as ended:
        command()

    assert (ended.value.code, capsys.readouterr().err) == (1, "Delivery needs a local disk.\n")
