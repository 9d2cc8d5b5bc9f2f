"""Loading of the settings from the environment and `.env`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from sqlalchemy.engine import make_url

from bolt_app.config.addresses import (
    is_loopback,
    read_origin,
    read_private_networks,
    read_public_url_for,
    read_trusted_proxies,
)
from bolt_app.config.database_urls import read_database_session_url, read_database_url
from bolt_app.config.errors import ConfigError
from bolt_app.config.generated_secrets import read_encryption_keys, read_session_secret
from bolt_app.config.reader import SettingReader
from bolt_app.config.settings import SLACK_ORIGIN, Settings, Subscribers
from bolt_app.cores import available_cores
from bolt_app.private_files import (
    SharedFolderError,
    find_shared_folder,
    make_parent,
    make_private_folder,
)

_PACKAGE = Path(__file__).resolve().parent.parent
# Holds `.env` and `var/`: the checkout, or the working directory of an installed package, which has
# the manifest inside. Another package's file beside it must not look like a checkout.
ROOT = Path.cwd() if (_PACKAGE / "manifest.yml").exists() else _PACKAGE.parent
# Each web process needs database connections and about 40 MiB of memory.
MOST_BY_DEFAULT = 8
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMATS = ("text", "json")


def read_environment() -> dict[str, str]:
    """Return the values of the environment file, overridden by the process environment.

    The file is `.env`, or the one that `FLASK_ENV_FILE` names, as for Flask's commands
    (https://flask.palletsprojects.com/en/stable/cli/#environment-variables-from-dotenv).

    Raises:
        ConfigError: nobody named the file, and any user of this machine may have written it.
    """
    named = os.environ.get("FLASK_ENV_FILE")
    path = ROOT / (named or ".env")
    if not named and path.exists():
        shared = find_shared_folder(path)
        if shared is not None:
            raise ConfigError(
                [
                    f"{path} is not read, because all users of this machine can write in {shared}: "
                    "run Bellhop in a folder of its own, or name the file with --env-file."
                ]
            )
    from_file = dotenv_values(path)
    return {**{k: v for k, v in from_file.items() if v is not None}, **os.environ}


def read_public_url(environ: Mapping[str, str]) -> str:
    """Return `PUBLIC_URL`, the only setting that the manifest needs.

    Raises:
        ConfigError: it, or the `PORT` in its default, is malformed.
    """
    reader = SettingReader(environ)
    public_url = read_public_url_for(reader, reader.number("PORT", 3000, least=1, most=65535))
    reader.finish()
    return public_url


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read every setting and return them.

    Args:
        environ: the source; default: the environment and `.env`.

    Raises:
        ConfigError: with one message for every missing or malformed value.
    """
    reader = SettingReader(read_environment() if environ is None else environ)
    embedded = not reader.text("DATABASE_URL")
    # The folder of the embedded database and the generated keys.
    var = ROOT / (reader.text("DATA_DIR") or "var")
    if embedded:
        _make_private_folder(reader, "DATA_DIR", var)
        database_url = f"sqlite:///{var / 'bellhop.db'}"
    else:
        database_url = read_database_url(reader)
        _check_database_folder(reader, database_url)
    slack_base_url = read_origin(reader, "SLACK_BASE_URL", SLACK_ORIGIN)
    port = reader.number("PORT", 3000, least=1, most=65535)
    public_url = read_public_url_for(reader, port)
    is_local = not slack_base_url or is_loopback(slack_base_url)
    if not is_local and public_url and not public_url.startswith("https://"):
        reader.problem(
            "PUBLIC_URL must begin with https://, because Slack redirects only to https: set it to "
            "the URL of your reverse proxy or tunnel."
        )
    settings = Settings(
        slack_client_id=reader.credential("SLACK_CLIENT_ID", "App Credentials → Client ID"),
        slack_client_secret=reader.credential(
            "SLACK_CLIENT_SECRET", "App Credentials → Client Secret"
        ),
        slack_signing_secret=reader.credential(
            "SLACK_SIGNING_SECRET", "App Credentials → Signing Secret"
        ),
        slack_base_url=slack_base_url,
        database_url=database_url,
        database_session_url=read_database_session_url(reader, embedded),
        public_url=public_url,
        host=reader.text("HOST") or "127.0.0.1",
        port=port,
        encryption_keys=read_encryption_keys(reader, var if embedded else None),
        session_secret=read_session_secret(reader, var if embedded else None),
        web_workers=reader.number(
            "WEB_CONCURRENCY", min(available_cores(), MOST_BY_DEFAULT), least=1, most=64
        ),
        web_threads=reader.number("WEB_THREADS", 16, least=1, most=256),
        worker_threads=reader.number("WORKER_THREADS", 8, least=0, most=256),
        workspace_requests=reader.number("WORKSPACE_REQUESTS", 8, least=1, most=100),
        health_port=reader.number("HEALTH_PORT", 0, least=0, most=65535),
        channel_per_minute=reader.number("CHANNEL_PER_MINUTE", 60, least=1, most=60_000),
        channel_burst=reader.number("CHANNEL_BURST", 1, least=1, most=1000),
        workspace_per_minute=reader.number("WORKSPACE_PER_MINUTE", 300, least=1, most=600_000),
        sender_requests_per_minute=reader.number(
            "SENDER_REQUESTS_PER_MINUTE", 60_000, least=1, most=10_000_000
        ),
        sender_deliveries_per_minute=reader.number(
            "SENDER_DELIVERIES_PER_MINUTE", 60_000, least=1, most=10_000_000
        ),
        sender_open_deliveries=reader.number(
            "SENDER_OPEN_DELIVERIES", 100_000, least=1, most=10_000_000
        ),
        sender_new_destinations_per_hour=reader.number(
            "SENDER_NEW_DESTINATIONS_PER_HOUR", 1000, least=1, most=1_000_000
        ),
        subscriptions_per_destination=reader.number(
            "SUBSCRIPTIONS_PER_DESTINATION", 100, least=1, most=10_000
        ),
        subscriptions_per_workspace=reader.number(
            "SUBSCRIPTIONS_PER_WORKSPACE", 10_000, least=1, most=1_000_000
        ),
        wrong_keys_per_minute=reader.number("WRONG_KEYS_PER_MINUTE", 30, least=1, most=1_000_000),
        retry_hours=reader.number("RETRY_HOURS", 24, least=1, most=24 * 14),
        keep_days=reader.number("KEEP_DAYS", 30, least=1, most=3650),
        file_megabytes=reader.number("FILE_MEGABYTES", 10, least=0, most=100),
        workspace_files_megabytes=reader.number(
            "WORKSPACE_FILES_MEGABYTES", 1024, least=0, most=1_000_000
        ),
        audit_days=reader.number("AUDIT_DAYS", 90, least=1, most=3650),
        trusted_proxies=read_trusted_proxies(reader),
        subscriptions_by=Subscribers(
            reader.choice("SUBSCRIPTIONS_BY", Subscribers.MEMBERS.value, tuple(Subscribers))
        ),
        callback_networks=read_private_networks(reader, "CALLBACK_NETWORKS"),
        log_level=reader.choice("LOG_LEVEL", "INFO", LOG_LEVELS),
        log_format=reader.choice("LOG_FORMAT", "text", LOG_FORMATS),
        env_file=reader.text("FLASK_ENV_FILE"),
    )
    reader.misspelt()
    reader.finish()
    return settings


def _make_private_folder(reader: SettingReader, name: str, path: Path) -> None:
    try:
        make_private_folder(path)
    except SharedFolderError as error:
        reader.problem(
            f"{name} is {str(path)!r}, but {error}: use a folder that only Bellhop uses, where no "
            "other users can write in its parents."
        )
    except OSError:
        # Reported when a file in it is needed.
        return


def _check_database_folder(reader: SettingReader, url: str) -> None:
    """Reject an SQLite database that other users of the machine can replace."""
    if not url.startswith("sqlite"):
        return
    path = Path(make_url(url).database or "")
    try:
        make_parent(path)
        shared = find_shared_folder(path)
    except OSError:
        # Reported when the database is opened.
        return
    if shared is not None:
        reader.problem(
            f"DATABASE_URL names {str(path)!r}, but all users of this machine can write in "
            f"{shared}: use a folder where no other users can write, nor in its parents."
        )
