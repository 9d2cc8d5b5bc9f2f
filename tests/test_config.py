"""Settings: every value is read, and all mistakes are reported together."""

from __future__ import annotations

import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from bolt_app.config import ROOT, ConfigError, Settings, load_settings, read_public_url
from tests.forked_python import run_forked

CREDENTIALS = {
    "SLACK_CLIENT_ID": "111.222",
    "SLACK_CLIENT_SECRET": "client-secret",
    "SLACK_SIGNING_SECRET": "signing-secret",
    "PUBLIC_URL": "https://bell.acme.test",
}


def problems(environ: dict[str, str], var: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings({**environ, "DATA_DIR": str(var)})
    return caught.value.problems


def test_defaults_need_nothing_but_credentials_and_the_address(tmp_path: Path) -> None:
    settings = load_settings({**CREDENTIALS, "DATA_DIR": str(tmp_path)})

    assert settings.slack_base_url == "https://slack.com"
    assert settings.slack_api_url == "https://slack.com/api/"
    assert settings.redirect_uri == "https://bell.acme.test/slack/oauth_redirect"
    assert settings.database_url == f"sqlite:///{tmp_path}/bellhop.db"
    assert (settings.host, settings.port) == ("127.0.0.1", 3000)


def test_trusted_proxies_are_a_number_or_networks(tmp_path: Path) -> None:
    environ = {**CREDENTIALS, "DATA_DIR": str(tmp_path)}

    assert load_settings(environ).trusted_proxies == 0
    assert load_settings({**environ, "TRUSTED_PROXIES": "2"}).trusted_proxies == 2
    assert load_settings({**environ, "TRUSTED_PROXIES": "10.0.0.0/8, ::1"}).trusted_proxies == (
        ip_network("10.0.0.0/8"),
        ip_network("::1"),
    )
    [problem] = problems({**CREDENTIALS, "TRUSTED_PROXIES": "nginx"}, tmp_path)
    assert problem.startswith("TRUSTED_PROXIES is 'nginx': use the number of reverse proxies")


def test_generated_secrets_are_kept_and_private(tmp_path: Path) -> None:
    first = load_settings({**CREDENTIALS, "DATA_DIR": str(tmp_path)})
    second = load_settings({**CREDENTIALS, "DATA_DIR": str(tmp_path)})

    assert first.encryption_keys == second.encryption_keys
    assert first.session_secret == second.session_secret
    for name in ("encryption_keys", "session_secret"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_processes_that_start_together_share_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        loaded = list(
            threads.map(
                lambda _: load_settings({**CREDENTIALS, "DATA_DIR": str(tmp_path)}), range(32)
            )
        )

    assert len({settings.encryption_keys for settings in loaded}) == 1
    assert len({settings.session_secret for settings in loaded}) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"encryption_keys", "session_secret"}


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    found = problems(
        {
            "PORT": "eighty",
            "PUBLIC_URL": "bell.acme.test/path",
            "SLACK_BASE_URL": "slack",
            "DATABASE_URL": "mysql://db/bellhop",
            "ENCRYPTION_KEYS": "short",
            "SESSION_SECRET": "short",
            "LOG_LEVEL": "loud",
            "WEB_THREADS": "0",
        },
        tmp_path,
    )

    named = (
        "SLACK_CLIENT_ID",
        "SLACK_CLIENT_SECRET",
        "SLACK_SIGNING_SECRET",
        "PORT",
        "PUBLIC_URL",
        "SLACK_BASE_URL",
        "DATABASE_URL",
        "ENCRYPTION_KEYS",
        "SESSION_SECRET",
        "LOG_LEVEL",
        "WEB_THREADS",
    )
    for name in named:
        assert any(problem.startswith(name) for problem in found), name
    assert len(found) == len(named)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("SUBSCRIPTION_BY", "SUBSCRIPTIONS_BY"),
        ("SENDER_REQUEST_PER_MINUTE", "SENDER_REQUESTS_PER_MINUTE"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("ENCRYPTION_KEY_FILE", "ENCRYPTION_KEYS_FILE"),
    ],
)
def test_a_misspelt_setting_is_named_with_the_right_one(
    tmp_path: Path, name: str, nearest: str
) -> None:
    found = problems({**CREDENTIALS, name: "secret-value"}, tmp_path)

    assert found == [
        f"{name} is not a setting of Bellhop: did you mean {nearest}? Rename or remove it."
    ]


def test_names_of_others_are_left_alone(tmp_path: Path) -> None:
    others = {"SUBSCRIPTION_BY": "x", "SUBSCRIPTIONS_BY": "admins"}
    others |= dict.fromkeys(("PATH", "HOME", "HOSTNAME", "SLACK_BOT_TOKEN", "LOG_DIR"), "x")
    others |= dict.fromkeys(("WORKER_PORT", "SESSION_MANAGER", "XDG_DATA_DIRS"), "x")

    settings = load_settings({**CREDENTIALS, **others, "DATA_DIR": str(tmp_path)})

    assert settings.subscriptions_by == "admins"


def test_real_slack_needs_https(tmp_path: Path) -> None:
    found = problems({**CREDENTIALS, "PUBLIC_URL": "http://bell.acme.test"}, tmp_path)

    assert len(found) == 1
    assert "https://" in found[0]


@pytest.mark.parametrize("name", ["PUBLIC_URL", "SLACK_BASE_URL"])
@pytest.mark.parametrize(
    "url", ["http://bell.acme.test", "http://10.0.0.1:3000", "http://localhost.acme.test"]
)
def test_urls_beyond_this_machine_need_https(tmp_path: Path, name: str, url: str) -> None:
    local = {"PUBLIC_URL": "http://127.0.0.1:3000", "SLACK_BASE_URL": "http://127.0.0.1:3100"}
    found = problems({**CREDENTIALS, **local, name: url}, tmp_path)

    assert [problem.split()[0] for problem in found] == [name]
    assert "https://" in found[0]


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:3000", "http://localhost:3000", "http://[::1]:3000"]
)
def test_a_loopback_address_needs_none(tmp_path: Path, origin: str) -> None:
    environ = {**CREDENTIALS, "PUBLIC_URL": origin, "SLACK_BASE_URL": origin}
    settings = load_settings({**environ, "DATA_DIR": str(tmp_path)})

    assert (settings.public_url, settings.slack_base_url) == (origin, origin)
    assert not settings.is_slack


def test_govslack_is_slack_and_needs_https(tmp_path: Path) -> None:
    environ = {**CREDENTIALS, "SLACK_BASE_URL": "https://slack-gov.com"}
    assert load_settings({**environ, "DATA_DIR": str(tmp_path)}).is_slack

    assert "https://" in problems({**environ, "PUBLIC_URL": "http://127.0.0.1:3000"}, tmp_path)[0]


def test_every_setting_that_is_an_address_is_checked() -> None:
    values = {field.name for field in fields(Settings)}
    assert {name for name in values if name.endswith("url")} == {
        "slack_base_url",
        "public_url",
        "database_url",
        "database_session_url",
    }


def test_private_networks_are_listed_for_callbacks(tmp_path: Path) -> None:
    environ = {**CREDENTIALS, "CALLBACK_NETWORKS": "10.0.0.0/8, 192.168.1.5,fd00:1::/64"}
    settings = load_settings({**environ, "DATA_DIR": str(tmp_path)})

    assert [str(network) for network in settings.callback_networks] == [
        "10.0.0.0/8",
        "192.168.1.5/32",
        "fd00:1::/64",
    ]


@pytest.mark.parametrize(
    "listed", ["0.0.0.0/0", "169.254.0.0/16", "8.8.8.8", "::/0", "10.0.0.1/8", "x", "172.0.0.0/8"]
)
def test_other_networks_cannot_be_listed(tmp_path: Path, listed: str) -> None:
    [found] = problems({**CREDENTIALS, "CALLBACK_NETWORKS": listed}, tmp_path)

    assert found.startswith(f"CALLBACK_NETWORKS contains '{listed}'")


def test_another_database_needs_its_own_keys(tmp_path: Path) -> None:
    found = problems({**CREDENTIALS, "DATABASE_URL": "postgresql://db/bellhop"}, tmp_path)

    assert [problem.split()[0] for problem in found] == ["ENCRYPTION_KEYS", "SESSION_SECRET"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_is_reached_with_psycopg(scheme: str, tmp_path: Path) -> None:
    environ = {
        **CREDENTIALS,
        "DATABASE_URL": f"{scheme}://bell:p%40ss@db:5433/bellhop",
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "SESSION_SECRET": "s" * 32,
    }

    url = load_settings({**environ, "DATA_DIR": str(tmp_path)}).database_url

    assert url == "postgresql+psycopg://bell:p%40ss@db:5433/bellhop"


def test_locks_may_bypass_a_pooler(tmp_path: Path) -> None:
    environ = {
        **CREDENTIALS,
        "DATABASE_URL": "postgresql://pooler/bellhop",
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "SESSION_SECRET": "s" * 32,
    }
    assert load_settings(environ).session_url == "postgresql+psycopg://pooler/bellhop"

    (tmp_path / "url").write_text("postgresql://bell:sesame@db/bellhop")
    settings = load_settings({**environ, "DATABASE_SESSION_URL_FILE": str(tmp_path / "url")})

    assert settings.session_url == "postgresql+psycopg://bell:sesame@db/bellhop"
    assert settings.database_url == "postgresql+psycopg://pooler/bellhop"
    assert "sesame" not in repr(settings)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://db/bellhop", "DATABASE_SESSION_URL is not a database URL"),
        ("sqlite:////srv/bellhop.db", "DATABASE_SESSION_URL is for PostgreSQL"),
        ("postgresql://db/bellhop", "remove it if you use SQLite"),
    ],
)
def test_the_address_of_sessions_is_checked(tmp_path: Path, url: str, sentence: str) -> None:
    found = problems({**CREDENTIALS, "DATABASE_SESSION_URL": url}, tmp_path)

    assert any(sentence in problem for problem in found)


def test_a_database_in_memory_is_refused(tmp_path: Path) -> None:
    environ = {**CREDENTIALS, "DATABASE_URL": "sqlite://", "SESSION_SECRET": "s" * 32}
    environ["ENCRYPTION_KEYS"] = Fernet.generate_key().decode()

    assert "loses all data" in problems(environ, tmp_path)[0]


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-a-file\n")
    environ = {**CREDENTIALS, "SLACK_CLIENT_SECRET_FILE": str(tmp_path / "secret")}
    del environ["SLACK_CLIENT_SECRET"]

    assert (
        load_settings({**environ, "DATA_DIR": str(tmp_path)}).slack_client_secret == "from-a-file"
    )


def test_a_secret_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    environ = {**CREDENTIALS, "SLACK_CLIENT_SECRET_FILE": str(tmp_path / "nowhere")}
    del environ["SLACK_CLIENT_SECRET"]

    assert problems(environ, tmp_path)[0].startswith("SLACK_CLIENT_SECRET_FILE")


def test_secrets_stay_out_of_the_repr(tmp_path: Path) -> None:
    settings = load_settings({**CREDENTIALS, "DATA_DIR": str(tmp_path)})

    shown = repr(settings)
    for secret in (
        settings.slack_client_secret,
        settings.slack_signing_secret,
        settings.session_secret,
        *settings.encryption_keys,
    ):
        assert secret not in shown


@given(st.dictionaries(st.sampled_from(sorted(CREDENTIALS)), st.text(max_size=40)))
def test_any_text_is_either_read_or_named(environ: dict[str, str]) -> None:
    try:
        public_url = read_public_url(environ)
    except ConfigError as error:
        assert all(problem.startswith("PUBLIC_URL") for problem in error.problems)  # noqa: PT017
    else:
        assert public_url.startswith(("http://", "https://"))


@pytest.mark.slow
def test_the_program_reports_all_problems_and_exits_with_2(tmp_path: Path) -> None:
    done = run_forked(
        [sys.executable, str(ROOT / "app.py")],
        env={"PATH": "/usr/bin:/bin", "PUBLIC_URL": "nonsense", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    )

    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert [line.split()[0] for line in lines] == [
        "PUBLIC_URL",
        "SLACK_CLIENT_ID",
        "SLACK_CLIENT_SECRET",
        "SLACK_SIGNING_SECRET",
    ]
