"""The compose file: its commands and settings exist."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from typing import Any

import pytest
import yaml
from sqlalchemy import make_url

from bolt_app.config import ROOT, load_settings
from tests.commands import run
from tests.running import Bellhop

KEY = "3cYhNWtmSYtcAyKvkwVfyLpx2vH0p4m0TRx7QfTQx2E="


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services of compose.yaml, as parsed by Docker."""
    compose: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    services: dict[str, Any] = compose["services"]
    return services


def environment(services: dict[str, Any], name: str) -> dict[str, str]:
    """The environment of a service, with a password filled in."""
    filled = {
        key: re.sub(r"\$\{[^}]*\}", "s3cret", value)
        for key, value in services[name]["environment"].items()
    }
    credentials = ("SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET", "SLACK_SIGNING_SECRET")
    return {
        **dict.fromkeys(credentials, "x"),
        "PUBLIC_URL": "https://bell.acme.example",
        "ENCRYPTION_KEYS": KEY,
        "SESSION_SECRET": "s" * 40,
        **filled,
    }


@pytest.mark.parametrize("name", ["web", "worker", "migrate"])
def test_the_settings_are_understood(services: dict[str, Any], name: str) -> None:
    settings = load_settings(environment(services, name))

    assert settings.database_url == "postgresql+psycopg://bellhop:s3cret@db/bellhop"
    assert settings.log_format == "json"


def test_only_the_workers_deliver(services: dict[str, Any]) -> None:
    assert load_settings(environment(services, "web")).worker_threads == 0
    assert load_settings(environment(services, "worker")).worker_threads > 0


def test_workers_are_asked_for_their_health(services: dict[str, Any]) -> None:
    worker = services["worker"]
    port = load_settings(environment(services, "worker")).health_port

    assert f"http://127.0.0.1:{port}/readyz" in " ".join(worker["healthcheck"]["test"])
    assert worker["deploy"]["replicas"] > 1


def test_every_service_is_confined(services: dict[str, Any]) -> None:
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "cap_add" not in service
        assert "privileged" not in service
        assert any(mount.startswith("/tmp") for mount in service["tmpfs"])  # noqa: S108
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_the_app_does_not_connect_as_superuser(services: dict[str, Any]) -> None:
    # The image makes POSTGRES_USER (default: `postgres`) the superuser.
    superuser = services["db"]["environment"].get("POSTGRES_USER", "postgres")
    for name in ("web", "worker", "migrate"):
        settings = load_settings(environment(services, name))
        assert make_url(settings.database_url).username == "bellhop" != superuser
        assert services[name]["environment"]["POSTGRES_ADMIN_PASSWORD"] == ""
    [mount] = [service for service in services["db"]["volumes"] if "initdb.d" in service]
    script = ROOT / mount.split(":")[0]
    assert "CREATE ROLE bellhop LOGIN NOSUPERUSER" in script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)


def test_the_image_runs_as_an_unprivileged_user() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    *_, user = re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE)

    assert int(user) > 0
    assert "--chown" not in dockerfile


@pytest.mark.parametrize("name", ["worker", "migrate"])
def test_the_commands_exist(services: dict[str, Any], name: str, bellhop: Bellhop) -> None:
    program, *command = shlex.split(services[name]["command"])

    assert program == "bellhop"
    shown = run(bellhop, *command, "--help")
    assert shown.exit_code == 0


def test_the_image_contains_the_commands() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()

    for path in " ".join(copied).split():
        assert (ROOT / path).exists()
        assert f"!{path}" in kept


def test_the_image_has_neither_the_tests_tools_nor_the_sandbox() -> None:
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8")

    assert "slack_sandbox" not in kept
    assert "requirements.txt" not in kept
    assert not re.search(r"^(pytest|hypothesis|ruff|mypy|playwright)", locked, re.MULTILINE)


def test_the_lock_file_has_every_dependency_with_a_hash() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[\[<>=]", item)[0].replace("_", "-") for item in project["dependencies"]}
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = re.split(r"^(?=[\w.-]+(?:\[\w+\])?==)", locked, flags=re.MULTILINE)[1:]

    assert names <= {re.split(r"[\[=]", pin)[0] for pin in pins}
    assert all("--hash=sha256:" in pin for pin in pins)
