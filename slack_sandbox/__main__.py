"""``python -m slack_sandbox``: run the sandbox, alone or together with an app."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import yaml

from slack_sandbox.config import AppConfig
from slack_sandbox.errors import ManifestError, SandboxError
from slack_sandbox.faults import Fault
from slack_sandbox.sandbox import Sandbox
from slack_sandbox.seed import ACME, ANN
from slack_sandbox.server import SandboxServer

_OAUTH = ("SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET")
_CREDENTIALS = (*_OAUTH, "SLACK_SIGNING_SECRET", "SLACK_BOT_TOKEN")


class _Signals:
    """Termination signals: forwarded to the child process, or recorded until there is one."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signal_number, self._handle)

    def pass_on_to(self, child: subprocess.Popen[bytes]) -> None:
        """Forward signals to ``child``, including one that has already arrived."""
        self._child = child
        if self.stopped.is_set():
            child.terminate()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.stopped.set()
        if self._child is not None:
            self._child.send_signal(number)


def main(arguments: list[str] | None = None) -> int:
    """Run the sandbox until a signal or the end of the command. Returns the exit status."""
    options = _parser().parse_args(arguments)
    signals = _Signals()
    try:
        config = _config(options)
        server = SandboxServer(config, options.host, options.port)
    except (SandboxError, ValueError, OverflowError) as error:
        return _fail(str(error))
    except OSError as error:
        address = f"{options.host}:{options.port}"
        reason = error.strerror or error
        return _fail(f"cannot listen on {address}: {reason}. Choose another --port.")
    server.sandbox.limits.enabled = not options.no_rate_limits
    if options.latency_ms > 0:
        server.sandbox.faults.add(Fault(kind="latency", seconds=options.latency_ms / 1000))
    with server:
        sys.stdout.write(f"The local stand-in for Slack is at {server.url} (this is not Slack).\n")
        sys.stdout.flush()
        credentials = _credentials(config, server.url)
        try:
            if options.install:
                credentials = _single_workspace(credentials, _install(server.sandbox))
            if options.append_env is not None:
                _append(options.append_env, credentials)
        except SandboxError as error:
            return _fail(f"cannot install the app: {error}")
        except OSError as error:
            return _fail(f"cannot write {options.append_env}: {error.strerror}")
        if options.run:
            return _run(options.run, _environment(credentials), signals)
        if options.append_env is None:
            sys.stdout.writelines(_lines(credentials))
            sys.stdout.flush()
        signals.stopped.wait()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m slack_sandbox",
        description="A local stand-in for Slack. It is not Slack; nothing leaves this machine.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument(
        "--port", type=int, default=3100, help="port to listen on (0: any free port)"
    )
    parser.add_argument(
        "--manifest", type=Path, default=Path("manifest.yml"), help="the app's Slack manifest"
    )
    parser.add_argument("--app-url", default="http://127.0.0.1:3000", help="address of the app")
    parser.add_argument("--client-id", help="the app's client id")
    parser.add_argument("--client-secret", help="the app's client secret")
    parser.add_argument("--signing-secret", help="the app's signing secret")
    parser.add_argument("--latency-ms", type=int, default=0, help="latency of every response")
    parser.add_argument("--no-rate-limits", action="store_true", help="disable rate limits")
    parser.add_argument(
        "--install",
        action="store_true",
        help="install the app in Acme and set SLACK_BOT_TOKEN, for an app without OAuth",
    )
    parser.add_argument(
        "--append-env",
        type=Path,
        metavar="FILE",
        help="append the app's credentials and addresses to this file",
    )
    parser.add_argument(
        "--run",
        nargs=argparse.REMAINDER,
        metavar="COMMAND",
        help="run this command with the credentials in its environment, and exit with it",
    )
    return parser


def _config(options: argparse.Namespace) -> AppConfig:
    url = urlsplit(options.app_url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise SandboxError(f"--app-url must be an http or https URL, not {options.app_url}")
    return AppConfig.from_manifest(
        _manifest(options.manifest),
        app_url=options.app_url,
        client_id=options.client_id or _setting("SLACK_CLIENT_ID", options) or _client_id(),
        client_secret=(
            options.client_secret
            or _setting("SLACK_CLIENT_SECRET", options)
            or secrets.token_hex(16)
        ),
        signing_secret=(
            options.signing_secret
            or _setting("SLACK_SIGNING_SECRET", options)
            or secrets.token_hex(16)
        ),
    )


def _setting(name: str, options: argparse.Namespace) -> str | None:
    """A credential from the environment; ``--run`` uses generated credentials instead."""
    return None if options.run else os.environ.get(name)


def _client_id() -> str:
    return f"{secrets.randbelow(10**10):010d}.{secrets.randbelow(10**12):012d}"


def _manifest(path: Path) -> Mapping[str, Any]:
    try:
        manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}") from None
    except yaml.YAMLError:
        raise ManifestError(f"{path} is not YAML") from None
    if not isinstance(manifest, dict):
        raise ManifestError(f"{path} is not an app manifest")
    return manifest


def _credentials(config: AppConfig, slack_url: str) -> dict[str, str]:
    """The app's environment variables. Addresses that are already set stay as they are."""
    app = urlsplit(config.app_url)
    addresses = {
        "HOST": app.hostname or "127.0.0.1",
        "PORT": str(app.port or (443 if app.scheme == "https" else 80)),
        "PUBLIC_URL": config.app_url,
    }
    return {
        **{name: os.environ.get(name, value) for name, value in addresses.items()},
        "SLACK_CLIENT_ID": config.client_id,
        "SLACK_CLIENT_SECRET": config.client_secret,
        "SLACK_SIGNING_SECRET": config.signing_secret,
        "SLACK_BASE_URL": slack_url,
    }


def _single_workspace(credentials: Mapping[str, str], token: str) -> dict[str, str]:
    """The credentials of an app without OAuth: Bolt ignores a bot token next to a client id."""
    kept = {name: value for name, value in credentials.items() if name not in _OAUTH}
    return {**kept, "SLACK_BOT_TOKEN": token}


def _environment(credentials: Mapping[str, str]) -> dict[str, str]:
    """The environment of the command, without inherited credentials."""
    inherited = {name: value for name, value in os.environ.items() if name not in _CREDENTIALS}
    return {**inherited, **credentials}


def _append(path: Path, values: Mapping[str, str]) -> None:
    """Append lines to a file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.fchmod(descriptor, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.writelines(_lines(values))


def _lines(values: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}\n" for name, value in values.items()]


def _install(sandbox: Sandbox) -> str:
    """Install the app in the first workspace. Returns the bot token."""
    token = sandbox.install(ANN, ACME).get("access_token")
    if token is None:
        raise SandboxError("the manifest has no bot scopes")
    return str(token)


def _run(command: list[str], environment: Mapping[str, str], signals: _Signals) -> int:
    try:
        child = subprocess.Popen(command, env=environment)  # noqa: S603 - the user's own command
    except OSError as error:
        return _fail(f"cannot start {command[0]}: {error.strerror}")
    signals.pass_on_to(child)
    status = child.wait()
    return status if status >= 0 else 128 - status


def _fail(message: str) -> int:
    sys.stderr.write(f"sandbox: {message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
