"""Settings from the environment and `.env`, with a clear error for each."""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from dotenv import dotenv_values
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from bolt_app.client_address import TrustedProxies, parse_trusted_proxies
from bolt_app.cores import available_cores
from bolt_app.delays import Delays
from bolt_app.private_files import (
    FILE_MODE,
    SharedFolderError,
    is_shared_folder,
    make_private_folder,
)

_FOLDER = Path(__file__).resolve().parent
# Holds `.env` and `var/`: the checkout, or the working directory of an installed package, which has
# the manifest inside. Another package's file beside it must not look like a checkout.
ROOT = Path.cwd() if (_FOLDER / "manifest.yml").exists() else _FOLDER.parent
SLACK_ORIGIN = "https://slack.com"
# Slack's origins; any other is a stand-in.
SLACK_ORIGINS = (SLACK_ORIGIN, "https://slack-gov.com")
# Each web process needs database connections and about 40 MiB of memory.
MOST_BY_DEFAULT = 8
# From the folder of a checkout.
COMMAND = ".venv/bin/bellhop"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMATS = ("text", "json")
# An unknown name at least this similar to a setting counts as misspelled (`difflib` ratio).
LIKENESS = 0.85
Network = IPv4Network | IPv6Network
# The only networks that CALLBACK_NETWORKS may list: loopback, private and shared addresses.
_PRIVATE_RANGES: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "127.0.0.0/8",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "::1/128",
            "fc00::/7",
        ),
    )
)
# Settings that may be read from a file (a Docker or Kubernetes secret): NAME_FILE names it.
SECRET_NAMES = (
    "SLACK_CLIENT_SECRET",
    "SLACK_SIGNING_SECRET",
    "DATABASE_URL",
    "DATABASE_SESSION_URL",
    "ENCRYPTION_KEYS",
    "SESSION_SECRET",
)


class Subscribers(StrEnum):
    """The people who may change the subscriptions of channels; members exclude guests."""

    ANYONE = "anyone"
    MEMBERS = "members"
    ADMINS = "admins"


class ConfigError(Exception):
    """Settings are missing or malformed; `problems` has one message for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings. Secrets do not appear in the repr."""

    slack_client_id: str
    slack_client_secret: str = field(repr=False)
    slack_signing_secret: str = field(repr=False)
    slack_base_url: str = SLACK_ORIGIN
    database_url: str = field(repr=False)
    database_session_url: str = field(default="", repr=False)
    public_url: str
    host: str = "127.0.0.1"
    port: int = 3000
    encryption_keys: tuple[str, ...] = field(repr=False)
    session_secret: str = field(repr=False)
    web_workers: int = 1
    web_threads: int = 16
    worker_threads: int = 8
    workspace_requests: int = 8
    health_port: int = 0
    channel_per_minute: int = 60
    channel_burst: int = 1
    workspace_per_minute: int = 300
    sender_requests_per_minute: int = 60_000
    sender_deliveries_per_minute: int = 60_000
    sender_open_deliveries: int = 100_000
    sender_new_destinations_per_hour: int = 1000
    subscriptions_per_destination: int = 100
    subscriptions_per_workspace: int = 10_000
    wrong_keys_per_minute: int = 30
    retry_hours: int = 24
    file_megabytes: int = 10
    workspace_files_megabytes: int = 1024
    keep_days: int = 30
    audit_days: int = 90
    trusted_proxies: TrustedProxies = 0
    subscriptions_by: Subscribers = Subscribers.MEMBERS
    callback_networks: tuple[Network, ...] = ()
    log_level: str = "INFO"
    log_format: str = "text"
    env_file: str = ""
    delays: Delays = field(default_factory=Delays)

    @property
    def command(self) -> str:
        """The start of a command line on this machine, such as for `send`."""
        env_file = f"--env-file {shlex.quote(self.env_file)} " if self.env_file else ""
        return f"{COMMAND} {env_file}".rstrip()

    @property
    def uses_https(self) -> bool:
        """Whether browsers use https, so that cookies can be `Secure`."""
        return self.public_url.startswith("https://")

    @property
    def is_slack(self) -> bool:
        """Whether Bellhop is connected to Slack, rather than to a stand-in."""
        return self.slack_base_url in SLACK_ORIGINS

    @property
    def session_url(self) -> str:
        """The database URL for connections that need a session that lasts."""
        return self.database_session_url or self.database_url

    @property
    def redirect_uri(self) -> str:
        """The OAuth redirect URL, which the Slack app must list."""
        return f"{self.public_url}/slack/oauth_redirect"

    @property
    def slack_api_url(self) -> str:
        """The base URL of the Web API, in the form that `slack_sdk.WebClient` takes."""
        return f"{self.slack_base_url}/api/"


def read_environment() -> dict[str, str]:
    """Return the values of the environment file, overridden by the process environment.

    The file is `.env`, or the one that `FLASK_ENV_FILE` names, as for Flask's commands
    (https://flask.palletsprojects.com/en/stable/cli/#environment-variables-from-dotenv).

    Raises:
        ConfigError: nobody named the file, and any user of this machine may have written it.
    """
    named = os.environ.get("FLASK_ENV_FILE")
    path = ROOT / (named or ".env")
    if not named and path.exists() and is_shared_folder(path.parent):
        raise ConfigError(
            [
                f"{path} is not read, because all users of this machine can write in its folder: "
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
    reader = _Reader(environ)
    public_url = reader.public_url(reader.number("PORT", 3000, least=1, most=65535))
    reader.finish()
    return public_url


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read every setting and return them.

    Args:
        environ: the source; default: the environment and `.env`.

    Raises:
        ConfigError: with one message for every missing or malformed value.
    """
    reader = _Reader(read_environment() if environ is None else environ)
    embedded = not reader.text("DATABASE_URL")
    # The folder of the embedded database and the generated keys.
    var = ROOT / (reader.text("DATA_DIR") or "var")
    if embedded:
        reader.private_folder("DATA_DIR", var)
    slack_base_url = reader.origin("SLACK_BASE_URL", SLACK_ORIGIN)
    port = reader.number("PORT", 3000, least=1, most=65535)
    public_url = reader.public_url(port)
    is_local = not slack_base_url or _is_loopback(slack_base_url)
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
        database_url=f"sqlite:///{var / 'bellhop.db'}" if embedded else reader.database_url(),
        database_session_url=reader.database_session_url(embedded),
        public_url=public_url,
        host=reader.text("HOST") or "127.0.0.1",
        port=port,
        encryption_keys=reader.encryption_keys(var if embedded else None),
        session_secret=reader.session_secret(var if embedded else None),
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
        file_megabytes=reader.number("FILE_MEGABYTES", 10, least=0, most=100),
        workspace_files_megabytes=reader.number(
            "WORKSPACE_FILES_MEGABYTES", 1024, least=0, most=1_000_000
        ),
        keep_days=reader.number("KEEP_DAYS", 30, least=1, most=3650),
        audit_days=reader.number("AUDIT_DAYS", 90, least=1, most=3650),
        trusted_proxies=reader.trusted_proxies(),
        subscriptions_by=Subscribers(
            reader.choice("SUBSCRIPTIONS_BY", Subscribers.MEMBERS.value, tuple(Subscribers))
        ),
        callback_networks=reader.private_networks("CALLBACK_NETWORKS"),
        log_level=reader.choice("LOG_LEVEL", "INFO", LOG_LEVELS),
        log_format=reader.choice("LOG_FORMAT", "text", LOG_FORMATS),
        env_file=reader.text("FLASK_ENV_FILE"),
    )
    reader.misspelt()
    reader.finish()
    return settings


class _Reader:
    """Reads values one by one and collects their problems."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._problems: list[str] = []
        self._known: set[str] = set()

    def problem(self, sentence: str) -> None:
        self._problems.append(sentence)

    def misspelt(self) -> None:
        """Report names similar to an unset setting. Call it after every setting is read.

        Similarity to a setting that is set does not count, because the environment also has names
        of other programs.
        """
        unset = [name for name in sorted(self._known) if not self._environ.get(name, "").strip()]
        for name in sorted(self._environ.keys() - self._known):
            nearest = get_close_matches(name, unset, 1, LIKENESS)
            if nearest:
                self.problem(
                    f"{name} is not a setting of Bellhop: did you mean {nearest[0]}? Rename or "
                    "remove it."
                )

    def finish(self) -> None:
        if self._problems:
            raise ConfigError(self._problems)

    def text(self, name: str) -> str:
        self._known.update([name, f"{name}_FILE"] if name in SECRET_NAMES else [name])
        value = self._environ.get(name, "").strip()
        path = self._environ.get(f"{name}_FILE", "").strip()
        if value or not path or name not in SECRET_NAMES:
            return value
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            self.problem(f"{name}_FILE names a file that cannot be read ({error}): check the path.")
            return ""

    def credential(self, name: str, place: str) -> str:
        value = self.text(name)
        if not value:
            self.problem(
                f"{name} is required: copy it from your app's page at https://api.slack.com/apps "
                f"(Basic Information → {place}) into .env."
            )
        return value

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        value = self.text(name)
        if not value:
            return default
        if value.isascii() and value.isdigit() and least <= int(value) <= most:
            return int(value)
        self.problem(f"{name} is {value!r}: use a whole number from {least} to {most}.")
        return default

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(name) or default
        for choice in choices:
            if value.lower() == choice.lower():
                return choice
        self.problem(f"{name} is {value!r}: choose one of {', '.join(choices)}.")
        return default

    def private_networks(self, name: str) -> tuple[Network, ...]:
        networks = []
        for part in _split(self.text(name)):
            try:
                network = ip_network(part)
            except ValueError:
                self.problem(
                    f"{name} contains {part!r}: use networks separated by commas, such as "
                    "10.0.0.0/8,192.168.1.5."
                )
                continue
            if not any(_is_within(network, known) for known in _PRIVATE_RANGES):
                self.problem(
                    f"{name} contains {part!r}: use only private, shared or loopback networks in "
                    f"{', '.join(map(str, _PRIVATE_RANGES))}. Public addresses need no entry."
                )
                continue
            networks.append(network)
        return tuple(networks)

    def private_folder(self, name: str, path: Path) -> None:
        try:
            make_private_folder(path)
        except SharedFolderError:
            self.problem(
                f"{name} is {str(path)!r}, which all users of this machine share: use a folder "
                "that only Bellhop uses."
            )
        except OSError:
            # Reported when a file in it is needed.
            return

    def origin(self, name: str, default: str) -> str:
        value = (self.text(name) or default).rstrip("/")
        if _is_origin(value):
            if not value.startswith("https://") and not _is_loopback(value):
                self.problem(
                    f"{name} is {value!r}: it must begin with https://, because tokens and "
                    "sessions are sent there; http:// is allowed only for a loopback address."
                )
                return ""
            return value
        self.problem(
            f"{name} is {value!r}: use only scheme and host, such as https://bellhop.example.com."
        )
        return ""

    def public_url(self, port: int) -> str:
        return self.origin("PUBLIC_URL", f"http://127.0.0.1:{port}")

    def trusted_proxies(self) -> TrustedProxies:
        value = self.text("TRUSTED_PROXIES") or "0"
        try:
            return parse_trusted_proxies(value)
        except ValueError:
            self.problem(
                f"TRUSTED_PROXIES is {value!r}: use the number of reverse proxies in front of "
                "Bellhop, or their addresses, such as 127.0.0.1, 10.0.0.0/8."
            )
            return 0

    def database_url(self, name: str = "DATABASE_URL") -> str:
        value = self.text(name)
        try:
            url = make_url(value)
        except (ArgumentError, ValueError):
            self.problem(_DATABASE_URL_HELP.format(name=name))
            return ""
        backend = url.get_backend_name()
        if backend == "postgres" or url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        elif url.drivername not in ("postgresql+psycopg", "sqlite", "sqlite+pysqlite"):
            self.problem(_DATABASE_URL_HELP.format(name=name))
            return ""
        if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
            self.problem(
                f"{name} names an SQLite database in memory, which loses all data: "
                "use a file, such as sqlite:////srv/bellhop/bellhop.db."
            )
        return url.render_as_string(hide_password=False)

    def database_session_url(self, embedded: bool) -> str:
        if not self.text("DATABASE_SESSION_URL"):
            return ""
        url = self.database_url("DATABASE_SESSION_URL")
        if embedded or url.startswith("sqlite"):
            self.problem(
                "DATABASE_SESSION_URL is for PostgreSQL behind a transaction pooler: use the "
                "direct URL of PostgreSQL, or remove it if you use SQLite."
            )
        return url

    def encryption_keys(self, var: Path | None) -> tuple[str, ...]:
        value = self._secret(
            "ENCRYPTION_KEYS",
            var,
            lambda: Fernet.generate_key().decode(),
            "bellhop new-key",
        )
        keys = tuple(_split(value))
        for number, key in enumerate(keys, start=1):
            try:
                Fernet(key)
            except ValueError:
                self.problem(
                    f"ENCRYPTION_KEYS: key {number} of {len(keys)} is not a Fernet key "
                    "(32 bytes in URL-safe base64): create one with `bellhop new-key`."
                )
        return keys

    def session_secret(self, var: Path | None) -> str:
        value = self._secret(
            "SESSION_SECRET",
            var,
            lambda: secrets.token_urlsafe(48),
            "bellhop new-key",
        )
        if value and len(value) < 32:
            self.problem(
                "SESSION_SECRET is too short: use at least 32 random characters, "
                "such as the output of `bellhop new-key`."
            )
        return value

    def _secret(
        self, name: str, var: Path | None, generate: Callable[[], str], command: str
    ) -> str:
        value = self.text(name)
        if value:
            return value
        if var is None:
            self.problem(
                f"{name} is required, except with the embedded database: "
                f"put the output of `{command}` into .env."
            )
            return ""
        try:
            return _kept_secret(var / name.lower(), generate)
        except OSError as error:
            self.problem(f"{name} cannot be stored in {var} ({error}): make the folder writable.")
            return ""


_DATABASE_URL_HELP = (
    "{name} is not a database URL: use postgresql://user:password@host/database "
    "or sqlite:////path/to/file.db."
)


def _split(value: str) -> Iterator[str]:
    return (part.strip() for part in value.split(",") if part.strip())


def _is_within(network: Network, known: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(known, IPv4Network) and network.subnet_of(known)
    return isinstance(known, IPv6Network) and network.subnet_of(known)


def _is_origin(value: str) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    bare = not (parts.path or parts.query or parts.fragment or parts.username)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and bare


def _is_loopback(origin: str) -> bool:
    host = urlsplit(origin).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _kept_secret(path: Path, generate: Callable[[], str]) -> str:
    """Return the secret stored in `path`; generate it first if it does not exist.

    Several processes may start at once: each writes a draft and links it into place, which succeeds
    only for one of them, so that all of them read the same complete secret.
    """
    if not path.exists():
        make_private_folder(path.parent)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(generate() + "\n")
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text(encoding="utf-8").strip()
